"""Training inputs made of several images: mosaics of crops, and faces of rare classes laid over others.

Both draw on training images only, so that nothing of the held-out fold comes in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

SHARPER_THAN = 0.7
"""A face is laid over one at most 1 / 0.7 times its size: more enlargement would teach blur, not the class."""

MIN_SIDE_PX = 8
"""Smaller faces are not replaced: their class could not be told."""

RIM = 0.12
"""Share of a face's sides that is laid over with it, so that its outline is part of the picture."""


@dataclass(frozen=True)
class Face:
    """Pixels of one face with its rim.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        side: Square root of the face's area in pixels, without the rim.
        class_index: 0-based.
    """

    pixels: np.ndarray
    side: float
    class_index: int


def cut_faces(
    images: Sequence[np.ndarray],
    boxes_xyxy: Sequence[np.ndarray],
    class_indices: Sequence[np.ndarray],
    classes: set[int],
) -> list[Face]:
    """Cut out the faces of some classes that lie wholly inside their image, rim included.

    Args:
        images: (H, W, 3) uint8 each.
        boxes_xyxy: For each image (N_i, 4) float32.
        class_indices: For each image (N_i,) int64.
        classes: Which to cut.
    """
    faces = []
    for image, boxes, indices in zip(images, boxes_xyxy, class_indices, strict=True):
        for box, index in zip(boxes, indices, strict=True):
            if int(index) not in classes or min(box[2:] - box[:2]) < MIN_SIDE_PX:
                continue
            left, top, right, bottom = _with_rim(box)
            if left >= 0 and top >= 0 and right <= image.shape[1] and bottom <= image.shape[0]:
                side = float(np.sqrt(np.prod(box[2:] - box[:2])))
                faces.append(Face(image[top:bottom, left:right].copy(), side, int(index)))
    return faces


def replace_faces(
    image: np.ndarray,
    boxes_xyxy: np.ndarray,
    class_indices: np.ndarray,
    faces: Sequence[Face],
    probability: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a face from elsewhere over each face with some probability; body, light and place stay as they were.

    Args:
        image: (H, W, 3) uint8; not modified.
        boxes_xyxy: (N, 4) faces in pixels.
        class_indices: (N,) int64; not modified.
        faces: What `cut_faces` returned; only those sharp enough for a place are laid there.
        probability: Of each face, in [0, 1].
        rng: Source of all randomness.

    Returns:
        The image and (N,) classes; boxes stay.
    """
    image, class_indices = image.copy(), class_indices.copy()
    classes = {face.class_index for face in faces}
    for i in np.flatnonzero(rng.random(len(boxes_xyxy)) < probability):
        sides = boxes_xyxy[i, 2:] - boxes_xyxy[i, :2]
        sharp = [face for face in faces if face.side >= SHARPER_THAN * np.sqrt(sides.prod())]
        if min(sides) < MIN_SIDE_PX or not sharp or int(class_indices[i]) in classes:
            continue
        face = sharp[rng.integers(len(sharp))]
        pixels = face.pixels[:, ::-1] if rng.random() < 0.5 else face.pixels
        _lay_over(image, _with_rim(boxes_xyxy[i]), pixels)
        class_indices[i] = face.class_index
    return image, class_indices


def _with_rim(box_xyxy: np.ndarray) -> tuple[int, int, int, int]:
    rim = RIM * np.tile(box_xyxy[2:] - box_xyxy[:2], 2) * (-1, -1, 1, 1)
    left, top, right, bottom = np.round(box_xyxy + rim).astype(int).tolist()
    return left, top, right, bottom


def _lay_over(image: np.ndarray, place_xyxy: tuple[int, int, int, int], pixels: np.ndarray) -> None:
    """Blend pixels into a place that may stand out of the image: an ellipse with a soft edge, brightness adapted."""
    left, top, right, bottom = place_xyxy
    width, height = right - left, bottom - top
    shrinks = width < pixels.shape[1]
    resized = cv2.resize(
        np.ascontiguousarray(pixels), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )
    x0, y0, x1, y1 = max(0, left), max(0, top), min(image.shape[1], right), min(image.shape[0], bottom)
    inside = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    under = image[y0:y1, x0:x1].astype(np.float32)
    laid = resized[inside].astype(np.float32)
    gain = np.clip((under.mean() + 20) / (laid.mean() + 20), 0.7, 1.4)
    y, x = np.mgrid[0:height, 0:width]
    radius = np.hypot((x + 0.5) / width * 2 - 1, (y + 0.5) / height * 2 - 1)  # (h, w), 1 at the edges' middles
    opacity = np.clip((1.06 - radius) / 0.18, 0, 1)[inside][..., None]  # (h', w', 1)
    image[y0:y1, x0:x1] = np.clip(opacity * gain * laid + (1 - opacity) * under, 0, 255).astype(np.uint8)


def mosaic(
    crops: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lay four crops into one square.

    Args:
        crops: Four times a (size / 2, size / 2, 3) uint8 image, (N_i, 4) boxes xyxy in its pixels, (N_i,) classes.
        size: Side of the square in pixels, even.

    Returns:
        (size, size, 3) uint8, (N, 4) float32, (N,) int64.

    Reference:
        Bochkovskiy et al. (2020), YOLOv4, section 3.3, with all four tiles of one size.
    """
    half = size // 2
    canvas = np.empty((size, size, 3), np.uint8)
    boxes = []
    for place, (image, tile_boxes, _) in enumerate(crops):
        y, x = divmod(place, 2)
        canvas[y * half : (y + 1) * half, x * half : (x + 1) * half] = image
        boxes.append(tile_boxes + np.array([x, y, x, y], np.float32) * half)
    return canvas, np.concatenate(boxes).astype(np.float32), np.concatenate([classes for *_, classes in crops])
