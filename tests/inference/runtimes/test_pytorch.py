"""torch: a release's weights and a folder of a training give what the detector gives; other files are named."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from exported_model import SIZE, released
from maskdet.inference.metadata import METADATA_KEY
from maskdet.inference.runtimes.onnx import OnnxRuntime
from maskdet.inference.runtimes.pytorch import TorchRuntime
from maskdet.schema import CLASS_NAMES


def noise(num_images: int) -> np.ndarray:
    return np.random.default_rng(num_images).integers(0, 256, (num_images, 3, SIZE, SIZE), dtype=np.uint8)


@pytest.mark.parametrize(("name", "score_error"), [("train", 1e-5), ("reference.safetensors", 0.02)])  # half precision
def test_it_says_what_the_detector_says(name, score_error):
    model = TorchRuntime(released().folder / name, device="cpu")
    with torch.no_grad():
        expected = [output.numpy() for output in released().detector.decode(torch.from_numpy(noise(2)))]
    boxes_xyxy, scores = model.run(noise(2))
    np.testing.assert_allclose(scores, expected[1], atol=score_error)
    np.testing.assert_allclose(boxes_xyxy, expected[0], atol=0.01 if name == "train" else 2)
    assert boxes_xyxy.dtype == scores.dtype == np.float32
    assert not scores.flags["OWNDATA"] or scores.flags["WRITEABLE"]


def test_a_release_carries_the_metadata_of_its_onnx_file():
    metadata = TorchRuntime(released().folder / "reference.safetensors").metadata
    assert metadata == OnnxRuntime(released().onnx_path).metadata


def test_a_training_has_the_framing_of_its_validation_and_one_threshold():
    metadata = TorchRuntime(released().folder / "train").metadata
    assert (metadata.framing_kind, metadata.size, metadata.class_names) == ("letterbox", SIZE, CLASS_NAMES)
    assert metadata.score_thresholds == dict.fromkeys(CLASS_NAMES, 0.3)


def test_threads_are_set_where_they_are_asked_for():
    before = torch.get_num_threads()
    try:
        TorchRuntime(released().folder / "train", num_threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_files_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.safetensors: expected a model file"):
        TorchRuntime(tmp_path / "no.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.safetensors: expected a \.safetensors file, got"):
        TorchRuntime(tmp_path / "text.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"author": "somebody"})
    with pytest.raises(ValueError, match=r"is not a maskdet model: expected metadata 'maskdet', got \['author'\]"):
        TorchRuntime(tmp_path / "other.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "plain.safetensors")
    with pytest.raises(ValueError, match=r"is not a maskdet model: expected metadata 'maskdet', got \[\]"):
        TorchRuntime(tmp_path / "plain.safetensors")


def test_weights_that_do_not_fit_their_settings_are_named(tmp_path):
    metadata = OnnxRuntime(released().onnx_path).metadata
    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors", {METADATA_KEY: metadata.to_json()})
    with pytest.raises(ValueError, match=r"x\.safetensors: expected weights with the settings of their network, got"):
        TorchRuntime(tmp_path / "x.safetensors")


def test_folders_of_another_kind_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected weights\.safetensors and model\.json"):
        TorchRuntime(tmp_path)
    folder = tmp_path / "train"
    shutil.copytree(released().folder / "train", folder)
    settings = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({key: settings[key] for key in ("model", "class_names")}))
    with pytest.raises(ValueError, match=r"model\.json: expected the settings of a detector, lacks 'training'"):
        TorchRuntime(folder)
    settings["training"]["trainer"]["validation"]["framing"]["_target_"] = "maskdet.data.framing.RandomCrop"
    (folder / "model.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"validation\.framing: expected one of \['letterbox', 'stretch'\], got"):
        TorchRuntime(folder)
