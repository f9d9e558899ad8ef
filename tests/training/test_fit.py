"""Training from the composed config to weights, tracked runs and out-of-fold predictions."""

import json
import math
import shutil
from dataclasses import replace

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra.errors import InstantiationException
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file

from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.data.framing import Letterbox
from maskdet.evaluation.coco import coco_metrics
from maskdet.models.weights import load_detector
from maskdet.reporting.wandb_runs import group_name
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, PREDICTIONS, read_table, write_table
from maskdet.stages import predict
from maskdet.stages.entry import Workspace
from maskdet.training.fit import build_module
from maskdet.training.prediction import predict_batches
from training_world import FACES, file_name, folds_table, shrunk_config, write_world
from wandb_file import read_offline_runs

from .conftest import EPOCHS

UNCROPPED = ("~framing.long_side_range", "~framing.face_probability")
HELD_OUT = [file_name(i) for i in (0, 2, 4, 6)]
METRICS = ["map", "map_50", "map_75", "map_small", "map_medium", "map_large", "ar_100"]
HISTORY_COLUMNS = {
    *("epoch", "step", "seconds", "train/loss", "train/loss_class", "train/loss_box", "train/lr"),
    *(f"val/{name}" for name in METRICS),
    *(f"val/{key}/{name}" for key in ("ap", "ap_50") for name in CLASS_NAMES),
}


def weights_dir(root):
    return root / "build/train/0"


def test_a_fold_leaves_its_files_and_nothing_else(trained):
    left = {path.relative_to(trained.root / "build").parts[0] for path in (trained.root / "build").rglob("*.*")}
    assert left == {"raw", "table", "folds.parquet", "train", "tracking", "predictions"}
    assert not list((trained.root / "build/resume").iterdir())
    names = sorted(path.name for path in weights_dir(trained.root).iterdir())
    assert names == ["augmented.jpg", "model.json", "weights.safetensors"]
    assert min(Image.open(weights_dir(trained.root) / "augmented.jpg").size) > 128
    written = sorted(path.relative_to(trained.root).as_posix() for path in (trained.root / "reports").rglob("0.*"))
    assert written == ["reports/history/0.csv", "reports/predict/0.json"]
    cost = json.loads((trained.root / "reports/predict/0.json").read_text())
    assert cost["ms_per_image"] > 0 < cost["cpu_ms_per_image"]
    assert (cost["views"], cost["device"], cost["threads"]) == (1, "cpu", 1)


def test_the_history_has_a_row_an_epoch(trained):
    history = pd.read_csv(trained.root / "reports/history/0.csv")
    assert set(history) == HISTORY_COLUMNS
    assert list(history)[:3] == ["epoch", "step", "seconds"]
    assert (history["seconds"] > 0).all()
    assert history["epoch"].tolist() == list(range(EPOCHS))
    assert history["step"].tolist() == [2 * (epoch + 1) for epoch in range(EPOCHS)]  # 4 draws, 2 a batch
    assert (history["train/loss"] > 0).all()
    assert history["val/map"].between(0, 1).all()
    assert trained.returned == pytest.approx(history["val/map"].iloc[-1], abs=1e-5)
    boxes_and_classes = history["train/loss_class"] + 50 * history["train/loss_box"]
    pd.testing.assert_series_equal(boxes_and_classes, history["train/loss"], check_names=False, rtol=1e-4)


def test_the_settings_beside_the_weights_rebuild_the_network(trained):
    settings = json.loads((weights_dir(trained.root) / "model.json").read_text())
    assert settings["class_names"] == list(CLASS_NAMES)
    assert (settings["fold"], settings["seed"], settings["steps"]) == (0, 0, 2 * EPOCHS)
    assert (settings["checkpoint"], settings["device"]) == ("last", "cpu")
    assert settings["seconds"] > 0
    assert "cores" in settings["hardware"]
    assert settings["training"]["trainer"] == OmegaConf.to_container(trained.cfg.trainer)
    loaded = load_detector(weights_dir(trained.root), settings["model"]["detect"])
    assert set(loaded.state_dict()) == set(load_file(weights_dir(trained.root) / "weights.safetensors"))


