"""Suppression inside the graph is `select`, also where scores are equal, boxes empty and images many."""

import functools

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from maskdet.inference.metadata import DetectOptions
from maskdet.inference.suppression import select
from maskdet.models.export.suppression_graph import DETECTION_COLUMNS, SuppressionLimits, add_suppression

NUM_ANCHORS, NUM_CLASSES = 60, 3
SIDES = {"boxes_xyxy": 4, "scores": NUM_CLASSES}


def passing_graph() -> onnx.ModelProto:
    """Return a graph that hands boxes and scores on as they are."""

    def values(prefix: str) -> list[onnx.ValueInfoProto]:
        return [
            helper.make_tensor_value_info(prefix + name, TensorProto.FLOAT, ["batch", NUM_ANCHORS, side])
            for name, side in SIDES.items()
        ]

    nodes = [helper.make_node("Identity", [f"given_{name}"], [name]) for name in SIDES]
    graph = helper.make_graph(nodes, "passing", values("given_"), values(""))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@functools.cache
def session(limits: SuppressionLimits, folder) -> onnxruntime.InferenceSession:
    onnx.save(passing_graph(), folder / "plain.onnx")
    add_suppression(folder / "plain.onnx", folder / "nms.onnx", limits, {"key": "value"})
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    return onnxruntime.InferenceSession(folder / "nms.onnx", options, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


LIMITS = [
    SuppressionLimits(0.3, 0.5, 5000, 300),
    SuppressionLimits(0.0, 0.4, 180, 25),
    SuppressionLimits(0.001, 0.7, 40, 5),
    SuppressionLimits(1.0, 0.5, 10, 10),
    SuppressionLimits(0.3, 0.5, 5000, 300, 0.4),
    SuppressionLimits(0.01, 0.6, 40, 20, 0.5),
]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_images=st.integers(1, 3), digits=st.integers(1, 6))
def test_rows_are_those_of_select(limits, folder, seed, num_images, digits):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (num_images, NUM_ANCHORS, 2))
    sides = rng.integers(0, 30, corners.shape)  # some boxes have no area
    boxes = np.concatenate([corners, corners + sides], axis=2).astype(np.float32)
    scores = rng.random((num_images, NUM_ANCHORS, NUM_CLASSES), dtype=np.float32)
    scores = np.round(scores, digits) if limits.max_candidates >= scores[0].size else scores
    rows = session(limits, folder).run(None, {"given_boxes_xyxy": boxes, "given_scores": scores})[0]
    expected = []
    for image in range(num_images):
        found = select(boxes[image], scores[image], DetectOptions(**vars(limits)))
        columns = (np.full(len(found), image), found.boxes_xyxy, found.scores, found.class_indices)
        expected.append(np.column_stack(columns))
    rounding = 1e-4 if limits.box_voting_iou < 1 else 0  # sums in another order
    np.testing.assert_allclose(rows, np.concatenate(expected).astype(np.float32), rtol=0, atol=rounding)
    assert rows.shape[1] == len(DETECTION_COLUMNS)


def test_the_file_has_one_output_and_the_metadata_given(folder):
    model = session(LIMITS[0], folder)
    assert [(output.name, output.shape[1]) for output in model.get_outputs()] == [("detections", 7)]
    assert model.get_modelmeta().custom_metadata_map == {"key": "value"}


def test_a_score_on_the_threshold_stays(folder):
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (1, NUM_ANCHORS, 1))
    scores = np.zeros((1, NUM_ANCHORS, NUM_CLASSES), np.float32)
    scores[0, 7, 2], scores[0, 8, 1] = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(0))
    rows = session(LIMITS[0], folder).run(None, {"given_boxes_xyxy": boxes, "given_scores": scores})[0]
    np.testing.assert_array_equal(rows, np.array([[0, 0, 0, 9, 9, 0.3, 2]], np.float32))
