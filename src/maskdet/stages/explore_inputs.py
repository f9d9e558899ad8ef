"""What the stage `explore` looks at, and what it must do without."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table
from maskdet.stages.entry import Workspace
from maskdet.stages.face_quality import read_quality


@dataclass(frozen=True)
class Inputs:
    """What is explored.

    Attributes:
        images: Columns as `schema.IMAGES`; at least one row.
        annotations: Columns as `schema.ANNOTATIONS`.
        folds: Columns as `schema.FOLDS`, or None.
        quality: Columns as `schema.QUALITY`, a row a face with the index of the annotations, or None.
        image_dir: Folder of the photos, or None where one is absent.
        notes: What is left out for want of a file, a sentence each.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    folds: pd.DataFrame | None
    quality: pd.DataFrame | None
    image_dir: Path | None
    notes: list[str]


def read_inputs(workspace: Workspace) -> Inputs:
    """Read the tables and look for the photos; a file that is absent leads to a note, a wrong one to an error.

    Raises:
        FileNotFoundError: If a table of `build/table/` is missing.
        ValueError: If there is no image, or a table breaks its schema or is not of these images and faces.
    """
    images_path = workspace.input("build/table/images.parquet")
    images = read_table(images_path, IMAGES)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    if images.empty:
        raise ValueError(f"{images_path}: expected at least one image to look at, got an empty table")
    strangers = annotations.loc[~annotations["file_name"].isin(images["file_name"]), "file_name"]
    if len(strangers):
        raise ValueError(f"{images_path}: expected every annotated image, {strangers.iloc[0]!r} is not among them")
    notes: list[str] = []
    return Inputs(
        images,
        annotations,
        _read_folds(workspace.input("build/folds.parquet"), images, notes),
        _read_quality(workspace.input("build/quality.parquet"), annotations, notes),
        _find_photos(workspace.input("build/raw/images"), images, notes),
        notes,
    )


def _read_folds(path: Path, images: pd.DataFrame, notes: list[str]) -> pd.DataFrame | None:
    if not path.is_file():
        notes.append("Without build/folds.parquet look-alikes are not marked; the stage split makes it.")
        return None
    folds = read_table(path, FOLDS)
    if set(folds["file_name"]) != set(images["file_name"]):
        raise ValueError(
            f"{path}: expected the {len(images)} images of build/table/images.parquet, got {len(folds)}, not all of "
            "them the same; run the stage split again"
        )
    return folds


def _read_quality(path: Path, annotations: pd.DataFrame, notes: list[str]) -> pd.DataFrame | None:
    if not path.is_file():
        notes.append("Without build/quality.parquet nothing is said of the light and sharpness of faces; the stage "
                     "quality makes it.")  # fmt: skip
        return None
    return read_quality(path, annotations)


def _find_photos(image_dir: Path, images: pd.DataFrame, notes: list[str]) -> Path | None:
    absent = [name for name in images["file_name"] if not (image_dir / name).is_file()]
    if not absent:
        return image_dir
    notes.append(
        f"{len(absent):,} of {len(images):,} photos are absent from build/raw/images: nothing is said of light and "
        "sharpness of images, no look-alikes and no samples are shown."
    )
    return None
