"""How large, bright and sharp images and faces are; pixels were measured elsewhere."""

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.evaluation.exploration.boxes import coco_size_names
from maskdet.evaluation.exploration.topic import IMAGES_SERIES, Topic, by_class, histogram, spread
from maskdet.evaluation.sizes import COCO_SIZES
from maskdet.schema import BOX_COLUMNS

DARK, BRIGHT = 64, 192
"""Mean luminance (0 to 255) below which an image counts as dark, from which on as bright: the outer quarters."""

_BRIGHTNESS_EDGES = np.arange(0, 257, 16)  # (17,)
_SHARPNESS_STEP = 0.1


def image_sizes(images: pd.DataFrame) -> Topic:
    """Say which sizes images have.

    Returns:
        Table: `width, height` in pixels, `num_images, share`, the most common first. Numbers: how many sizes, the most
        common, shares of landscape, portrait and square images, the extremes of the sides.
    """
    sizes = images.groupby(["width", "height"]).size().rename("num_images").reset_index()
    table = sizes.sort_values(["num_images", "width", "height"], ascending=[False, True, True], ignore_index=True)
    table["share"] = table["num_images"] / len(images)
    first = table.iloc[0]
    numbers = {
        "num_images": len(images),
        "num_sizes": len(table),
        "most_common": {name: int(first[name]) for name in ("width", "height", "num_images")},
        "landscape_share": float((images["width"] > images["height"]).mean()),
        "portrait_share": float((images["width"] < images["height"]).mean()),
        "square_share": float((images["width"] == images["height"]).mean()),
        "shortest_side_px": int(images[["width", "height"]].min(axis=None)),
        "longest_side_px": int(images[["width", "height"]].max(axis=None)),
    }
    return Topic(table, numbers)


def brightness(traits: pd.DataFrame, annotations: pd.DataFrame, quality: pd.DataFrame | None) -> Topic:
    """Say how bright images and, where they were measured, faces are.

    Args:
        traits: Columns `file_name, brightness, sharpness`, a row an image.
        annotations: True boxes.
        quality: Columns `sharpness, brightness`, a row a face with the index of the annotations; None: not measured.

    Returns:
        Table: `series` (`IMAGES_SERIES`, then classes), `low, high` (mean luminance, 0 to 255), `count, share`.
        Numbers: quantiles of images, how many are `dark` and `bright`, medians of faces by class (empty if not
        measured).
    """
    faces = {} if quality is None else by_class(annotations, quality["brightness"])
    values = traits["brightness"]
    numbers = {
        "num_images": len(values),
        "images": spread(values),
        "num_dark": int((values < DARK).sum()),
        "num_bright": int((values >= BRIGHT).sum()),
        "median_of_faces": {name: float(series.median()) for name, series in faces.items()},
    }
    return Topic(histogram({IMAGES_SERIES: values} | faces, _BRIGHTNESS_EDGES), numbers)


def image_sharpness(traits: pd.DataFrame) -> Topic:
    """Say how sharp images are at a common size.

    Returns:
        Table: `series` (`IMAGES_SERIES`), `low, high` (sharpness as measured), `count, share`. Numbers: quantiles, the
        least sharp image.
    """
    values = traits["sharpness"]
    least = traits.loc[values.idxmin()]
    numbers = {
        "num_images": len(values),
        "sharpness": spread(values),
        "least": {"file_name": str(least["file_name"]), "sharpness": float(least["sharpness"])},
    }
    return Topic(histogram({IMAGES_SERIES: values}, _sharpness_edges(values)), numbers)


def face_sharpness(annotations: pd.DataFrame, quality: pd.DataFrame | None) -> Topic | None:
    """Say how sharp faces are, by their COCO size: small ones lack detail and count as blurred.

    Returns:
        Table: `series` (a COCO size that occurs), `low, high` (sharpness as measured), `count, share`. Numbers:
        medians and counts by size, Spearman's correlation of sharpness and size (NaN where either is constant). None
        without faces or measurements.
    """
    if quality is None or annotations.empty:
        return None
    areas = box_area(annotations[BOX_COLUMNS].to_numpy(np.float64))  # (M,)
    sizes, values = coco_size_names(annotations), quality["sharpness"]
    groups = {size: values[sizes == size] for size in COCO_SIZES if (sizes == size).any()}
    numbers = {
        "num_faces": {size: len(series) for size, series in groups.items()},
        "median": {size: float(series.median()) for size, series in groups.items()},
        "rank_correlation": _rank_correlation(areas, values),
    }
    return Topic(histogram(groups, _sharpness_edges(values)), numbers)


def _rank_correlation(areas: np.ndarray, values: pd.Series) -> float:
    ranks = np.stack([pd.Series(areas).rank(), values.rank()])  # (2, M)
    if (ranks.std(axis=1) == 0).any():
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])


def _sharpness_edges(values: pd.Series) -> np.ndarray:
    """Return edges from the lowest to the highest value, whole steps."""
    first, last = np.floor(np.round(np.array([values.min(), values.max()]) / _SHARPNESS_STEP, 6))
    return np.round(np.arange(first, last + 2) * _SHARPNESS_STEP, 6)
