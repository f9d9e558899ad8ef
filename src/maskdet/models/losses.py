"""What a detector with anchors is penalized for: class scores and boxes."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

IOU_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "giou": generalized_box_iou_loss,
    "diou": distance_box_iou_loss,
    "ciou": complete_box_iou_loss,
}
"""Losses of decoded boxes: each takes (P, 4) xyxy twice and gives (P,)."""

BOX_LOSSES = ("huber", *IOU_LOSSES)
CLASS_LOSSES = ("focal", "quality_focal")


def focal_loss(logits: Tensor, targets: Tensor, alpha: float, gamma: float, label_smoothing: float) -> Tensor:
    """Return the focal loss of each score.

    torchvision's has no label smoothing; here, as in EfficientDet, easy and hard are told apart before smoothing.

    Args:
        logits: Any shape.
        targets: Of the same shape, 0 or 1.
        alpha: Weight of positives, in [0, 1]; negatives have 1 - alpha.
        gamma: How much less easy examples count; 0: not at all.
        label_smoothing: Share in [0, 1) by which targets move towards 0.5.

    Reference:
        Lin et al. (2017), Focal Loss for Dense Object Detection, equation 5.
    """
    scores = logits.sigmoid()
    error = (targets - scores).abs()
    weight = torch.where(targets > 0, alpha, 1 - alpha)
    smoothed = targets * (1 - label_smoothing) + 0.5 * label_smoothing
    return weight * error**gamma * functional.binary_cross_entropy_with_logits(logits, smoothed, reduction="none")


def quality_focal_loss(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """Return the focal loss against soft targets, so that a score also says how well the box fits.

    Args:
        logits: Any shape.
        targets: Of the same shape, in [0, 1]: for the right class the IoU of the predicted box with its truth, else 0.
        gamma: How much less scores near their target count.

    Reference:
        Li et al. (2020), Generalized Focal Loss, equation 3.
    """
    error = (targets - logits.sigmoid()).abs()
    return error**gamma * functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
