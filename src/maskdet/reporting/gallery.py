"""Choose the images that a person should look at, and write them to disk with their boxes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from maskdet.atomic import atomic_folder
from maskdet.data.image import read_image
from maskdet.reporting.picture import GalleryPicture, JudgedTables
from maskdet.schema import CLASS_NAMES

_JPEG_QUALITY = 88


def outcomes_by_image(file_names: Sequence[str], judged: JudgedTables) -> pd.DataFrame:
    """Count hits, false alarms and misses of every image.

    Args:
        file_names: The images, N of them, those without faces and detections included.
        judged: What `judge_tables` returns for them.

    Returns:
        N rows, indexed by file name in the order given: `tp, fp, fn` (int) and `f1` (float; NaN for an image with
        neither faces nor detections).
    """
    is_tp = judged.detections["is_tp"]
    counts = {
        "tp": judged.detections.loc[is_tp, "file_name"].value_counts(),
        "fp": judged.detections.loc[~is_tp, "file_name"].value_counts(),
        "fn": judged.faces.loc[~judged.faces["is_found"], "file_name"].value_counts(),
    }
    table = pd.DataFrame({key: column.reindex(file_names, fill_value=0) for key, column in counts.items()})
    total = 2 * table["tp"] + table["fp"] + table["fn"]
    return table.assign(f1=(2 * table["tp"] / total.where(total > 0)).astype(float))


def rarest_class(annotations: pd.DataFrame) -> str | None:
    """Return the class with the fewest faces among those that occur; None without faces."""
    counts = annotations["class_name"].value_counts().reindex(CLASS_NAMES).dropna()
    return None if counts.empty else str(counts.idxmin())


def select_images(file_names: Sequence[str], judged: JudgedTables, num_images: int, seed: int) -> dict[str, list[str]]:
    """Choose the images of each section.

    - best: highest F1 of the image at the display threshold; of equal ones those with more hits.
    - worst: lowest F1; of equal ones those with more misses and false alarms. An image without faces counts here with
      F1 = 0 as soon as something is detected in it.
    - random: drawn with the seed from all images, whatever the outcome: the only section that shows what is usual.
    - rare: drawn with the seed from the images that hold the rarest class.

    Images with neither faces nor detections are in `random` only.

    Args:
        file_names: The images that were evaluated.
        judged: What `judge_tables` returns for them.
        num_images: Of each section, at most.
        seed: Of the two random sections; 0 is a seed like any other.

    Returns:
        Section → file names. No name occurs twice in a section; it may occur in several sections.
    """
    outcomes = outcomes_by_image(sorted(file_names), judged).reset_index(names="file_name")
    outcomes["errors"] = outcomes["fp"] + outcomes["fn"]
    ranked = outcomes.dropna(subset="f1")
    best = ranked[ranked["tp"] > 0].sort_values(["f1", "tp", "file_name"], ascending=[False, False, True])
    worst = ranked[ranked["errors"] > 0].sort_values(["f1", "errors", "file_name"], ascending=[True, False, True])
    faces = judged.faces
    holds_rarest = sorted(set(faces.loc[faces["class_name"] == rarest_class(faces), "file_name"]))
    return {
        "best": list(best["file_name"].head(num_images)),
        "worst": list(worst["file_name"].head(num_images)),
        "random": _draw(list(outcomes["file_name"]), num_images, seed),
        "rare": _draw(holds_rarest, num_images, seed),
    }


def open_pictures(
    file_names: Sequence[str], image_dir: Path, judged: JudgedTables, fold_of_file: Mapping[str, int]
) -> list[GalleryPicture]:
    """Read images and put them together with their verdicts.

    Args:
        file_names: Names in `image_dir`; the order is kept.
        image_dir: Where the images lie.
        judged: Rows of these images, others are ignored.
        fold_of_file: The fold that held an image out; −1 where it says nothing.

    Returns:
        One picture a name, in its own size.

    Raises:
        FileNotFoundError: If an image is absent.
        ValueError: If a file is no image.
    """
    return [
        GalleryPicture(name, int(fold_of_file.get(name, -1)), read_image(image_dir / name), judged.of_file(name))
        for name in file_names
    ]


def write_gallery(pictures: Mapping[str, Sequence[GalleryPicture]], folder: Path, max_side_px: int) -> pd.DataFrame:
    """Write `<section>/<nn>_<stem>.jpg`, truth and prediction side by side, and `captions.csv`.

    Args:
        pictures: Section → pictures in their order.
        folder: Takes the place of what stood there, once everything is written.
        max_side_px: Longer side of one of the two panels.

    Returns:
        What is in `captions.csv`: `section, picture, file_name, fold, num_faces, hits, misses, false_alarms`.
    """
    rows = []
    with atomic_folder(folder) as temporary:
        for section, section_pictures in pictures.items():
            (temporary / section).mkdir()
            for number, picture in enumerate(section_pictures, start=1):
                name = f"{section}/{number:02d}_{Path(picture.file_name).stem}.jpg"
                pixels = picture.side_by_side(max_side_px)
                Image.fromarray(pixels).save(temporary / name, format="JPEG", quality=_JPEG_QUALITY)
                found = {"section": section, "picture": name, "file_name": picture.file_name, "fold": picture.fold}
                rows.append({**found, **picture.counts})
        columns = ["section", "picture", "file_name", "fold", "num_faces", "hits", "misses", "false_alarms"]
        captions = pd.DataFrame(rows, columns=columns)
        captions.to_csv(temporary / "captions.csv", index=False, lineterminator="\n")
    return captions


def _draw(file_names: list[str], num_images: int, seed: int) -> list[str]:
    """Draw without replacement."""
    return [file_names[i] for i in np.random.default_rng(seed).permutation(len(file_names))[:num_images]]
