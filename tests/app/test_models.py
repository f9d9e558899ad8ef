"""Models of a command line: what is offered under which name, and what is said of the others."""

import shutil
from pathlib import Path

import pytest

from exported_model import SCORE_THRESHOLDS, released
from maskdet.app.models import ModelShelf, ThresholdedModel, open_models
from maskdet.inference import detectors
from maskdet.schema import CLASS_NAMES
from running_app import running_app


def test_models_are_offered_under_names_of_their_own(tmp_path):
    copy = Path(shutil.copy(released().onnx_path, tmp_path / "reference.onnx"))
    shelf = open_models([released().onnx_path, copy], has_two_phase=False, num_threads=1)
    assert shelf.names == ["reference", "reference_2"]
    assert shelf.first is shelf["reference"]
    assert shelf["reference_2"].predictor.model_path == copy
    assert shelf.first.default_thresholds == tuple(SCORE_THRESHOLDS[name] for name in CLASS_NAMES)
    with pytest.raises(KeyError, match="expected one of reference, reference_2, got 'other'"):
        shelf["other"]


def test_a_wrong_file_is_told_and_the_others_are_offered():
    shelf = running_app().shelf
    assert shelf.names == ["reference", "twin"]
    [(path, reason)] = shelf.failures.items()
    assert path.endswith("broken.onnx")
    assert "expected an ONNX file" in reason


def test_without_any_model_that_was_asked_for_nothing_starts(tmp_path):
    wrong = tmp_path / "wrong.onnx"
    wrong.write_text("no model")
    for words in ([wrong], [wrong, tmp_path / "absent.onnx"]):
        with pytest.raises(ValueError, match=r"wrong\.onnx: expected an ONNX file"):
            open_models(words)
    with pytest.raises(ValueError, match="expected at least one model"):
        ModelShelf([])


def test_the_two_phase_model_is_offered_where_it_is_and_missed_where_it_was_asked_for(monkeypatch):
    def absent() -> Path:
        raise FileNotFoundError("this copy ships none")

    monkeypatch.setattr(detectors, "shipped_two_phase_path", absent)
    assert open_models([released().onnx_path]).failures == {}
    assert open_models([released().onnx_path], has_two_phase=True).failures == {"two_phase": "this copy ships none"}
    monkeypatch.setattr(detectors, "shipped_two_phase_path", lambda: released().onnx_path)
    assert open_models([released().onnx_path]).names == ["reference", "two_phase"]
    assert open_models([released().onnx_path], has_two_phase=False).names == ["reference"]


def test_a_visitors_thresholds_leave_the_shared_model_alone():
    predictor = running_app().shelf.first.predictor
    own = ThresholdedModel(predictor, dict.fromkeys(CLASS_NAMES, 0.9))
    assert own.thresholds["with_mask"] == 0.9
    assert predictor.thresholds == SCORE_THRESHOLDS
