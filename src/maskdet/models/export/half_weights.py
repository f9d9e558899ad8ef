"""Half-precision weights in an ONNX file: half the size, at the speed and with the operators of the full file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from maskdet.models.export.onnx_file import save_graph

_CONVOLUTION_RANK = 4  # (out, in, height, width); what has another rank is small, or anchors, which need every digit


def halve_weights(source: Path, path: Path, properties: Mapping[str, str]) -> None:
    """Write an ONNX file whose convolutions have half-precision weights, turned back to full precision where used.

    Calculations stay in full precision, as in OpenVINO's files with compressed weights: processors have no
    half-precision convolutions, so that a graph calculated in halves is several times slower on them, and a runtime
    that has them, e.g. TensorRT, is asked for them by a setting of its own. ONNX Runtime turns the weights back once,
    when it loads the file.

    Args:
        source: A file of `detector_onnx`.
        path: The file, complete when it appears.
        properties: Its metadata.

    Raises:
        ValueError: If a weight is too large for half precision, 65,504; nothing is written then.
    """
    model = onnx.load(source)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == _CONVOLUTION_RANK:
            name, half_name = tensor.name, f"{tensor.name}.half"
            tensor.CopyFrom(numpy_helper.from_array(_halved(tensor), half_name))
            casts.append(helper.make_node("Cast", [half_name], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    save_graph(model, path, properties)


def _halved(tensor: TensorProto) -> np.ndarray:
    values = numpy_helper.to_array(tensor)
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ValueError(f"{tensor.name}: expected finite weights up to 65504, got one up to {np.abs(values).max()}")
    return halves
