"""Curves against COCO's AP, operating points by hand."""

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.curves import average_precision, best_of_each_class, operating_point, pr_curves, ranked_rows
from maskdet.evaluation.matching import match_detections
from maskdet.schema import CLASS_NAMES

FACES = [(x, 0, x + 10, 10) for x in (0, 100, 200, 300)]
FAR = (500, 500, 510, 510)


def test_no_faces_no_curve(table):
    for predictions in (table(), table(("a.png", "with_mask", FAR, 0.9))):
        curves = pr_curves(match_detections(table(scored=False), predictions), table(scored=False))
        assert list(curves.columns) == ["class_name", "recall", "precision", "score"]
        assert len(curves) == 0


def test_no_detections_is_a_curve_of_zeros(table):
    annotations = table(("a.png", "with_mask", FACES[0]), scored=False)
    curves = pr_curves(match_detections(annotations, table()), annotations)
    assert len(curves) == 101
    assert (curves["precision"] == 0).all()
    assert curves["score"].isna().all()


def test_a_curve_by_hand(table):
    annotations = table(*[("a.png", "with_mask", box) for box in FACES], scored=False)
    found = [(FACES[0], 0.9), (FAR, 0.8), (FACES[1], 0.7), (FACES[2], 0.6)]  # precision 1, 1/2, 2/3, 3/4
    predictions = table(*[("a.png", "with_mask", box, score) for box, score in found])
    curve = pr_curves(match_detections(annotations, predictions), annotations).set_index("recall")
    recalls = [0.0, 0.25, 0.26, 0.5, 0.75, 0.76, 1.0]
    assert curve.loc[recalls, "precision"].tolist() == [1, 1, 0.75, 0.75, 0.75, 0, 0]
    assert curve.loc[recalls, "score"].tolist() == pytest.approx([0.9, 0.9, 0.7, 0.7, 0.6, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize(("seed", "max_detections"), [(0, 30), (1, 30), (2, 30), (3, 1500)])
def test_mean_precision_is_the_ap_of_coco(seed, max_detections, random_tables):
    images, annotations, predictions = random_tables(seed, max_detections=max_detections)
    curves = pr_curves(match_detections(annotations, predictions), annotations)
    metrics = coco_metrics(images, annotations, predictions)
    expected = {name: metrics[f"ap_50/{name}"] for name in CLASS_NAMES}
    means = curves.groupby("class_name")["precision"].mean().to_dict()
    assert means == pytest.approx(expected, abs=1e-6, rel=0)
    assert (curves.groupby("class_name")["precision"].diff().dropna() <= 0).all()
    assert curves.groupby("class_name").size().max() <= 200


def test_operating_point_without_anything_is_undefined(table):
    counted = operating_point(match_detections(table(scored=False), table()), table(scored=False), 0.5)
    assert counted["class_name"].tolist() == [*CLASS_NAMES, "all"]
    assert (counted[["tp", "fp", "fn"]] == 0).all(axis=None)
    assert counted[["precision", "recall", "f1"]].isna().all(axis=None)


def test_operating_point_by_hand(table):
    annotations = table(
        *[("a.png", "with_mask", box) for box in FACES], ("b.png", "without_mask", FACES[0]), scored=False
    )
    predictions = table(
        ("a.png", "with_mask", FACES[0], 0.9),
        ("a.png", "with_mask", FACES[1], 0.3),  # the threshold itself counts, also as float32
        ("a.png", "with_mask", FACES[2], 0.29),
        ("a.png", "mask_weared_incorrect", FACES[3], 0.8),
    )
    counted = operating_point(match_detections(annotations, predictions), annotations, 0.3).set_index("class_name")
    nan = float("nan")
    expected = {
        "with_mask": (2, 0, 2, 1, 1 / 2, 2 / 3),
        "without_mask": (0, 0, 1, nan, 0, 0),
        "mask_weared_incorrect": (0, 1, 0, 0, nan, nan),
        "all": (2, 1, 3, 2 / 3, 2 / 5, 1 / 2),
    }
    expected_table = pd.DataFrame.from_dict(expected, orient="index", columns=counted.columns)
    pd.testing.assert_frame_equal(counted, expected_table, check_names=False, check_dtype=False)


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_cocos(seed, random_tables):
    images, annotations, predictions = random_tables(seed, num_images=6, max_detections=450)
    metrics = coco_metrics(images, annotations, predictions)
    matches = best_of_each_class(match_detections(annotations, predictions))
    ranked = matches.iloc[ranked_rows(matches)]
    for name in CLASS_NAMES:
        num_faces = int((annotations["class_name"] == name).sum())
        ap = average_precision(ranked.loc[ranked["class_name"] == name, "is_tp"].to_numpy(), num_faces)
        assert ap == pytest.approx(metrics[f"ap_50/{name}"], abs=1e-6, nan_ok=True)


def test_without_a_true_box_there_is_no_average_precision():
    assert np.isnan(average_precision(np.zeros(3, bool), 0))
    assert average_precision(np.zeros(0, bool), 3) == 0
