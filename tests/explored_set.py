"""A set of nine images, small enough to count with plain Python, for the stage `explore` and its parts."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, FOLDS, IMAGES, QUALITY, write_table
from maskdet.stages.entry import Workspace
from table_rows import face_rows

MASK, BARE, WRONG = "with_mask", "without_mask", "mask_weared_incorrect"
IMAGES_WH = {  # file: width, height
    "a.png": (200, 100),
    "b.png": (200, 100),
    "c.png": (100, 200),
    "d.png": (100, 100),
    "e.png": (200, 100),
    "f.png": (320, 240),
    "g.png": (150, 120),
    "h.png": (200, 100),
    "i.png": (120, 150),
}
FACES = [  # file, class, x_min, y_min, x_max, y_max; h.png has none
    ("a.png", MASK, 10, 10, 30, 40),
    ("a.png", MASK, 50, 0, 60, 12),
    ("a.png", BARE, 100, 60, 140, 99),
    ("b.png", MASK, 20, 20, 28, 30),
    ("c.png", BARE, 30, 100, 70, 160),
    ("d.png", MASK, 0, 0, 100, 100),
    ("e.png", WRONG, 150, 10, 190, 28),
    ("e.png", MASK, 90, 40, 120, 70),
    ("f.png", MASK, 10, 100, 15, 112),
    ("f.png", MASK, 40, 100, 48, 110),
    ("f.png", MASK, 80, 100, 90, 113),
    ("f.png", BARE, 120, 100, 130, 110),
    ("f.png", MASK, 160, 100, 172, 115),
    ("f.png", MASK, 200, 100, 214, 118),
    ("g.png", BARE, 40, 30, 100, 60),
    ("i.png", MASK, 20, 30, 90, 140),
]
GROUPS = {name: 0 if name in "a.png b.png e.png" else index for index, name in enumerate(IMAGES_WH)}


def images_table(names: list[str] | None = None) -> pd.DataFrame:
    """Return the table `images`, of these files only if they are named."""
    rows = [
        (name, "made", *wh, sum(face[0] == name for face in FACES), f"{index:064x}")
        for index, (name, wh) in enumerate(IMAGES_WH.items())
        if names is None or name in names
    ]
    return pd.DataFrame(rows, columns=list(IMAGES.columns))


def annotations_table(names: list[str] | None = None) -> pd.DataFrame:
    return face_rows([face for face in FACES if names is None or face[0] in names])


def quality_table(annotations: pd.DataFrame) -> pd.DataFrame:
    """Return a table of quality: the later a face is listed, the sharper and brighter."""
    ranks = np.arange(len(annotations))
    return annotations[["file_name", *BOX_COLUMNS]].assign(sharpness=0.1 * ranks, brightness=10.0 * ranks)


def folds_table(names: list[str]) -> pd.DataFrame:
    groups = [GROUPS[name] for name in names]
    return pd.DataFrame({"file_name": names, "group": groups, "split_role": "fold", "fold": [g % 2 for g in groups]})


def write_photos(folder: Path, names: list[str]) -> None:
    """Write noise, darker from image to image, so that each has traits and features of its own."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index, name in enumerate(names):
        width, height = IMAGES_WH[name]
        coarse = rng.integers(0, 255 - 20 * index, (height // 10, width // 10, 3), np.uint8)
        Image.fromarray(coarse).resize((width, height)).save(folder / name)


def write_explored_set(root: Path, names: list[str] | None = None) -> Workspace:
    """Write the tables and photos of the set, or of these files only."""
    images, annotations = images_table(names), annotations_table(names)
    write_table(images, root / "build/table/images.parquet", IMAGES)
    write_table(annotations, root / "build/table/annotations.parquet", ANNOTATIONS)
    write_table(folds_table(list(images["file_name"])), root / "build/folds.parquet", FOLDS)
    write_table(quality_table(annotations), root / "build/quality.parquet", QUALITY)
    write_photos(root / "build/raw/images", list(images["file_name"]))
    return Workspace(root, root)
