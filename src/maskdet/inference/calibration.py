"""Scores turned into probabilities with the numbers that a model's metadata holds.

`maskdet.evaluation.calibrator` fits and writes them, and says what they are; here they are only applied, so that a
prediction needs no evaluation.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from maskdet.inference.metadata import DetectorMetadata

DETAILS_KEY, RECORD_VERSION = "calibrator", 1
"""Where the metadata's details have the record, and the version of it that is read."""

_SMALLEST = 1e-9


class Calibration:
    """Turns the scores of each class into probabilities that a detection is right.

    Args:
        record: As `maskdet.evaluation.calibrator.Calibrator.to_record` writes it.
        class_names: In the order of class indices.

    Raises:
        ValueError: If the record is of another version, lacks a class or a number, or falls where it must rise.
    """

    def __init__(self, record: Mapping, class_names: Sequence[str]) -> None:
        if record.get("version") != RECORD_VERSION:
            raise ValueError(f"calibrator: expected version {RECORD_VERSION}, got {record.get('version')!r}")
        classes = record.get("classes", {})
        missing = [name for name in class_names if name not in classes]
        if missing:
            raise ValueError(f"calibrator: expected a map for {missing[0]}, got maps for {sorted(classes)}")
        self._maps = [_read_map(classes[name], name) for name in class_names]

    @classmethod
    def of_metadata(cls, metadata: DetectorMetadata) -> "Calibration":
        """Return the calibration that a model carries.

        Raises:
            ValueError: If it carries none, or a broken one.
        """
        record = metadata.details.get(DETAILS_KEY)
        if not isinstance(record, Mapping):
            raise ValueError(
                "calibrated: expected a model with a calibrator in its metadata, got one without: `make release` "
                "writes it from the evaluation"
            )
        return cls(record, metadata.class_names)

    def apply(self, scores: np.ndarray, class_indices: np.ndarray) -> np.ndarray:
        """Return the probabilities that detections are right.

        Args:
            scores: (N,) in [0, 1].
            class_indices: (N,) int, the class that each detection names.

        Returns:
            (N,) float64 in [0, 1]; within a class never falling where scores rise.
        """
        probabilities = np.empty(len(scores), np.float64)
        for index, turn in enumerate(self._maps):
            rows = class_indices == index
            probabilities[rows] = turn(np.asarray(scores, np.float64)[rows])
        return probabilities


class _Logistic:
    """`sigmoid(slope * logit(score) + intercept)`."""

    def __init__(self, slope: float, intercept: float) -> None:
        if not (slope > 0 and np.isfinite([slope, intercept]).all()):
            raise ValueError(f"expected a finite intercept and a finite slope > 0, got {slope} and {intercept}")
        self._slope, self._intercept = slope, intercept

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        inside = scores.clip(_SMALLEST, 1 - _SMALLEST)  # (N,)
        return 1 / (1 + np.exp(-(self._slope * (np.log(inside) - np.log1p(-inside)) + self._intercept)))


class _Isotonic:
    """Straight lines between knots, constant outside."""

    def __init__(self, scores: Sequence[float], probabilities: Sequence[float]) -> None:
        self._scores, self._probabilities = (np.array(values, np.float64) for values in (scores, probabilities))
        is_whole = len(self._scores) == len(self._probabilities) > 0
        if not (is_whole and (np.diff(self._scores) > 0).all() and (np.diff(self._probabilities) >= 0).all()):
            raise ValueError("expected knots of rising scores with probabilities that never fall, got others")
        if self._probabilities[0] < 0 or self._probabilities[-1] > 1:
            raise ValueError(f"expected probabilities in [0, 1], got {self._probabilities[[0, -1]].tolist()}")

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        return np.interp(scores, self._scores, self._probabilities)


_KINDS = {"logistic": _Logistic, "isotonic": _Isotonic}


def _read_map(entry: Mapping, name: str) -> _Logistic | _Isotonic:
    kind = entry.get("kind")
    if kind not in _KINDS:
        raise ValueError(f"calibrator: {name}: expected one of {', '.join(_KINDS)}, got {kind!r}")
    try:
        return _KINDS[kind](**{key: value for key, value in entry.items() if key != "kind"})
    except (TypeError, ValueError) as error:
        raise ValueError(f"calibrator: {name}: {error}") from error
