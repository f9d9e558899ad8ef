"""Eight-bit weights and activations by NNCF's post-training quantization."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from maskdet.models.export.onnx_file import save_graph
from maskdet.telemetry import forbid_openvino_telemetry

_CONVOLUTION = "Conv"


def quantize_onnx(
    source: Path, path: Path, inputs: Sequence[np.ndarray], per_channel: bool, properties: Mapping[str, str]
) -> None:
    """Write an ONNX file whose convolutions are calculated in integers of eight bits.

    Activations are quantized asymmetrically, and what follows the last convolutions not at all: boxes are numbers up
    to the size of the input, for which 256 steps are too few.

    Args:
        source: A file of `detector_onnx` of single precision.
        path: The file, complete when it appears.
        inputs: N ≥ 1 of (1, 3, S, S) uint8, framed as for prediction: the ranges of activations are measured on them.
            Asked for one at a time, several times.
        per_channel: Whether activations before depthwise convolutions have a range for each channel: more exact, for
            OpenVINO; ONNX Runtime refuses such files.
        properties: The file's metadata; what NNCF notes of its own settings is left out.

    Raises:
        ValueError: If there are no inputs.
    """
    if not len(inputs):
        raise ValueError("expected images to calibrate on, got none")
    forbid_openvino_telemetry()
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # NNCF makes it say that there is no GPU
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters

    nncf.set_log_level(logging.ERROR)  # a line for each node that is left alone
    model = onnx.load(source)
    quantized = nncf.quantize(
        model,
        nncf.Dataset(range(len(inputs)), lambda index: {model.graph.input[0].name: inputs[index]}),
        subset_size=len(inputs),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(names=names_after_convolutions(model)),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_quantization_params=None if per_channel else QuantizationParameters(per_channel=False)
        ),
    )
    save_graph(quantized, path, properties)


def names_after_convolutions(model: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes from which no way leads to a convolution, in the order of the graph."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for value in node.input:
            readers.setdefault(value, []).append(node)
    before: set[str] = set()  # nodes that a convolution comes after
    for node in reversed(model.graph.node):  # readers come first
        following = [reader for value in node.output for reader in readers.get(value, [])]
        if any(reader.op_type == _CONVOLUTION or reader.name in before for reader in following):
            before.add(node.name)
    return [node.name for node in model.graph.node if node.op_type != _CONVOLUTION and node.name not in before]
