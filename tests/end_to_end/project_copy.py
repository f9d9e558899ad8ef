"""A small, real project in an empty folder: git, DVC, the pipeline's own files, and a few drawn scenes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from maskdet.data.sample.scenes import write_sample

ROOT = Path(__file__).parents[2]

TINY = (
    "data=sample",
    "experiment=smoke",
    "split.max_class_share_gap=1.0",
    "split.min_shared_points=0",
    "model.pretrained=none",
    "framing.size=128",
    "trainer.batch_size=2",
    "trainer.samples_per_epoch=4",
    "trainer.num_workers=0",
    "trainer.max_epochs=1",
    "trainer.validation.every_n_epochs=1",
    "trainer.validation.framing.size=128",
    "predict.framing.size=128",
    "predict.num_workers=0",
    "report.num_images=2",
    "logger.num_images=1",
)
"""Overrides that let the whole pipeline run in seconds; nothing is learned."""


def environment(project: Path) -> dict[str, str]:
    """Return variables under which the copied package runs on one thread, as nobody in particular."""
    names = {f"GIT_{role}_{part}": "test" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    cleared = {key: value for key, value in os.environ.items() if key not in ("DVC_STAGE", "DVC_EXP_NAME")}
    threads = {"OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
    return cleared | names | threads | {"PATH": search_path, "PYTHONPATH": str(project / "src")}


def run(project: Path, *command: str, expect: int = 0, as_stage: bool = False, stdout_only: bool = False) -> str:
    """Run a command in the project and return what it printed, errors included.

    Args:
        project: The working folder.
        command: Its words.
        expect: The exit code that it must have.
        stdout_only: Leave out what it wrote to standard error.
        as_stage: Let a stage's module believe that DVC started it, so that it reads `params.yaml`.
    """
    variables = environment(project) | ({"DVC_STAGE": "test"} if as_stage else {})
    done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, timeout=580, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == expect, f"{command} ended with {done.returncode}:\n{printed[-4000:]}"
    return done.stdout if stdout_only else printed


def copy_package(folder: Path) -> Path:
    """Copy the code and its config: all that a stage needs which a person starts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("conf", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def make_project(folder: Path, num_images: int = 12) -> Path:
    """Copy the pipeline's files into a new repository with an archive of a few scenes."""
    copy_package(folder)
    for name in ("dvc.yaml", "params.yaml", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    write_sample(folder / "data" / "sample.zip", num_images=num_images, seed=0)
    run(folder, "git", "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "config", "hydra.enabled", "true")
    run(folder, "dvc", "add", "--quiet", "data")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "a small project")
    return folder


def set_overrides(*extra: str) -> list[str]:
    """Return `-S key=value` words for `dvc exp run`."""
    return [word for override in (*TINY, *extra) for word in ("-S", override)]


def compose(project: Path, *extra: str) -> None:
    """Write `params.yaml` as `dvc exp run` would for the tiny overrides and more."""
    code = "from dvc.utils.hydra import compose_and_dump; import sys; "
    code += "compose_and_dump('params.yaml', sys.argv[1], None, 'config', None, sys.argv[2:])"
    run(project, "python", "-c", code, str(project / "conf"), *TINY, *extra)
