"""Figures of classifiers against scikit-learn, intervals against simulation, curves, confusion and worst errors."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    auc,
    average_precision_score,
    balanced_accuracy_score,
    classification_report,
    confusion_matrix,
    roc_auc_score,
)

from judged_faces import draw_faces, judged_faces
from maskdet.evaluation.classification import (
    HEADLINES,
    WeightedClassification,
    confident_errors,
    confusion_table,
    interval_rows,
    is_right,
    precision_recall_curves,
    predicted_classes,
    resample_faces,
    roc_curves,
    with_groups,
)
from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.group_tests import share_against
from maskdet.schema import CLASS_NAMES, CROP_PREDICTIONS, PROBABILITY_COLUMNS


def figures(faces: pd.DataFrame, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    metrics = WeightedClassification(faces)
    return metrics(np.ones((metrics.num_groups, 1)) if weights is None else weights)


def reference(faces: pd.DataFrame, weight_of_face: np.ndarray) -> dict[str, float]:
    """Return scikit-learn's figures of weighted faces; every class has weight."""
    truth, called = faces["class_name"], np.array(CLASS_NAMES)[predicted_classes(faces)]
    options = {"sample_weight": weight_of_face}
    report = classification_report(
        truth, called, labels=list(CLASS_NAMES), output_dict=True, zero_division=np.nan, **options
    )
    expected = {
        "accuracy": accuracy_score(truth, called, **options),
        "balanced_accuracy": balanced_accuracy_score(truth, called, **options),
    }
    for name, column in zip(CLASS_NAMES, PROBABILITY_COLUMNS, strict=True):
        expected |= {f"{kind}/{name}": report[name][f"{kind}-score" if kind == "f1" else kind] for kind in REPORTED}
        expected[f"auc/{name}"] = roc_auc_score(truth == name, faces[column], **options)
        expected[f"ap/{name}"] = average_precision_score(truth == name, faces[column], **options)
    for macro, kind in (("macro_f1", "f1"), ("macro_auc", "auc"), ("macro_ap", "ap")):
        expected[macro] = np.mean([expected[f"{kind}/{name}"] for name in CLASS_NAMES])
    return expected


REPORTED = ("precision", "recall", "f1")
TENTHS = (
    st.lists(st.integers(0, 10), min_size=3, max_size=3).filter(any).map(lambda parts: np.array(parts) / sum(parts))
)
"""Probabilities with many ties."""

ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), TENTHS), min_size=1, max_size=25)


