"""How large faces are, which shape their boxes have and where in the image they lie."""

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.evaluation.exploration.topic import Topic, by_class, histogram, occurring_classes, spread
from maskdet.evaluation.sizes import COCO_SIZES, area_ranges
from maskdet.evaluation.subgroups import BORDER_PX
from maskdet.schema import BOX_COLUMNS

ALL_CLASSES = "all"
"""Names the rows that count every class."""

GRID = 16
"""Rows and columns of the heat maps."""

TINY_SIDE_PX = 16
"""Below it the states of a mask are hard to tell even for people: the caption counts these faces."""

EXTREME_RATIO = 2.0
"""A box so much longer one way than the other shows hardly a whole upright face."""

REFERENCE_SIDE_PX = 512
"""Side of the square that detectors of this family are often given: the caption says what is left of a face in it."""

_RELATIVE_EDGES = 2.0 ** np.linspace(-6, 0, 13)  # (13,) half octaves from 1:64 to 1
_RATIO_EDGES = 2.0 ** np.linspace(-2, 2, 17)  # (17,) quarter octaves from 1:4 to 4:1


def box_sides(annotations: pd.DataFrame) -> Topic | None:
    """Say how long the shorter side of a face's box is.

    Returns:
        Table: `series` (a class), `low, high` (pixels, half octaves rounded to whole pixels), `count, share`. Numbers:
        quantiles in pixels, `num_tiny` (below `TINY_SIDE_PX`), the smallest face, medians by class. None without faces.
    """
    if annotations.empty:
        return None
    sides = pd.Series(_sizes_wh(annotations).min(axis=1), index=annotations.index)  # (M,)
    smallest = annotations.loc[sides.idxmin()]
    numbers = {
        "num_faces": len(sides),
        "short_side_px": spread(sides),
        "num_tiny": int((sides < TINY_SIDE_PX).sum()),
        "smallest": {"file_name": str(smallest["file_name"]), "short_side_px": float(sides.min())},
        "median_px_by_class": {name: float(values.median()) for name, values in by_class(annotations, sides).items()},
    }
    return Topic(histogram(by_class(annotations, sides), _octave_edges(sides)), numbers)


def _sizes_wh(annotations: pd.DataFrame) -> np.ndarray:
    boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    return boxes[:, 2:] - boxes[:, :2]


def _octave_edges(sides: pd.Series) -> np.ndarray:
    """Return whole pixels about half an octave apart that enclose all sides; below a pixel all is one bin."""
    num_steps = 2 * np.ceil(np.log2(max(sides.max(), 1))) + 4
    edges = np.append(0.5, np.unique(np.round(2.0 ** (np.arange(num_steps) / 2))))
    first, last = np.searchsorted(edges, (sides.min(), sides.max()), side="right")
    return edges[max(first - 1, 0) : last + 1]


def coco_sizes(annotations: pd.DataFrame) -> Topic | None:
    """Say how many faces are small, medium and large as COCO counts: area below 32², below 96², above.

    Returns:
        Table: `class_name` (`ALL_CLASSES` first), `size, num_faces, share` (of the class). Numbers: shares and counts
        of all, the share of small ones by class. None without faces.
    """
    if annotations.empty:
        return None
    sizes = coco_size_names(annotations)
    groups = {ALL_CLASSES: sizes} | by_class(annotations, sizes)
    rows = [
        (name, size, int((values == size).sum()), float((values == size).mean()))
        for name, values in groups.items()
        for size in COCO_SIZES
    ]
    table = pd.DataFrame(rows, columns=["class_name", "size", "num_faces", "share"])
    overall = table[table["class_name"] == ALL_CLASSES].set_index("size")
    small = table[(table["size"] == COCO_SIZES[0]) & (table["class_name"] != ALL_CLASSES)].set_index("class_name")
    numbers = {
        "num_faces": len(annotations),
        "num": overall["num_faces"].to_dict(),
        "share": overall["share"].to_dict(),
        "small_share_by_class": small["share"].to_dict(),
    }
    return Topic(table, numbers)


def coco_size_names(annotations: pd.DataFrame) -> pd.Series:
    """Return the name of each face's COCO size, (M,) str with the index of the annotations."""
    areas = box_area(annotations[BOX_COLUMNS].to_numpy(np.float64))  # (M,)
    edges = [*(area_ranges()[size][0] for size in COCO_SIZES), np.inf]
    return pd.Series(np.array(COCO_SIZES)[np.digitize(areas, edges) - 1], index=annotations.index)


