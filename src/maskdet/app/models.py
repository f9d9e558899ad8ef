"""The models that the app offers, each loaded once, under the name that people choose it by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdet.inference.detectors import TWO_PHASE
from maskdet.inference.predictor import Predictor
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.inference.thresholds import ScoreThreshold

SHIPPED_NAME = "reference"
"""What the model that ships is called."""

LOWEST_SCORE = 0.05
"""A model whose own thresholds lie above is asked for faces from this score on; others from their lowest on."""


@dataclass(frozen=True)
class AppModel:
    """A model under its name.

    Attributes:
        name: What people choose it by; no two models share it.
        predictor: The model.
    """

    name: str
    predictor: Predictor

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the classes in the order of class indices."""
        return self.predictor.class_names

    @property
    def default_thresholds(self) -> tuple[float, ...]:
        """Return the model's own thresholds in the order of its classes."""
        own = self.predictor.thresholds
        return tuple(own[name] for name in self.class_names)

    @property
    def lowest_score(self) -> float:
        """Return from which score on the model is asked for faces, once; thresholds are then applied without it."""
        return min(LOWEST_SCORE, *self.default_thresholds)


class ModelShelf:
    """The models that are offered.

    Args:
        models: At least one; the first is chosen at the start.
        failures: Why others could not be loaded, by what they were called.

    Raises:
        ValueError: If there is no model.
    """

    def __init__(self, models: Sequence[AppModel], failures: Mapping[str, str] | None = None) -> None:
        if not models:
            raise ValueError("expected at least one model, got none")
        self._models = {model.name: model for model in models}
        self.failures = dict(failures or {})

    @property
    def names(self) -> list[str]:
        """Return the names, the first one that of the model that is chosen at the start."""
        return list(self._models)

    @property
    def first(self) -> AppModel:
        """Return the model that is chosen at the start."""
        return next(iter(self._models.values()))

    def __iter__(self) -> Iterator[AppModel]:
        """Yield the models in their order."""
        return iter(self._models.values())

    def __getitem__(self, name: str) -> AppModel:
        """Return a model by its name.

        Raises:
            KeyError: If there is none; the message lists those that there are.
        """
        if name not in self._models:
            raise KeyError(f"model: expected one of {', '.join(self._models)}, got {name!r}")
        return self._models[name]


class ThresholdedModel:
    """A model whose thresholds one visitor has moved; has of `Predictor` what a video needs.

    Args:
        predictor: The model, shared with other visitors.
        thresholds: By class.

    Attributes:
        has_one_class: A face is shown once.
    """

    has_one_class = True

    def __init__(self, predictor: Predictor, thresholds: Mapping[str, float]) -> None:
        self.class_names, self.thresholds = predictor.class_names, dict(thresholds)
        self._predictor = predictor

    def thresholds_of(self, model_score: float) -> dict[str, float]:
        """Return by class what a score of the model is; see `Predictor.thresholds_of`."""
        return self._predictor.thresholds_of(model_score)

    def detect(self, image_rgb: np.ndarray, score_threshold: ScoreThreshold | None = None) -> Detections:
        """Return the faces of an image; see `Predictor.detect`."""
        return self._predictor.detect(image_rgb, self.thresholds if score_threshold is None else score_threshold)


def above(found: Detections, thresholds: Sequence[float]) -> Detections:
    """Return the faces that reach the threshold of a class, each once, in their order.

    Equal to what the model returns when it is asked with these thresholds for one class a face, as none is below
    `AppModel.lowest_score`: a box never drops a better one.

    Args:
        found: Faces from `AppModel.lowest_score` on.
        thresholds: One for each class.
    """
    return one_class_per_face(found[found.scores >= np.array(thresholds, np.float32)[found.class_indices]])


def open_models(
    paths: Sequence[str | Path], has_two_phase: bool | None = None, num_threads: int | None = None
) -> ModelShelf:
    """Load the models of a command line.

    Args:
        paths: Files as `Predictor` takes them; none: the model that ships.
        has_two_phase: Whether the two-phase model is offered too; None: where it can be loaded.
        num_threads: Of one run.

    Returns:
        The models that could be loaded, and why the others could not.

    Raises:
        ValueError: If none can be loaded; the message says why for each.
    """
    wanted: list[tuple[str, str | Path | None]] = [(Path(path).stem, path) for path in paths] or [(SHIPPED_NAME, None)]
    wanted += [] if has_two_phase is False else [(TWO_PHASE, TWO_PHASE)]
    models, failures = [], {}
    for name, path in wanted:
        try:
            predictor = Predictor(path, num_threads=num_threads)
        except (ValueError, OSError) as error:
            if path != TWO_PHASE or has_two_phase:
                failures[str(path or name)] = str(error)
            continue
        models.append(AppModel(_free_name(name, [model.name for model in models]), predictor))
    if not any(has_two_phase or model.name != TWO_PHASE for model in models):  # nothing of what was asked for
        raise ValueError("; ".join(failures.values()))
    return ModelShelf(models, failures)


def _free_name(name: str, taken: Sequence[str]) -> str:
    """Return the name, numbered where it is taken.

    >>> _free_name("best", ["best", "best_2"])
    'best_3'
    """
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
