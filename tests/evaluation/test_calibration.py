"""Calibration errors against plain loops, calibrators against scikit-learn and on detections whose truth is known."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from maskdet.evaluation.calibration import (
    BOX_FEATURES,
    KINDS,
    MIN_SLOPE,
    box_features,
    brier_score,
    calibration_summary,
    cross_fit,
    detection_ece,
    fit_calibrator,
    fit_map,
    reliability_table,
)
from maskdet.evaluation.calibrator import IDENTITY, Calibrator, IsotonicMap, LogisticMap, logit
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.matching import match_detections
from maskdet.inference.calibration import Calibration
from maskdet.schema import CLASS_NAMES

OUTCOMES = st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=40)
PROPERTIES = settings(max_examples=100, deadline=None, derandomize=True, database=None)


def drawn_outcomes(num: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and outcomes whose true probability is sigmoid(slope * logit(score) + intercept)."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(0.001, 0.999, num)
    return scores, rng.uniform(size=num) < LogisticMap(slope, intercept).apply(scores)


def slow_ece(columns: np.ndarray, hits: np.ndarray, num_bins: int) -> float:
    """Return the D-ECE by its definition, cell by cell; the first column is the score."""
    cells = {}
    for row, hit in zip(columns, hits, strict=True):
        cells.setdefault(tuple(min(int(v * num_bins), num_bins - 1) for v in row), []).append((row[0], hit))
    counted = [np.array(cell, float) for cell in cells.values()]
    total = sum(len(cell) for cell in counted)
    return sum(len(c) / total * abs(c[:, 0].mean() - c[:, 1].mean()) for c in counted)


def test_reliability_by_hand():
    table = reliability_table([0.1, 0.3, 0.5, 1.0], [False, True, True, True], num_bins=2)
    assert table["num_detections"].tolist() == [2, 2]  # a score on an edge belongs to the bin above
    assert table["mean_score"].tolist() == pytest.approx([0.2, 0.75])
    assert table["hit_rate"].tolist() == [0.5, 1]


@PROPERTIES
@given(OUTCOMES, st.integers(1, 12))
def test_bins_hold_every_detection_once(outcomes, num_bins):
    scores, hits = np.array([s for s, _ in outcomes]), np.array([h for _, h in outcomes], bool)
    table = reliability_table(scores, hits, num_bins)
    assert table["num_detections"].sum() == len(scores)
    assert (table["low"].iloc[0], table["high"].iloc[-1]) == (0, 1)
    filled = table[table["num_detections"] > 0]
    assert (filled["mean_score"] * filled["num_detections"]).sum() == pytest.approx(scores.sum())
    assert (filled["hit_rate"] * filled["num_detections"]).sum() == pytest.approx(hits.sum())
    assert filled["mean_score"].between(filled["low"] - 1e-9, filled["high"] + 1e-9).all()
    assert table.loc[table["num_detections"] == 0, ["mean_score", "hit_rate"]].isna().all(axis=None)


@pytest.mark.parametrize("num_features", [0, 2])
def test_detection_ece_equals_its_definition(num_features):
    rng = np.random.default_rng(0)
    columns = rng.uniform(0, 1, (300, 1 + num_features)).round(2) * (127 / 128)  # no value on an edge of seven bins
    hits = rng.uniform(size=300) < columns[:, 0] ** 2
    features = columns[:, 1:] if num_features else None
    expected = slow_ece(columns, hits, 7)
    assert detection_ece(columns[:, 0], hits, 7, features) == pytest.approx(expected)


def test_position_shows_what_scores_alone_hide():
    scores, left = np.full(200, 0.5), np.arange(200) < 100
    features = np.where(left, 0.2, 0.8)[:, None]
    assert detection_ece(scores, left) == 0  # half of all are hits: those on the left
    assert detection_ece(scores, left, features=features) == pytest.approx(0.5)


def test_without_detections_nothing_is_defined(table):
    assert np.isnan([detection_ece([], []), brier_score([], [])]).all()
    images = pd.DataFrame({"file_name": ["a.png"], "width": [100], "height": [50]})
    summary = calibration_summary(match_detections(table(scored=False), table()), images)
    assert summary["class_name"].tolist() == [*CLASS_NAMES, "all"]
    assert summary.drop(columns=["class_name", "num_detections"]).isna().all(axis=None)
    assert cross_fit(match_detections(table(scored=False), table()), "logistic").empty


def test_box_features_by_hand(table):
    images = pd.DataFrame({"file_name": ["a.png"], "width": [100], "height": [50]})
    features = box_features(table(("a.png", "with_mask", (20, 10, 60, 30), 0.9)), images)
    assert list(features.columns) == list(BOX_FEATURES)
    assert features.to_numpy().tolist() == [pytest.approx([0.4, 0.4, 0.4, 0.4])]
    with pytest.raises(ValueError, match=r"expected files of the images table, got 'b\.png'"):
        box_features(table(("b.png", "with_mask", (0, 0, 1, 1), 0.9)), images)


def test_summary_counts_all_as_its_classes(random_tables):
    images, annotations, predictions = random_tables(0)
    images = images.assign(width=700, height=700)
    summary = calibration_summary(match_detections(annotations, predictions), images).set_index("class_name")
    counts = summary["num_detections"]
    assert counts["all"] == counts[list(CLASS_NAMES)].sum() == len(predictions)
    for column in ("mean_score", "hit_rate", "brier"):
        weighted = (summary.loc[list(CLASS_NAMES), column] * counts[list(CLASS_NAMES)]).sum() / counts["all"]
        assert summary.loc["all", column] == pytest.approx(weighted, abs=1e-6)
    assert (summary["d_ece"] <= summary[["d_ece_position", "d_ece_size"]].min(axis=1) + 0.05).all()


def test_logistic_finds_the_true_map_and_agrees_with_scikit_learn():
    scores, hits = drawn_outcomes(20_000, 0.6, -1.0)
    fitted = fit_map(scores, hits, "logistic")
    reference = LogisticRegression(C=np.inf).fit(logit(scores)[:, None], hits)
    assert fitted.slope == pytest.approx(reference.coef_[0, 0], abs=2e-3)  # Platt's targets are nearly 0 and 1
    assert fitted.intercept == pytest.approx(reference.intercept_[0], abs=2e-3)
    assert (fitted.slope, fitted.intercept) == (pytest.approx(0.6, abs=0.05), pytest.approx(-1, abs=0.05))


def test_isotonic_is_scikit_learns():
    scores, hits = drawn_outcomes(500, 0.6, -1.0)
    reference = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, hits)
    asked = np.linspace(0, 1, 201)
    np.testing.assert_allclose(fit_map(scores, hits, "isotonic").apply(asked), reference.predict(asked), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_lowers_the_error_on_other_detections(kind):
    fitted = fit_map(*drawn_outcomes(3000, 0.6, -1.0, seed=1), kind)
    scores, hits = drawn_outcomes(20_000, 0.6, -1.0, seed=2)
    assert detection_ece(fitted.apply(scores), hits) < 0.03 < 0.1 < detection_ece(scores, hits)
    assert brier_score(fitted.apply(scores), hits) < brier_score(scores, hits)


@PROPERTIES
@given(OUTCOMES, st.sampled_from(KINDS), st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20))
def test_a_map_never_falls_and_survives_json(outcomes, kind, asked):
    scores, hits = np.array([s for s, _ in outcomes]), np.array([h for _, h in outcomes], bool)
    fitted = fit_map(scores, hits, kind)
    asked = np.sort(asked)
    calibrated = fitted.apply(asked)
    assert ((calibrated >= 0) & (calibrated <= 1)).all()
    assert (np.diff(calibrated) >= 0).all()
    record = json.loads(json.dumps(Calibrator({"with_mask": fitted}).to_record(), allow_nan=False))
    again = Calibration(record, ["with_mask"]).apply(asked, np.zeros(len(asked), int))
    np.testing.assert_allclose(again, calibrated, atol=1e-6)


def test_scores_that_rank_hits_last_keep_their_order():
    scores = np.linspace(0.1, 0.9, 50)
    fitted = fit_map(scores, scores < 0.5, "logistic")
    assert fitted.slope == pytest.approx(MIN_SLOPE)
    assert (np.diff(fitted.apply(scores)) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hits", [[], [True, True], [False, False]])
def test_nothing_to_learn_from_leaves_scores_alone(kind, hits):
    fitted = fit_map(np.full(len(hits), 0.7), hits, kind)
    assert fitted == IDENTITY
    np.testing.assert_allclose(fitted.apply([0.0, 0.3, 1.0]), [0, 0.3, 1], atol=1e-8)


def folded_tables(random_tables) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    images, annotations, predictions = random_tables(5, num_images=30)
    folds = {name: i % 3 for i, name in enumerate(images["file_name"])}
    return images, annotations, predictions.assign(fold=predictions["file_name"].map(folds))


@pytest.mark.parametrize("kind", KINDS)
def test_cross_fit_has_not_seen_the_fold(kind, random_tables):
    _, annotations, predictions = folded_tables(random_tables)
    matches = match_detections(annotations, predictions)
    calibrated = cross_fit(matches, kind)
    for fold in range(3):
        own = matches[matches["fold"] == fold]
        expected = fit_calibrator(matches[matches["fold"] != fold], kind).apply(own["score"], own["class_name"])
        np.testing.assert_array_equal(calibrated[own.index], expected)
    parts = np.where(matches["fold"] == 0, "one", "other")
    own = matches[matches["fold"] == 0]
    expected = fit_calibrator(matches[matches["fold"] != 0], kind).apply(own["score"], own["class_name"])
    np.testing.assert_array_equal(cross_fit(matches, kind, parts)[own.index], expected)


def test_logistic_calibration_changes_no_ap(random_tables):
    images, annotations, predictions = folded_tables(random_tables)
    calibrator = fit_calibrator(match_detections(annotations, predictions), "logistic")
    calibrated = predictions.assign(score=calibrator.apply(predictions["score"], predictions["class_name"]))
    before, after = (coco_metrics(images, annotations, p) for p in (predictions, calibrated))
    assert after == pytest.approx(before, abs=1e-12, nan_ok=True)


def test_the_predictors_half_needs_neither_scikit_learn_nor_pandas():
    code = "import sys, maskdet.evaluation.calibrator; print({'sklearn', 'pandas', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: reliability_table([0.5, np.nan], [True, False]), r"expected scores in \[0, 1\], got nan"),
        (lambda: brier_score([1.5], [True]), r"expected scores in \[0, 1\], got 1\.5"),
        (lambda: detection_ece([0.5], [True, False]), "expected as many scores as hits"),
        (lambda: reliability_table([0.5], [True], 0), "num_bins: expected at least 1, got 0"),
        (lambda: fit_map([0.5], [True], "beta"), r"kind: expected one of \['isotonic', 'logistic'\], got 'beta'"),
        (lambda: LogisticMap(0, 1), "finite slope > 0"),
        (lambda: IsotonicMap((0.1, 0.5), (0.9, 0.2)), "that never fall"),
        (lambda: IsotonicMap((), ()), "expected knots"),
        (lambda: Calibrator({}).apply([0.5], ["cat"]), r"expected classes among \[\], got 'cat'"),
        (lambda: Calibrator({"cat": IDENTITY}).apply([np.nan], ["cat"]), r"expected scores in \[0, 1\], got nan"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_fold_cannot_be_cross_fitted(random_tables):
    _, annotations, predictions = random_tables(0)
    with pytest.raises(ValueError, match="expected detections of two or more parts to cross-fit, got those of 0 only"):
        cross_fit(match_detections(annotations, predictions), "isotonic")
