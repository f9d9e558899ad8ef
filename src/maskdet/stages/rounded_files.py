"""Write figures as JSON and CSV so that an equal result is an equal file: numbers rounded, keys sorted."""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from maskdet.atomic import atomic_file

DECIMALS = 6
"""Of every number in the files: enough for any comparison, few enough that equal results are equal bytes."""

Figures = Mapping[str, "Figures | list | str | float | int | None"]


def write_rounded_json(figures: Figures, path: Path, exact: Collection[str] = ()) -> None:
    """Write a tree of figures, keys sorted, under a temporary name first.

    Args:
        figures: Containers, strings and numbers; NaN becomes JSON's null, the mark of what is undefined.
        path: The file; missing parent folders are made.
        exact: Keys whose values are written as they are.

    Raises:
        ValueError: If a number is infinite, or NaN in an exact value; nothing is written then.
    """
    text = json.dumps(_rounded(figures, exact), indent=2, sort_keys=True, allow_nan=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _rounded(value: object, exact: Collection[str]) -> object:
    if isinstance(value, Mapping):
        return {key: item if key in exact else _rounded(item, exact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item, exact) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS)
    return value


def write_rounded_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, NaN as an empty field, under a temporary name first.

    Args:
        table: The rows, in the order of the file; numbers in a column of objects are numbers too.
        path: The file; missing parent folders are made.
    """
    with atomic_file(path) as temporary:
        table.infer_objects().to_csv(temporary, index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")
