"""The choice among all anchors' boxes, against the detector's own selection."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from crowded_boxes import crowd
from maskdet.inference.metadata import DetectOptions
from maskdet.inference.suppression import SAME_FACE_IOU, Detections, one_class_per_face, select
from maskdet.nms import vote
from training_world import compose_config

OPTIONS = DetectOptions(score_threshold=0.05, nms_iou_threshold=0.5, max_candidates=5000, max_detections=300)


def distinct_scores(num: int, seed: int) -> np.ndarray:
    """Return float32 in (0, 1], no two alike: torch leaves the order of equal ones open."""
    return (np.random.default_rng(seed).permutation(num).astype(np.float32) + 1) / np.float32(num)


@pytest.fixture(scope="module")
def selects_with_torch():
    """Return `EfficientDetector._select` on numpy arrays; of the detector it needs the options alone."""
    from hydra.utils import instantiate

    cfg = compose_config("model.pretrained=none")
    detector = instantiate(cfg.model, num_classes=3, detect=asdict(OPTIONS))

    def run(boxes_xyxy: np.ndarray, scores: np.ndarray, options: DetectOptions) -> Detections:
        detector.detect_options = asdict(options)
        found = detector._select(torch.from_numpy(boxes_xyxy), torch.from_numpy(scores))
        return Detections(found.boxes_xyxy.numpy(), found.scores.numpy(), found.class_indices.numpy())

    return run


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"score_threshold": 0.0},
        {"score_threshold": 1.0},
        {"max_candidates": 100},
        {"max_candidates": 1},
        {"max_detections": 5},
        {"nms_iou_threshold": 0.2},
        {"max_candidates": 2000, "max_detections": 50, "score_threshold": 0.3},
        {"box_voting_iou": 0.6},
        {"box_voting_iou": 0.3, "max_candidates": 200, "score_threshold": 0.3},
    ],
)
@pytest.mark.parametrize("num_anchors", [1, 30, 1500])
def test_the_detector_selects_the_same(num_anchors, changes, selects_with_torch):
    boxes_xyxy = crowd(num_anchors, seed=3)
    scores = distinct_scores(3 * num_anchors, seed=4).reshape(num_anchors, 3)
    options = replace(OPTIONS, **changes)
    ours, theirs = select(boxes_xyxy, scores, options), selects_with_torch(boxes_xyxy, scores, options)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(ours.class_indices, theirs.class_indices)
    if options.box_voting_iou < 1:  # sums in another order
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=1e-3)
    else:
        np.testing.assert_array_equal(ours.boxes_xyxy, theirs.boxes_xyxy)
    assert [array.dtype for array in vars(ours).values()] == [np.float32, np.float32, np.int64]


@given(st.floats(0, 1, width=32), st.integers(0, 5), st.sampled_from([1.0, 0.5]), st.sampled_from([5000, 90]))
def test_a_higher_threshold_drops_from_the_end_alone_and_moves_no_box(threshold, seed, voting_iou, max_candidates):
    boxes_xyxy, scores = crowd(60, seed), distinct_scores(180, seed).reshape(60, 3)
    options = replace(OPTIONS, box_voting_iou=voting_iou, max_candidates=max_candidates)
    everything = select(boxes_xyxy, scores, replace(options, score_threshold=0.0))
    some = select(boxes_xyxy, scores, replace(options, score_threshold=threshold))
    assert len(some) == (everything.scores >= np.float32(threshold)).sum()
    np.testing.assert_allclose(some.boxes_xyxy, everything.boxes_xyxy[: len(some)], rtol=1e-6)


@given(st.integers(0, 50), st.floats(0.3, 0.9))
def test_a_voted_box_is_the_weighted_mean_of_its_class(seed, voting_iou):
    boxes_xyxy, scores = crowd(40, seed), distinct_scores(80, seed).reshape(40, 2)
    plain = select(boxes_xyxy, scores, OPTIONS)
    voted = select(boxes_xyxy, scores, replace(OPTIONS, box_voting_iou=voting_iou))
    np.testing.assert_array_equal(voted.scores, plain.scores)
    for i, (box_xyxy, score, class_index) in enumerate(
        zip(plain.boxes_xyxy, plain.scores, plain.class_indices, strict=True)
    ):
        overlaps = torchvision.ops.box_iou(torch.from_numpy(box_xyxy[None]), torch.from_numpy(boxes_xyxy))[0].numpy()
        of_class = scores[:, class_index]
        voters = (overlaps >= np.float32(voting_iou)) & (of_class >= np.float32(0.2) * score)
        if voters.any():  # a box without an area has no overlap even with itself
            mean = np.average(boxes_xyxy[voters], axis=0, weights=of_class[voters].astype(float) ** 2)
            np.testing.assert_allclose(voted.boxes_xyxy[i], mean, atol=1e-3)
        else:
            np.testing.assert_array_equal(voted.boxes_xyxy[i], box_xyxy)


def test_boxes_without_scores_or_areas_keep_their_place():
    boxes_xyxy = np.array([[0, 0, 9, 9], [5, 5, 5, 5], [7, 7, 7, 7]], np.float32)
    kept = vote(boxes_xyxy, np.zeros(3, np.float32), np.arange(3), 0.5)
    np.testing.assert_array_equal(kept, boxes_xyxy)


def test_no_anchor_gives_no_detection_of_the_right_types():
    found = select(np.empty((0, 4), np.float32), np.empty((0, 3), np.float32), OPTIONS)
    assert [(array.shape, array.dtype) for array in vars(found).values()] == [
        ((0, 4), np.float32),
        ((0,), np.float32),
        ((0,), np.int64),
    ]


def test_a_box_may_be_two_classes_and_classes_do_not_suppress_each_other():
    boxes_xyxy = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], np.float32)
    scores = np.array([[0.9, 0.3, 0.0], [0.8, 0.7, 0.0]], np.float32)
    found = select(boxes_xyxy, scores, OPTIONS)
    assert found.class_indices.tolist() == [0, 1]
    assert found.boxes_xyxy[:, 0].tolist() == [0, 1]


def test_arrays_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match=r"expected arrays of shape \(N, 4\), \(N,\), \(N,\), got \[\(2, 4\)"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int64))


@given(st.integers(0, 60), st.integers(0, 9))
def test_of_a_face_that_several_classes_claim_the_likeliest_stays(num_anchors, seed):
    scores = distinct_scores(3 * num_anchors, seed).reshape(num_anchors, 3)
    found = select(crowd(num_anchors, seed), scores, replace(OPTIONS, score_threshold=0.3))
    once = one_class_per_face(found)
    kept = torchvision.ops.nms(torch.from_numpy(found.boxes_xyxy), torch.from_numpy(found.scores), SAME_FACE_IOU)
    for ours, before in zip(vars(once).values(), vars(found).values(), strict=True):
        np.testing.assert_array_equal(ours, before[kept.numpy()])
