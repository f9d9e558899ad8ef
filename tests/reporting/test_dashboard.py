"""The dashboard: every key of every panel is one that a real training and a real evaluation log."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from maskdet.reporting.dashboard import SECTIONS, build_workspace, save_dashboard
from maskdet.reporting.facts import select
from maskdet.stages import train
from maskdet.stages.entry import Workspace
from training_world import shrunk_config, write_world
from wandb_file import OfflineRun, read_offline_runs

SPECS = [spec for specs in SECTIONS.values() for spec in specs]


@pytest.fixture(scope="module")
def fold(tmp_path_factory: pytest.TempPathFactory) -> OfflineRun:
    """Return the run of a fold trained with the real config, shrunk."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("dashboard")
    train.run(shrunk_config("trainer.max_epochs=1", "logger=wandb", "logger.mode=offline"), write_world(root))
    torch.set_num_threads(before)
    (run,) = read_offline_runs(root)
    return run


def logged_keys(run: OfflineRun) -> set[str]:
    """Return the names under which a run has logged, those of pictures and tables without their parts."""
    keys = run.history_keys | set(run.summary)
    return keys | {key.rsplit("/", 1)[0] for key in keys}


def test_every_key_of_every_panel_is_really_logged(fold: OfflineRun, workspace: Workspace) -> None:
    pooled = [run for run in read_offline_runs(workspace.root / "build/tracking") if run.job_type == "evaluate"]
    known = logged_keys(fold).union(*(logged_keys(run) for run in pooled))
    wanted = {key for spec in SPECS for key in spec.keys}
    assert len(wanted) > 20
    assert wanted - known == set()
    assert "epoch" in fold.history_keys  # the axis of the lines


def test_every_setting_of_the_parallel_coordinates_is_one_of_the_config(fold: OfflineRun) -> None:
    keys = [key for spec in SPECS for key in spec.config_keys]
    assert len(keys) > 4
    assert [key for key in keys if select(fold.config, key) is None] == []


def test_the_workspace_holds_every_section_and_key_without_a_network() -> None:
    workspace = build_workspace("team", "maskdet")
    assert [section.name for section in workspace.sections] == list(SECTIONS)
    assert [len(section.panels) for section in workspace.sections] == [len(specs) for specs in SECTIONS.values()]
    text = workspace._to_model().spec.model_dump_json(by_alias=True)
    assert all(key in text for spec in SPECS for key in spec.keys)


def test_every_panel_has_a_title_and_every_axis_a_unit() -> None:
    titles = [spec.title for spec in SPECS]
    assert len(set(titles)) == len(titles)
    assert all(spec.unit for spec in SPECS if spec.kind in ("lines", "bars"))


@pytest.mark.parametrize("target", ["", "maskdet", "a/b/c", "a b/c"])
def test_a_target_of_another_form_is_refused(target: str) -> None:
    with pytest.raises(ValueError, match="expected ENTITY/PROJECT"):
        save_dashboard(target)


def test_without_an_account_the_command_ends_with_one_line(tmp_path: Path) -> None:
    lonely = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    command = [sys.executable, "-m", "maskdet.cli", "dashboard", "team/maskdet"]
    answer = subprocess.run(
        command,
        env=lonely | {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr.strip().splitlines()[-1].startswith("error: expected a W&B account on this machine")
    assert "Traceback" not in answer.stderr
