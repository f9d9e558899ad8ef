"""What is drawn in an epoch, and how often the rare classes are.

Every random choice is a function of (seed, epoch, place in the epoch) and of nothing else: two worker counts give
the same batches, and a resumed run continues as if it had never stopped.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler

from maskdet.schema import CLASS_NAMES


class Draw(NamedTuple):
    """What a sampler asks a training set for: an image, and the place that seeds its augmentation."""

    epoch: int
    place: int
    image_index: int


class EpochSampler(Sampler[Draw]):
    """Draws of one epoch, a function of (seed, epoch).

    Without weights an epoch is a permutation of the images, cut or repeated to `num_samples`; with weights images
    are drawn with replacement.

    Args:
        num_images: Size of the data set.
        num_samples: Draws an epoch; None: every image once.
        weights: (num_images,) positive, or None.
        seed: Any non-negative integer.
    """

    def __init__(self, num_images: int, num_samples: int | None, weights: np.ndarray | None, seed: int) -> None:
        self.num_images, self.num_samples = num_images, num_samples or num_images
        self.weights, self.seed, self.epoch = weights, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration draws; Lightning calls it before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of draws an epoch."""
        return self.num_samples

    def __iter__(self) -> Iterator[Draw]:
        """Yield the epoch's draws."""
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.weights is None:
            rounds = -(-self.num_samples // self.num_images)
            indices = np.concatenate([rng.permutation(self.num_images) for _ in range(rounds)])
        else:
            indices = rng.choice(self.num_images, self.num_samples, p=self.weights / self.weights.sum())
        for place, index in enumerate(indices[: self.num_samples]):
            yield Draw(self.epoch, place, int(index))


def class_weights(class_indices: Sequence[np.ndarray], power: float) -> np.ndarray:
    """Return a weight for each class that grows as the class gets rarer.

    Args:
        class_indices: For each image the classes of its faces.
        power: 0: all alike; 1: inverse frequency; between: a compromise.

    Returns:
        (C,) float, the most frequent class has weight 1. A class that never occurs counts as occurring once.
    """
    counts = np.bincount(np.concatenate([np.empty(0, np.int64), *class_indices]), minlength=len(CLASS_NAMES)).clip(1)
    return (counts.max() / counts) ** power


def image_weights(class_indices: Sequence[np.ndarray], power: float) -> np.ndarray:
    """Return a weight for each image: that of its rarest class by number of images; 1 for images without faces.

    Args:
        class_indices: For each image the classes of its faces.
        power: As in `class_weights`, over images instead of faces.

    Returns:
        (num_images,) float, at least 1.
    """
    weights = class_weights([np.unique(indices) for indices in class_indices], power)
    return np.array([weights[indices].max(initial=1.0) for indices in class_indices])
