"""Calibration from a model's metadata: the evaluation's own probabilities, and thresholds that keep their meaning."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskdet.evaluation.calibrator import Calibrator, IsotonicMap, LogisticMap
from maskdet.inference.calibration import Calibration
from maskdet.inference.metadata import DetectOptions, ModelMetadata
from maskdet.inference.suppression import Detections
from maskdet.inference.thresholds import ClassThresholds

NAMES = ("mask", "no mask", "wrong")
CALIBRATOR = Calibrator(
    {
        "mask": LogisticMap(0.8, -0.3),
        "no mask": IsotonicMap((0.1, 0.4, 0.6, 0.9), (0.0, 0.2, 0.2, 0.95)),
        "wrong": LogisticMap(1.7, 0.4),
    }
)
RECORD = json.loads(json.dumps(CALIBRATOR.to_record()))
METADATA = ModelMetadata(
    NAMES,
    "letterbox",
    64,
    DetectOptions(0.001, 0.5, 100, 10),
    {"mask": 0.3, "no mask": 0.5, "wrong": 0.45},
    {"calibrator": RECORD},
)
CALIBRATION = Calibration.of_metadata(METADATA)

SCORES = arrays(np.float32, st.integers(0, 30), elements=st.floats(0, 1, width=32))


def detections(scores: np.ndarray, seed: int = 0) -> Detections:
    """Return detections with these scores, best first, of classes at random."""
    scores = -np.sort(-scores)
    corners = np.arange(len(scores), dtype=np.float32)[:, None]
    boxes_xyxy = np.hstack([corners, corners, corners + 1, corners + 1])
    return Detections(boxes_xyxy, scores, np.random.default_rng(seed).integers(0, 3, len(scores)))


@given(SCORES, st.integers(0, 9))
def test_the_probabilities_are_those_of_the_evaluation(scores, seed):
    found = detections(scores, seed)
    expected = CALIBRATOR.apply(found.scores, np.array(NAMES)[found.class_indices])
    np.testing.assert_array_equal(CALIBRATION.apply(found.scores, found.class_indices), expected)


@given(SCORES, st.integers(0, 9))
def test_the_models_thresholds_choose_the_same_faces_with_and_without(scores, seed):
    found = detections(scores, seed)
    plain = ClassThresholds(METADATA, None, None).keep(found)
    turned = ClassThresholds(METADATA, CALIBRATION, None).keep(found)
    assert set(map(tuple, plain.boxes_xyxy)) == set(map(tuple, turned.boxes_xyxy))
    assert (np.diff(turned.scores) <= 0).all()
    assert turned.scores.dtype == np.float32


@given(SCORES, st.floats(0, 1))
def test_a_callers_threshold_is_a_probability(scores, threshold):
    found = detections(scores)
    kept = ClassThresholds(METADATA, CALIBRATION, threshold).keep(found)
    probabilities = CALIBRATION.apply(found.scores, found.class_indices).astype(np.float32)
    assert len(kept) == (probabilities >= np.float32(threshold)).sum()


@given(SCORES, st.floats(0, 1), st.booleans())
def test_what_is_kept_lies_at_or_above_the_shown_thresholds(scores, threshold, is_calibrated):
    chosen = ClassThresholds(METADATA, CALIBRATION if is_calibrated else None, {"no mask": threshold})
    kept = chosen.keep(detections(scores))
    shown = np.float32([chosen.by_class()[name] for name in NAMES])
    assert (kept.scores >= shown[kept.class_indices]).all()
    assert chosen.by_class()["no mask"] == pytest.approx(threshold, abs=1e-7)


def test_thresholds_are_shown_as_scores_are():
    assert ClassThresholds(METADATA, None, {"mask": 0.7}).by_class() == {"mask": 0.7, "no mask": 0.5, "wrong": 0.45}
    shown = ClassThresholds(METADATA, CALIBRATION, None).by_class()
    expected = CALIBRATOR.apply(np.array([0.3, 0.5, 0.45]), np.array(NAMES))
    assert list(shown.values()) == pytest.approx(list(expected), abs=1e-6)


BROKEN = {
    "version": ({"version": 2}, "calibrator: expected version 1, got 2"),
    "class": ({"classes": {"mask": RECORD["classes"]["mask"]}}, "expected a map for no mask, got maps for"),
    "kind": (
        {"classes": RECORD["classes"] | {"mask": {"kind": "beta"}}},
        "mask: expected one of logistic, isotonic, got 'beta'",
    ),
    "slope": (
        {"classes": RECORD["classes"] | {"mask": {"kind": "logistic", "slope": 0, "intercept": 1}}},
        "mask: expected a finite intercept and a finite slope > 0",
    ),
    "number": (
        {"classes": RECORD["classes"] | {"mask": {"kind": "logistic", "slope": 1}}},
        "mask: .*missing 1 required positional argument: 'intercept'",
    ),
    "knots": (
        {"classes": RECORD["classes"] | {"mask": {"kind": "isotonic", "scores": [0.5, 0.1], "probabilities": [0, 1]}}},
        "mask: expected knots of rising scores",
    ),
    "range": (
        {"classes": RECORD["classes"] | {"mask": {"kind": "isotonic", "scores": [0.1, 0.5], "probabilities": [0, 2]}}},
        r"mask: expected probabilities in \[0, 1\]",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_record_is_named(case):
    changes, message = BROKEN[case]
    with pytest.raises(ValueError, match=message):
        Calibration(RECORD | changes, NAMES)


def test_a_model_without_a_calibrator_is_named():
    with pytest.raises(ValueError, match="expected a model with a calibrator in its metadata, got one without"):
        Calibration.of_metadata(replace(METADATA, details={}))


@given(st.floats(0, 1, width=32), st.lists(st.floats(0, 1, width=32), max_size=30))
def test_a_score_of_the_model_keeps_the_same_with_and_without_calibration(score, scores):
    scores = np.sort(np.array(scores, np.float32))[::-1]
    found = Detections(np.zeros((len(scores), 4), np.float32), scores, np.arange(len(scores)) % 2)
    kept = []
    for calibration in (None, CALIBRATION):
        threshold = ClassThresholds(METADATA, calibration, None).of_model_score(score)
        kept.append(ClassThresholds(METADATA, calibration, threshold).keep(found))
    assert len(kept[1]) >= len(kept[0])  # equal probabilities of unequal scores may be kept too
    assert len(kept[0]) == (scores >= np.float32(score)).sum()
