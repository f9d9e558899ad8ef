"""ONNX files: one of ours runs, any other file is refused by name and reason."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from exported_model import SIZE, released
from maskdet.inference.metadata import METADATA_KEY, DetectOptions, ModelMetadata
from maskdet.inference.runtimes import onnx as onnx_runtime
from maskdet.inference.runtimes.onnx import OnnxRuntime
from maskdet.schema import CLASS_NAMES

METADATA = ModelMetadata(
    CLASS_NAMES, "letterbox", 64, DetectOptions(0.001, 0.5, 100, 10), dict.fromkeys(CLASS_NAMES, 0.5)
)


def write_graph(path, size=64, num_classes=3, input_type=TensorProto.UINT8, score_name="scores", **properties: str):
    """Write a sound ONNX file whose outputs are constants: one box of the whole input a class."""
    boxes = helper.make_tensor("boxes", TensorProto.FLOAT, (1, num_classes, 4), [0.0, 0.0, size, size] * num_classes)
    scores = helper.make_tensor(
        "values", TensorProto.FLOAT, (1, num_classes, num_classes), np.eye(num_classes).ravel() * 0.9
    )
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["boxes_xyxy"], value=boxes),
            helper.make_node("Constant", [], [score_name], value=scores),
        ],
        "constants",
        [helper.make_tensor_value_info("images", input_type, ("batch", 3, size, size))],
        [
            helper.make_tensor_value_info("boxes_xyxy", TensorProto.FLOAT, (1, num_classes, 4)),
            helper.make_tensor_value_info(score_name, TensorProto.FLOAT, (1, num_classes, num_classes)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path


def test_a_released_model_says_what_it_is_and_runs():
    model = OnnxRuntime(released().onnx_path)
    assert (model.metadata.class_names, model.metadata.size) == (CLASS_NAMES, SIZE)
    boxes_xyxy, scores = model.run(np.zeros((2, 3, SIZE, SIZE), np.uint8))
    num_anchors = 9 * sum((SIZE // stride) ** 2 for stride in (8, 16, 32, 64, 128))
    assert (boxes_xyxy.shape, scores.shape) == ((2, num_anchors, 4), (2, num_anchors, 3))
    assert boxes_xyxy.dtype == scores.dtype == np.float32
    assert boxes_xyxy.min() >= 0
    assert boxes_xyxy.max() <= SIZE
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.onnx: expected a model file \(\.onnx\), found none"):
        OnnxRuntime(tmp_path / "no.onnx")


@pytest.mark.parametrize("content", [b"", b"no graph at all", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_a_file_of_another_kind_is_named(content, tmp_path):
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.onnx: expected an ONNX file, got|x\.onnx is not a maskdet model"):
        OnnxRuntime(tmp_path / "x.onnx")


def test_a_file_cut_short_is_named(tmp_path):
    whole = released().onnx_path.read_bytes()
    (tmp_path / "x.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"x\.onnx: expected an ONNX file, got"):
        OnnxRuntime(tmp_path / "x.onnx")


def test_a_model_of_others_is_refused(tmp_path):
    path = write_graph(tmp_path / "x.onnx", author="somebody")
    with pytest.raises(ValueError, match=r"is not a maskdet model: expected metadata 'maskdet', got \['author'\]"):
        OnnxRuntime(path)


def test_broken_metadata_is_named(tmp_path):
    record = METADATA.to_record() | {"class_names": []}
    path = write_graph(tmp_path / "x.onnx", **{METADATA_KEY: json.dumps(record)})
    with pytest.raises(ValueError, match=r"x\.onnx: metadata: class_names: expected different names, got \[\]"):
        OnnxRuntime(path)


def test_a_graph_as_promised_is_accepted(tmp_path):
    path = write_graph(tmp_path / "x.onnx", **{METADATA_KEY: METADATA.to_json()})
    assert OnnxRuntime(path).metadata == METADATA


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 128}, r"expected the inputs .*64, 64.* got .*128, 128"),
        ({"input_type": TensorProto.FLOAT}, r"expected the inputs .*uint8.* got .*float"),
        ({"num_classes": 2}, r"expected the outputs .*'scores': \('tensor\(float\)', 3\).* got .*2\)"),
        ({"score_name": "probs"}, r"expected the outputs .*scores.* got .*probs"),
    ],
)
def test_a_graph_that_is_not_as_promised_is_refused(changes, message, tmp_path):
    path = write_graph(tmp_path / "x.onnx", **{METADATA_KEY: METADATA.to_json()}, **changes)
    with pytest.raises(ValueError, match=message):
        OnnxRuntime(path)


@pytest.mark.parametrize(
    ("text", "asked", "num_threads"), [("1", None, 1), ("2", None, 2), ("", None, 0), ("4,2", None, 0), ("1", 3, 3)]
)
def test_the_number_of_threads_is_what_is_asked_or_that_of_the_environment(
    text, asked, num_threads, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    seen = []
    session = onnx_runtime.onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnx_runtime.onnxruntime,
        "InferenceSession",
        lambda path, options, **rest: seen.append(options.intra_op_num_threads) or session(path, options, **rest),
    )
    OnnxRuntime(write_graph(tmp_path / "x.onnx", **{METADATA_KEY: METADATA.to_json()}), asked)
    assert seen == [num_threads]
