"""A classifier is trained on the faces that its part does not hold out."""

import numpy as np
import pytest
import torch

from crop_world import classify_config, write_faces
from maskdet.training.classification import (
    augmented_examples,
    build_classifier,
    build_module,
    cached_features,
    fit_part,
)
from maskdet.training.crop_data import FaceCrops

CLASSES = [0, 1, 2, 0, 0, 1, 0] * 7  # of a period that the folds do not share
FROZEN = {"frozen": "base", "hidden": 16}


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return FaceCrops(write_faces(tmp_path_factory.mktemp("faces") / "crops", CLASSES), "grouped", 0)


def fitted(cfg, faces, folder, part=1, features=None):
    return fit_part(cfg, faces, part, features, [], folder / "history.csv")


def test_colours_are_learned_and_each_epoch_has_a_row(faces, tmp_path):
    quick = {"model": {"hidden": 32}, "max_epochs": 12, "optimizer": {"lr": 0.01}, "scheduler": {"warmup_steps": 2}}
    cfg = classify_config(classifier=quick)
    result = fitted(cfg, faces, tmp_path)
    assert [row["epoch"] for row in result.history] == list(range(12))
    expected = {"epoch", "step", "seconds", "train/loss", "train/accuracy", "val/loss", "val/accuracy"}
    assert all(set(row) == expected for row in result.history)
    held_out = faces.held_out(1)
    called = result.probabilities.argmax(1)
    assert (called == held_out.class_indices).mean() == result.history[-1]["val/accuracy"] == 1.0
    assert result.history[-1]["val/loss"] < result.history[0]["val/loss"]
    pixels = np.stack(list(held_out.pixels))
    np.testing.assert_allclose(result.classifier.predict_probabilities(pixels), result.probabilities, atol=1e-6)
    assert not result.classifier.training


def test_the_same_seed_gives_the_same_weights_and_the_held_out_faces_do_not_matter(faces, tmp_path):
    cfg = classify_config()
    first = fitted(cfg, faces, tmp_path).classifier.state_dict()
    torch.manual_seed(99)
    torch.rand(7)  # whatever was drawn before
    again = fitted(cfg, faces, tmp_path).classifier.state_dict()
    other = fitted(classify_config(classify={"seed": 1}), faces, tmp_path).classifier.state_dict()
    for name, tensor in first.items():
        torch.testing.assert_close(again[name], tensor, rtol=0, atol=0, msg=name)
    assert any(not torch.equal(other[name], tensor) for name, tensor in first.items())
    assert [len(faces.training(part)) + len(faces.held_out(part)) for part in range(3)] == [len(CLASSES)] * 3


def test_a_frozen_base_is_computed_once_and_only_the_head_learns(faces, tmp_path):
    changes = {"model": FROZEN, "cached_views": 2, "max_epochs": 6, "optimizer": {"lr": 0.02}}
    cfg = classify_config(classifier=changes | {"scheduler": {"warmup_steps": 1}})
    features = cached_features(cfg, faces, tmp_path / "features.npy")
    assert features.shape[:2] == (2, len(CLASSES))
    before = build_classifier(cfg, faces.class_names).state_dict()
    after = fitted(cfg, faces, tmp_path, features=features)
    changed = {name for name, value in after.classifier.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("head.") for name in changed)
    assert after.history[-1]["train/loss"] < after.history[0]["train/loss"]
    truth = faces.held_out(1).class_indices
    from_pixels = (after.probabilities.argmax(1) == truth).mean()  # mirrored too
    assert after.history[-1]["val/accuracy"] == pytest.approx(from_pixels, abs=0.2)


def test_without_cached_views_a_frozen_base_gets_fresh_augmentation(faces, tmp_path):
    cfg = classify_config(classifier={"model": FROZEN, "cached_views": 0, "max_epochs": 1})
    assert cached_features(cfg, faces, tmp_path / "features.npy") is None
    assert not (tmp_path / "features.npy").exists()
    before = build_classifier(cfg, faces.class_names).base.state_dict()
    for name, value in fitted(cfg, faces, tmp_path).classifier.base.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_views_of_a_base_that_is_trained_are_refused(faces, tmp_path):
    cfg = classify_config(classifier={"cached_views": 4})
    with pytest.raises(
        ValueError, match=r"cached_views=4: expected a frozen base.*got classifier.model.frozen=nothing"
    ):
        cached_features(cfg, faces, tmp_path / "features.npy")


@pytest.mark.parametrize(("power", "expected"), [(0.0, [1, 1, 1]), (1.0, [1, 2, 4]), (0.5, [1, 2**0.5, 2])])
def test_rare_classes_count_more_in_the_loss_if_that_is_wanted(faces, power, expected):
    cfg = classify_config(classifier={"loss_balance_power": power})
    training = faces.everything  # 28, 14 and 7 faces
    module = build_module(cfg, build_classifier(cfg, faces.class_names), training)
    torch.testing.assert_close(module.loss_weights, torch.tensor(expected, dtype=torch.float32))


def test_rare_classes_are_drawn_more_often_if_that_is_wanted(faces):
    shares = {}
    for power in (0.0, 1.0):
        _, names = augmented_examples(classify_config(classifier={"balance_power": power}), faces, 1000)
        assert len(names) == len(faces.training(0))
        shares[power] = np.mean([name == "mask_weared_incorrect" for name in names])
    assert shares[0.0] == np.mean(faces.training(0).class_indices == 2)  # every face once
    assert shares[1.0] > 1.5 * shares[0.0]


def test_the_learning_rate_of_the_base_is_a_setting_of_its_own(faces):
    cfg = classify_config(classifier={"optimizer": {"lr": 0.01, "lr_multipliers": {"base": 0.1}}})
    module = build_module(cfg, build_classifier(cfg, faces.class_names), faces.everything)
    module.trainer = type("Trainer", (), {"estimated_stepping_batches": 10})()
    groups = module.configure_optimizers()["optimizer"].param_groups
    rates = {group["name"]: group["initial_lr"] for group in groups}
    assert rates == {
        "base/decay": pytest.approx(0.001),
        "base/no_decay": pytest.approx(0.001),
        "rest/decay": pytest.approx(0.01),
        "rest/no_decay": pytest.approx(0.01),
    }


def test_a_loss_that_is_no_number_stops_the_training(faces, tmp_path):
    cfg = classify_config(classifier={"optimizer": {"lr": 1e30}, "gradient_clip_norm": None})
    with pytest.raises(FloatingPointError, match=r"expected a finite loss, got .*lower classifier.optimizer.lr"):
        fitted(cfg, faces, tmp_path)


def test_a_machine_without_the_accelerator_says_so(faces, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ValueError, match="classify: expected settings that this machine allows"):
        fitted(classify_config(classify={"accelerator": "cuda"}), faces, tmp_path)
