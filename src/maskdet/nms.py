"""Non-maximum suppression in numpy: of boxes on one object the best stays, and the others may have a say in it.

Why own code: OpenCV's `NMSBoxesBatched` decides some pairs near the threshold otherwise than torchvision, as it moves
classes apart by offsets that cost digits, and is slower than the loop below; supervision's `box_non_max_suppression`
is exact, but fills an (N, N) matrix, takes thirty times as long for 5,000 candidates and seconds to import; and
torchvision's needs torch. The loop ends at `max_kept`: what comes after would be cut off anyway.
"""

import numpy as np

from maskdet.boxes import box_iou

MIN_VOTER_SHARE = 0.2
"""A box with a lower share of the kept one's score has no vote: so no display threshold moves a box."""

MIN_VOTE = 1e-30
"""Weight of a box whose score is 0, above 0 in single precision too."""


def suppress(boxes_xyxy: np.ndarray, iou_threshold: float, max_kept: int) -> np.ndarray:
    """Return which boxes stay when each drops the later ones that overlap it too much (non-maximum suppression).

    Args:
        boxes_xyxy: (N, 4) float32, best first, of one class.
        iou_threshold: In [0, 1]; a box with exactly this IoU stays.
        max_kept: The search ends with as many boxes; those kept so far are final.

    Returns:
        (M,) int64, ascending rows. Boxes without an area overlap nothing and stay.

    Reference:
        `torchvision.ops.nms`: IoU in float32, compared in float64.
    """
    rows, boxes = np.arange(len(boxes_xyxy)), boxes_xyxy
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])  # (N,)
    kept = []
    while len(rows) and len(kept) < max_kept:
        kept.append(rows[0])
        first, area = boxes[0], areas[0]
        rows, boxes, areas = rows[1:], boxes[1:], areas[1:]
        sides = np.minimum(boxes[:, 2:], first[2:]) - np.maximum(boxes[:, :2], first[:2])  # (N', 2)
        shared = sides[:, 0].clip(0) * sides[:, 1].clip(0)
        with np.errstate(invalid="ignore"):  # 0 / 0, where two boxes have no area: NaN is above no threshold
            ious = (shared / (area + areas - shared)).astype(np.float64)
        if (overlaps := ious > iou_threshold).any():
            rows, boxes, areas = rows[~overlaps], boxes[~overlaps], areas[~overlaps]
    return np.array(kept, np.int64)


def vote(boxes_xyxy: np.ndarray, scores: np.ndarray, kept: np.ndarray, min_iou: float) -> np.ndarray:
    """Return each kept box as the mean of those that overlap it, weighted by the squares of their scores (box voting).

    Args:
        boxes_xyxy: (N, 4) float32, of one class.
        scores: (N,) float32 in [0, 1].
        kept: (M,) int, the rows that the suppression has left.
        min_iou: Boxes with this IoU and more vote; in [0, 1]. 1: the boxes stay as they are.

    Returns:
        (M, 4) float32.

    Reference:
        Gidaris and Komodakis, "Object detection via a multi-region and semantic segmentation-aware CNN model", ICCV
        2015, section 3.3, there with the scores themselves as weights.
    """
    if min_iou >= 1:
        return boxes_xyxy[kept]
    has_vote = box_iou(boxes_xyxy[kept], boxes_xyxy) >= min_iou  # (M, N)
    has_vote &= scores >= np.float32(MIN_VOTER_SHARE) * scores[kept, None]
    has_vote[np.arange(len(kept)), kept] = True  # also a box without an area
    weights = has_vote * np.maximum(scores.astype(np.float64) ** 2, MIN_VOTE)
    return (weights @ boxes_xyxy / weights.sum(axis=1, keepdims=True)).astype(np.float32)
