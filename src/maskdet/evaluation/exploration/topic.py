"""A question of the first look: the rows that its plot draws and the numbers that its caption states."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.schema import CLASS_NAMES

IMAGES_SERIES = "images"
"""Names the series of a histogram that counts images, beside those that count the faces of a class."""


@dataclass(frozen=True)
class Topic:
    """An answer.

    Attributes:
        table: The rows behind the plot; may be empty only where the set is.
        numbers: Plain containers, strings and numbers, all that a caption may state; shares lie in [0, 1].
    """

    table: pd.DataFrame
    numbers: Mapping


def occurring_classes(annotations: pd.DataFrame) -> list[str]:
    """Return the classes that have a face: the known ones in their order, then others sorted.

    >>> occurring_classes(pd.DataFrame({"class_name": ["cap", "without_mask", "with_mask", "without_mask"]}))
    ['with_mask', 'without_mask', 'cap']
    """
    present = set(annotations["class_name"])
    return [name for name in CLASS_NAMES if name in present] + sorted(present - set(CLASS_NAMES))


def histogram(groups: Mapping[str, Iterable[float]], edges: np.ndarray) -> pd.DataFrame:
    """Count the values of several series in common bins.

    Args:
        groups: Series → its values; one without values has zero counts.
        edges: (B + 1,) rising. A bin holds its lower edge, not its upper one; what lies beyond an end is counted in the
            bin at that end, so that no value is lost.

    Returns:
        Columns `series, low, high, count, share` (of the series, in [0, 1]), B rows a series.
    """
    rows = []
    for series, values in groups.items():
        values = np.asarray(list(values), np.float64)
        bins = np.searchsorted(edges, values, side="right").clip(1, len(edges) - 1) - 1  # (N,)
        counts = np.bincount(bins, minlength=len(edges) - 1)  # (B,)
        shares = counts / max(len(values), 1)
        rows += [(series, *row) for row in zip(edges[:-1], edges[1:], counts, shares, strict=True)]
    return pd.DataFrame(rows, columns=["series", "low", "high", "count", "share"])


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return the 5 %, 50 % and 95 % quantiles as `p5, median, p95`; NaN without values.

    >>> spread(range(101))
    {'p5': 5.0, 'median': 50.0, 'p95': 95.0}
    """
    values = np.asarray(list(values), np.float64)
    quantiles = np.quantile(values, [0.05, 0.5, 0.95]) if len(values) else np.full(3, np.nan)  # (3,)
    return dict(zip(("p5", "median", "p95"), map(float, quantiles), strict=True))


def by_class(annotations: pd.DataFrame, values: pd.Series) -> dict[str, pd.Series]:
    """Return class → its faces' values, in the order of `occurring_classes`.

    Args:
        annotations: True boxes.
        values: One number a face, with the index of the annotations.
    """
    return {name: values[annotations["class_name"] == name] for name in occurring_classes(annotations)}
