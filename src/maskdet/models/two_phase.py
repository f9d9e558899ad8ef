"""Detection in two phases: a face detector finds faces whatever they wear, a classifier of crops says what they wear.

What cuts a crop out of an image is given from outside: it must be what cut the crops that the classifier learned from.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

CutCrop = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(Image (H, W, 3) uint8 RGB, box (4,) xyxy in its pixels) → crop (S, S, 3) uint8 RGB."""


class ProbabilityModel(Protocol):
    """What a two-phase detector needs of a classifier; `models.classifiers.CropClassifier` is one."""

    class_names: Sequence[str]

    def predict_probabilities(self, crops: np.ndarray, batch_size: int) -> np.ndarray:
        """Return (N, C) float32 whose rows sum to 1, for (N, S, S, 3) uint8 RGB crops."""
        ...


def blended_scores(scores: np.ndarray, probabilities: np.ndarray, class_weight: float) -> np.ndarray:
    """Return the weighted geometric mean of "here is a face" and "it is of this class".

    Weight 0.5 is the root of the product, which ranks like the product; 0 and 1 leave one of the two alone.

    Args:
        scores: Float in [0, 1], of the detector; of a shape that broadcasts to that of the probabilities.
        probabilities: Float in [0, 1], of the classifier.
        class_weight: In [0, 1]; the larger, the more the classifier decides.

    Returns:
        Float in [0, 1], between score and probability.

    Raises:
        ValueError: If the weight lies outside [0, 1].

    >>> blended_scores(np.array([0.25]), np.array([0.81]), 0.5).round(2).tolist()
    [0.45]
    """
    if not 0 <= class_weight <= 1:
        raise ValueError(f"class_weight: expected a number in [0, 1], got {class_weight}")
    return scores ** (1 - class_weight) * probabilities**class_weight


def class_rows(
    scores: np.ndarray, probabilities: np.ndarray, class_weight: float, min_score: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn classified boxes into a detection a box and class.

    AP ranks the detections of each class by themselves. Of a face that may be of two classes both rows stand in their
    rankings as low as they deserve; naming only the likelier class would lose the other where it was true.

    Args:
        scores: (N,) float in [0, 1], that the boxes are faces.
        probabilities: (N, C) float in [0, 1], of each class.
        class_weight: See `blended_scores`.
        min_score: Detections below it are dropped.

    Returns:
        Of M detections, at most N × C, best first: (M,) int row of the box, (M,) int class index, (M,) float score.

    Raises:
        ValueError: If the lengths differ or the weight lies outside [0, 1].
    """
    if len(scores) != len(probabilities):
        raise ValueError(f"expected a row of probabilities a score, got {len(probabilities)} and {len(scores)}")
    blended = blended_scores(scores[:, None], probabilities, class_weight)  # (N, C)
    rows, classes = np.nonzero(blended >= min_score)  # (M,) each
    order = np.argsort(-blended[rows, classes], kind="stable")
    return rows[order], classes[order], blended[rows, classes][order]


class BoxClassifier:
    """Says of boxes in an image how likely each class is.

    Args:
        classifier: Of crops.
        cut: What cut the crops that it learned from.
        batch_size: Crops at once; no result depends on it.
    """

    def __init__(self, classifier: ProbabilityModel, cut: CutCrop, batch_size: int = 64) -> None:
        self.class_names = tuple(classifier.class_names)
        self._classifier = classifier
        self._cut = cut
        self._batch_size = batch_size

    def probabilities(self, image_rgb: np.ndarray, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes, (N, C) float32.

        Args:
            image_rgb: (H, W, 3) uint8.
            boxes_xyxy: (N, 4) pixels, N may be 0; each with an area inside the image.

        Raises:
            ValueError: If a box has no area inside the image.
        """
        if not len(boxes_xyxy):
            return np.zeros((0, len(self.class_names)), np.float32)
        crops = np.stack([self._cut(image_rgb, box) for box in boxes_xyxy])  # (N, S, S, 3)
        return self._classifier.predict_probabilities(crops, self._batch_size)
