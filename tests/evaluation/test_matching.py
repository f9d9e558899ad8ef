"""Matching by hand, and its promises on random tables."""

import time

import numpy as np
import pytest

from maskdet.evaluation.matching import above_threshold, match_detections

FACE = (0, 0, 10, 10)
HALF = (0, 0, 10, 5)  # IoU 0.5 with FACE
CLOSE = (0, 0, 10, 8)  # IoU 0.8 with FACE
FAR = (100, 100, 110, 110)


@pytest.mark.parametrize("num_faces", [0, 1])
@pytest.mark.parametrize("num_detections", [0, 1])
def test_empty_tables(num_faces, num_detections, table):
    annotations = table(*[("a.png", "with_mask", FACE)] * num_faces, scored=False)
    predictions = table(*[("a.png", "with_mask", FACE, 0.9)] * num_detections)
    matches = match_detections(annotations, predictions)
    assert list(matches.columns) == [*predictions.columns, "is_tp", "annotation", "iou"]
    assert [matches[c].dtype for c in ("is_tp", "annotation", "iou")] == [bool, np.int64, np.float64]
    assert matches["is_tp"].tolist() == [num_faces == 1] * num_detections


def test_the_higher_score_takes_the_face_even_with_the_smaller_iou(table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    matches = match_detections(
        annotations, table(("a.png", "with_mask", FACE, 0.5), ("a.png", "with_mask", CLOSE, 0.9))
    )
    assert matches["is_tp"].tolist() == [False, True]
    assert matches["annotation"].tolist() == [-1, 0]
    assert matches["iou"].tolist() == pytest.approx([0, 0.8])


def test_a_detection_takes_the_face_with_the_largest_iou_and_leaves_the_other(table):
    annotations = table(("a.png", "with_mask", FACE), ("a.png", "with_mask", CLOSE), scored=False)
    matches = match_detections(
        annotations, table(("a.png", "with_mask", CLOSE, 0.9), ("a.png", "with_mask", CLOSE, 0.8))
    )
    assert matches["annotation"].tolist() == [1, 0]
    assert matches["iou"].tolist() == pytest.approx([1, 0.8])


def test_of_equal_ious_the_last_face_is_taken_as_coco_does(table):
    annotations = table(*[("a.png", "with_mask", FACE)] * 2, scored=False)
    assert match_detections(annotations, table(("a.png", "with_mask", FACE, 0.9)))["annotation"].tolist() == [1]


@pytest.mark.parametrize(("iou_threshold", "is_tp"), [(0.49, True), (0.5, True), (0.51, False), (1.0, False)])
def test_the_threshold_itself_is_a_hit(iou_threshold, is_tp, table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    matches = match_detections(annotations, table(("a.png", "with_mask", HALF, 0.9)), iou_threshold)
    assert matches["is_tp"].tolist() == [is_tp]


def test_images_and_classes_do_not_mix(table):
    annotations = table(("a.png", "with_mask", FACE), ("b.png", "without_mask", FACE), scored=False)
    predictions = table(("b.png", "with_mask", FACE, 0.9), ("a.png", "with_mask", FAR, 0.8))
    assert match_detections(annotations, predictions)["is_tp"].tolist() == [False, False]
    assert match_detections(annotations, predictions, by_class=False)["annotation"].tolist() == [1, -1]


@pytest.mark.parametrize("iou_threshold", [0, -0.5, 1.5])
def test_threshold_out_of_range(iou_threshold, table):
    with pytest.raises(ValueError, match=rf"expected 0 < iou_threshold <= 1, got {iou_threshold}"):
        match_detections(table(scored=False), table(), iou_threshold)


@pytest.mark.parametrize("by_class", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_promises_hold_on_random_tables(seed, by_class, random_tables):
    _, annotations, predictions = random_tables(seed)
    annotations.index = annotations.index * 2 + 5  # labels, not positions
    matches = match_detections(annotations, predictions, 0.5, by_class)
    assert matches[predictions.columns].equals(predictions)
    hits = matches[matches["is_tp"]]
    assert (matches["annotation"] != -1).equals(matches["is_tp"])
    assert hits["annotation"].is_unique
    assert hits["iou"].between(0.5, 1).all()
    assert (matches.loc[~matches["is_tp"], "iou"] == 0).all()
    faces = annotations.loc[hits["annotation"]]
    keys = ["file_name", "class_name"] if by_class else ["file_name"]
    assert faces[keys].reset_index(drop=True).equals(hits[keys].reset_index(drop=True))


def test_dropping_low_scores_changes_no_match_above_them(random_tables):
    _, annotations, predictions = random_tables(5)
    kept = predictions["score"] >= 0.4
    assert match_detections(annotations, predictions)[kept].equals(match_detections(annotations, predictions[kept]))


def test_a_whole_cross_validation_takes_seconds(random_tables):
    _, annotations, predictions = random_tables(6, num_images=850, max_detections=200)
    assert len(predictions) > 50_000
    started = time.process_time()
    assert match_detections(annotations, predictions)["is_tp"].any()
    assert time.process_time() - started < 3


def test_thresholds_may_differ_by_class_and_compare_as_the_scores_do(table):
    predictions = table(
        ("a.png", "with_mask", FACE, 0.7),  # as float32 a little less than 0.7
        ("a.png", "without_mask", FACE, 0.7),
        ("a.png", "mask_weared_incorrect", FACE, 1.0),
    )
    assert above_threshold(predictions, 0.7).index.tolist() == [0, 1, 2]
    thresholds = {"with_mask": 0.7, "without_mask": 0.8, "mask_weared_incorrect": float("nan")}
    assert above_threshold(predictions, thresholds).index.tolist() == [0]
    assert above_threshold(predictions[:0], thresholds).empty


def test_a_class_without_a_threshold_is_named(table):
    with pytest.raises(ValueError, match=r"expected a threshold for 'with_mask', got \['without_mask'\]"):
        above_threshold(table(("a.png", "with_mask", FACE, 0.7)), {"without_mask": 0.5})
