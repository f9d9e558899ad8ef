"""A fitted calibrator: turns a class's scores into probabilities of a hit. Needs numpy alone, travels as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FORMAT_VERSION = 1

_SMALLEST = 1e-9
"""Scores are kept this far from 0 and 1 before their logit is taken."""


def logit(scores: np.ndarray) -> np.ndarray:
    """Return (N,) float64 log-odds of (N,) scores; 0 and 1 give about -21 and 21, not infinity."""
    inside = np.clip(np.asarray(scores, np.float64), _SMALLEST, 1 - _SMALLEST)  # (N,)
    return np.log(inside) - np.log1p(-inside)


@dataclass(frozen=True)
class LogisticMap:
    """`probability = sigmoid(slope * logit(score) + intercept)`: rising, so that no ranking changes.

    Attributes:
        slope: Positive; 1 with intercept 0 leaves scores as they are, less than 1 draws them together.
        intercept: Log-odds added; negative if scores promise too much.
    """

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not (self.slope > 0 and np.isfinite([self.slope, self.intercept]).all()):
            raise ValueError(f"expected a finite intercept and a finite slope > 0, got {self}")

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Return (N,) float64 probabilities of (N,) scores in [0, 1]."""
        return 1 / (1 + np.exp(-(self.slope * logit(scores) + self.intercept)))


@dataclass(frozen=True)
class IsotonicMap:
    """Straight lines between knots; constant outside and where the fit pooled scores, so that ties may appear.

    Attributes:
        scores: (K,) rising, K >= 1.
        probabilities: (K,) never falling, in [0, 1].
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        values = np.array(self.probabilities, np.float64)
        is_whole = len(self.scores) == len(values) > 0 and np.isfinite([*self.scores, *values]).all()
        is_monotone = (np.diff(self.scores) > 0).all() and (np.diff(values) >= 0).all()
        if not (is_whole and is_monotone and values[0] >= 0 and values[-1] <= 1):
            raise ValueError(
                f"expected knots of rising scores with probabilities in [0, 1] that never fall, got {self}"
            )

    def apply(self, scores: np.ndarray) -> np.ndarray:
        """Return (N,) float64 probabilities of (N,) scores in [0, 1]."""
        return np.interp(np.asarray(scores, np.float64), self.scores, self.probabilities)


IDENTITY = LogisticMap(1.0, 0.0)
"""Stands for a class from which nothing could be learnt."""

ScoreMap = LogisticMap | IsotonicMap
_KINDS: dict[str, type[ScoreMap]] = {"logistic": LogisticMap, "isotonic": IsotonicMap}


@dataclass(frozen=True)
class Calibrator:
    """The score maps of a model's classes.

    Attributes:
        maps: Class name → map.
        iou_threshold: The IoU from which on a detection counted as a hit when the maps were fitted.
    """

    maps: Mapping[str, ScoreMap]
    iou_threshold: float = 0.5

    def apply(self, scores: np.ndarray, class_names: np.ndarray) -> np.ndarray:
        """Return the probabilities that detections are hits.

        Args:
            scores: (N,) float in [0, 1].
            class_names: (N,) str, the class that each detection names.

        Returns:
            (N,) float64 in [0, 1]; within a class in the order of the scores.

        Raises:
            ValueError: If a score is NaN or outside [0, 1], or if a class has no map.
        """
        scores, class_names = np.asarray(scores, np.float64), np.asarray(class_names, str)  # (N,), (N,)
        wrong = scores[~((scores >= 0) & (scores <= 1))]
        if wrong.size:
            raise ValueError(f"expected scores in [0, 1], got {wrong[0]}")
        calibrated = np.empty_like(scores)  # (N,)
        for name in np.unique(class_names):
            if str(name) not in self.maps:
                raise ValueError(f"expected classes among {sorted(self.maps)}, got {str(name)!r}")
            rows = class_names == name  # (N,)
            calibrated[rows] = self.maps[str(name)].apply(scores[rows])
        return calibrated

    def to_record(self) -> dict:
        """Return plain containers and numbers, ready for JSON; `maskdet.inference.calibration` reads them."""
        kind_of = {cls: kind for kind, cls in _KINDS.items()}
        classes = {
            name: {"kind": kind_of[type(score_map)]}
            | {key: list(v) if isinstance(v, tuple) else v for key, v in vars(score_map).items()}
            for name, score_map in self.maps.items()
        }
        return {"version": FORMAT_VERSION, "iou_threshold": self.iou_threshold, "classes": classes}
