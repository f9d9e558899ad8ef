"""The exported graph: what it promises, and that it says what torch says."""

import copy
import re
from pathlib import Path

import numpy as np
import onnx
import pytest

import maskdet
from exported_model import SIZE, released
from maskdet.models.export.detector_onnx import OPSET, export_onnx, largest_differences


@pytest.fixture(scope="module")
def model():
    return onnx.load(released().onnx_path)


def random_images(num_images: int) -> np.ndarray:
    return np.random.default_rng(num_images).integers(0, 256, (num_images, 3, SIZE, SIZE), dtype=np.uint8)


@pytest.mark.parametrize("num_images", [1, 3])
def test_any_number_of_images_gives_what_torch_gives(num_images):
    differences = largest_differences(released().detector, released().onnx_path, random_images(num_images))
    assert differences.box_px < 0.01
    assert differences.score < 1e-5


def test_a_difference_is_seen():
    detector = copy.deepcopy(released().detector)
    bias = detector.network.box_net.predict.conv_pw.bias
    bias.data += 0.1
    differences = largest_differences(detector, released().onnx_path, random_images(1))
    assert differences.box_px > 1
    assert differences.score < 1e-5


def shape_of(value: onnx.ValueInfoProto) -> list[int | str]:
    return [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]


def test_the_graph_has_one_input_size_and_a_free_batch(model):
    onnx.checker.check_model(model, full_check=True)
    num_anchors = len(released().detector.anchors_for((SIZE, SIZE)).boxes)
    inputs = {value.name: (value.type.tensor_type.elem_type, shape_of(value)) for value in model.graph.input}
    outputs = {value.name: (value.type.tensor_type.elem_type, shape_of(value)) for value in model.graph.output}
    assert inputs == {"images": (onnx.TensorProto.UINT8, ["batch", 3, SIZE, SIZE])}
    assert outputs == {
        "boxes_xyxy": (onnx.TensorProto.FLOAT, ["batch", num_anchors, 4]),
        "scores": (onnx.TensorProto.FLOAT, ["batch", num_anchors, 3]),
    }
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [OPSET]
    assert {entry.domain for entry in model.opset_import} == {""}  # any runtime knows these operators


def test_the_anchors_are_constants_of_the_graph(model):
    anchors = released().detector.anchors_for((SIZE, SIZE)).boxes.numpy()
    constants = [onnx.numpy_helper.to_array(entry) for entry in model.graph.initializer]
    assert any(np.array_equal(constant, anchors) for constant in constants)


def test_the_file_is_small_and_names_no_folder_of_the_machine_that_made_it():
    content = released().onnx_path.read_bytes()
    assert len(content) < 20e6
    assert not re.search(rb"site-packages|maskdet/models|efficientdet\.py|stack_trace", content)
    assert str(Path(maskdet.__file__).parents[2]).encode() not in content


def test_a_detector_in_training_mode_is_refused(tmp_path):
    detector = copy.deepcopy(released().detector).train()
    with pytest.raises(ValueError, match="expected a detector in eval mode, got one in training mode"):
        export_onnx(detector, tmp_path / "x.onnx", SIZE, {})


def test_a_size_that_does_not_fit_the_stride_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="expected image sides that are multiples of 128, got 100x100"):
        export_onnx(released().detector, tmp_path / "x.onnx", 100, {})
    assert not list(tmp_path.iterdir())