def aspect_ratios(annotations: pd.DataFrame) -> Topic | None:
    """Say how wide the boxes are for their height.

    Returns:
        Table: `series` (a class), `low, high` (width over height; the outer bins hold what lies beyond 1:4 and 4:1),
        `count, share`. Numbers: quantiles, the share that is taller than wide, `num_extreme` (beyond `EXTREME_RATIO`
        either way), medians by class. None without faces.
    """
    if annotations.empty:
        return None
    widths, heights = _sizes_wh(annotations).T  # (M,), (M,)
    ratios = pd.Series(widths / heights, index=annotations.index)
    numbers = {
        "num_faces": len(ratios),
        "ratio": spread(ratios),
        "tall_share": float((ratios < 1).mean()),
        "num_extreme": int(((ratios > EXTREME_RATIO) | (ratios < 1 / EXTREME_RATIO)).sum()),
        "median_by_class": {name: float(values.median()) for name, values in by_class(annotations, ratios).items()},
    }
    return Topic(histogram(by_class(annotations, ratios), _RATIO_EDGES), numbers)


def relative_sizes(images: pd.DataFrame, annotations: pd.DataFrame) -> Topic | None:
    """Say how large faces are in their images, which is what is left of them when images are brought to one size.

    The relative size is the root of the box's area over that of the image's.

    Returns:
        Table: `series` (a class), `low, high` (relative size, half octaves from 1:64 to 1; the first bin holds smaller
        ones too), `count, share`. Numbers: quantiles, the side in pixels that the median face has in a square image of
        `REFERENCE_SIDE_PX`, medians by class. None without faces.
    """
    if annotations.empty:
        return None
    image_wh = images.set_index("file_name").loc[annotations["file_name"], ["width", "height"]].to_numpy()  # (M, 2)
    shares = _sizes_wh(annotations).prod(axis=1) / image_wh.prod(axis=1)  # (M,)
    relative = pd.Series(np.sqrt(shares), index=annotations.index)
    numbers = {
        "num_faces": len(relative),
        "relative_size": spread(relative),
        "median_px_at_reference": float(relative.median() * REFERENCE_SIDE_PX),
        "median_by_class": {name: float(values.median()) for name, values in by_class(annotations, relative).items()},
    }
    return Topic(histogram(by_class(annotations, relative), _RELATIVE_EDGES), numbers)


def positions(images: pd.DataFrame, annotations: pd.DataFrame) -> Topic | None:
    """Say where in their images faces lie; all images are stretched to one square.

    Returns:
        Table: `class_name` (`ALL_CLASSES` first; alone where there is one class), `row, column` (0-based from the top
        left, `GRID` each), `coverage`: the mean share of a cell that a face of the class covers, so that a face
        counts by its area. Numbers: the median centre as shares of width and height, the share of centres in the upper
        half and in the middle third of the width, the boxes that touch the border. None without faces.
    """
    if annotations.empty:
        return None
    image_wh = images.set_index("file_name").loc[annotations["file_name"], ["width", "height"]].to_numpy()  # (M, 2)
    boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    boxes_norm = boxes / np.tile(image_wh, 2)
    touches = (boxes[:, :2] < BORDER_PX).any(axis=1) | (boxes[:, 2:] > image_wh - BORDER_PX).any(axis=1)  # (M,)
    names = occurring_classes(annotations)
    is_of = {ALL_CLASSES: np.ones(len(boxes), bool)}
    is_of |= {name: (annotations["class_name"] == name).to_numpy() for name in names if len(names) > 1}
    grids = pd.concat({name: _coverage(boxes_norm[chosen]) for name, chosen in is_of.items()}, names=["class_name"])
    centres = (boxes_norm[:, :2] + boxes_norm[:, 2:]) / 2  # (M, 2)
    numbers = {
        "num_faces": len(boxes),
        "median_centre": dict(zip(("x", "y"), np.median(centres, axis=0).tolist(), strict=True)),
        "upper_half_share": float((centres[:, 1] < 0.5).mean()),
        "middle_third_share": float((np.abs(centres[:, 0] - 0.5) <= 1 / 6).mean()),
        "num_at_border": int(touches.sum()),
    }
    return Topic(grids.reset_index(level="class_name").reset_index(drop=True), numbers)


def _coverage(boxes_norm: np.ndarray) -> pd.DataFrame:
    """Return `row, column, coverage` of (M, 4) boxes in shares of the image."""
    edges = np.arange(GRID + 1) / GRID
    low, high = edges[:-1], edges[1:]  # (G,), (G,)
    across, down = (
        (np.minimum(high, boxes_norm[:, [axis + 2]]) - np.maximum(low, boxes_norm[:, [axis]])).clip(0) * GRID
        for axis in (0, 1)
    )  # (M, G), (M, G): share of each column and of each row that a box covers
    coverage = down.T @ across / len(boxes_norm)  # (G, G)
    rows, columns = np.indices(coverage.shape).reshape(2, -1)
    return pd.DataFrame({"row": rows, "column": columns, "coverage": coverage.ravel()})
