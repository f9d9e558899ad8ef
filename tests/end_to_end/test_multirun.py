"""A Hydra multirun: as many output folders and W&B runs as jobs, none merged, nothing under `build/`."""

from pathlib import Path

from end_to_end.project_copy import TINY, compose, make_project, run
from wandb_file import read_offline_runs


def test_four_jobs_leave_four_folders_and_four_runs(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    compose(project)
    for stage in ("fetch", "table", "split"):
        run(project, "python", "-m", f"maskdet.stages.{stage}", as_stage=True)
    choices = ("model=efficientdet_lite0,efficientdet_lite1", "fold=0,1")
    tiny = [override for override in TINY if override != "data=sample"]
    run(project, "python", "-m", "maskdet.stages.train", "--multirun", "data=sample", *choices, *tiny)

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
