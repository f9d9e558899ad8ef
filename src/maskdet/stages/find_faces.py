"""Stage `find_faces`: the faces that one detector finds in every image, whatever they wear, and what an image cost."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from maskdet.data.image import read_image
from maskdet.models.face_detectors.interface import FaceDetector, FoundFaces
from maskdet.schema import BOX_COLUMNS, FACES, IMAGES, read_table, write_table
from maskdet.stages.cost import Cost
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> pd.DataFrame:
    """Write `build/faces/<name>.parquet` and `reports/two_phase/find_faces/<name>.json`.

    The detectors were trained on other sets, so that every image counts as unseen, whatever its fold; these are photos
    of the web, and nobody has searched those sets for them.

    Args:
        cfg: Reads `face_detector`, an option of the group `face_detector`.
        workspace: Holds `build/raw/images/` and `build/table/images.parquet`.

    Returns:
        The table, columns as `schema.FACES`: rows in the order of the images, best first within an image; none of an
        image in which no face was found.

    Raises:
        FileNotFoundError: If the table, an image or the detector's weights are missing.
        ValueError: If an image cannot be read or an option is out of its range.
    """
    detector = instantiate(cfg.face_detector, _convert_="all")
    images = read_table(workspace.input("build/table/images.parquet"), IMAGES)
    cv2.setNumThreads(torch.get_num_threads())  # OpenCV does not read OMP_NUM_THREADS
    begin = Cost.now()
    found = _find_in_files(detector, images, workspace.input("build/raw/images"))
    cost = (Cost.now() - begin).report(len(images), "cpu")  # from the file to the boxes
    table = _table(found, images["file_name"])
    counts = _counts(found, detector.options.score_threshold)
    write_table(table, workspace.output(f"build/faces/{detector.name}.parquet"), FACES)
    write_json({**counts, **cost}, workspace.output(f"reports/two_phase/find_faces/{detector.name}.json"))
    print(
        f"{detector.name}: {counts['num_faces']} faces in {len(images)} images, none in "
        f"{counts['num_images_without_face']}, {cost['ms_per_image']:.0f} ms an image"
    )
    return table


def _find_in_files(detector: FaceDetector, images: pd.DataFrame, folder: Path) -> dict[str, FoundFaces]:
    """Return the faces of each file, by its name."""
    found = {}
    with tqdm(total=len(images), desc=f"find faces by {detector.name}", unit="image", disable=None) as bar:
        for names in _batches(images, detector.options.batch_size):
            found |= zip(names, detector.detect([read_image(folder / name) for name in names]), strict=True)
            bar.update(len(names))
    return found


def _batches(images: pd.DataFrame, batch_size: int) -> Iterator[list[str]]:
    """Yield file names of images of one size: only those fit into one batch of the network."""
    for _, of_size in images.groupby(["height", "width"]):
        names = of_size["file_name"].tolist()
        for start in range(0, len(names), batch_size):
            yield names[start : start + batch_size]


def _table(found: dict[str, FoundFaces], file_names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `schema.FACES`, also where there are none."""
    parts = [
        pd.DataFrame(found[name].boxes_xyxy, columns=BOX_COLUMNS).assign(file_name=name, score=found[name].scores)
        for name in file_names
    ]
    return pd.concat(parts, ignore_index=True)[list(FACES.columns)].astype({"file_name": "str"})


def _counts(found: dict[str, FoundFaces], score_threshold: float) -> dict[str, float | int]:
    """Count what stands at the operating point, and all that the table holds."""
    numbers = [int((faces.scores >= score_threshold).sum()) for faces in found.values()]
    return {
        "score_threshold": score_threshold,
        "num_images": len(found),
        "num_images_without_face": numbers.count(0),
        "num_faces": sum(numbers),
        "num_candidates": sum(map(len, found.values())),
    }


if __name__ == "__main__":
    stage_main(run)
