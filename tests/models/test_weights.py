"""Weights on disk: what is written is what comes back, and a broken file is named."""

import json

import pytest
import torch
from safetensors.torch import load_file

from maskdet.models.weights import CONFIG_FILE, WEIGHTS_FILE, load_detector, load_settings, save_weights
from training_world import MODEL, tiny_detector


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(1)
    return tiny_detector()


@pytest.fixture
def folder(detector, tmp_path):
    save_weights(detector.state_dict(), {"model": MODEL, "seed": 0}, tmp_path / "fold")
    return tmp_path / "fold"


def test_the_loaded_network_gives_the_same_outputs(detector, folder):
    loaded = load_detector(folder, MODEL["detect"])
    detector.to(memory_format=torch.channels_last)  # as loaded ones are: another format rounds in another order
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    with torch.no_grad():
        for ours, theirs in zip(detector(images), loaded(images), strict=True):
            for level, other in zip(ours, theirs, strict=True):
                torch.testing.assert_close(level, other, rtol=1e-6, atol=1e-6)
    assert not loaded.training
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]


def test_the_tensors_are_safetensors_and_the_settings_plain_json(detector, folder):
    assert set(load_file(folder / WEIGHTS_FILE)) == set(detector.state_dict())
    assert json.loads((folder / CONFIG_FILE).read_text()) == load_settings(folder) == {"model": MODEL, "seed": 0}


def test_thresholds_may_differ_from_those_of_the_training(folder):
    detect = MODEL["detect"] | {"score_threshold": 0.0, "max_detections": 4}
    assert len(load_detector(folder, detect).detect(torch.zeros(1, 3, 128, 128))[0].scores) == 4


@pytest.mark.parametrize("absent", [WEIGHTS_FILE, CONFIG_FILE])
def test_a_missing_file_says_what_to_do(folder, absent):
    (folder / absent).unlink()
    with pytest.raises(FileNotFoundError, match=r"fold: expected weights.safetensors and model.json; train this fold"):
        load_detector(folder, MODEL["detect"])


@pytest.mark.parametrize("content", [b"", b"no tensors at all", b"\x08\0\0\0\0\0\0\0{broken}"])
def test_a_broken_file_is_named(folder, content):
    (folder / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors: expected weights for tf_efficientdet_lite0"):
        load_detector(folder, MODEL["detect"])


def test_a_file_cut_short_is_named(folder):
    whole = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"weights\.safetensors: expected weights for tf_efficientdet_lite0"):
        load_detector(folder, MODEL["detect"])


def test_broken_settings_are_named(folder):
    (folder / CONFIG_FILE).write_text("{")
    with pytest.raises(ValueError, match=r"model\.json: expected JSON"):
        load_detector(folder, MODEL["detect"])


def test_weights_of_another_architecture_are_refused(folder):
    settings = {"model": MODEL | {"architecture": "tf_efficientdet_lite1"}}
    (folder / CONFIG_FILE).write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=r"expected weights for tf_efficientdet_lite1, got"):
        load_detector(folder, MODEL["detect"])


def test_an_interrupted_write_leaves_the_old_weights(folder, detector):
    before = (folder / WEIGHTS_FILE).read_bytes()
    with pytest.raises(AttributeError):
        save_weights({"broken": None}, {}, folder)
    assert (folder / WEIGHTS_FILE).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG_FILE, WEIGHTS_FILE]
