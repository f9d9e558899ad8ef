"""Augmentation of network inputs by albumentations, as a pure function of a seed."""

import os
import random
from collections.abc import Mapping, Sequence

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for its version at import

import albumentations

from maskdet.schema import CLASS_NAMES

MIN_SIDE_PX = 0.99  # a pixel, less the rounding of albumentations, which divides boxes by the image's size and back


class Augmentation:
    """A list of albumentations transforms that keeps boxes and survives every box it is given.

    Boxes that touch or cross the border are clipped; boxes of which a transform leaves too little are dropped;
    an image without boxes passes like any other.

    Args:
        transforms: albumentations transforms, applied in order.
        min_visible: Share of a box's area in [0, 1] that must remain inside the image.
        mosaic_probability: How often a training input is made of four crops of half its size.
        replaced_faces: `probability` that a face is laid over by one of the `classes`, from another training image.

    Raises:
        ValueError: If a probability lies outside [0, 1] or a class is unknown.
    """

    def __init__(
        self,
        transforms: Sequence[albumentations.BasicTransform],
        min_visible: float = 0.3,
        mosaic_probability: float = 0.0,
        replaced_faces: Mapping[str, float | list[str]] | None = None,
    ) -> None:
        replaced = dict(replaced_faces or {"probability": 0.0, "classes": []})
        for name, value in (("mosaic_probability", mosaic_probability), ("replaced_faces", replaced["probability"])):
            if not 0 <= value <= 1:
                raise ValueError(f"augment.{name}: expected a probability in [0, 1], got {value}")
        unknown = sorted(set(replaced["classes"]) - set(CLASS_NAMES))
        if unknown:
            raise ValueError(f"augment.replaced_faces.classes: expected some of {list(CLASS_NAMES)}, got {unknown}")
        self.mosaic_probability = mosaic_probability
        self.replace_probability = replaced["probability"]
        self.replacing_classes = {CLASS_NAMES.index(name) for name in replaced["classes"]}
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
        # Not `set_random_seed`: it seeds each transform alike, so that only mirrored inputs would keep their colours.
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
        result = self._compose(image=image, bboxes=boxes_xyxy, class_indices=class_indices)
        boxes = np.asarray(result["bboxes"], np.float32).reshape(-1, 4)
        return result["image"], boxes, np.asarray(result["class_indices"], np.int64).reshape(-1)
