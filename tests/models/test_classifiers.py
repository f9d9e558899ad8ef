"""Classifiers of crops: what goes in, what stays frozen, what comes back from the disk."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from maskdet.models.classifiers import (
    CropClassifier,
    SequentialCnn,
    load_classifier,
    save_classifier,
)
from maskdet.schema import CLASS_NAMES

TINY = {"architecture": "sequential_cnn", "size": 16, "hidden": 8}
SMALL_TIMM = "test_efficientnet"


def classifier_with(**changes: object) -> CropClassifier:
    torch.manual_seed(0)
    return CropClassifier(**(TINY | changes)).eval()


def some_crops(number: int, size: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, size, size, 3), dtype=np.uint8)


def as_tensor(crops: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


@pytest.mark.parametrize("number", [0, 1, 5])
@pytest.mark.parametrize("architecture", ["sequential_cnn", SMALL_TIMM])
def test_probabilities_are_a_row_a_crop_and_sum_to_one(architecture, number):
    found = classifier_with(architecture=architecture, size=32).predict_probabilities(some_crops(number), 2)
    assert found.shape == (number, len(CLASS_NAMES))
    assert found.dtype == np.float32
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_probabilities_are_the_softmax_of_the_logits_of_integers_and_floats_alike():
    classifier, crops = classifier_with(), some_crops(4)
    with torch.inference_mode():
        logits = classifier(as_tensor(crops))
        torch.testing.assert_close(classifier(as_tensor(crops).float()), logits)
    np.testing.assert_allclose(classifier.predict_probabilities(crops), logits.softmax(1).numpy(), atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(number=st.integers(1, 9), batch_size=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_batch_size_changes_nothing(number, batch_size, seed):
    classifier, crops = classifier_with(average_mirrored=True), some_crops(number, seed=seed)
    together = classifier.predict_probabilities(crops, number)
    np.testing.assert_allclose(classifier.predict_probabilities(crops, batch_size), together, atol=1e-6)


def test_averaging_with_the_mirror_image_makes_both_alike():
    crops = some_crops(3)
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    plain, averaged = classifier_with(), classifier_with(average_mirrored=True)
    one_sided = plain.predict_probabilities(crops), plain.predict_probabilities(mirrored)
    assert np.abs(one_sided[0] - one_sided[1]).max() > 1e-4
    np.testing.assert_allclose(averaged.predict_probabilities(crops), np.mean(one_sided, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        averaged.predict_probabilities(mirrored), averaged.predict_probabilities(crops), atol=1e-6
    )


@pytest.mark.parametrize("architecture", ["sequential_cnn", SMALL_TIMM])
def test_grey_is_the_luminance(architecture):
    classifier = classifier_with(architecture=architecture, size=32, is_grey=True)
    crops = some_crops(3, 32)
    luminance = crops @ np.array([0.299, 0.587, 0.114])  # (3, 32, 32), ITU-R BT.601
    grey = torch.from_numpy(luminance).float()[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        torch.testing.assert_close(classifier(as_tensor(crops)), classifier(grey), rtol=1e-4, atol=1e-4)
        in_colour = classifier_with(architecture=architecture, size=32)
        assert not torch.allclose(in_colour(as_tensor(crops)), in_colour(grey), atol=1e-4)


@pytest.mark.parametrize("architecture", ["mobilenetv3_small_050", "resnet18", "test_vit"])
def test_any_network_of_timm_becomes_a_classifier(architecture):
    """One has a wider head than features, one takes inputs of a fixed size alone."""
    classifier = classifier_with(architecture=architecture, size=32, hidden=4)
    assert classifier.predict_probabilities(some_crops(2, 40)).shape == (2, 3)
    assert classifier.features(as_tensor(some_crops(2, 40))).shape == (2, classifier.num_features)


def test_the_grey_stack_looks_at_one_channel():
    assert classifier_with(is_grey=True).base[0].in_channels == 1
    assert classifier_with().base[0].in_channels == 3


def test_crops_of_another_size_are_resized():
    classifier = classifier_with()
    flat = np.full((1, 50, 50, 3), (200, 30, 90), np.uint8)
    np.testing.assert_allclose(
        classifier.predict_probabilities(flat), classifier.predict_probabilities(flat[:, :16, :16]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "zero", "one"),
    [({}, 0.0, 255.0), ({"architecture": "mobilenetv2_100", "size": 32, "pretrained": "imagenet"}, 127.5, 255.0)],
)
def test_inputs_are_scaled_inside(settings, zero, one):
    """The stack gets 0 to 1, Keras's MobileNetV2 gets -1 to 1."""
    classifier = classifier_with(load_pretrained=False, **settings)
    size = classifier.size
    for level, expected in ((zero, 0.0), (one, 1.0)):
        prepared = classifier._prepare(torch.full((1, 3, size, size), level))
        torch.testing.assert_close(prepared, torch.full_like(prepared, expected))


def test_the_stack_halves_its_input_with_each_layer():
    stack = SequentialCnn(3, 40, widths=(4, 6))
    assert stack(torch.zeros(2, 3, 40, 40)).shape == (2, stack.num_features) == (2, 6 * 10 * 10)
    with pytest.raises(ValueError, match="at least 8 px for 3 layers, got 7"):
        SequentialCnn(3, 7)


