"""Which true boxes count as small, medium or large: COCO's three sizes, and thirds of the set's own faces."""

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.schema import BOX_COLUMNS

COCO_SIZES = ("small", "medium", "large")
TERTILES = ("tertile_1", "tertile_2", "tertile_3")
"""Thirds of the set's true boxes, the smallest first. COCO's borders put nearly every face of a crowd into one size."""

_NO_LIMIT = 1e5**2  # COCO's largest area
_COCO_BORDERS = (32.0**2, 96.0**2)


def size_tertiles(annotations: pd.DataFrame) -> tuple[float, float]:
    """Return the two sizes that part the true boxes into thirds, as near as equal sizes allow.

    A bound lies halfway between two sizes that occur, so that every box is in one third only, which COCO's ranges,
    closed at both ends, would not give for a bound that is itself a size.

    Args:
        annotations: True boxes of the whole set, columns as `schema.ANNOTATIONS`. Folds and runs that are compared
            need the bounds of one set.

    Returns:
        Two rising sizes, the square root of the area, in pixels of the original image; NaN without true boxes.

    >>> size_tertiles(pd.DataFrame({"x_min": 0, "y_min": 0, "x_max": [2, 4, 6], "y_max": [2, 4, 6]}))
    (3.0, 5.0)
    """
    sizes = np.sqrt(box_area(annotations[BOX_COLUMNS].to_numpy(np.float64)))  # (M,)
    if not len(sizes):
        return float("nan"), float("nan")
    sizes.sort()
    distinct = np.unique(sizes)
    following = np.append(distinct[1:], distinct[-1] + 1)  # the next size; beyond the largest any will do
    last_inside = sizes[[max(round(len(sizes) * third / 3), 1) - 1 for third in (1, 2)]]  # (2,)
    lower, upper = (last_inside + following[np.searchsorted(distinct, last_inside)]) / 2
    return float(lower), float(upper)


def area_ranges(size_bounds_px: tuple[float, float] | None = None) -> dict[str, tuple[float, float]]:
    """Return the least and the largest area of each size, both inclusive, as COCO has them.

    Args:
        size_bounds_px: What `size_tertiles` returns; None leaves the thirds out.

    Returns:
        `all, small, medium, large`, then `tertile_1, tertile_2, tertile_3`; areas in square pixels.

    Raises:
        ValueError: If the bounds are not positive and rising. NaN passes: the set has no true box then.
    """
    ranges = {"all": (0.0, _NO_LIMIT)} | _between(COCO_SIZES, _COCO_BORDERS)
    if size_bounds_px is None:
        return ranges
    lower, upper = size_bounds_px
    if not (0 < lower <= upper or np.isnan([lower, upper]).all()):
        raise ValueError(f"size_bounds_px: expected two positive sizes, the smaller first, got {size_bounds_px}")
    return ranges | _between(TERTILES, (lower**2, upper**2))


def _between(names: tuple[str, ...], borders: tuple[float, ...]) -> dict[str, tuple[float, float]]:
    return dict(zip(names, zip((0.0, *borders), (*borders, _NO_LIMIT), strict=True), strict=True))
