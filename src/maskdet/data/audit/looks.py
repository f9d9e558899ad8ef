"""What is kept of a decoded picture to find its copies later: some 30 KB, whatever its size."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskdet.data.duplicates import THUMBNAIL_PX, hash_bits, thumbnail
from maskdet.data.image import pixel_hash
from maskdet.data.image_traits import shrunk
from maskdet.data.shared_points import LONG_SIDE_PX, detect_points, shrunk_grey

PREVIEW_PX = 96
"""Longer side of the small grey copy on which a supposed copy is laid to compare them."""

_DESCRIPTOR_STEPS = 400.0  # one byte a value: square roots of shares, of which SIFT allows up to about 0.5
_CELLS, _DIRECTIONS = 4, 8  # a descriptor holds 4 x 4 cells of 8 directions
_MIRRORED_ORDER = (
    np.arange(_CELLS * _CELLS * _DIRECTIONS)
    .reshape(_CELLS, _CELLS, _DIRECTIONS)[::-1, :, -np.arange(_DIRECTIONS) % _DIRECTIONS]
    .ravel()
)  # (128,)


@dataclass(frozen=True)
class Look:
    """How a picture looks.

    Attributes:
        sha256: Of its pixels.
        image_wh: Width and height in pixels.
        shrunk_wh: The same of the copy on which the points lie: its longer side is at most `LONG_SIDE_PX`.
        hash_bits: (2, 64) bool, perceptual hash as it is and mirrored.
        thumbnail: (1024,) float32, see `maskdet.data.duplicates.thumbnail`.
        preview: (h, w) uint8, grey, its longer side is `PREVIEW_PX` at most.
        positions: (P, 2) float32, x and y of its key points in the shrunk copy; P may be 0.
        descriptors: (P, 128) uint8, see `unit_descriptors`.
    """

    sha256: str
    image_wh: tuple[int, int]
    shrunk_wh: tuple[int, int]
    hash_bits: np.ndarray
    thumbnail: np.ndarray
    preview: np.ndarray
    positions: np.ndarray
    descriptors: np.ndarray


def look_at(image: np.ndarray) -> Look:
    """Return what is kept of a picture.

    Hashes and points are taken from a copy of at most `LONG_SIDE_PX`, so that a large photo costs little more than its
    decoding.

    Args:
        image: (H, W, 3) uint8, RGB.
    """
    small = shrunk(image, LONG_SIDE_PX)
    grey = shrunk_grey(small)  # (h, w)
    positions, descriptors = detect_points(grey)
    return Look(
        sha256=pixel_hash(image),
        image_wh=(image.shape[1], image.shape[0]),
        shrunk_wh=(grey.shape[1], grey.shape[0]),
        hash_bits=np.stack([hash_bits(view) for view in (small, np.ascontiguousarray(small[:, ::-1]))]),
        thumbnail=thumbnail(small).astype(np.float32),
        preview=shrunk(grey, PREVIEW_PX),
        positions=positions.astype(np.float32),
        descriptors=(descriptors * _DESCRIPTOR_STEPS).round().clip(0, 255).astype(np.uint8),
    )


def unit_descriptors(stored: np.ndarray) -> np.ndarray:
    """Return stored descriptors, (P, 128) uint8, as (P, 128) float32 of length 1, whose dot products are cosines."""
    values = stored.astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True).clip(1)


def mirrored_descriptors(descriptors: np.ndarray) -> np.ndarray:
    """Return the descriptors that the same points have in the mirrored picture.

    A point's direction turns with the picture, so that seen along it the picture is turned over: the rows of cells
    change places and the directions count the other way round. No second detection is needed.

    Args:
        descriptors: (P, 128) of a picture.

    Returns:
        (P, 128) in the order of the points; doing it twice gives the first ones back.

    Reference:
        Zhao and Ngo (2013), Flip-Invariant SIFT for Copy and Object Detection, section III.
    """
    return descriptors[:, _MIRRORED_ORDER]


def mirrored_positions(look: Look) -> np.ndarray:
    """Return where the points of a picture lie in the mirrored one, (P, 2) float32."""
    return np.stack([look.shrunk_wh[0] - 1 - look.positions[:, 0], look.positions[:, 1]], axis=1)


def mirrored_thumbnails(looks: Sequence[Look]) -> np.ndarray:
    """Return the thumbnails of the mirrored pictures, (N, 1024) float32."""
    stacked = np.array([look.thumbnail for look in looks], np.float32).reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)
    return stacked[:, :, ::-1].reshape(-1, THUMBNAIL_PX**2)