def whole(rows: list[tuple]) -> pd.DataFrame:
    """Return the faces and one of each class in group 0, so that every figure is defined."""
    return judged_faces([*rows, *[(0, k, np.eye(3)[k] * 0.7 + 0.1) for k in range(3)]])


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(ROWS, st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_weighted_figures_are_those_of_scikit_learn(rows, counts):
    faces = whole(rows)
    groups = np.unique(faces["group"])
    of_group = dict(zip(range(5), [counts[0] + 1, *counts[1:]], strict=True))  # group 0 holds every class
    found = figures(faces, np.array([[of_group[group]] for group in groups], dtype=float))
    expected = reference(faces, faces["group"].map(of_group).to_numpy(float))
    assert set(found) == set(expected)
    ours = {name: value[0] for name, value in found.items()}
    assert ours == pytest.approx(expected, abs=1e-9, nan_ok=True)


@settings(max_examples=20, deadline=None, derandomize=True, database=None)
@given(ROWS, st.integers(0, 2**32 - 1))
def test_figures_do_not_depend_on_the_order_of_faces(rows, seed):
    faces = whole(rows)
    shuffled = faces.sample(frac=1, random_state=seed % 2**31)
    for name, value in figures(faces).items():
        np.testing.assert_allclose(figures(shuffled)[name], value, atol=1e-12)


def test_figures_by_hand():
    faces = judged_faces([(0, 0, (0.9, 0.1, 0)), (1, 0, (0.4, 0.6, 0)), (2, 1, (0.3, 0.7, 0)), (3, 1, (0.2, 0.8, 0))])
    found = {name: value[0] for name, value in figures(faces).items()}
    assert found["accuracy"] == 0.75
    assert found["balanced_accuracy"] == 0.75
    assert (found["precision/without_mask"], found["f1/without_mask"]) == pytest.approx((2 / 3, 0.8))
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    assert (found["auc/with_mask"], found["auc/without_mask"]) == (1, 1)
    for kind in ("precision", "recall", "f1", "auc", "ap"):  # the third class does not occur
        assert np.isnan(found[f"{kind}/mask_weared_incorrect"])


def test_a_class_that_is_only_invented_has_a_precision_alone():
    faces = judged_faces([(0, 0, (0.9, 0.1, 0)), (1, 1, (0.2, 0.3, 0.5))])
    found = {name: value[0] for name, value in figures(faces).items()}
    assert found["precision/mask_weared_incorrect"] == 0
    assert np.isnan(found["f1/mask_weared_incorrect"])
    assert found["macro_f1"] == 0.5


def test_of_one_class_alone_auc_is_undefined():
    found = figures(judged_faces([(0, 0, (0.9, 0.1, 0)), (1, 0, (0.3, 0.7, 0))]))
    assert np.isnan(found["auc/with_mask"][0])
    assert np.isnan(found["macro_auc"][0])
    assert found["ap/with_mask"][0] == 1
    assert found["accuracy"][0] == 0.5


def test_without_a_face_or_a_group_the_reason_is_said():
    with pytest.raises(ValueError, match="expected one or more judged faces, got none"):
        WeightedClassification(judged_faces([]))
    faces = judged_faces([(0, 0, (1, 0, 0))])
    with pytest.raises(ValueError, match=r"expected a group of every photo .* got none of 'photo_0\.png'"):
        with_groups(faces[list(CROP_PREDICTIONS.columns)], {"photo_1.png": 1})
    with pytest.raises(ValueError, match="two or more groups"):
        resample_faces(faces, 10)


def test_95_percent_intervals_hold_the_truth_in_88_to_99_percent_of_simulated_sets():
    truth = pd.Series({name: value[0] for name, value in figures(draw_faces(10**6, 30_000)).items()})[[*HEADLINES]]
    held = []
    for seed in range(100):
        rows = interval_rows(draw_faces(seed, 120), Resampling(200, seed=seed)).set_index("metric").loc[[*HEADLINES]]
        held.append((rows["low"] <= truth) & (truth <= rows["high"]))
    coverage = pd.concat(held, axis=1).mean(axis=1)
    assert coverage.between(0.88, 0.99).all(), coverage.to_string()


def test_accuracy_and_recalls_have_the_interval_of_the_hypotheses():
    faces = draw_faces(4, 80)
    rows = interval_rows(faces, Resampling(20, alpha=0.1)).set_index("metric")
    right, groups = is_right(faces), FaceGroups.of(faces["group"])
    share, _ = share_against(right, groups, 0.5, alpha=0.1)
    assert tuple(rows.loc["accuracy", ["value", "low", "high"]]) == share.interval
    is_class = (faces["class_name"] == "without_mask").to_numpy()
    share, _ = share_against(right[is_class], FaceGroups.of(faces["group"][is_class]), 0.5, alpha=0.1)
    assert tuple(rows.loc["recall/without_mask", ["value", "low", "high"]]) == pytest.approx(share.interval)
    absent = interval_rows(faces[faces["class_name"] != "without_mask"], Resampling(20)).set_index("metric")
    assert absent.loc["recall/without_mask"].isna().all()
    assert absent.loc["balanced_accuracy"].notna().all()


def test_groups_widen_intervals_that_faces_alone_make_too_narrow():
    faces = draw_faces(3, 80)
    copies = faces.assign(file_name="copy_" + faces["file_name"])
    doubled = pd.concat([faces, copies], ignore_index=True)
    widths = {
        key: np.std(resample_faces(doubled.assign(group=groups), 400).replicates["accuracy"])
        for key, groups in (("group", doubled["group"]), ("face", range(len(doubled))))
    }
    assert widths["face"] < 0.8 * widths["group"]


def test_confusion_is_that_of_scikit_learn():
    faces = draw_faces(0, 50)
    table = confusion_table(faces)
    called = np.array(CLASS_NAMES)[predicted_classes(faces)]
    expected = confusion_matrix(faces["class_name"], called, labels=list(CLASS_NAMES))
    np.testing.assert_array_equal(table["count"].to_numpy().reshape(3, 3), expected)
    assert table.groupby("actual")["share"].sum().to_numpy() == pytest.approx(1)
    assert table["count"].sum() == len(faces)
    two_classes = confusion_table(faces[faces["class_name"] != CLASS_NAMES[2]])
    assert two_classes.loc[two_classes["actual"] == CLASS_NAMES[2], "share"].isna().all()


def test_areas_below_roc_curves_are_the_auc():
    faces = draw_faces(1, 60)
    curves, expected = roc_curves(faces), figures(faces)
    for name, curve in curves.groupby("class_name"):
        ends = curve[["false_positive_rate", "true_positive_rate"]].to_numpy()[[0, -1]]
        np.testing.assert_array_equal(ends, [[0, 0], [1, 1]])
        area = auc(curve["false_positive_rate"], curve["true_positive_rate"])
        assert area == pytest.approx(expected[f"auc/{name}"][0], abs=1e-9)
    assert set(curves["class_name"]) == set(CLASS_NAMES)
    only = faces[faces["class_name"] == "with_mask"]
    assert roc_curves(only).empty
    assert set(precision_recall_curves(only)["class_name"]) == {"with_mask"}


def test_precision_recall_curves_are_those_of_detections():
    """A face as a detection of every class with its probability, all in their own photo: AP's curve is the same."""
    faces = draw_faces(2, 60)
    parts = [
        faces[["file_name", "class_name"]].assign(
            class_name=name, score=faces[column].astype("float64"), is_tp=faces["class_name"] == name
        )
        for name, column in zip(CLASS_NAMES, PROBABILITY_COLUMNS, strict=True)
    ]
    matches = pd.concat(parts, ignore_index=True)
    assert not matches.groupby("class_name")["score"].apply(lambda scores: scores.duplicated().any()).any()
    expected = pr_curves(matches, faces).drop(columns="score")
    found = precision_recall_curves(faces)
    pd.testing.assert_frame_equal(found.drop(columns="score"), expected, check_dtype=False)
    first = found.groupby("class_name").first()["score"]
    assert (first <= matches.groupby("class_name")["score"].max()).all()


def test_the_surest_errors_come_first():
    faces = judged_faces(
        [(0, 0, (0.9, 0.1, 0)), (1, 0, (0.3, 0.7, 0)), (2, 1, (0.95, 0.04, 0.01)), (3, 2, (0.7, 0.1, 0.2))]
    )
    errors = confident_errors(faces, 2)
    assert errors["file_name"].tolist() == ["photo_2.png", "photo_1.png"]
    assert errors["predicted"].tolist() == ["with_mask", "without_mask"]
    assert errors["probability"].tolist() == pytest.approx([0.95, 0.7])
    assert errors["probability_true"].tolist() == pytest.approx([0.04, 0.3])
    assert confident_errors(faces[:1], 5).empty
