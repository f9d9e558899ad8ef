"""A photo of a real face that a dependency ships: matplotlib's portrait of Grace Hopper (US Navy, public domain)."""

from functools import cache

import cv2
import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image

from maskdet.models.landmarks import LandmarkModel

BOX = np.array([165.0, 120, 360, 335])
"""Of the face in `portrait()`, xyxy in pixels."""


@cache
def landmark_model() -> LandmarkModel:
    return LandmarkModel()


@cache
def portrait() -> np.ndarray:
    """Return the photo, (600, 512, 3) uint8 RGB; do not modify it."""
    with get_sample_data("grace_hopper.jpg") as file:
        return np.asarray(Image.open(file).convert("RGB"))


@cache
def portrait_points() -> np.ndarray:
    """Return the points of the face, (468, 3) float32; do not modify them."""
    return landmark_model().find(portrait(), BOX).points


def scaled(scale: float) -> np.ndarray:
    return cv2.resize(portrait(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def turned(points: np.ndarray, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turn points (N, 3) around their middle, as a head turns before a camera that does not move.

    Args:
        points: x right, y down, z away from the camera.
        yaw: Degrees around the upright axis.
        pitch: Degrees around the axis through the ears.
        roll: Degrees in the picture.
    """
    (a, b, c), middle = np.radians([yaw, pitch, roll]), points.mean(axis=0)
    around_y = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    around_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    around_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return middle + (points - middle) @ (around_z @ around_x @ around_y).T