def test_predictions_are_of_the_held_out_images(trained):
    predictions = read_table(trained.root / "build/predictions/0.parquet", PREDICTIONS)
    assert len(predictions) > 100  # random weights: some hundred unsure detections above 0.001
    assert set(predictions["file_name"]) == set(HELD_OUT)
    assert (predictions["fold"] == 0).all()
    for _, rows in predictions.groupby("file_name"):
        assert rows["score"].is_monotonic_decreasing
        assert len(rows) <= trained.cfg.predict.detect.max_detections
    images = read_images(trained.root)
    extent = predictions["file_name"].map(dict(zip(images.file_names, map(sizes_of(images), range(4)), strict=True)))
    assert (predictions["x_max"] <= extent.str[0]).all()
    assert (predictions["y_max"] <= extent.str[1]).all()


def read_images(root) -> LabelledImages:
    annotations = read_table(root / "build/table/annotations.parquet", ANNOTATIONS)
    return LabelledImages.from_tables(root / "build/raw/images", HELD_OUT, annotations)


def sizes_of(images: LabelledImages):
    evaluation = EvaluationSet(images, Letterbox(128))
    return lambda index: evaluation[index].image_wh


def test_the_tables_say_what_the_training_logged(trained):
    """`predict` has the validation's framing and thresholds here, so both evaluate the same weights alike."""
    assert trained.cfg.predict.framing == trained.cfg.trainer.validation.framing
    assert trained.cfg.predict.detect == {**trained.cfg.trainer.validation.detect, "box_voting_iou": 1}  # 1: none
    metrics = validation_of(trained.root, trained.cfg)
    last = pd.read_csv(trained.root / "reports/history/0.csv").iloc[-1]
    for name in [*METRICS, *(f"ap_50/{name}" for name in CLASS_NAMES)]:
        assert last[f"val/{name}"] == pytest.approx(metrics[name], abs=1e-3, nan_ok=True), name
    assert metrics["ar_100"] > 0  # else the comparison would compare zeros


def test_the_wandb_run_holds_config_metrics_and_pictures(trained):
    (run,) = read_offline_runs(trained.root / "build/tracking")
    config = OmegaConf.to_container(trained.cfg, resolve=True)
    assert (run.name, run.job_type, run.exit_code) == ("fold0", "train", 0)
    assert run.group == group_name(None, config)
    assert {key: run.config[key] for key in config} == config
    assert run.history_keys >= HISTORY_COLUMNS - {"step", "seconds"}
    assert run.summary["val/map"] == pytest.approx(trained.returned, abs=1e-6)
    logged = {key.rsplit("/", 1)[0] for key in run.history_keys}  # a picture's key has a part for each of its fields
    assert logged >= {"train/augmented", "gallery/worst", "gallery/random", "gallery/rare", "predictions"}
    predictions = read_table(trained.root / "build/predictions/0.parquet", PREDICTIONS)
    num_rows = run.summary["predictions/nrows"] + run.summary["predictions_left_out"]
    assert num_rows == len(predictions)
    assert run.summary["predictions/ncols"] == len(PREDICTIONS.columns)
    assert "model" in run.artifacts.values()
    assert run.summary["gallery/random/count"] == len(HELD_OUT)


def test_csv_leaves_no_run(fit):
    root = fit("logger=csv")
    assert (weights_dir(root) / "weights.safetensors").is_file()
    assert not list(root.rglob("*.wandb"))


def test_a_disabled_wandb_leaves_no_run(fit):
    root = fit("logger=wandb", "logger.mode=disabled")
    assert (weights_dir(root) / "weights.safetensors").is_file()
    assert not list(root.rglob("*.wandb"))


def test_tensorboard_holds_the_metrics(fit):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    root = fit("logger=tensorboard")
    (events,) = root.rglob("events.out.tfevents.*")
    read = EventAccumulator(str(events)).Reload()
    assert {"train/loss", "val/map"} <= set(read.Tags()["scalars"])


