"""Which runtime a model file goes to, and what is said of files that none runs."""

import pytest

from exported_model import released
from maskdet.inference import runtime
from maskdet.inference.runtime import RUNTIMES, open_runtime, shipped_model_path, shipped_two_phase_path, thread_limit


def test_a_file_goes_to_the_runtime_that_it_is_for():
    release = released().folder
    for name, expected in (("reference.onnx", "onnx"), ("reference.safetensors", "torch"), ("train", "torch")):
        assert open_runtime(release / name).name == expected
    assert open_runtime(release / "reference.onnx", "openvino").name == "openvino"


@pytest.mark.parametrize("name", ["model.pt", "model", "MODEL.PTH"])
def test_files_of_another_kind_are_named(name, tmp_path):
    (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(ValueError, match=rf"{name}: expected a model file .* got a file of another kind"):
        open_runtime(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.onnx: expected a model file \(\.onnx, .*found none"):
        open_runtime(tmp_path / "no.onnx")


def test_an_unknown_runtime_and_an_unfit_one_are_named():
    with pytest.raises(ValueError, match="runtime: expected one of onnx, openvino, torch, got 'tflite'"):
        open_runtime(released().onnx_path, "tflite")
    with pytest.raises(
        ValueError, match=r"reference\.onnx: expected a runtime that runs it \(onnx, openvino\), got 'torch'"
    ):
        open_runtime(released().onnx_path, "torch")


def test_every_runtime_says_in_a_line_what_it_is():
    assert all(kind.description and "\n" not in kind.description for kind in RUNTIMES.values())


@pytest.mark.parametrize(("text", "expected"), [("3", 3), ("", 0), ("many", 0)])
def test_the_environment_limits_threads(text, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert thread_limit(None) == expected
    assert thread_limit(5) == 5


@pytest.mark.parametrize(
    ("find", "name", "message"),
    [
        (
            shipped_model_path,
            "reference.onnx",
            "ships no model: name one by --model FILE, or make one by `make release`",
        ),
        (
            shipped_two_phase_path,
            "two_phase.onnx",
            "ships no two-phase model: name one by --model FILE, or make one by",
        ),
    ],
)
def test_a_shipped_model_lies_in_the_package_or_is_missed_in_one_line(find, name, message, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "files", lambda package: tmp_path / package)
    with pytest.raises(FileNotFoundError, match=message):
        find()
    (tmp_path / "maskdet/reference").mkdir(parents=True)
    (tmp_path / "maskdet/reference" / name).touch()
    assert find() == tmp_path / "maskdet/reference" / name
