"""Boxes against torchvision, by hand, and on random input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchvision.ops import box_convert
from torchvision.ops import box_iou as torchvision_iou

from maskdet.boxes import box_area, box_iou, check_boxes, clip_boxes, xywh_to_xyxy, xyxy_to_xywh

COORDINATES = st.floats(-50, 450, width=32)
EMPTY = np.empty((0, 4), np.float32)


@st.composite
def sound_boxes(draw, min_size=0.125):
    """Boxes (N, 4) with corners in order; N may be 0."""
    corners = draw(arrays(np.float64, (draw(st.integers(0, 6)), 4), elements=COORDINATES))
    low, high = np.minimum(corners[:, :2], corners[:, 2:]), np.maximum(corners[:, :2], corners[:, 2:])
    return np.hstack([low, high + min_size])


@pytest.mark.parametrize(
    ("box_a", "box_b", "expected"),
    [
        ([0, 0, 4, 2], [2, 0, 6, 2], 1 / 3),
        ([0, 0, 4, 2], [4, 0, 6, 2], 0),  # touching edges
        ([0, 0, 4, 4], [1, 1, 3, 3], 4 / 16),  # one inside the other: the ratio of areas
        ([0, 0, 4, 4], [0, 0, 4, 4], 1),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0),  # no area: 0, not NaN
        ([3, 3, 1, 1], [0, 0, 4, 4], 0),  # inverted
    ],
)
def test_iou_by_hand(box_a, box_b, expected):
    assert box_iou([box_a], [box_b]).tolist() == [[pytest.approx(expected)]]


@pytest.mark.parametrize("empty", [EMPTY, [], np.empty((0, 4)), np.empty(0)])
def test_empty_boxes(empty):
    two = np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.float32)
    assert box_iou(empty, two).shape == (0, 2)
    assert box_iou(two, empty).shape == (2, 0)
    assert box_area(empty).shape == (0,)
    for convert in (check_boxes, xyxy_to_xywh, xywh_to_xyxy, lambda boxes: clip_boxes(boxes, (4, 4))):
        assert convert(empty).shape == (0, 4)
    assert check_boxes(EMPTY).dtype == np.float32


@settings(deadline=None)
@given(sound_boxes(), sound_boxes())
def test_iou_equals_torchvision(boxes_a, boxes_b):
    expected = torchvision_iou(torch.tensor(boxes_a), torch.tensor(boxes_b)).numpy()
    assert box_iou(boxes_a, boxes_b) == pytest.approx(expected, abs=1e-6)


@given(arrays(np.float64, (3, 4), elements=COORDINATES), sound_boxes())
def test_iou_promises(any_boxes, boxes):
    iou = box_iou(any_boxes, boxes)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert np.array_equal(iou, box_iou(boxes, any_boxes).T)
    assert np.diag(box_iou(boxes, boxes)) == pytest.approx(np.ones(len(boxes)))


@given(sound_boxes())
def test_formats_equal_torchvision_and_turn_back(boxes):
    expected = box_convert(torch.tensor(boxes), "xyxy", "xywh").numpy()
    assert xyxy_to_xywh(boxes) == pytest.approx(expected, abs=1e-9)
    assert xywh_to_xyxy(xyxy_to_xywh(boxes)) == pytest.approx(boxes, abs=1e-9)


def test_only_the_right_format_gives_this_iou():
    numbers, other = np.array([[2.0, 2, 4, 6]]), np.array([[2.0, 2, 4, 4]])
    as_xyxy = box_iou(numbers, other)[0, 0]
    as_xywh = box_iou(xywh_to_xyxy(numbers), other)[0, 0]
    assert as_xyxy == pytest.approx(4 / 8)
    assert as_xywh == pytest.approx(4 / 24)


@given(arrays(np.float64, (4, 4), elements=COORDINATES))
def test_clipped_boxes_lie_inside(boxes):
    before = boxes.copy()
    clipped = clip_boxes(boxes, (400, 300))
    assert (clipped >= 0).all()
    assert (clipped <= [400, 300, 400, 300]).all()
    assert np.array_equal(boxes, before)
    assert np.array_equal(clip_boxes(clipped, (400, 300)), clipped)


@pytest.mark.parametrize("boxes", [[[1, 2, 3]], [1, 2, 3, 4], np.zeros((2, 2, 4)), np.zeros((4, 5))])
def test_wrong_shape(boxes):
    with pytest.raises(ValueError, match=r"expected boxes of shape \(N, 4\), got \("):
        check_boxes(boxes)