def validation_of(root, cfg) -> dict[str, float]:
    """Return the metrics of the tables for fold 0."""
    predict.run(cfg, Workspace(root, root))
    predictions = read_table(root / "build/predictions/0.parquet", PREDICTIONS)
    annotations = read_table(root / "build/table/annotations.parquet", ANNOTATIONS)
    annotations = annotations[annotations["file_name"].isin(HELD_OUT)]
    return coco_metrics(pd.DataFrame({"file_name": HELD_OUT}), annotations, predictions)


def test_the_best_checkpoint_is_the_one_that_is_kept(fit):
    overrides = ("trainer.checkpoint=best", "trainer.max_epochs=4", "optimizer.lr=0.1", "trainer.monitor=val/map_50")
    root = fit(*overrides)
    assert json.loads((weights_dir(root) / "model.json").read_text())["checkpoint"] == "best"
    history = pd.read_csv(root / "reports/history/0.csv")
    assert history["val/map_50"].max() > 0
    assert validation_of(root, shrunk_config())["map_50"] == pytest.approx(history["val/map_50"].max(), abs=1e-3)


def test_best_without_a_validation_is_refused(fit, tmp_path):
    with pytest.raises(ValueError, match=r"trainer.checkpoint=best: expected a validation"):
        fit("trainer.checkpoint=best", "trainer.validation.every_n_epochs=2")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.checkpoint=middle", r"trainer.checkpoint: expected 'last' or 'best', got 'middle'"),
        ("logger.kind=paper", r"logger.kind: expected one of .*wandb.*tensorboard.*csv.*got 'paper'"),
        ("fold=7", r"fold: expected one of \[0, 1\], got 7"),
        ("model.architecture=resnet", r"model.architecture: expected one of .*got 'resnet'"),
        (
            "+optimizer.lr_multipliers.spine=2",
            r"optimizer.lr_multipliers: expected prefixes .*backbone.*got \['spine'\]",
        ),
        ("trainer.batch_size=5", r"trainer.batch_size: expected at most 4"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_before_the_first_step(fit, tmp_path, override, message):
    with pytest.raises((ValueError, InstantiationException), match=message):
        fit(override)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_factor_of_0_freezes(fit):
    root = fit("optimizer.lr_multipliers={backbone:0}")
    after = load_file(weights_dir(root) / "weights.safetensors")
    pl.seed_everything(0, verbose=False)
    before = build_module(shrunk_config()).detector
    unchanged = {name: torch.equal(tensor, after[name]) for name, tensor in before.named_parameters()}
    assert all(unchanged[name] for name in unchanged if name.startswith("network.backbone"))
    moved = [not unchanged[name] for name in unchanged if not name.startswith("network.backbone")]
    assert sum(moved) > 0.9 * len(moved)  # a few biases before a norm over two values have no gradient


def test_a_validation_that_was_not_made_is_not_in_the_history(fit):
    root = fit("trainer.max_epochs=3", "trainer.validation.every_n_epochs=2")
    history = pd.read_csv(root / "reports/history/0.csv")
    assert history["val/map"].notna().tolist() == [False, True, False]
    assert not math.isnan(history["train/loss"].iloc[-1])


def test_early_stopping_ends_before_the_last_epoch(fit):
    stop = ("trainer.early_stopping_patience=1", "trainer.monitor=val/map_75", "trainer.max_epochs=5")
    root = fit(*stop, "optimizer.lr=0.0")
    assert len(pd.read_csv(root / "reports/history/0.csv")) == 2  # equal to the first, so one without progress


def test_the_world_has_every_class_in_the_held_out_fold():
    assert {face[1] for face in FACES if face[0] % 2 == 0} == {0, 1, 2}


def test_without_a_fold_every_image_is_trained_on_and_none_is_held_out(fit):
    root = fit("fold=null", "trainer.samples_per_epoch=null", "trainer.batch_size=4", "trainer.balance_power=0")
    history = pd.read_csv(root / "build/release/history.csv")
    assert history["step"].tolist() == [2]  # eight images, each once
    assert not [name for name in history if name.startswith("val/")]
    assert json.loads((root / "build/release/train/model.json").read_text())["fold"] is None
    assert not (root / "build/train").exists()
    assert not (root / "reports").exists()


@pytest.mark.parametrize("override", ["trainer.checkpoint=best", "trainer.early_stopping_patience=2"])
def test_without_a_fold_there_is_nothing_to_choose_by(fit, override):
    with pytest.raises(ValueError, match=r"fold=null: expected trainer.checkpoint=last"):
        fit("fold=null", override)


def test_mosaics_and_replaced_faces_train(fit):
    root = fit("augment.mosaic_probability=0.5", "augment.replaced_faces.probability=0.5")
    assert pd.read_csv(root / "reports/history/0.csv")["train/loss"].notna().all()
    with pytest.raises(ValueError, match=r"augment.mosaic_probability: expected a framing of random crops"):
        fit("augment.mosaic_probability=0.5", "framing._target_=maskdet.data.framing.Letterbox", *UNCROPPED)


def test_several_views_are_fused_into_one_table(trained, tmp_path):
    single = read_table(trained.root / "build/predictions/0.parquet", PREDICTIONS)
    more = ("predict.test_time_augmentation.sizes=[256]", "predict.test_time_augmentation.mirrored=true")
    predict.run(
        shrunk_config(*more, "predict.test_time_augmentation.fusion_min_score=0"), Workspace(trained.root, tmp_path)
    )
    fused = read_table(tmp_path / "build/predictions/0.parquet", PREDICTIONS)
    assert set(fused["file_name"]) <= set(HELD_OUT)
    assert (fused["fold"] == 0).all()
    assert not fused.equals(single)


def test_a_run_folder_with_weights_of_its_own_is_predicted_with_these(trained, tmp_path):
    shutil.copytree(weights_dir(trained.root), weights_dir(tmp_path))
    text = (weights_dir(tmp_path) / "model.json").read_text()
    (weights_dir(tmp_path) / "model.json").write_text(text.replace('"num_classes": 3', '"num_classes": 2'))
    with pytest.raises(ValueError, match=f"{tmp_path}.*expected weights"):
        predict.run(trained.cfg, Workspace(trained.root, tmp_path))


def test_the_model_of_other_folds_is_not_scored_on_what_it_was_trained_on(trained, tmp_path):
    write_world(tmp_path)
    folds = folds_table()
    write_table(folds.assign(fold=1 - folds["fold"]), tmp_path / "build/folds.parquet", FOLDS)
    shutil.copytree(weights_dir(trained.root), weights_dir(tmp_path))
    with pytest.raises(ValueError, match=r"build/train/0: expected a model trained on the folds of build/"):
        predict.run(trained.cfg, Workspace(tmp_path, tmp_path))


def test_a_mirrored_view_comes_back_as_of_the_original(trained):
    """Mirroring the picture beforehand and mirroring the input are the same but for where the padding lies."""
    detector = load_detector(weights_dir(trained.root), trained.cfg.predict.detect)
    square = file_name(2)  # 128 x 128: no padding
    annotations = read_table(trained.root / "build/table/annotations.parquet", ANNOTATIONS)
    images = LabelledImages.from_tables(trained.root / "build/raw/images", [square], annotations)
    example = EvaluationSet(images, Letterbox(128))[0]
    flipped = replace(example, image=example.image.flip(-1))
    mirrored = predict_batches(detector, [collate([example])], 0, mirrored=True)
    expected = predict_batches(detector, [collate([flipped])], 0)
    assert len(mirrored) > 0
    pd.testing.assert_series_equal(mirrored["score"], expected["score"])
    torch.testing.assert_close(
        torch.tensor(mirrored[["x_min", "x_max", "y_min"]].to_numpy()),
        torch.tensor((expected[["x_max", "x_min", "y_min"]] * [-1, -1, 1] + [128, 128, 0]).to_numpy("float32")),
        atol=1e-3,
        rtol=0,
    )
