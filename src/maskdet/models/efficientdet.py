"""EfficientDet behind the project's own conventions. The only module that knows effdet.

effdet wants training boxes as yxyx and class labels from 1; everybody else here speaks xyxy and 0-based class
indices. Both are turned around in this file and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import timm
import torch
from effdet import EfficientDet, get_efficientdet_config
from effdet.anchors import Anchors, decode_box_outputs
from effdet.config import set_config_readonly, set_config_writeable
from effdet.config.model_config import efficientdet_model_param_dict
from effdet.efficientdet import Interpolate2d, ResampleFeatureMap
from effdet.helpers import load_pretrained
from effdet.object_detection import BoxList, FasterRcnnBoxCoder
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image

from maskdet.models.assignment import BACKGROUND, match_atss, match_by_iou
from maskdet.models.imagenet import load_imagenet_weights
from maskdet.models.losses import BOX_LOSSES, CLASS_LOSSES, IOU_LOSSES, focal_loss, quality_focal_loss
from maskdet.nms import MIN_VOTE, MIN_VOTER_SHARE

PRETRAINED = ("imagenet", "hub", "none")
"""Where weights come from; anything else is `reference` or the path of a file that a training wrote."""

NORMALIZATIONS = ("backbone", "unit")
ASSIGNMENTS = ("iou", "atss")


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
            `none` (random), `reference` (the detector that ships), or the path of a detector's `weights.safetensors`:
            tensors that fit are taken, so that heads for other classes or anchors start afresh.
        anchors: `scale` (side of the smallest anchor in strides), `num_scales` (per octave), `aspect_ratios`
            (width / height), `assignment` (`iou` or `atss`), `match_iou_threshold` (of `iou`: an anchor with this IoU
            is positive), `atss_candidates` (of `atss`: cells a level that each face considers).
        loss: `class_loss` (`focal` or `quality_focal`), `focal_alpha` (of `focal`), `focal_gamma`, `label_smoothing`
            (of `focal`), `box_loss` (`huber` on codes, or `giou`, `diou`, `ciou` on decoded boxes), `box_weight`,
            `huber_delta` (of `huber`).
        detect: `score_threshold`, `nms_iou_threshold`, `max_candidates` (before suppression), `max_detections`, and
            `box_voting_iou` (1 if absent), as `maskdet.inference.metadata.DetectOptions` explains them.
        normalization: `backbone` (mean and SD that the backbone was pretrained with) or `unit` (image / 255).
        frozen_norms: Prefixes of module names, e.g. `backbone`: batch norms below them keep their running statistics
            while training.

    Raises:
        ValueError: If the architecture, `pretrained`, a loss or an assignment is unknown, a prefix fits no batch norm,
            or no weights are at hand.
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
        frozen_norms: Sequence[str] = (),
    ) -> None:
        super().__init__()
        _check_choices(anchors, loss)
        self.network = _build_network(architecture, num_classes, pretrained)
        _apply_settings(self.network, anchors)
        self.config = self.network.config
        self.stride = 2**self.config.max_level
        self.anchor_options, self.loss_options, self.detect_options = dict(anchors), dict(loss), dict(detect)
        self.num_classes = num_classes
        self.frozen_norms = _norms_under(self.network, frozen_norms)
        self._anchors: dict[tuple, Anchors] = {}
        mean, std = _normalization(normalization, self.config.backbone_name)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1) * 255, persistent=False)
        if pretrained not in PRETRAINED:
            self._load_fitting(_detector_file(pretrained))

    def train(self, mode: bool = True) -> "EfficientDetector":
        """Set the mode of training or evaluation; frozen batch norms stay in evaluation."""
        super().train(mode)
        for module in self.frozen_norms:
            module.eval()
        return self

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
            Scalars `loss`, `loss_class`, `loss_box` (unweighted), each a sum over the batch's anchors divided by the
            number of positive ones plus one.
        """
        logits, codes = self._flat(*self(images))  # (B, A, C), (B, A, 4)
        image_hw = tuple(images.shape[-2:])
        matched = self.assign(image_hw, boxes_xyxy)  # (B, A)
        positive = matched != BACKGROUND
        chosen = [indices[indices != BACKGROUND] for indices in matched]
        truth_xyxy = torch.cat([boxes[index] for boxes, index in zip(boxes_xyxy, chosen, strict=True)])  # (P, 4)
        truth_class = torch.cat([classes[index] for classes, index in zip(class_indices, chosen, strict=True)])  # (P,)
        image_index, anchor_index = positive.nonzero(as_tuple=True)  # (P,), (P,)
        anchors_yxyx = self.anchors_for(image_hw).boxes[anchor_index]
        normalizer = positive.sum() + 1.0
        box_loss, fit = self._box_loss(codes[positive], anchors_yxyx, truth_xyxy.float())
        targets = torch.zeros_like(logits)
        targets[image_index, anchor_index, truth_class] = fit
        class_loss = self._class_loss(logits, targets).sum() / normalizer
        box_loss = box_loss.sum() / normalizer
        total = class_loss + self.loss_options["box_weight"] * box_loss
        return {"loss": total, "loss_class": class_loss, "loss_box": box_loss}

    def _box_loss(self, codes: Tensor, anchors_yxyx: Tensor, truth_xyxy: Tensor) -> tuple[Tensor, Tensor]:
        """Return (P,) losses of the boxes and (P,) targets of the scores: 1, or how well the box fits."""
        options = self.loss_options
        boxes_xyxy = decode_box_outputs(codes.clamp(-8, 8), anchors_yxyx, output_xyxy=True)  # e^8 is beyond any image
        fit = torch.ones_like(truth_xyxy[:, 0])
        if options["class_loss"] == "quality_focal":
            fit = box_iou(boxes_xyxy.detach(), truth_xyxy).diagonal()
        if options["box_loss"] in IOU_LOSSES:
            return IOU_LOSSES[options["box_loss"]](boxes_xyxy, truth_xyxy), fit
        truth_yxyx = truth_xyxy[:, [1, 0, 3, 2]]
        truth_codes = FasterRcnnBoxCoder().encode(BoxList(truth_yxyx), BoxList(anchors_yxyx))  # (P, 4)
        losses = functional.huber_loss(codes, truth_codes, reduction="none", delta=options["huber_delta"])
        return losses.mean(dim=1), fit

    def _class_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        options = self.loss_options
        if options["class_loss"] == "quality_focal":
            return quality_focal_loss(logits, targets, options["focal_gamma"])
        return focal_loss(logits, targets, options["focal_alpha"], options["focal_gamma"], options["label_smoothing"])

    def _load_fitting(self, path: Path) -> None:
        """Take the tensors of a file that have the name and shape of one of ours; say which of ours stay new."""
        try:
            stored = load_file(path)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"model.pretrained: expected a .safetensors file, got {path}: {error}") from error
        ours = self.state_dict()
        fitting = {name: tensor for name, tensor in stored.items() if name in ours and tensor.shape == ours[name].shape}
        if not any(name.startswith("network.backbone") for name in fitting):
            raise ValueError(f"model.pretrained={path}: expected weights of {self.config.name}, got none that fit")
        self.load_state_dict(fitting, strict=False)
        new = sorted(set(ours) - set(fitting))
        if new:
            print(f"{path}: {len(fitting)} tensors taken, {len(new)} start afresh: {', '.join(new[:3])} …", flush=True)

    def assign(self, image_hw: tuple[int, int], boxes_xyxy: Sequence[Tensor]) -> Tensor:
        """Decide which anchor learns which box.

        Args:
            image_hw: Height and width of the input in pixels.
            boxes_xyxy: B tensors (N_i, 4) in pixels of the input.

        Returns:
            (B, A) int64, the index of the box in its image, -1 for background.
        """
        anchors = self.anchors_for(image_hw)
        anchors_xyxy = anchors.boxes[:, [1, 0, 3, 2]]
        options = self.anchor_options
        if options["assignment"] == "iou":
            matched = [match_by_iou(anchors_xyxy, boxes, options["match_iou_threshold"]) for boxes in boxes_xyxy]
        else:
            per_cell = anchors.get_anchors_per_location()
            sizes = [height * width * per_cell for height, width in anchors.feat_sizes[anchors.min_level :]]
            candidates = options["atss_candidates"] * per_cell
            matched = [match_atss(anchors_xyxy, boxes, sizes, candidates) for boxes in boxes_xyxy]
        return torch.stack(matched)

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

    def decode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return every anchor's box and scores, before any selection.

        Args:
            images: (B, 3, H, W) RGB in [0, 255].

        Returns:
            (B, A, 4) float32 boxes, xyxy in pixels of `images`, clipped to them; (B, A, classes) scores in [0, 1].
        """
        logits, codes = self._flat(*self(images))
        height, width = images.shape[-2:]
        anchors_yxyx = self.anchors_for((height, width)).boxes  # (A, 4)
        every = codes.reshape(-1, 4), anchors_yxyx.repeat(codes.shape[0], 1)
        boxes_xyxy = decode_box_outputs(*every, output_xyxy=True).reshape(codes.shape)
        return clip_boxes_to_image(boxes_xyxy, (height, width)), logits.sigmoid()

    @torch.no_grad()
    def detect(self, images: Tensor) -> list[Detections]:
        """Return the detections of each image after suppression within each class.

        Args:
            images: (B, 3, H, W) RGB in [0, 255].

        Returns:
            B detections, best first, boxes clipped to the input.
        """
        return [self._select(*decoded) for decoded in zip(*self.decode(images), strict=True)]

    def _select(self, boxes_xyxy: Tensor, scores: Tensor) -> Detections:
        """Choose among the (A, 4) boxes and (A, C) scores of one image."""
        options = self.detect_options
        best, places = scores.flatten().topk(min(options["max_candidates"], scores.numel()))
        found = Detections(boxes_xyxy[places // self.num_classes], best, places % self.num_classes)
        likely = best >= options["score_threshold"]  # the first ones, as they are sorted
        columns = (column[likely] for column in (found.boxes_xyxy, found.scores, found.class_indices))
        keep = batched_nms(*columns, options["nms_iou_threshold"])[: options["max_detections"]]
        voted_xyxy = _vote(found, keep, options.get("box_voting_iou", 1.0))
        return Detections(voted_xyxy, best[keep], found.class_indices[keep])

    def _flat(self, class_out: list[Tensor], box_out: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Join the levels: (B, A, classes) logits and (B, A, 4) codes, anchors in the order of `anchors_for`."""
        logits, codes = (
            torch.cat([level.permute(0, 2, 3, 1).reshape(level.shape[0], -1, width) for level in levels], dim=1).float()
            for levels, width in ((class_out, self.num_classes), (box_out, 4))
        )
        return logits, codes


