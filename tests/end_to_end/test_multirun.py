"""A Hydra multirun: as many output folders and W&B runs as jobs, none merged, nothing under `build/`."""

from pathlib import Path

from end_to_end.project_copy import copy_package, run
from training_world import SHRUNK, write_world
from wandb_file import read_offline_runs


def test_four_jobs_leave_four_folders_and_four_runs(tmp_path: Path) -> None:
    project = copy_package(tmp_path / "project")
    write_world(project)
    choices = ("model=efficientdet_lite0,efficientdet_lite1", "fold=0,1", "trainer.max_epochs=1", "logger=wandb")
    shrunk = [override for override in SHRUNK if not override.startswith(("model=", "logger=", "trainer.max_epochs="))]
    run(project, "python", "-m", "maskdet.stages.train", "--multirun", *choices, *shrunk)

    weights = sorted(path.relative_to(project) for path in project.rglob("weights.safetensors"))
    assert len(weights) == 4
    assert all(path.parts[0] == "multirun" for path in weights)
    assert len({path.parts[:4] for path in weights}) == 4
    runs = read_offline_runs(project / "multirun")
    assert sorted((one.config["model"]["architecture"], one.name, one.exit_code) for one in runs) == [
        ("tf_efficientdet_lite0", "fold0", 0),
        ("tf_efficientdet_lite0", "fold1", 0),
        ("tf_efficientdet_lite1", "fold0", 0),
        ("tf_efficientdet_lite1", "fold1", 0),
    ]
    assert not (project / "build/train").exists()
