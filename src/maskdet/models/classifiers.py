"""Classifiers of face crops: pixels in, a logit a class out. Rescaling, grey and the input size lie inside the network.

A classifier is a base, which turns a crop into features, and a head, which turns features into logits: where the base
is frozen its features can be computed once and the head trained on them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from maskdet.atomic import atomic_file
from maskdet.models.imagenet import available_backbones, load_imagenet_weights
from maskdet.models.mobilenet_weights import INPUT_MEAN, INPUT_STD, TIMM_OPTIONS, load_mobilenet_weights
from maskdet.schema import CLASS_NAMES

SEQUENTIAL_CNN, MOBILENET = "sequential_cnn", "mobilenetv2_100"

PRETRAINED = ("imagenet", "hub", "none")
"""Where a base's weights come from: installed packages, timm's hub (downloads), nowhere."""

FROZEN = ("nothing", "norms", "base")
"""What of a base stays as it came: nothing, the running statistics of its batch norms, all of it."""

WEIGHTS_FILE = "weights.safetensors"

_LUMINANCE = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey, ITU-R BT.601."""


class SequentialCnn(nn.Sequential):
    """Convolutions of 3 x 3 with ReLU and 2 x 2 max-pooling, one after the other, then a flat list of features.

    Args:
        in_channels: 1 for grey, 3 for colour.
        size: Side of the input in pixels; each layer halves it.
        widths: Channels of the layers.

    Raises:
        ValueError: If the input is too small for so many layers.
    """

    def __init__(self, in_channels: int, size: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        side = size >> len(widths)
        if side < 1:
            raise ValueError(f"size: expected at least {1 << len(widths)} px for {len(widths)} layers, got {size}")
        layers, channels = [], in_channels
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            channels = width
        super().__init__(*layers, nn.Flatten())
        self.num_features = channels * side * side


class CropClassifier(nn.Module):
    """Says of square pictures of faces how likely each class is.

    Args:
        architecture: `sequential_cnn`, or any name of timm: its pooled features are used.
        size: Side in pixels that crops are resized to.
        class_names: The classes, in the order of the logits.
        pretrained: `imagenet` (from installed packages: `mobilenetv2_100`, `tf_efficientnet_lite0…2`), `hub` (timm
            downloads), `none` (random).
        is_grey: Look at the luminance alone. A network of timm gets it three times, so that its weights fit.
        hidden: Width of a dense layer with ReLU before the logits; 0: none.
        dropout: Share of the features, or of the dense layer's outputs, that is dropped while training.
        frozen: One of `FROZEN`.
        average_mirrored: `predict_probabilities` averages each crop with its mirror image, at twice the time.
        load_pretrained: False leaves the base random, for weights that are loaded afterwards.

    Attributes:
        class_names: (C,) names.
        num_features: F, what the head gets.

    Raises:
        FileNotFoundError: If the package with the weights is missing.
        ValueError: If a choice or the architecture is unknown.
    """

    def __init__(
        self,
        architecture: str,
        size: int,
        class_names: Sequence[str] = CLASS_NAMES,
        pretrained: str = "none",
        is_grey: bool = False,
        hidden: int = 0,
        dropout: float = 0.0,
        frozen: str = "nothing",
        average_mirrored: bool = False,
        load_pretrained: bool = True,
    ) -> None:
        super().__init__()
        self.settings = {
            "architecture": architecture,
            "size": size,
            "class_names": list(class_names),
            "pretrained": pretrained,
            "is_grey": is_grey,
            "hidden": hidden,
            "dropout": dropout,
            "frozen": frozen,
            "average_mirrored": average_mirrored,
        }
        _check_choices(pretrained, frozen, size, dropout)
        self.class_names, self.size, self.frozen = tuple(class_names), size, frozen
        self.is_grey, self.average_mirrored = is_grey, average_mirrored
        self.in_channels = 1 if is_grey and architecture == SEQUENTIAL_CNN else 3
        self.base, mean, std = _build_base(architecture, size, pretrained, self.in_channels, load_pretrained)
        self.num_features = getattr(self.base, "head_hidden_size", self.base.num_features)
        self.head = _build_head(self.num_features, hidden, dropout, len(self.class_names))
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1) * 255)  # of inputs in 0..255
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1) * 255)
        if frozen == "base":
            self.base.requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # about twice as fast on a CPU

    def train(self, mode: bool = True) -> "CropClassifier":
        """Set the mode of training or evaluation; what is frozen stays in evaluation."""
        super().train(mode)
        if self.frozen == "base":
            self.base.eval()
        elif self.frozen == "norms":
            for module in self.base.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, crops: Tensor) -> Tensor:
        """Return (N, C) logits of (N, 3, S, S) crops, uint8 or float RGB in [0, 255], of any side S."""
        return self.head(self.features(crops))

    def features(self, crops: Tensor) -> Tensor:
        """Return what the head gets, (N, F), of (N, 3, S, S) crops as in `forward`."""
        return self.base(self._prepare(crops))

    def _prepare(self, crops: Tensor) -> Tensor:
        """Resize, take the luminance if that is wanted, scale: (N, 3 or 1, size, size) float32."""
        pixels = crops.float()
        if pixels.shape[-2:] != (self.size, self.size):
            pixels = functional.interpolate(pixels, size=(self.size, self.size), mode="bilinear", antialias=True)
        if self.is_grey:
            shares = pixels.new_tensor(_LUMINANCE).view(1, 3, 1, 1)
            pixels = (pixels * shares).sum(1, keepdim=True).expand(-1, self.in_channels, -1, -1)
        return ((pixels - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def predict_probabilities(self, crops: np.ndarray, batch_size: int = 64) -> np.ndarray:
        """Classify crops in evaluation mode; the mode that was set stays set.

        Args:
            crops: (N, S, S, 3) uint8 RGB; N may be 0.
            batch_size: Crops at once; no result depends on it beyond rounding.

        Returns:
            (N, C) float32, rows sum to 1.

        Raises:
            ValueError: If the array has another shape or type.
        """
        if crops.ndim != 4 or crops.shape[3] != 3 or crops.dtype != np.uint8:
            raise ValueError(f"expected crops (N, S, S, 3) of uint8, got {crops.shape} of {crops.dtype}")
        was_training = self.training
        self.eval()
        try:
            found = [self._probabilities(crops[i : i + batch_size]) for i in range(0, len(crops), batch_size)]
        finally:
            self.train(was_training)
        return np.concatenate([np.empty((0, len(self.class_names)), np.float32), *found])

    def _probabilities(self, crops: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(np.array(crops)).to(self.mean.device).permute(0, 3, 1, 2)  # (n, 3, S, S)
        probabilities = self(pixels).softmax(1)
        if self.average_mirrored:
            probabilities = (probabilities + self(pixels.flip(3)).softmax(1)) / 2
        return probabilities.cpu().numpy()


def save_classifier(classifier: CropClassifier, path: Path, facts: dict | None = None) -> None:
    """Write a classifier's tensors, and beside them, as `.json`, what rebuilds it.

    Args:
        classifier: Any device, any mode.
        path: `….safetensors`, or a folder, which then gets `weights.safetensors`.
        facts: Plain values to keep in the JSON too, e.g. how it was trained.
    """
    path = _weights_path(path)
    with atomic_file(path) as temporary:
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
        save_file(state, temporary)
    with atomic_file(path.with_suffix(".json")) as temporary:
        settings = {"model": classifier.settings, **(facts or {})}
        temporary.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def load_classifier(path: Path) -> CropClassifier:
    """Return a trained classifier in evaluation mode, on the CPU; nothing is downloaded, no package of weights needed.

    Args:
        path: As given to `save_classifier`.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If a file cannot be read, or the tensors do not fit the settings.
    """
    path = _weights_path(path)
    if not path.is_file() or not path.with_suffix(".json").is_file():
        raise FileNotFoundError(f"{path}: expected a classifier's weights and its .json, found none; run `classify`")
    try:
        settings = json.loads(path.with_suffix(".json").read_text())["model"]
    except (json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path.with_suffix('.json')}: expected JSON with the key 'model', got {error!r}") from error
    classifier = CropClassifier(**settings, load_pretrained=False)
    try:
        classifier.load_state_dict(load_file(path))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise ValueError(f"{path}: expected weights for {settings['architecture']}, got {error}") from error
    return classifier.eval()


def _weights_path(path: Path) -> Path:
    return Path(path) if Path(path).suffix == ".safetensors" else Path(path) / WEIGHTS_FILE


def _check_choices(pretrained: str, frozen: str, size: int, dropout: float) -> None:
    for name, value, known in (("pretrained", pretrained, PRETRAINED), ("frozen", frozen, FROZEN)):
        if value not in known:
            raise ValueError(f"classifier.model.{name}: expected one of {known}, got {value!r}")
    if size < 1:
        raise ValueError(f"classifier.model.size: expected at least 1 px, got {size}")
    if not 0 <= dropout < 1:
        raise ValueError(f"classifier.model.dropout: expected a share in [0, 1), got {dropout}")


def _build_head(num_features: int, hidden: int, dropout: float, num_classes: int) -> nn.Sequential:
    if not hidden:
        return nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, num_classes))
    dense = [nn.Linear(num_features, hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*dense, nn.Dropout(dropout), nn.Linear(hidden, num_classes))


def _build_base(
    architecture: str, size: int, pretrained: str, in_channels: int, load_pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    """Return a network whose outputs are features, and the mean and SD of the inputs in [0, 1] that it expects."""
    if architecture == SEQUENTIAL_CNN:
        if pretrained != "none":
            raise ValueError(f"classifier.model.pretrained: expected 'none' for {architecture}, got {pretrained!r}")
        return SequentialCnn(in_channels, size), (0.0,) * in_channels, (1.0,) * in_channels
    if not timm.is_model(architecture):
        raise ValueError(
            f"classifier.model.architecture: expected {SEQUENTIAL_CNN!r} or a name of timm, got {architecture!r}; "
            f"close ones are {timm.list_models(f'*{architecture}*')[:5]}"
        )
    if pretrained == "imagenet" and architecture == MOBILENET:
        network = timm.create_model(architecture, num_classes=0, **TIMM_OPTIONS)
        if load_pretrained:
            load_mobilenet_weights(network)
        return network, INPUT_MEAN, INPUT_STD
    return _timm_base(architecture, size, pretrained, load_pretrained)


def _timm_base(
    architecture: str, size: int, pretrained: str, load_pretrained: bool
) -> tuple[nn.Module, Sequence[float], Sequence[float]]:
    if pretrained == "imagenet" and architecture not in available_backbones():
        raise ValueError(
            f"classifier.model.pretrained=imagenet: expected an architecture whose weights a package carries "
            f"{[MOBILENET, *available_backbones()]}, got {architecture!r}; use pretrained=hub (needs a network) or none"
        )
    from_hub = load_pretrained and pretrained == "hub"
    known = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    options = {"img_size": size} if known is not None and known.fixed_input_size else {}  # e.g. of transformers
    try:
        network = timm.create_model(architecture, num_classes=0, pretrained=from_hub, **options)
    except (OSError, RuntimeError, AssertionError, TypeError) as error:
        source = "weights from timm's hub" if from_hub else f"a network for {size} px"
        raise ValueError(f"classifier.model.architecture={architecture}: expected {source}, got {error}") from error
    if load_pretrained and pretrained == "imagenet":
        load_imagenet_weights(network, architecture)
    scaling = timm.data.resolve_model_data_config(network)
    return network, scaling["mean"], scaling["std"]
