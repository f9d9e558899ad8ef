"""W&B runs read back from their offline files."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from maskdet.reporting import wandb_content
from maskdet.reporting.picture import GalleryPicture, judge_tables
from maskdet.reporting.wandb_runs import group_name, open_run
from maskdet.stages.entry import Workspace
from table_rows import detection_rows, face_rows
from wandb_file import OfflineRun, read_offline_runs

CONF = Path(__file__).parents[2] / "conf"
LOGGER = OmegaConf.to_container(OmegaConf.load(CONF / "logger/wandb.yaml"))


@pytest.fixture(scope="module")
def pooled(workspace: Workspace) -> OfflineRun:
    """Return the run of the stage `report`."""
    runs = read_offline_runs(workspace.root / "build/tracking")
    assert len(runs) == 1
    return runs[0]


def test_the_stage_leaves_a_finished_run_with_the_whole_config(pooled: OfflineRun) -> None:
    assert (pooled.name, pooled.job_type, pooled.exit_code) == ("pooled", "evaluate", 0)
    assert pooled.config["model"] == {"architecture": "tf_efficientdet_lite0"}
    assert pooled.group.startswith("config-")


def test_the_summary_has_the_metric_keys_with_slashes(pooled: OfflineRun) -> None:
    assert pooled.summary["val/num_images"] == 12
    assert 0 < pooled.summary["val/map_50"] < 1
    assert "val/ap_50/with_mask" in pooled.summary
    assert "fold/1/map" in pooled.summary
    assert "fold_mean/map" in pooled.summary


def test_the_run_holds_galleries_plots_tables_and_the_artifact(pooled: OfflineRun, workspace: Workspace) -> None:
    logged = {key.rsplit("/", 1)[0] for key in pooled.history_keys}
    assert {f"gallery/{section}" for section in ("best", "worst", "random", "rare")} <= logged
    assert {"plots/pr_curves", "plots/confusion", "predictions", "pr_curves_table"} <= logged
    assert pooled.artifacts["tables"] == "tables"
    groups = pooled.summary["gallery/worst/all_boxes"]
    assert [set(group) for group in groups] == [{"predictions", "ground_truth"}] * 3
    (media,) = (path for path in workspace.root.rglob("files/media") if path.is_dir())
    truth = json.loads((media.parent / groups[0]["ground_truth"]["path"]).read_text())["box_data"]
    assert [box["class_id"] for box in truth] == [0, 1]
    assert truth[0]["position"] == {"minX": 10.0, "minY": 20.0, "maxX": 40.0, "maxY": 60.0}


def test_a_run_is_finished_with_exit_code_1_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="stop"), open_run(LOGGER, {"a": 1}, "train", "fold0", tmp_path):
        raise RuntimeError("stop")
    (run,) = read_offline_runs(tmp_path)
    assert run.exit_code == 1


def test_runs_of_one_process_stay_apart_and_share_a_group(tmp_path: Path) -> None:
    with (
        open_run(LOGGER, {"fold": 0, "a": 1}, "train", "fold0", tmp_path) as first,
        open_run(LOGGER, {"fold": 1, "a": 1}, "train", "fold1", tmp_path) as second,
    ):
        wandb_content.log_summary(first, {"val": {"map": 0.1, "map_small": None}})
        wandb_content.log_summary(second, {"val": {"map": 0.2}})
    runs = {run.name: run for run in read_offline_runs(tmp_path)}
    assert runs["fold0"].summary["val/map"] == 0.1
    assert runs["fold1"].summary["val/map"] == 0.2
    assert "val/map_small" not in runs["fold0"].summary
    assert runs["fold0"].group == runs["fold1"].group


@pytest.mark.parametrize("logger", [{"kind": "csv"}, {"kind": "tensorboard"}, LOGGER | {"mode": "disabled"}])
def test_without_wandb_there_is_no_run_and_no_file(logger: dict, tmp_path: Path) -> None:
    picture = GalleryPicture(
        "a.png", 0, np.zeros((9, 9, 3), np.uint8), judge_tables(face_rows([]), detection_rows([]), 0.3)
    )
    with open_run(logger, {}, "train", "fold0", tmp_path) as run:
        assert run is None
        wandb_content.log_summary(run, {"val": {"map": 0.1}})
        wandb_content.log_gallery(run, "gallery/best", [picture])
        wandb_content.log_pictures(run, {"sheet": picture.image})
        wandb_content.log_pr_curves(run, pd.DataFrame())
        assert wandb_content.log_predictions_table(run, detection_rows([])) == 0
        wandb_content.log_checkpoint(run, tmp_path / "none", "fold0")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"logger\.mode: expected one of offline, online, disabled, got 'on'"),
        open_run(LOGGER | {"mode": "on"}, {}, "train", "fold0", tmp_path),
    ):
        pass


def test_the_predictions_table_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wandb_content, "TABLE_MAX_ROWS", 2)
    box = (0, 0, 5, 5)
    predictions = detection_rows([("a.png", "with_mask", score, *box) for score in (0.9, 0.01, 0.5, 0.7)])
    before = os.environ.get("WANDB_DATA_DIR")
    with open_run(LOGGER, {}, "evaluate", "pooled", tmp_path) as run:
        assert wandb_content.log_predictions_table(run, predictions) == 2
    (read,) = read_offline_runs(tmp_path)
    assert read.summary["predictions_left_out"] == 2
    assert read.summary["predictions/nrows"] == 2
    assert os.environ.get("WANDB_DATA_DIR") == before


def test_the_group_is_the_given_one_then_dvc_then_a_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert group_name(None, {"fold": 0, "a": 1}) == group_name(None, {"a": 1, "fold": 4})
    assert group_name(None, {"a": 1}) != group_name(None, {"a": 2})
    monkeypatch.setenv("DVC_EXP_NAME", "lame-duck")
    assert group_name(None, {"a": 1}) == "lame-duck"
    assert group_name("mine", {"a": 1}) == "mine"
