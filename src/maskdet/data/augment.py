"""Augmentation of network inputs by albumentations, as a pure function of a seed."""

import os
from collections.abc import Sequence

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for its version at import

import albumentations

MIN_SIDE_PX = 0.99  # a pixel, less the rounding of albumentations, which divides boxes by the image's size and back


class Augmentation:
    """A list of albumentations transforms that keeps boxes and survives every box it is given.

    Boxes that touch or cross the border are clipped; boxes of which a transform leaves too little are dropped;
    an image without boxes passes like any other.

    Args:
        transforms: albumentations transforms, applied in order.
        min_visible: Share of a box's area in [0, 1] that must remain inside the image.
    """

    def __init__(self, transforms: Sequence[albumentations.BasicTransform], min_visible: float = 0.3) -> None:
        params = albumentations.BboxParams(
            format="pascal_voc",
            label_fields=["class_indices"],
            min_visibility=min_visible,
            min_width=MIN_SIDE_PX,
            min_height=MIN_SIDE_PX,
            clip=True,
            filter_invalid_bboxes=True,
        )
        self._compose = albumentations.Compose(list(transforms), bbox_params=params)

    def __call__(
        self, image: np.ndarray, boxes_xyxy: np.ndarray, class_indices: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return an augmented image with its boxes; equal seeds give equal results.

        Args:
            image: (H, W, 3) uint8 RGB; not modified.
            boxes_xyxy: (N, 4) float32 in pixels of `image`.
            class_indices: (N,) int64.
            seed: Any non-negative 32-bit integer.

        Returns:
            (H', W', 3) uint8, (M, 4) float32, (M,) int64 with M <= N.
        """
        self._compose.set_random_seed(seed)
        result = self._compose(image=image, bboxes=boxes_xyxy, class_indices=class_indices)
        boxes = np.asarray(result["bboxes"], np.float32).reshape(-1, 4)
        return result["image"], boxes, np.asarray(result["class_indices"], np.int64).reshape(-1)