@pytest.mark.parametrize("frozen", ["nothing", "norms", "base"])
def test_what_is_frozen_stays_as_it_came(frozen):
    classifier = classifier_with(architecture=SMALL_TIMM, size=32, frozen=frozen, hidden=0).train()
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in classifier.parameters() if p.requires_grad], lr=0.1)
    loss = torch.nn.functional.cross_entropy(classifier(as_tensor(some_crops(6, 32))), torch.arange(6) % 3)
    loss.backward()
    optimizer.step()
    changed = {name for name, tensor in classifier.state_dict().items() if not torch.equal(tensor, before[name])}
    statistics = {name for name in before if "running_" in name}
    assert "head.1.weight" in changed
    assert bool(changed & statistics) == (frozen == "nothing")
    assert ("base.conv_stem.weight" in changed) == (frozen != "base")
    assert classifier.training
    assert classifier.head.training


def test_prediction_leaves_the_mode_as_it_was():
    classifier = classifier_with(dropout=0.5).train()
    first = classifier.predict_probabilities(some_crops(2))
    np.testing.assert_array_equal(classifier.predict_probabilities(some_crops(2)), first)  # no dropout
    assert classifier.training


@pytest.mark.parametrize(
    "settings",
    [
        {"is_grey": True, "dropout": 0.3, "average_mirrored": True},
        {"class_names": ("with_mask", "without_mask")},
        {"architecture": SMALL_TIMM, "frozen": "norms"},
        {"architecture": "mobilenetv2_100", "pretrained": "imagenet", "frozen": "base"},
        {"architecture": "tf_efficientnet_lite0", "pretrained": "imagenet"},
    ],
)
def test_a_saved_classifier_comes_back_without_the_packages_of_weights(tmp_path, settings, monkeypatch):
    classifier, crops = classifier_with(**({"size": 32} | settings)), some_crops(3)
    save_classifier(classifier, tmp_path / "0.safetensors", {"part": 0})
    for function in ("load_mobilenet_weights", "load_imagenet_weights"):
        monkeypatch.setattr(f"maskdet.models.classifiers.{function}", None)
    loaded = load_classifier(tmp_path / "0.safetensors")
    assert not loaded.training
    assert loaded.class_names == classifier.class_names
    assert loaded.settings == classifier.settings
    np.testing.assert_array_equal(loaded.predict_probabilities(crops), classifier.predict_probabilities(crops))
    assert json.loads((tmp_path / "0.json").read_text())["part"] == 0


def test_a_folder_holds_one_classifier(tmp_path):
    save_classifier(classifier_with(), tmp_path / "shipped")
    assert sorted(path.name for path in (tmp_path / "shipped").iterdir()) == ["weights.json", "weights.safetensors"]
    assert load_classifier(tmp_path / "shipped").class_names == CLASS_NAMES


def test_installed_weights_are_taken_and_differ_from_random_ones():
    settings = {"architecture": "mobilenetv2_100", "size": 32}
    filled = classifier_with(pretrained="imagenet", **settings).features(as_tensor(some_crops(2, 32)))
    again = classifier_with(pretrained="imagenet", **settings).features(as_tensor(some_crops(2, 32)))
    random = classifier_with(**settings).features(as_tensor(some_crops(2, 32)))
    torch.testing.assert_close(filled, again)
    assert not torch.allclose(filled, random, atol=0.01)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "resnet"}, r"sequential_cnn' or a name of timm, got 'resnet'; close ones are \['.*resnet"),
        ({"pretrained": "keras"}, r"pretrained: expected one of \('imagenet', 'hub', 'none'\), got 'keras'"),
        ({"pretrained": "imagenet"}, "expected 'none' for sequential_cnn, got 'imagenet'"),
        ({"architecture": "resnet18", "pretrained": "imagenet"}, r"a package carries \['mobilenetv2_100', 'tf_eff"),
        ({"frozen": "head"}, r"frozen: expected one of \('nothing', 'norms', 'base'\), got 'head'"),
        ({"dropout": 1.0}, r"dropout: expected a share in \[0, 1\), got 1.0"),
        ({"size": 0}, "size: expected at least 1 px, got 0"),
    ],
)
def test_unknown_choices_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        classifier_with(**settings)


@pytest.mark.parametrize("crops", [some_crops(1)[0], some_crops(1).astype(np.float32), some_crops(2)[..., :1]])
def test_other_arrays_than_crops_are_refused(crops):
    with pytest.raises(ValueError, match=r"expected crops \(N, S, S, 3\) of uint8, got \("):
        classifier_with().predict_probabilities(crops)


def test_missing_and_damaged_files_are_told(tmp_path):
    path = tmp_path / "0.safetensors"
    with pytest.raises(FileNotFoundError, match=r"0.safetensors: expected a classifier's weights"):
        load_classifier(path)
    save_classifier(classifier_with(), path)
    save_file({"head.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"0.safetensors: expected weights for sequential_cnn, got"):
        load_classifier(path)
    path.write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"0.safetensors: expected weights for sequential_cnn, got"):
        load_classifier(path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(ValueError, match=r"0.json: expected JSON with the key 'model', got"):
        load_classifier(path)
