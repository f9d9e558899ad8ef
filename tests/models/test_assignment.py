"""Both rules against their definitions, written out box by box."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.boxes import box_iou
from maskdet.models.assignment import BACKGROUND, match_atss, match_by_iou

LEVELS = ((8, 16), (16, 8), (32, 4))
"""Stride and cells a side, for an input of 128 px; one anchor a cell, three strides wide."""


def anchors() -> torch.Tensor:
    boxes = []
    for stride, cells in LEVELS:
        for y, x in np.ndindex(cells, cells):
            centre_x, centre_y, half = (x + 0.5) * stride, (y + 0.5) * stride, 1.5 * stride
            boxes.append((centre_x - half, centre_y - half, centre_x + half, centre_y + half))
    return torch.tensor(boxes)


SIZES = [cells * cells for _, cells in LEVELS]
BOXES = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(3, 90), st.floats(3, 90)).map(
        lambda b: (b[0], b[1], min(128, b[0] + b[2]), min(128, b[1] + b[3]))
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("match", [lambda a, b: match_by_iou(a, b, 0.5), lambda a, b: match_atss(a, b, SIZES, 9)])
def test_without_boxes_all_is_background(match):
    matched = match(anchors(), torch.zeros(0, 4))
    assert matched.dtype == torch.int64
    assert matched.tolist() == [BACKGROUND] * sum(SIZES)


@settings(max_examples=40, deadline=None)
@given(BOXES)
def test_by_iou_an_anchor_has_its_best_box_or_is_a_boxs_best_anchor(boxes):
    iou = box_iou(anchors().numpy(), np.array(boxes))  # (A, N)
    matched = match_by_iou(anchors(), torch.tensor(boxes, dtype=torch.float32), 0.5).numpy()
    for anchor, box in enumerate(matched):
        if box == BACKGROUND:
            assert iou[anchor].max() < 0.5 + 1e-5
        else:
            is_best_box = iou[anchor, box] >= max(0.5, iou[anchor].max()) - 1e-5
            assert is_best_box or iou[anchor, box] >= iou[:, box].max() - 1e-5


def paper_atss(boxes: np.ndarray, k: int) -> np.ndarray:
    """Algorithm 1 of the paper, anchor by anchor, without ties and conflicts."""
    all_anchors = anchors().numpy().astype(np.float64)
    centers = (all_anchors[:, :2] + all_anchors[:, 2:]) / 2
    iou = box_iou(all_anchors, boxes)
    wanted = np.full(iou.shape, -1.0)
    for index, box in enumerate(boxes):
        centre = (box[:2] + box[2:]) / 2
        candidates, start = [], 0
        for size in SIZES:
            distance = np.linalg.norm(centers[start : start + size] - centre, axis=1)
            candidates += (start + np.argsort(distance)[:k]).tolist()
            start += size
        values = iou[candidates, index]
        threshold = values.mean() + values.std(ddof=1)
        for anchor in candidates:
            inside = (centers[anchor] > box[:2]).all() and (centers[anchor] < box[2:]).all()
            if iou[anchor, index] >= threshold and inside:
                wanted[anchor, index] = iou[anchor, index]
        if wanted[:, index].max() < 0:
            wanted[iou[:, index].argmax(), index] = 2.0
    return np.where(wanted.max(axis=1) < 0, BACKGROUND, wanted.argmax(axis=1))


@pytest.mark.parametrize("seed", range(8))
def test_atss_is_the_papers_algorithm(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (3, 2)) + np.arange(3)[:, None] * 0.37
    boxes = np.concatenate([corners, corners + rng.uniform(10, 60, (3, 2))], axis=1)
    found = match_atss(anchors(), torch.tensor(boxes, dtype=torch.float32), SIZES, 5).numpy()
    np.testing.assert_array_equal(found, paper_atss(boxes, 5))


@settings(max_examples=40, deadline=None)
@given(BOXES)
def test_atss_leaves_no_lone_box_without_an_anchor(boxes):
    for box in boxes:
        matched = match_atss(anchors(), torch.tensor([box], dtype=torch.float32), SIZES, 9)
        assert (matched == 0).any()


def test_fewer_cells_than_candidates_are_all_considered():
    matched = match_atss(anchors(), torch.tensor([[10.0, 10, 110, 110]]), SIZES, 300)
    assert (matched == 0).any()
