"""Batch norms vanish into convolutions, and the numbers stay."""

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
from onnx import parser

from exported_model import released
from maskdet.models.export.norm_folding import fold_norms

SHARED = """
<ir_version: 10, opset_import: ["" : 20]>
levels (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] fine, float[1, 2, 2, 2] coarse, float[1, 2, 4, 4] bare)
<float[2, 2, 1, 1] w = {1, 2, 3, 4}, float[2] b = {0.5, -0.5}, float[2, 2, 1, 1] v = {4, 3, 2, 1},
 float[2] g = {2, 3}, float[2] m = {0.1, 0.2}, float[2] s = {1.5, 0.5}, float[2] t = {-1, 1}>
{
    half = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(x)
    a = Conv(x, w, b)
    fine = BatchNormalization(a, g, t, m, s)
    c = Conv(half, w, b)
    coarse = BatchNormalization(c, t, g, m, s)
    bare = Conv(x, v, b)
}
"""


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4)).astype(np.float32)
    return session.run(None, {"x": x})


@pytest.mark.parametrize("text", [SHARED, SHARED.replace("Conv(x, v, b)", "Conv(x, v)")], ids=["bias", "no bias"])
def test_convolutions_that_share_weights_keep_their_own_norms(text):
    model = parser.parse_model(text)
    folded = onnx_ir.to_proto(fold_norms(onnx_ir.from_proto(model)))
    onnx.checker.check_model(folded, full_check=True)
    assert {node.op_type for node in folded.graph.node} == {"Conv", "MaxPool"}
    for before, after in zip(outputs(model), outputs(folded), strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-5)


def test_an_exported_detector_has_no_norm_left():
    assert not any(node.op_type == "BatchNormalization" for node in onnx.load(released().onnx_path).graph.node)
