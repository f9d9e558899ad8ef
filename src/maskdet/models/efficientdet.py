"""EfficientDet behind the project's own conventions. The only module that knows effdet.

effdet wants training boxes as yxyx and class labels from 1; everybody else here speaks xyxy and 0-based class
indices. Both are turned around in this file and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import timm
import torch
from effdet import EfficientDet, get_efficientdet_config
from effdet.anchors import AnchorLabeler, Anchors, decode_box_outputs
from effdet.bench import _post_process
from effdet.config import set_config_readonly, set_config_writeable
from effdet.config.model_config import efficientdet_model_param_dict
from effdet.efficientdet import Interpolate2d, ResampleFeatureMap
from effdet.helpers import load_pretrained
from effdet.loss import DetectionLoss
from torch import Tensor, nn
from torchvision.ops import batched_nms, clip_boxes_to_image

from maskdet.models.imagenet import load_imagenet_weights

PRETRAINED = ("imagenet", "hub", "none")
NORMALIZATIONS = ("backbone", "unit")


@dataclass(frozen=True)
class Detections:
    """What a network found in one image, best first.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the network's input.
        scores: (N,) float32 in [0, 1].
        class_indices: (N,) int64, 0-based.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    class_indices: Tensor


class EfficientDetector(nn.Module):
    """An EfficientDet of effdet with its anchors, losses and suppression.

    It is fully convolutional: it may be trained on one input size and used on another; anchors are made for each
    size that comes. Sizes are multiples of `stride`, that of the coarsest feature level: 128 px, for d7x 256.

    Args:
        architecture: A name that effdet knows, e.g. `tf_efficientdet_lite0`.
        num_classes: Number of classes.
        pretrained: `imagenet` (backbone, from installed packages), `hub` (EfficientDet trained on COCO, downloaded),
            `none` (random).
        anchors: `scale` (side of the smallest anchor in strides), `num_scales` (per octave), `aspect_ratios`
            (width / height), `match_iou_threshold` (an anchor with this IoU is positive).
        loss: `focal_alpha`, `focal_gamma`, `label_smoothing`, `box_weight`, `huber_delta`.
        detect: `score_threshold`, `nms_iou_threshold`, `max_candidates` (before suppression), `max_detections`.
        normalization: `backbone` (mean and SD that the backbone was pretrained with) or `unit` (image / 255).

    Raises:
        ValueError: If the architecture or `pretrained` is unknown, or no weights are at hand.
    """

    def __init__(
        self,
        architecture: str,
        num_classes: int,
        pretrained: str,
        anchors: dict,
        loss: dict,
        detect: dict,
        normalization: str = "backbone",
    ) -> None:
        super().__init__()
        self.network = _build_network(architecture, num_classes, pretrained)
        _apply_settings(self.network, anchors, loss)
        self.config = self.network.config
        self.stride = 2**self.config.max_level
        self.match_iou_threshold = anchors["match_iou_threshold"]
        self.detect_options = dict(detect)
        self.num_classes = num_classes
        self.criterion = DetectionLoss(self.config)
        self._anchors: dict[tuple, Anchors] = {}
        mean, std = _normalization(normalization, self.config.backbone_name)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return class logits and box codes of every level.

        Args:
            images: (B, 3, H, W) uint8 or float RGB in [0, 255], H and W multiples of `stride`.

        Returns:
            Two lists over the levels: (B, A * classes, h, w) logits and (B, A * 4, h, w) codes.

        Raises:
            ValueError: If H or W is no multiple of `stride`.
        """
        height, width = images.shape[-2:]
        if height % self.stride or width % self.stride:
            raise ValueError(f"expected image sides that are multiples of {self.stride}, got {height}x{width}")
        normalized = (images.float() - self.mean) / self.std
        return self.network(normalized.contiguous(memory_format=torch.channels_last))

    def loss(self, images: Tensor, boxes_xyxy: Sequence[Tensor], class_indices: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the training losses of a batch.

        Args:
            images: (B, 3, H, W) RGB in [0, 255].
            boxes_xyxy: B tensors (N_i, 4) in pixels of `images`; N_i may be 0.
            class_indices: B tensors (N_i,) int64, 0-based.

        Returns:
            Scalars `loss`, `loss_class`, `loss_box` (unweighted).
        """
        class_out, box_out = self(images)
        targets = self.anchor_targets(tuple(images.shape[-2:]), boxes_xyxy, class_indices)
        total, class_loss, box_loss = self.criterion(class_out, box_out, *targets)
        return {"loss": total, "loss_class": class_loss, "loss_box": box_loss}

    def anchor_targets(
        self, image_hw: tuple[int, int], boxes_xyxy: Sequence[Tensor], class_indices: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Assign boxes to anchors.

        Returns:
            Over the levels: (B, h, w, A) int64 class indices, 0-based, -1 for background, and (B, h, w, A * 4)
            codes; and (B,) numbers of positive anchors.
        """
        labeler = AnchorLabeler(self.anchors_for(image_hw), self.num_classes, self.match_iou_threshold)
        boxes_yxyx = [boxes[:, [1, 0, 3, 2]].float() for boxes in boxes_xyxy]
        labels = [indices.float() + 1 for indices in class_indices]
        return labeler.batch_label_anchors(boxes_yxyx, labels)

    def anchors_for(self, image_hw: tuple[int, int]) -> Anchors:
        """Return effdet's anchors (yxyx, pixels) for an input size; made once a size and device."""
        key = (*image_hw, self.mean.device)
        if key not in self._anchors:
            config = self.config
            made = Anchors(
                config.min_level,
                config.max_level,
                config.num_scales,
                list(config.aspect_ratios),
                config.anchor_scale,
                image_hw,
            )
            self._anchors[key] = made.to(self.mean.device)
        return self._anchors[key]

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections of each image after suppression within each class.

        Args:
            images: (B, 3, H, W) RGB in [0, 255].

        Returns:
            B detections, best first, boxes clipped to the input.
        """
        class_out, box_out = self(images)
        image_hw = tuple(images.shape[-2:])
        anchors = self.anchors_for(image_hw).boxes  # (A, 4) yxyx
        num_candidates = min(self.detect_options["max_candidates"], len(anchors) * self.num_classes)
        logits, codes, anchor_indices, class_indices = _post_process(
            class_out, box_out, self.config.num_levels, self.num_classes, num_candidates
        )  # (B, K, 1), (B, K, 4), (B, K), (B, K)
        scores = logits.float().sigmoid().squeeze(-1)  # (B, K)
        return [
            self._suppress(codes[i].float(), anchors[anchor_indices[i]], scores[i], class_indices[i], image_hw)
            for i in range(len(images))
        ]

    def _suppress(
        self, codes: Tensor, anchors_yxyx: Tensor, scores: Tensor, class_indices: Tensor, image_hw: tuple[int, int]
    ) -> Detections:
        options = self.detect_options
        likely = scores >= options["score_threshold"]
        boxes_xyxy = decode_box_outputs(codes[likely], anchors_yxyx[likely], output_xyxy=True)
        boxes_xyxy = clip_boxes_to_image(boxes_xyxy, image_hw)  # (K', 4)
        scores, class_indices = scores[likely], class_indices[likely]
        keep = batched_nms(boxes_xyxy, scores, class_indices, options["nms_iou_threshold"])[: options["max_detections"]]
        return Detections(boxes_xyxy[keep], scores[keep], class_indices[keep])


def _build_network(architecture: str, num_classes: int, pretrained: str) -> EfficientDet:
    """Make the network as published, fill it, and give it a class head of our own."""
    known = sorted(efficientdet_model_param_dict)
    if architecture not in known:
        raise ValueError(f"model.architecture: expected one of {known}, got {architecture!r}")
    if pretrained not in PRETRAINED:
        raise ValueError(f"model.pretrained: expected one of {PRETRAINED}, got {pretrained!r}")
    config = get_efficientdet_config(architecture)
    config.image_size = (4 * 2**config.max_level,) * 2  # any multiple of the stride: each level halves the one below
    network = EfficientDet(config, pretrained_backbone=False)
    _free_of_input_size(network)
    if pretrained == "imagenet":
        load_imagenet_weights(network.backbone, network.config.backbone_name)
    elif pretrained == "hub":
        _load_from_hub(network)
    network.reset_head(num_classes=num_classes)
    return network


def _normalization(name: str, backbone_name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and SD of each channel, for images in [0, 1]."""
    if name not in NORMALIZATIONS:
        raise ValueError(f"model.normalization: expected one of {NORMALIZATIONS}, got {name!r}")
    if name == "unit":
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    published = timm.get_pretrained_cfg(backbone_name)
    return published.mean, published.std


def _free_of_input_size(network: EfficientDet) -> None:
    """Let the pyramid scale its maps by factors; effdet would resize them to the sizes of one input."""
    for resample in (module for module in network.modules() if isinstance(module, ResampleFeatureMap)):
        for module in resample.children():
            if isinstance(module, Interpolate2d):
                module.size, module.scale_factor = None, resample.output_size[0] / resample.input_size[0]


def _load_from_hub(network: EfficientDet) -> None:
    if not network.config.url:
        raise ValueError(
            f"model.pretrained=hub: expected an architecture with published weights, got {network.config.name!r}; "
            "most names that begin with tf_ have them"
        )
    try:
        load_pretrained(network, network.config.url)
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"model.pretrained=hub: expected to download {network.config.url}, got {error}; "
            "without a network use model.pretrained=imagenet or none"
        ) from error


def _apply_settings(network: EfficientDet, anchors: dict, loss: dict) -> None:
    """Write anchors and losses into the network's config; a changed number of anchors renews the heads."""
    aspect_ratios, num_scales = list(anchors["aspect_ratios"]), anchors["num_scales"]
    published = network.config
    if (len(aspect_ratios), num_scales) != (len(published.aspect_ratios), published.num_scales):
        network.reset_head(published.num_classes, aspect_ratios, num_scales)
    config = network.config
    set_config_writeable(config)
    config.aspect_ratios, config.num_scales, config.anchor_scale = aspect_ratios, num_scales, anchors["scale"]
    config.alpha, config.gamma = loss["focal_alpha"], loss["focal_gamma"]
    config.label_smoothing = loss["label_smoothing"]
    config.box_loss_weight, config.delta = loss["box_weight"], loss["huber_delta"]
    set_config_readonly(config)
