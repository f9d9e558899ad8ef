"""Short ways to write tables down in a test."""

import pandas as pd

from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, PREDICTIONS, validate

NAMES = {"file_name": str, "class_name": str}  # also where there is no row


def face_rows(rows: list[tuple]) -> pd.DataFrame:
    """Return a table of annotations from (file_name, class_name, x_min, y_min, x_max, y_max)."""
    table = (
        pd.DataFrame(rows, columns=["file_name", "class_name", *BOX_COLUMNS]).astype(NAMES).assign(is_difficult=False)
    )
    return validate(table[list(ANNOTATIONS.columns)], ANNOTATIONS, "test")


def detection_rows(rows: list[tuple]) -> pd.DataFrame:
    """Return a table of predictions from (file_name, class_name, score, x_min, y_min, x_max, y_max)."""
    table = pd.DataFrame(rows, columns=["file_name", "class_name", "score", *BOX_COLUMNS]).astype(NAMES).assign(fold=0)
    return validate(table[list(PREDICTIONS.columns)], PREDICTIONS, "test")
