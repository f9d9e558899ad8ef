"""Non-maximum suppression against torchvision's."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torchvision.ops import nms

from crowded_boxes import crowd
from maskdet.nms import suppress

WHOLE_BOXES = arrays.arrays(np.int64, st.tuples(st.integers(0, 30), st.just(4)), elements=st.integers(0, 12)).map(
    lambda corners: np.hstack([corners[:, :2], corners[:, :2] + corners[:, 2:]]).astype(np.float32)
)
"""Small boxes in whole pixels, some without an area: overlaps of exactly 1/3, 1/2, … are frequent."""


@given(WHOLE_BOXES, st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.6, 1.0]))
def test_the_same_boxes_stay_as_with_torchvision(boxes_xyxy, iou_threshold):
    scores = torch.arange(len(boxes_xyxy), 0, -1, dtype=torch.float32)
    expected = nms(torch.from_numpy(boxes_xyxy), scores, iou_threshold).numpy()
    np.testing.assert_array_equal(suppress(boxes_xyxy, iou_threshold, len(boxes_xyxy) + 1), expected)


@pytest.mark.parametrize("num_boxes", [0, 1, 2, 400, 3000])
def test_a_crowd_is_thinned_as_by_torchvision(num_boxes):
    boxes_xyxy = crowd(num_boxes, seed=num_boxes)
    expected = nms(torch.from_numpy(boxes_xyxy), torch.arange(num_boxes, 0, -1).float(), 0.5).numpy()
    found = suppress(boxes_xyxy, 0.5, num_boxes + 1)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(suppress(boxes_xyxy, 0.5, 7), expected[:7])
    assert found.dtype == np.int64


def test_a_box_with_exactly_the_threshold_stays():
    halves = np.array([[0, 0, 4, 4], [0, 0, 4, 2], [10, 0, 14, 4], [10, 0, 14, 2.1]], np.float32)  # IoU 0.5, 0.525
    assert suppress(halves, 0.5, 10).tolist() == [0, 1, 2]
