"""Non-maximum suppression in numpy: of boxes on one object the best stays.

Why own code: OpenCV's `NMSBoxesBatched` decides some pairs near the threshold otherwise than torchvision, as it moves
classes apart by offsets that cost digits, and is slower than the loop below; supervision's `box_non_max_suppression`
is exact, but fills an (N, N) matrix, takes thirty times as long for 5,000 candidates and seconds to import; and
torchvision's needs torch. The loop ends at `max_kept`: what comes after would be cut off anyway.
"""

import numpy as np


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
