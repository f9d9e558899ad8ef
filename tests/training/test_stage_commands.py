"""The stage `train` as a command: what a person sees when it fails, and what it leaves."""

import shutil
import sys

import pytest

from maskdet.stages import predict, train
from maskdet.stages.entry import Workspace, stage_main
from training_world import CONF, SHRUNK, shrunk_config, write_params, write_world


@pytest.fixture
def as_dvc(tmp_path, monkeypatch):
    """Return a function that runs a stage in this process as DVC would, with words of its command line."""
    write_world(tmp_path)
    write_params(shrunk_config(), tmp_path)
    monkeypatch.setenv("DVC_STAGE", "train@0")
    monkeypatch.delenv("MASKDET_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(stage, *words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["train", *words])
        return stage_main(stage)

    return run


@pytest.fixture
def as_person(as_dvc, tmp_path, monkeypatch):
    """Return a function that runs a stage in this process from Hydra's command line, in the smallest size."""
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.delenv("DVC_STAGE")
    return lambda stage, *words: as_dvc(stage, "hydra/job_logging=disabled", *SHRUNK, *words)


@pytest.mark.parametrize("by", ["as_dvc", "as_person"])
def test_a_loss_that_overflows_ends_in_one_line(by, request, tmp_path):
    """The first step at this rate blows up the weights; what DVC would keep is absent."""
    start = request.getfixturevalue(by)
    with pytest.raises(SystemExit) as ended:
        start(train.run, "optimizer.lr=1e30")
    (line,) = ended.value.code.splitlines()
    assert line.startswith("error: epoch 0, step 1: expected a finite loss, got ")
    assert "for the images ['drawn_" in line
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path / "build/train").exists()
    assert not (tmp_path / "reports/history").exists()
    assert (tmp_path / "outputs").is_dir() == (by == "as_person")  # a person's run writes to Hydra's folder


def test_dvc_reads_params_and_writes_to_the_root(as_dvc, tmp_path):
    seen = as_dvc(lambda cfg, workspace: (cfg.fold, cfg.framing.size, workspace), "fold=1")
    assert seen == (1, 128, Workspace(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("fold=9", r"error: fold: expected one of \[0, 1\], got 9"),
        ("model.architecture=yolo", r"error: model.architecture: expected one of .*got 'yolo'"),
        ("trainer.batch_siz=2", r"error: .*batch_siz"),
        ("framing.size=100", r"error: expected image sides that are multiples of 128, got 100x100"),
    ],
)
def test_a_wrong_setting_ends_in_one_line(as_dvc, tmp_path, word, message):
    with pytest.raises(SystemExit, match=message):
        as_dvc(train.run, word)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_missing_table_ends_in_one_line(as_dvc, tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*train.0: expected weights.safetensors and model.json; train"):
        as_dvc(predict.run)
