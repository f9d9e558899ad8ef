"""Which anchor learns which face: the two rules that detectors with anchors use."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

BACKGROUND = -1


def match_by_iou(anchors_xyxy: Tensor, boxes_xyxy: Tensor, threshold: float) -> Tensor:
    """Give each anchor the box that it overlaps most, if it does so enough; each box gets its best anchor at least.

    Args:
        anchors_xyxy: (A, 4) in pixels.
        boxes_xyxy: (N, 4) in pixels; N may be 0.
        threshold: IoU in [0, 1] from which on an anchor is positive.

    Returns:
        (A,) int64, the index of the box, `BACKGROUND` for none.

    Reference:
        Girshick (2015), Fast R-CNN, with one threshold for both sides, as EfficientDet has it.
    """
    if not len(boxes_xyxy):
        return _background(anchors_xyxy)
    iou = box_iou(boxes_xyxy, anchors_xyxy)  # (N, A)
    best_iou, best_box = iou.max(dim=0)  # (A,)
    matched = best_box.where(best_iou >= threshold, BACKGROUND)
    matched[iou.argmax(dim=1)] = torch.arange(len(boxes_xyxy), device=iou.device)
    return matched


def match_atss(
    anchors_xyxy: Tensor, boxes_xyxy: Tensor, level_sizes: Sequence[int], candidates_per_level: int
) -> Tensor:
    """Let each box choose its own IoU threshold from the anchors near its centre.

    Of each level the anchors whose centres lie nearest are candidates; those are positive whose IoU reaches the
    candidates' mean plus standard deviation and whose centre lies in the box. A box that gets none this way takes its
    best anchor; an anchor that several boxes want goes to the one that it overlaps most.

    Args:
        anchors_xyxy: (A, 4) in pixels, level after level.
        boxes_xyxy: (N, 4) in pixels; N may be 0.
        level_sizes: Number of anchors of each level; their sum is A.
        candidates_per_level: Anchors a level that each box considers.

    Returns:
        (A,) int64, the index of the box, `BACKGROUND` for none.

    Reference:
        Zhang et al. (2020), Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training
        Sample Selection, algorithm 1.
    """
    if not len(boxes_xyxy):
        return _background(anchors_xyxy)
    iou = box_iou(boxes_xyxy, anchors_xyxy)  # (N, A)
    anchor_centers, box_centers = _centers(anchors_xyxy), _centers(boxes_xyxy)
    distance = torch.cdist(box_centers, anchor_centers)  # (N, A)
    starts = [sum(level_sizes[:level]) for level in range(len(level_sizes))]
    candidates = torch.cat(
        [
            start + part.topk(min(candidates_per_level, size), dim=1, largest=False).indices
            for start, size, part in zip(starts, level_sizes, distance.split(list(level_sizes), dim=1), strict=True)
        ],
        dim=1,
    )  # (N, K)
    candidate_iou = iou.gather(1, candidates)
    threshold = candidate_iou.mean(dim=1, keepdim=True) + candidate_iou.std(dim=1, keepdim=True)
    centers = anchor_centers[candidates]  # (N, K, 2)
    inside = ((centers > boxes_xyxy[:, None, :2]) & (centers < boxes_xyxy[:, None, 2:])).all(dim=2)
    wanted = torch.zeros_like(iou, dtype=torch.bool).scatter(1, candidates, (candidate_iou >= threshold) & inside)
    best_iou, best_box = iou.where(wanted, -1.0).max(dim=0)  # (A,)
    matched = best_box.where(best_iou >= 0, BACKGROUND)
    without = ~torch.isin(torch.arange(len(boxes_xyxy), device=iou.device), matched)
    matched[iou[without].argmax(dim=1)] = without.nonzero().squeeze(1)
    return matched


def _background(anchors_xyxy: Tensor) -> Tensor:
    return torch.full((len(anchors_xyxy),), BACKGROUND, device=anchors_xyxy.device)


def _centers(boxes_xyxy: Tensor) -> Tensor:
    return (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
