"""Augmentation of face crops by albumentations, as a pure function of a generator."""

import os
import random
from collections.abc import Sequence

import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else it asks the network for its version at import

import albumentations


class CropAugmentation:
    """A list of albumentations transforms of pictures that have a class and no boxes.

    Each transform is applied, and draws its parameters, independently of the others: they share one generator.
    `Compose.set_random_seed` would seed each alike, so that a crop is mirrored only where its colours change too.

    Args:
        transforms: albumentations transforms, applied in order.
    """

    def __init__(self, transforms: Sequence[albumentations.BasicTransform]) -> None:
        self._compose = albumentations.Compose(list(transforms))

    def __call__(self, crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an augmented crop; generators in the same state give the same.

        Args:
            crop: (S, S, 3) uint8 RGB; not modified.
            rng: Drawn from once.

        Returns:
            (S, S, 3) uint8, a new array.
        """
        seed = int(rng.integers(2**32))
        self._compose.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311
        return self._compose(image=np.array(crop))["image"]
