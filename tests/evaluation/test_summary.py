"""Folds, pooled and apart: which rows count, which are refused, what mean and spread are."""

import statistics

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.pooling import pool_folds
from maskdet.evaluation.summary import evaluate_folds, flatten_metrics, nest_metrics


@pytest.fixture
def cross_validation(random_tables):
    """Return images, annotations, folds, {fold: predictions} with folds 0…3 and test images (-1)."""
    images, annotations, predictions = random_tables(7, num_images=25)
    fold_of_file = {name: i % 5 - 1 for i, name in enumerate(images["file_name"])}
    folds = pd.DataFrame({"file_name": images["file_name"], "group": range(25), "fold": fold_of_file.values()})
    folds["split_role"] = np.where(folds["fold"] < 0, "test", "fold")
    predictions["fold"] = predictions["file_name"].map(fold_of_file)
    by_fold = {k: predictions[predictions["fold"] == k].reset_index(drop=True) for k in range(4)}
    return images, annotations, folds, by_fold


def test_empty_predictions_of_a_fold_are_an_answer(cross_validation):
    images, annotations, folds, predictions = cross_validation
    predictions[0] = predictions[0][:0]
    metrics = evaluate_folds(images, annotations, folds, predictions, [0], 0.3)["val"]
    assert (metrics["map"], metrics["recall"], metrics["num_detections"]) == (0, 0, 0)
    assert np.isnan(metrics["precision"])


def test_only_images_of_the_named_folds_count(cross_validation):
    images, annotations, folds, predictions = cross_validation
    summary = evaluate_folds(images, annotations, folds, predictions, [0, 2], 0.3)
    assert list(summary["fold"]) == ["0", "2"]
    files = folds.loc[folds["fold"].isin([0, 2]), "file_name"]
    detections = pd.concat([predictions[0], predictions[2]], ignore_index=True)
    faces = annotations[annotations["file_name"].isin(files)]
    counts = {"num_images": 10, "num_faces": len(faces), "num_detections": len(detections)}
    assert {key: summary["val"][key] for key in counts} == counts
    expected = coco_metrics(files.to_frame(), faces, detections)
    assert {key: flatten_metrics(summary["val"])[key] for key in expected} == pytest.approx(expected, nan_ok=True)


def test_mean_and_spread_run_over_folds(cross_validation):
    summary = evaluate_folds(*cross_validation, [0, 1, 2], 0.3)
    for keys in (["map"], ["ap_50", "with_mask"], ["f1"]):
        values = []
        for metrics in summary["fold"].values():
            values.append(metrics[keys[0]][keys[1]] if len(keys) == 2 else metrics[keys[0]])
        mean, deviation = flatten_metrics(summary["fold_mean"]), flatten_metrics(summary["fold_sd"])
        assert mean["/".join(keys)] == pytest.approx(statistics.mean(values))
        assert deviation["/".join(keys)] == pytest.approx(statistics.stdev(values))
    assert "num_images" not in summary["fold_mean"]


def test_folds_without_a_class_are_left_out_of_its_mean(cross_validation):
    images, annotations, folds, predictions = cross_validation
    in_fold_0 = annotations["file_name"].isin(folds.loc[folds["fold"] == 0, "file_name"])
    annotations = annotations[~(in_fold_0 & (annotations["class_name"] == "with_mask"))]
    summary = evaluate_folds(images, annotations, folds, predictions, [0, 1], 0.3)
    assert np.isnan(summary["fold"]["0"]["ap"]["with_mask"])
    assert summary["fold_mean"]["ap"]["with_mask"] == summary["fold"]["1"]["ap"]["with_mask"]
    assert np.isnan(summary["fold_sd"]["ap"]["with_mask"])


def test_one_fold_has_no_spread(cross_validation):
    summary = evaluate_folds(*cross_validation, [1], 0.3)
    assert np.isnan(list(flatten_metrics(summary["fold_sd"]).values())).all()
    assert summary["fold_mean"]["map"] == summary["val"]["map"] == summary["fold"]["1"]["map"]


@pytest.mark.parametrize(
    ("train_folds", "message"),
    [
        ([], r"expected one or more different folds, got \[\]"),
        ([0, 0], r"expected one or more different folds, got \[0, 0\]"),
        ([7], r"expected folds among \[0, 1, 2, 3\], got 7"),
        ([-1], r"expected folds among \[0, 1, 2, 3\], got -1"),
    ],
)
def test_impossible_fold_lists(train_folds, message, cross_validation):
    with pytest.raises(ValueError, match=message):
        pool_folds(*cross_validation, train_folds)


def test_missing_prediction_table(cross_validation):
    del cross_validation[3][1]
    with pytest.raises(ValueError, match=r"expected predictions of fold 1, got those of folds \[0, 2, 3\]"):
        pool_folds(*cross_validation, [0, 1])


@pytest.mark.parametrize("change", ["other fold's file", "other fold's number", "unknown file"])
def test_foreign_rows_are_named(change, cross_validation):
    predictions = cross_validation[3]
    row = predictions[1].iloc[[0]]
    if change == "other fold's number":
        row = predictions[0].iloc[[0]].assign(fold=1)
    elif change == "unknown file":
        row = row.assign(file_name="elsewhere.png", fold=0)
    predictions[0] = pd.concat([predictions[0], row])
    with pytest.raises(ValueError, match=rf"fold 0: expected .* fold 0 only, got '{row['file_name'].iloc[0]}'"):
        pool_folds(*cross_validation, [0])


def test_images_without_a_fold_are_named(cross_validation):
    images, annotations, folds, predictions = cross_validation
    with pytest.raises(ValueError, match=rf"list the same files, got only one with {folds['file_name'].iloc[0]}"):
        pool_folds(images, annotations, folds[1:], predictions, [0])


@pytest.mark.parametrize("flat", [{}, {"map": 0.5}, {"map": 0.5, "ap/a": 0.1, "ap/b": 0.2, "fold/0/ap/a": 1.0}])
def test_nesting_is_undone_by_flattening(flat):
    assert flatten_metrics(nest_metrics(flat)) == flat