def _vote(found: Detections, keep: Tensor, min_iou: float) -> Tensor:
    """Return the kept boxes, (M, 4), after box voting within each class: the twin of `maskdet.nms.vote`."""
    if min_iou >= 1:
        return found.boxes_xyxy[keep]
    boxes_xyxy, scores, class_indices = found.boxes_xyxy, found.scores, found.class_indices
    has_vote = box_iou(boxes_xyxy[keep], boxes_xyxy) >= min_iou  # (M, N)
    has_vote &= (class_indices == class_indices[keep, None]) & (scores >= MIN_VOTER_SHARE * scores[keep, None])
    has_vote[torch.arange(len(keep), device=keep.device), keep] = True
    weights = has_vote * scores.square().clamp(min=MIN_VOTE)
    # No matrix product: on some GPUs its factors have three digits.
    return (weights[:, :, None] * boxes_xyxy).sum(dim=1) / weights.sum(dim=1, keepdim=True)


def _build_network(architecture: str, num_classes: int, pretrained: str) -> EfficientDet:
    """Make the network as published, fill it, and give it a class head of our own."""
    known = sorted(efficientdet_model_param_dict)
    if architecture not in known:
        raise ValueError(f"model.architecture: expected one of {known}, got {architecture!r}")
    if pretrained not in PRETRAINED and not _detector_file(pretrained).is_file():
        choices = (*PRETRAINED, "reference")
        hint = "; no model ships yet: `make release`" if pretrained == "reference" else ""
        raise ValueError(
            f"model.pretrained: expected one of {choices} or a .safetensors file, got {pretrained!r}{hint}"
        )
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


