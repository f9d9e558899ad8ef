"""What is taken of the pixels of a whole photo: light, sharpness, a network's input, a smaller copy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskdet.data.image import read_image
from maskdet.data.quality import sharpness

COMMON_LONG_SIDE = 256
"""Photos are brought to this longer side in pixels first: a large photo has softer edges per pixel than a small one."""

MIN_SQUARE_PX = 32
"""Of the input of a network that halves its side five times."""


@dataclass(frozen=True)
class ImageLook:
    """A photo, reduced.

    Attributes:
        brightness: Mean luminance in [0, 255].
        sharpness: See `image_traits`.
        square: (S, S, 3) uint8, RGB: the whole photo stretched to a square.
        thumbnail: (h, w, 3) uint8, RGB: the photo with its longer side at most T; never enlarged. None: not asked for.
    """

    brightness: float
    sharpness: float
    square: np.ndarray
    thumbnail: np.ndarray | None


def look_at_images(
    paths: Sequence[Path], square_px: int, thumbnail_px: int, max_thumbnails: int
) -> Iterator[ImageLook]:
    """Read each photo once and yield what is needed of it; one photo is held at a time.

    Args:
        paths: Photos.
        square_px: S.
        thumbnail_px: T.
        max_thumbnails: Of so many photos at most, spread evenly over the list, a thumbnail is made.

    Yields:
        A look a photo, in the order of the paths.

    Raises:
        FileNotFoundError: If a photo is missing.
        ValueError: If a photo cannot be read, or S is below `MIN_SQUARE_PX`.
    """
    if square_px < MIN_SQUARE_PX:
        raise ValueError(f"explore.features.size: expected at least {MIN_SQUARE_PX} px, got {square_px}")
    with_thumbnail = evenly_spread(len(paths), max_thumbnails)
    for row, path in enumerate(paths):
        image = read_image(path)  # (H, W, 3)
        thumbnail = shrunk(image, thumbnail_px) if row in with_thumbnail else None
        square = cv2.resize(image, (square_px, square_px), interpolation=cv2.INTER_AREA)
        yield ImageLook(*image_traits(image), square, thumbnail)


def evenly_spread(num_items: int, max_chosen: int) -> set[int]:
    """Return at most so many of the places 0 … num_items − 1, as evenly apart as whole numbers allow.

    >>> sorted(evenly_spread(3, 5)), sorted(evenly_spread(9, 3))
    ([0, 1, 2], [0, 4, 8])
    """
    if max_chosen >= num_items:
        return set(range(num_items))
    return set(np.linspace(0, num_items - 1, max_chosen).round().astype(int).tolist())


def image_traits(image: np.ndarray) -> tuple[float, float]:
    """Return how bright and how sharp a photo is.

    Args:
        image: (H, W, 3) uint8, RGB, at least one pixel.

    Returns:
        Brightness: the mean luminance in [0, 255]. Sharpness: see `quality.sharpness`, the longer side brought to
        `COMMON_LONG_SIDE`; it is not comparable with `quality.crop_quality`, which looks at faces at another size.
        Smaller photos lack detail and count as blurred.
    """
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)  # (H, W)
    common = _scaled(luminance, COMMON_LONG_SIDE / max(luminance.shape))
    return float(luminance.mean()), sharpness(common)


def shrunk(image: np.ndarray, max_side_px: int) -> np.ndarray:
    """Return a picture (H, W, 3) or (H, W) whose longer side is at most so long; a smaller one as it is."""
    scale = max_side_px / max(image.shape[:2])
    return _scaled(image, scale) if scale < 1 else image


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    new_wh = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return cv2.resize(image, new_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
