"""Weights & Biases runs: opened without account, prompt or network, and finished on every way out."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import wandb

KINDS = ("wandb", "tensorboard", "csv")
MODES = ("offline", "online", "disabled")


def group_name(group: str | None, config: Mapping) -> str:
    """Return what joins the runs of one experiment: the given name, DVC's experiment, or a hash of the config.

    Args:
        group: `logger.group`.
        config: Plain containers; `fold` is left out of the hash, so that the folds of one config meet, and so is
            Hydra's own node.

    >>> group_name("mine", {})
    'mine'
    """
    shared = {key: value for key, value in config.items() if key not in ("fold", "hydra")}
    digest = hashlib.sha256(json.dumps(shared, sort_keys=True, default=str).encode()).hexdigest()
    return group or os.environ.get("DVC_EXP_NAME") or f"config-{digest[:8]}"


def logger_kind(logger_cfg: Mapping) -> str:
    """Return `kind` of the group `logger`.

    Raises:
        ValueError: If it is none of `KINDS`.
    """
    if logger_cfg["kind"] not in KINDS:
        raise ValueError(f"logger.kind: expected one of {KINDS}, got {logger_cfg['kind']!r}")
    return logger_cfg["kind"]


@contextmanager
def open_run(
    logger_cfg: Mapping, config: dict, job_type: str, name: str, run_dir: Path
) -> Iterator["wandb.Run | None"]:
    """Yield a new W&B run, independent of any other of this process, and finish it whatever happens.

    Args:
        logger_cfg: The group `logger`: `kind`, and for `wandb` also `mode, project, entity, group`.
        config: The whole composed config in plain containers.
        job_type: `train` or `evaluate`.
        name: Of the run, e.g. `fold0`.
        run_dir: W&B writes to the folder `wandb` in it; no DVC output, so that DVC never deletes runs.

    Yields:
        The run; None where `kind` is not `wandb` or `mode` is `disabled`. After an exception its exit code is 1.

    Raises:
        ValueError: If the mode is unknown.
    """
    if logger_cfg["kind"] != "wandb":
        yield None
        return
    if logger_cfg["mode"] not in MODES:
        raise ValueError(f"logger.mode: expected one of {', '.join(MODES)}, got {logger_cfg['mode']!r}")
    if logger_cfg["mode"] == "disabled":
        yield None
        return
    with _staging_in(Path(run_dir) / "wandb" / "staging"):
        run = _init_run(logger_cfg, config, job_type, name, Path(run_dir))
        exit_code = 1
        try:
            yield run
            exit_code = 0
        finally:
            run.finish(exit_code=exit_code)


@contextmanager
def _staging_in(folder: Path) -> Iterator[None]:
    """Keep copies of artifacts beside the runs instead of in the user's home, where W&B would put them."""
    folder.mkdir(parents=True, exist_ok=True)
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]
        if before is not None:
            os.environ["WANDB_DATA_DIR"] = before


def _init_run(logger_cfg: Mapping, config: dict, job_type: str, name: str, run_dir: Path) -> "wandb.Run":
    os.environ.setdefault("WANDB_SILENT", "true")
    import wandb

    return wandb.init(
        project=logger_cfg["project"],
        entity=logger_cfg["entity"],
        mode=logger_cfg["mode"],
        group=group_name(logger_cfg["group"], config),
        job_type=job_type,
        name=name,
        dir=str(run_dir),
        config=config,
        reinit="create_new",
        settings=wandb.Settings(silent=True, console="off"),
    )
