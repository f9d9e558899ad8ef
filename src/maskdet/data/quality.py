"""How sharp and how bright each face is in its photo: what the tables of boxes cannot say."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from maskdet.boxes import clip_boxes
from maskdet.data.image import read_image
from maskdet.schema import BOX_COLUMNS

COMMON_SIDE = 32
"""Faces are brought to this side in pixels first: a sharp large face has softer edges per pixel than a small one."""


def face_quality(annotations: pd.DataFrame, image_dir: Path) -> pd.DataFrame:
    """Measure each face on the pixels of its box.

    Each photo is read once, which takes nearly all of the time.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`.
        image_dir: The folder that holds the files of `file_name`.

    Returns:
        Columns `sharpness` and `brightness` (see `crop_quality`), float64, with the index of the annotations.

    Raises:
        FileNotFoundError: If an image is missing.
        ValueError: If an image cannot be read, or a box lies outside of its image.
    """
    measured = np.full((len(annotations), 2), np.nan)  # (M, 2)
    boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    for file_name, rows in annotations.groupby("file_name", sort=True).indices.items():
        image = read_image(Path(image_dir) / file_name)  # (H, W, 3)
        height, width = image.shape[:2]
        for row in rows:
            x_min, y_min, x_max, y_max = _whole_pixels(boxes[row], (width, height))
            if x_min >= x_max or y_min >= y_max:
                raise ValueError(f"{file_name}: expected boxes inside {width} x {height} px, got {boxes[row].tolist()}")
            measured[row] = crop_quality(image[y_min:y_max, x_min:x_max])
    return pd.DataFrame(measured, columns=["sharpness", "brightness"], index=annotations.index)


def _whole_pixels(box_xyxy: np.ndarray, image_wh: tuple[int, int]) -> list[int]:
    """Return the box grown to whole pixels inside the image."""
    outer = np.concatenate([np.floor(box_xyxy[:2]), np.ceil(box_xyxy[2:])])  # (4,)
    return clip_boxes(outer[None], image_wh)[0].astype(int).tolist()


def crop_quality(crop: np.ndarray) -> tuple[float, float]:
    """Return how sharp and how bright a picture is.

    Args:
        crop: (H, W, 3) uint8, RGB, at least one pixel.

    Returns:
        Sharpness: see `sharpness`, at `COMMON_SIDE`. Faces below `COMMON_SIDE` lack detail and count as blurred:
        compare faces of one size. Brightness: the mean luminance in [0, 255].
    """
    luminance = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)  # (H, W)
    shrinks = min(luminance.shape) > COMMON_SIDE
    common = cv2.resize(
        luminance, (COMMON_SIDE, COMMON_SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )  # (32, 32)
    return sharpness(common), float(luminance.mean())


def sharpness(luminance: np.ndarray) -> float:
    """Return the standard deviation of the Laplacian over that of the luminance itself: contrast does not count.

    Args:
        luminance: (H, W) float32 in [0, 255]; of one size wherever two are compared, as edges soften with enlarging.

    Returns:
        0 for an even colour.

    Reference:
        Pech-Pacheco et al. (2000), Diatom autofocusing in brightfield microscopy, https://doi.org/10.1109/ICPR.2000.903548
        (variance of the Laplacian).
    """
    spread = float(luminance.std())
    edges = float(cv2.Laplacian(luminance, cv2.CV_32F).std())
    # Rounding alone spreads an even colour by some 1e-5 levels of grey.
    return edges / spread if spread > 1e-3 else 0.0
