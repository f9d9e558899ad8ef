"""Refuse rows that no metric can count, before any of them is counted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskdet.schema import BOX_COLUMNS


def check_tables(
    images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame, class_names: Sequence[str]
) -> None:
    """Say which row cannot be evaluated; tables that `schema.read_table` let through pass but for unknown files.

    Args:
        images: A row an image; of its columns only `file_name` is read.
        annotations: True boxes, columns as `schema.ANNOTATIONS`.
        predictions: Detections, columns as `schema.PREDICTIONS`.
        class_names: The classes to evaluate.

    Raises:
        ValueError: If an image is listed twice, a box belongs to a file or a class that is not listed, a coordinate
            is no finite number, a box is inverted, or a score is not in [0, 1] (NaN included).
    """
    repeated = images["file_name"][images["file_name"].duplicated()]
    if len(repeated):
        raise ValueError(f"images: expected every file once, got {repeated.iloc[0]!r} twice")
    for name, table in (("annotations", annotations), ("predictions", predictions)):
        _check_listed(table["file_name"], images["file_name"], f"{name}: expected files of the images table")
        _check_listed(table["class_name"], class_names, f"{name}: expected classes among {list(class_names)}")
        _check_boxes(table, name)
    bad = predictions[~predictions["score"].between(0, 1)]
    if len(bad):
        row = bad.iloc[0]
        raise ValueError(f"predictions: expected scores in [0, 1], got {row['score']} in {row['file_name']!r}")


def _check_listed(values: pd.Series, listed: Sequence[str] | pd.Series, expected: str) -> None:
    unknown = values[~values.isin(listed)]
    if len(unknown):
        raise ValueError(f"{expected}, got {unknown.iloc[0]!r}")


def _check_boxes(table: pd.DataFrame, name: str) -> None:
    boxes_xyxy = table[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    is_right = np.isfinite(boxes_xyxy).all(axis=1) & (boxes_xyxy[:, 2:] >= boxes_xyxy[:, :2]).all(axis=1)  # (N,)
    if not is_right.all():
        row = int(np.flatnonzero(~is_right)[0])
        raise ValueError(
            f"{name}: expected finite boxes with x_min <= x_max and y_min <= y_max, "
            f"got {boxes_xyxy[row].tolist()} in {table['file_name'].iloc[row]!r}"
        )
