"""Half-precision and eight-bit files: how far they are from the full file, and what runs them."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from exported_model import SIZE, released, scene_images
from maskdet.data.framing import Letterbox
from maskdet.inference.runtime import open_runtime
from maskdet.models.export.detector_onnx import largest_differences
from maskdet.models.export.half_weights import halve_weights
from maskdet.models.export.openvino import convert_to_openvino
from maskdet.models.export.quantization import names_after_convolutions, quantize_onnx


@pytest.fixture(scope="module")
def properties():
    return {entry.key: entry.value for entry in onnx.load(released().onnx_path).metadata_props}


@pytest.fixture(scope="module")
def inputs():
    framed = [Letterbox(SIZE).frame(image.shape[1::-1]).apply(image) for image in scene_images(3)]
    return [np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]) for pixels in framed]


@pytest.fixture(scope="module")
def halved(tmp_path_factory, properties):
    path = tmp_path_factory.mktemp("halves") / "half.onnx"
    halve_weights(released().onnx_path, path, properties)
    return path


def test_halves_are_the_nearest_and_half_the_size(halved):
    full = {tensor.name: tensor for tensor in onnx.load(released().onnx_path).graph.initializer}
    for tensor in onnx.load(halved).graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            wanted = numpy_helper.to_array(full[tensor.name.removesuffix(".half")])
            np.testing.assert_array_equal(numpy_helper.to_array(tensor), wanted.astype(np.float16))
        else:
            assert tensor == full[tensor.name]
            assert len(tensor.dims) != 4
    assert halved.stat().st_size < 0.6 * released().onnx_path.stat().st_size


def test_halves_move_boxes_by_less_than_a_pixel(halved, inputs):
    differences = largest_differences(released().detector, halved, np.concatenate(inputs))
    assert 0 < differences.score < 0.02
    assert 0 < differences.box_px < 1


def test_a_weight_that_half_precision_cannot_hold_is_refused(tmp_path, properties):
    model = onnx.load(released().onnx_path)
    name = next(tensor.name for tensor in model.graph.initializer if len(tensor.dims) == 4)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(1e5), name))
    onnx.save(model, tmp_path / "large.onnx")
    with pytest.raises(ValueError, match=rf"{name}: expected finite weights up to 65504"):
        halve_weights(tmp_path / "large.onnx", tmp_path / "half.onnx", properties)
    assert not (tmp_path / "half.onnx").exists()


@pytest.mark.parametrize("source", ["full", "half"])
def test_openvino_says_what_onnx_runtime_says(source, halved, inputs, properties, tmp_path):
    graph = released().onnx_path if source == "full" else halved
    convert_to_openvino(graph, tmp_path / "model.xml", properties)
    ours, theirs = open_runtime(graph), open_runtime(tmp_path / "model.xml")
    assert ours.metadata == theirs.metadata
    for pixels in (inputs[0], np.concatenate(inputs)):
        for a, b in zip(ours.run(pixels), theirs.run(pixels), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
    size = (tmp_path / "model.bin").stat().st_size
    assert size / graph.stat().st_size == pytest.approx(1, abs=0.1)  # halves stay halves
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    for path in tmp_path.iterdir():
        assert str(graph.parent).encode() not in path.read_bytes()


def test_what_follows_the_last_convolutions_is_known():
    model = onnx.load(released().onnx_path)
    after = set(names_after_convolutions(model))
    kinds = {node.op_type for node in model.graph.node if node.name in after}
    assert {"Sigmoid", "Exp", "Concat", "Transpose"} <= kinds
    assert not kinds & {"Conv", "MaxPool", "Resize", "Pad"}
    # Nothing between the input and the first convolution is among them.
    assert not {node.name for node in model.graph.node if "images" in node.input} & after - {
        node.name for node in model.graph.node if node.op_type == "Shape"
    }


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, inputs, properties):
    folder = tmp_path_factory.mktemp("integers")
    for name, per_channel in (("onnx", False), ("openvino", True)):
        quantize_onnx(released().onnx_path, folder / f"{name}.onnx", inputs, per_channel, properties)
    convert_to_openvino(folder / "openvino.onnx", folder / "openvino.xml", properties)
    return folder


@pytest.mark.parametrize("name", ["onnx.onnx", "openvino.xml"])
def test_integers_stay_near_the_full_file(name, quantized, inputs):
    full, runtime = open_runtime(released().onnx_path), open_runtime(quantized / name)
    assert runtime.metadata == full.metadata
    for pixels in inputs:
        (_, wanted), (_, scores) = full.run(pixels), runtime.run(pixels)
        assert np.corrcoef(wanted.ravel(), scores.ravel())[0, 1] > 0.95
        assert np.abs(wanted - scores).mean() < 0.05


def test_convolutions_are_calculated_in_integers_and_boxes_are_not(quantized):
    model = onnx.load(quantized / "onnx.onnx")
    maker = {value: node for node in model.graph.node for value in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert all(maker[value].op_type == "DequantizeLinear" for node in convolutions for value in node.input[:2])
    exponentials = [node for node in model.graph.node if node.op_type == "Exp"]
    assert exponentials
    assert all(maker[node.input[0]].op_type != "DequantizeLinear" for node in exponentials)
    assert (quantized / "onnx.onnx").stat().st_size < 0.4 * released().onnx_path.stat().st_size


def test_quantization_needs_images(tmp_path, properties):
    with pytest.raises(ValueError, match="expected images to calibrate on, got none"):
        quantize_onnx(released().onnx_path, tmp_path / "x.onnx", [], False, properties)
