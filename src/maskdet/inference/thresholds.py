"""Which detections are returned: a lowest score for each class, the model's own or the caller's."""

from collections.abc import Mapping, Sequence

import numpy as np

from maskdet.inference.calibration import Calibration
from maskdet.inference.metadata import DetectorMetadata
from maskdet.inference.suppression import Detections

ScoreThreshold = float | Mapping[str, float]
"""One number in [0, 1] for all classes, or one by class name for some of them."""


def parse_threshold(word: str) -> tuple[str | None, float]:
    """Return the class, None for all, and the threshold that a word of a command line or a request names.

    Raises:
        ValueError: If it names no number in [0, 1].

    >>> parse_threshold("0.4"), parse_threshold("with_mask=0.2")
    ((None, 0.4), ('with_mask', 0.2))
    """
    name, is_named, text = word.rpartition("=")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"expected a number in [0, 1] or CLASS=number, got {word!r}")
    return (name if is_named else None), value


class ClassThresholds:
    """The lowest score of each class.

    Without a calibration all thresholds are scores of the model. With one, those of the caller are probabilities, and
    the model's own stay scores, so that they choose the same detections whether or not scores are turned.

    Args:
        metadata: Of the model; its thresholds hold where the caller names none.
        calibration: Turns scores into probabilities; None: they stay.
        score_threshold: Of the caller; None: none.

    Attributes:
        floor: Detections with a lower score of the model cannot be kept.

    Raises:
        ValueError: If a threshold lies outside [0, 1] or is for an unknown class.
    """

    def __init__(
        self, metadata: DetectorMetadata, calibration: Calibration | None, score_threshold: ScoreThreshold | None
    ) -> None:
        self._names, self._calibration = metadata.class_names, calibration
        given = _given_thresholds(score_threshold, self._names)
        own = {name: metadata.score_thresholds[name] for name in self._names}
        of_scores, of_probabilities = (own | given, {}) if calibration is None else (own, given)
        self._is_probability = np.array([name in of_probabilities for name in self._names])  # (C,)
        scores = [0.0 if name in of_probabilities else of_scores[name] for name in self._names]
        self._scores = np.array(scores, np.float32)  # (C,)
        self._probabilities = np.array([of_probabilities.get(name, 0.0) for name in self._names], np.float32)  # (C,)
        self.floor = float(self._scores.min())

    def by_class(self) -> dict[str, float]:
        """Return the thresholds as the scores of kept detections are: those of the model, or probabilities."""
        shown = self._scores.astype(np.float64)  # (C,)
        if self._calibration is not None:
            turned = self._calibration.apply(self._scores, np.arange(len(self._names)))
            shown = np.where(self._is_probability, self._probabilities, turned)
        return {name: float(str(np.float32(value))) for name, value in zip(self._names, shown, strict=True)}

    def of_model_score(self, score: float) -> dict[str, float]:
        """Return a score of the model by class, as the scores of kept detections are: it, or its probabilities."""
        scores = np.full(len(self._names), score, np.float32)
        shown = scores if self._calibration is None else self._calibration.apply(scores, np.arange(len(self._names)))
        return {name: float(np.float32(value)) for name, value in zip(self._names, shown, strict=True)}

    def keep(self, found: Detections) -> Detections:
        """Return the detections that reach their thresholds, best first, their scores turned where that is wanted."""
        found = found[found.scores >= self._scores[found.class_indices]]
        if self._calibration is None:
            return found
        probabilities = self._calibration.apply(found.scores, found.class_indices)
        turned = Detections(found.boxes_xyxy, probabilities.astype(np.float32), found.class_indices)
        turned = turned[np.argsort(-turned.scores, kind="stable")]  # each class is turned in its own way
        return turned[turned.scores >= self._probabilities[turned.class_indices]]


def _given_thresholds(given: ScoreThreshold | None, class_names: Sequence[str]) -> dict[str, float]:
    """Return the caller's thresholds by class, checked."""
    if given is None:
        return {}
    by_class = dict(given) if isinstance(given, Mapping) else dict.fromkeys(class_names, given)
    unknown = [name for name in by_class if name not in class_names]
    if unknown:
        raise ValueError(f"score_threshold: expected classes out of {', '.join(class_names)}, got {unknown[0]!r}")
    for name, threshold in by_class.items():
        if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not 0 <= threshold <= 1:
            raise ValueError(f"score_threshold: expected a number in [0, 1] for {name}, got {threshold!r}")
    return by_class
