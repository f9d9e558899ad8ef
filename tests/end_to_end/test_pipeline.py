"""The pipeline under DVC: from the archive to the report, again without work, and after kills."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from end_to_end.project_copy import compose, environment, make_project, run, set_overrides
from maskdet.schema import PREDICTIONS, read_table
from maskdet.stages import train
from maskdet.stages.entry import stage_main
from wandb_file import read_offline_runs

LONG = 8
"""Epochs of a training that is killed after its first: enough of them to be still at work then."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_project(tmp_path_factory.mktemp("pipeline") / "project")
    run(folder, "dvc", "exp", "run", *set_overrides())
    return folder


def test_all_stages_write_what_they_promise(project: Path) -> None:
    metrics = json.loads((project / "reports/metrics.json").read_text())
    assert {"map", "map_50", "map_75", "ar_100", "precision", "recall", "f1", "ap", "ap_50"} <= set(metrics["val"])
    assert set(metrics["fold"]) == {"0", "1"}
    assert set(metrics) >= {"val_low", "val_high", "calibration"}
    for name in ("thresholds.json", "calibrator.json", "analysis/subgroups.csv", "analysis/anchors.yaml"):
        assert (project / "reports" / name).is_file(), name
    folds = pd.read_parquet(project / "build/folds.parquet").set_index("file_name")["fold"]
    for fold in (0, 1):
        table = read_table(project / f"build/predictions/{fold}.parquet", PREDICTIONS)
        assert set(folds[table["file_name"].unique()]) <= {fold}
        assert len(pd.read_csv(project / f"reports/history/{fold}.csv")) == 1
    page = (project / "reports/report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert list((project / "reports/gallery").rglob("*.jpg"))
    assert not (project / "outputs").exists()
    assert not list((project / "build/resume").glob("*/*/last.ckpt"))


def test_the_tracked_runs_are_one_a_fold_and_one_pooled(project: Path) -> None:
    runs = read_offline_runs(project / "build/tracking/wandb") + read_offline_runs(project / "build/wandb")
    assert sorted((tracked.job_type, tracked.name) for tracked in runs) == [
        ("evaluate", "pooled"),
        ("train", "fold0"),
        ("train", "fold1"),
    ]
    assert len({tracked.group for tracked in runs}) == 1


def test_a_second_repro_has_nothing_to_do(project: Path) -> None:
    printed = run(project, "dvc", "repro")
    assert "Data and pipelines are up to date." in printed
    assert "Running stage" not in printed


def test_a_changed_threshold_reruns_evaluation_only(project: Path) -> None:
    compose(project, "evaluate.score_threshold=0.5")
    printed = run(project, "dvc", "repro", "--dry")
    assert "maskdet.stages.evaluate" in printed
    assert "maskdet.stages.analyse" in printed
    assert "maskdet.stages.report" in printed
    assert "maskdet.stages.train" not in printed
    assert "maskdet.stages.predict" not in printed
    compose(project)


def test_tables_alone_evaluate_and_analyse_to_the_same_bytes(project: Path) -> None:
    outputs = [project / "reports/metrics.json", *sorted((project / "reports/analysis").iterdir())]
    before = {path.name: path.read_bytes() for path in outputs}
    photos = project / "build/raw"
    photos.rename(project / "hidden")
    try:
        for stage in ("evaluate", "analyse"):
            run(project, "dvc", "repro", "--allow-missing", "--force", "--single-item", stage)
    finally:
        (project / "hidden").rename(photos)
    assert {path.name: path.read_bytes() for path in outputs} == before


def test_evaluation_without_a_folds_predictions_names_the_file(project: Path) -> None:
    prediction = project / "build/predictions/1.parquet"
    content = prediction.read_bytes()
    prediction.unlink()
    try:
        printed = run(project, "python", "-m", "maskdet.stages.evaluate", expect=1, as_stage=True)
    finally:
        prediction.write_bytes(content)
    assert "build/predictions/1.parquet" in printed
    assert "Traceback" not in printed


def test_kills_of_dvc_and_of_the_training_cost_one_epoch_at_most(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(project, tmp_path / "project", symlinks=True)
    long_run = ("split.train_folds=[0]", f"trainer.max_epochs={LONG}", "trainer.samples_per_epoch=8")
    long_run += (f"trainer.validation.every_n_epochs={LONG}",)
    command = ["dvc", "exp", "run", *set_overrides(*long_run)]
    first = subprocess.Popen(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    checkpoint = _wait_for(lambda: next((folder / "build/resume").glob("*/0/last.ckpt"), None), process=first)
    trainings = [child for child in psutil.Process(first.pid).children(recursive=True) if _is_training(child)]
    orphan = trainings[-1]
    orphan.suspend()  # so that it cannot end before it is killed
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert orphan.is_running()  # DVC is dead, its child lives on

    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_STAGE", "train@0")
    monkeypatch.setattr(sys, "argv", ["train", "fold=0"])
    with pytest.raises(SystemExit, match=f"error: .*process {orphan.pid}"):
        stage_main(train.run)

    orphan.kill()
    psutil.wait_procs([orphan], timeout=30)
    assert checkpoint.is_file()
    assert not (folder / "build/train/0/weights.safetensors").exists()
    (folder / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    printed = run(folder, "dvc", "repro", "train@0")
    assert "resumes from" in printed
    history = pd.read_csv(folder / "reports/history/0.csv")
    assert history["epoch"].tolist() == list(range(LONG))
    assert (folder / "build/train/0/weights.safetensors").is_file()


def _is_training(process: psutil.Process) -> bool:
    command = process.cmdline()
    return "maskdet.stages.train" in command and "-c" not in command


def _wait_for(found: object, process: subprocess.Popen, seconds: float = 240) -> Path:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (result := found()) is not None:
            return result
        assert process.poll() is None, process.stdout.read().decode()[-4000:]
        time.sleep(0.02)
    raise AssertionError(f"nothing after {seconds} s")


def test_every_plot_can_be_drawn(project: Path) -> None:
    shown = json.loads(run(project, "dvc", "plots", "show", "--json", stdout_only=True))
    assert not shown.get("errors")
    named = {"precision and recall", "F1 over score threshold", "calibration", "training loss", "mAP while training"}
    assert {*named, "reports/plots/confusion.csv"} <= set(shown["data"])
