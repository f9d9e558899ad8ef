"""Make faces unrecognizable, in pictures and videos.

What this is worth: a face is averaged to a few patches, so no detail of it is left in the pixels, and a person cannot
recognize it. Against somebody who has a list of candidates and compares each, blurred the same way, no blur is proof
(McPherson, Shokri and Shmatikov 2016, Defeating Image Obfuscation with Deep Learning, https://arxiv.org/abs/1609.00408);
`num_patches=1` leaves one colour. A face that the model does not find stays as it is.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import cv2
import numpy as np

from maskdet.boxes import box_iou, check_boxes

MARGIN = 0.25
"""Share of a box's width and height that is blurred beyond it on each side: hair, ears, chin, and an inexact box."""

NUM_PATCHES = 4
"""Patches along the longer side of a blurred face: fewer than the parts of a face."""

BLUR_SCORE_THRESHOLD = 0.1
"""Faces are blurred from this score on, far below that of shown ones: a missed face is worse than a blurred wall."""

T = TypeVar("T")


def blur_faces(
    image: np.ndarray, boxes_xyxy: np.ndarray, margin: float = MARGIN, num_patches: int = NUM_PATCHES
) -> np.ndarray:
    """Return an image whose faces are averaged to a few patches with soft borders between them.

    Call it before anything is drawn. Overlapping faces are blurred one after the other.

    Args:
        image: (H, W, 3) uint8; not modified.
        boxes_xyxy: (N, 4) float, pixels; may be empty and may reach beyond the image.
        margin: Share of the box's sides that is added on each side, not negative.
        num_patches: Along the longer side of each blurred rectangle, at least 1; whatever the face's size in pixels.

    Returns:
        (H, W, 3) uint8. Outside of the boxes with their margins every byte is that of the image.

    Raises:
        ValueError: If the image is not (H, W, 3) uint8, the margin is negative, or there is no patch.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an image of shape (H, W, 3) and type uint8, got {image.shape} {image.dtype}")
    if margin < 0 or num_patches < 1:
        raise ValueError(f"expected a margin >= 0 and at least 1 patch, got {margin} and {num_patches}")
    blurred = image.copy()
    for left, top, right, bottom in blurred_rects(boxes_xyxy, (image.shape[1], image.shape[0]), margin):
        region = blurred[top:bottom, left:right]  # a view
        width, height = right - left, bottom - top
        scale = num_patches / max(width, height)
        patches_wh = min(width, max(1, round(width * scale))), min(height, max(1, round(height * scale)))
        patches = cv2.resize(region, patches_wh, interpolation=cv2.INTER_AREA)  # means: all that is kept
        region[:] = cv2.resize(patches, (width, height), interpolation=cv2.INTER_LINEAR)
    return blurred


def blurred_rects(
    boxes_xyxy: np.ndarray, image_wh: tuple[int, int], margin: float = MARGIN
) -> list[tuple[int, int, int, int]]:
    """Return what is blurred: boxes with their margins in whole pixels, clipped; those outside are left out.

    >>> blurred_rects(np.array([[10.0, 10, 20, 30], [-9, 0, -5, 3]]), (100, 33), margin=0.5)
    [(5, 0, 25, 33)]
    """
    boxes = check_boxes(boxes_xyxy).astype(np.float64)
    sides = np.tile((boxes[:, 2:] - boxes[:, :2]) * margin, 2) * [-1, -1, 1, 1]  # (N, 4)
    limits = np.tile(image_wh, 2)
    grown = boxes + sides
    corners = np.hstack([np.floor(grown[:, :2]), np.ceil(grown[:, 2:])]).clip(0, limits).astype(int)  # (N, 4)
    return [tuple(map(int, row)) for row in corners if row[0] < row[2] and row[1] < row[3]]


def merged_boxes(boxes_xyxy: np.ndarray, min_iou: float = 0.5) -> np.ndarray:
    """Return rectangles that cover all boxes: one around those that overlap much, as the boxes of one face do.

    Args:
        boxes_xyxy: (N, 4) float.
        min_iou: A box joins the rectangle that it overlaps most, if by as much.

    Returns:
        (M, 4) float64, M <= N; every box lies wholly inside one of them.
    """
    merged = np.empty((0, 4))
    for box in check_boxes(boxes_xyxy).astype(np.float64):
        ious = box_iou(box[None], merged)[0]  # (M,)
        if len(ious) and ious.max() >= min_iou:
            row = int(ious.argmax())
            merged[row] = [*np.minimum(merged[row, :2], box[:2]), *np.maximum(merged[row, 2:], box[2:])]
        else:
            merged = np.vstack([merged, box])
    return merged


class BlurWindow(Generic[T]):
    """Frames with the boxes that must be blurred in them: their own and those of their neighbours in time.

    A detector misses a face now and then for a frame or two; its boxes just before and after say where it was. Frames
    come out as many frames later as the window reaches.

    Args:
        reach: Frames before and after whose boxes count too; 0: only the frame's own.
    """

    def __init__(self, reach: int) -> None:
        self._reach = reach
        self._waiting: deque[T] = deque()
        self._boxes: deque[np.ndarray] = deque(maxlen=2 * reach + 1)
        self._num_added = 0

    def add(self, item: T, boxes_xyxy: np.ndarray) -> Iterator[tuple[T, np.ndarray]]:
        """Add the next frame; yield the one that is complete by it, if any, with (M, 4) rectangles."""
        self._waiting.append(item)
        self._boxes.append(check_boxes(boxes_xyxy))
        self._num_added += 1
        if self._num_added > self._reach:
            yield self._waiting.popleft(), self._of_window(0)

    def rest(self) -> Iterator[tuple[T, np.ndarray]]:
        """Yield the frames that wait, once no more are added."""
        while self._waiting:
            oldest = len(self._boxes) - len(self._waiting) - self._reach
            yield self._waiting.popleft(), self._of_window(max(0, oldest))

    def _of_window(self, oldest: int) -> np.ndarray:
        return merged_boxes(np.concatenate([np.empty((0, 4)), *list(self._boxes)[oldest:]]))
