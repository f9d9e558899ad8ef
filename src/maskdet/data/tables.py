"""Turn raw images and annotations into the tables `images` and `annotations`, and say what was repaired."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from maskdet.boxes import box_area, clip_boxes
from maskdet.data.image import pixel_hash, read_image
from maskdet.data.voc import VocFile, read_voc
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, IMAGES, validate

_NUM_READERS = 2


@dataclass(frozen=True)
class Repairs:
    """What differs between the raw files and the tables; every list is sorted by file.

    Attributes:
        clipped: Boxes that reached beyond the image, as `{file, class_name, box}` with the numbers as written.
        dropped: Boxes without area inside the image, likewise; they are in no table.
        size_differs: Annotations whose image size is not the real one, as `{file, declared_wh, real_wh}`; the real
            size is used, because boxes are only meaningful on the pixels that exist.
        not_annotated: Images without an XML file; they are in no table.
        without_image: Annotations without an image; likewise.
    """

    clipped: tuple[dict, ...]
    dropped: tuple[dict, ...]
    size_differs: tuple[dict, ...]
    not_annotated: tuple[str, ...]
    without_image: tuple[str, ...]


@dataclass(frozen=True)
class Tables:
    """The tables of a data set, sorted by file name, and what was repaired on the way."""

    images: pd.DataFrame
    annotations: pd.DataFrame
    repairs: Repairs


def build_tables(raw_dir: Path, source: str, source_of: Mapping[str, str] | None = None) -> Tables:
    """Read every image that has an annotation.

    An annotation without objects is an image without faces and stays; an image without an annotation does not.

    Args:
        raw_dir: A folder with `images/` and `annotations/`.
        source: The value of the column `source`.
        source_of: Of a composite: file name of every image → the value of that column instead.

    Returns:
        Tables that agree: every face's file is an image, `num_faces` counts the rows of `annotations`.

    Raises:
        ValueError: If a file is unreadable or malformed, a class is unknown, two images share an annotation, nothing
            is left, or an image of a composite has no source. The message names the files.
        FileNotFoundError: If a folder is absent.
    """
    images, annotations = _by_stem(raw_dir / "images"), _by_stem(raw_dir / "annotations")
    stems = sorted(images.keys() & annotations.keys(), key=lambda stem: images[stem].name)
    if not stems:
        found = f"{len(images)} images, none with an XML file"
        raise ValueError(f"{raw_dir.name}: expected images with annotations, got {found}")
    sources = _sources_of([images[stem].name for stem in stems], source, source_of)
    voc = {stem: read_voc(annotations[stem]) for stem in stems}
    _refuse_unknown_classes({annotations[stem].name: voc[stem] for stem in stems})
    with ThreadPoolExecutor(_NUM_READERS) as pool:
        measured = dict(zip(stems, pool.map(_measure, (images[stem] for stem in stems)), strict=True))
    faces, clipped, dropped = _collect_faces([(images[stem].name, voc[stem], measured[stem][0]) for stem in stems])
    num_faces = faces["file_name"].value_counts()
    rows = [
        (name, sources[name], *measured[stem][0], int(num_faces.get(name, 0)), measured[stem][1])
        for stem, name in ((stem, images[stem].name) for stem in stems)
    ]
    repairs = Repairs(
        clipped=clipped,
        dropped=dropped,
        size_differs=_size_differences(annotations, voc, measured),
        not_annotated=tuple(sorted(images[stem].name for stem in images.keys() - annotations.keys())),
        without_image=tuple(sorted(annotations[stem].name for stem in annotations.keys() - images.keys())),
    )
    table = pd.DataFrame(rows, columns=list(IMAGES.columns))
    return Tables(validate(table, IMAGES, "images"), validate(faces, ANNOTATIONS, "annotations"), repairs)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: expected the folder that the stage `fetch` writes, found none")
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.stem in found:
            raise ValueError(f"{folder.name}: expected one file a name, got {found[file.stem].name} and {file.name}")
        found[file.stem] = file
    return found


def _sources_of(file_names: list[str], source: str, source_of: Mapping[str, str] | None) -> Mapping[str, str]:
    if not source_of:
        return dict.fromkeys(file_names, source)
    lost = [name for name in file_names if name not in source_of]
    if lost:
        raise ValueError(f"sources.csv: expected a row of every image, got none of {lost[0]} ({len(lost)} such images)")
    return source_of


def _measure(path: Path) -> tuple[tuple[int, int], str]:
    """Return an image's width and height, and the hash of its pixels."""
    image = read_image(path)  # (H, W, 3)
    return (image.shape[1], image.shape[0]), pixel_hash(image)


def _refuse_unknown_classes(voc: dict[str, VocFile]) -> None:
    found = {(file, item.class_name) for file, content in voc.items() for item in content.objects}
    unknown = sorted(pair for pair in found if pair[1] not in CLASS_NAMES)
    if unknown:
        listed = ", ".join(f"{file}: {name!r}" for file, name in unknown)
        raise ValueError(f"expected the classes {', '.join(CLASS_NAMES)}, got {listed}")


def _collect_faces(files: list[tuple[str, VocFile, tuple[int, int]]]) -> tuple[pd.DataFrame, tuple, tuple]:
    """Return the face rows, and what was clipped and dropped."""
    rows, clipped, dropped = [], [], []
    for file_name, content, image_wh in files:
        for item in content.objects:
            raw = np.array([item.box])  # (1, 4)
            box = clip_boxes(raw, image_wh)
            record = {"file": file_name, "class_name": item.class_name, "box": list(item.box)}
            if box_area(raw)[0] == 0 or box_area(box)[0] == 0:
                dropped.append(record)
                continue
            if (box != raw).any():
                clipped.append(record)
            rows.append((file_name, item.class_name, *box[0], item.is_difficult))
    table = pd.DataFrame(rows, columns=list(ANNOTATIONS.columns))
    types = {"file_name": "str", "class_name": "str", **dict.fromkeys(BOX_COLUMNS, "float32"), "is_difficult": bool}
    return table.astype(types), tuple(clipped), tuple(dropped)


def _size_differences(annotations: dict[str, Path], voc: dict[str, VocFile], measured: dict) -> tuple[dict, ...]:
    return tuple(
        {
            "file": annotations[stem].name,
            "declared_wh": list(content.image_wh) if content.image_wh else None,
            "real_wh": list(measured[stem][0]),
        }
        for stem, content in voc.items()
        if content.image_wh != measured[stem][0]
    )