def _detector_file(pretrained: str) -> Path:
    """Return the file of a whole detector's weights: the one that ships, or the one of this path."""
    if pretrained == "reference":
        return Path(str(files("maskdet") / "reference" / "reference.safetensors"))
    return Path(pretrained)


def _check_choices(anchors: dict, loss: dict) -> None:
    for setting, value, choices in (
        ("anchors.assignment", anchors["assignment"], ASSIGNMENTS),
        ("loss.class_loss", loss["class_loss"], CLASS_LOSSES),
        ("loss.box_loss", loss["box_loss"], BOX_LOSSES),
    ):
        if value not in choices:
            raise ValueError(f"model.{setting}: expected one of {choices}, got {value!r}")


def _norms_under(network: EfficientDet, prefixes: Sequence[str]) -> list[nn.BatchNorm2d]:
    """Return the batch norms whose names begin with a prefix."""
    norms = {name: module for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in norms):
            raise ValueError(f"model.frozen_norms: expected prefixes of batch norms such as backbone, got {prefix!r}")
    return [module for name, module in norms.items() if name.startswith(tuple(prefixes))]


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


def _apply_settings(network: EfficientDet, anchors: dict) -> None:
    """Write the anchors into the network's config; a changed number of anchors renews the heads."""
    aspect_ratios, num_scales = list(anchors["aspect_ratios"]), anchors["num_scales"]
    published = network.config
    if (len(aspect_ratios), num_scales) != (len(published.aspect_ratios), published.num_scales):
        network.reset_head(published.num_classes, aspect_ratios, num_scales)
    config = network.config
    set_config_writeable(config)
    config.aspect_ratios, config.num_scales, config.anchor_scale = aspect_ratios, num_scales, anchors["scale"]
    set_config_readonly(config)
