"""How every stage starts: with `params.yaml` under DVC, with Hydra's command line for a person."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

USER_ERRORS = (ValueError, TypeError, OSError, ArithmeticError, OmegaConfBaseException)
"""Errors whose message is meant for the person at the terminal: printed as one line, without a traceback."""


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and where it writes.

    Inputs lie under the project's root. Outputs go there too when DVC runs the stage; when a person does, they go to
    Hydra's run folder, so that the jobs of a multirun never meet.
    """

    root: Path
    output_root: Path

    def input(self, relative: str) -> Path:
        """Return the path of an input, e.g. `build/folds.parquet`, under the project's root."""
        return self.root / relative

    def output(self, relative: str) -> Path:
        """Return the path of an output under the root, or under Hydra's run folder."""
        return self.output_root / relative


Stage = Callable[[DictConfig, Workspace], object]


def stage_main(run: Stage) -> object:
    """Run a stage as a command: compose its config, call it, turn user errors into one line and exit code 1.

    Args:
        run: `run(cfg, workspace)`; its return value is handed back, so that Hydra sweepers can optimize it.
    """
    root = Path.cwd()
    if os.environ.get("DVC_STAGE"):
        return _reporting_errors(lambda: run(_params_with_overrides(root), Workspace(root, root)))
    if not (root / "conf" / "config.yaml").is_file():
        sys.exit(f"error: {root}: expected conf/config.yaml; run this command from the project's root")

    @hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name="config")
    def from_command_line(cfg: DictConfig) -> object:
        return _reporting_errors(lambda: run(cfg, Workspace(root, Path(HydraConfig.get().runtime.output_dir))))

    return from_command_line()


def _params_with_overrides(root: Path) -> DictConfig:
    """Read `params.yaml` and apply the command line's `key=value` words; an unknown key is an error.

    As on Hydra's command line, `classifier=NAME` names an option of a group: of those that `params.yaml` holds, in
    `classifiers`.
    """
    cfg = OmegaConf.load(root / "params.yaml")
    OmegaConf.set_struct(cfg, True)
    for word in sys.argv[1:]:
        key, _, value = word.partition("=")
        options = cfg.get(f"{key}s") if key in cfg and OmegaConf.is_dict(cfg[key]) else None
        if options is None:
            cfg.merge_with_dotlist([word])
        elif value in options:
            cfg[key] = options[value]
        else:
            raise ValueError(f"params.yaml: expected {key}= one of {sorted(options)}, got {value!r}")
    return cfg


def _reporting_errors(call: Callable[[], object]) -> object:
    try:
        return call()
    except USER_ERRORS as error:
        if os.environ.get("MASKDET_TRACEBACK"):
            raise
        sys.exit(f"error: {_without_worker_traceback(str(error))}")
    except InstantiationException as error:  # what a constructor raised, wrapped by Hydra
        if os.environ.get("MASKDET_TRACEBACK") or not isinstance(error.__cause__, USER_ERRORS):
            raise
        sys.exit(f"error: {error.__cause__}")


def _without_worker_traceback(message: str) -> str:
    """Return what an error of a loader's worker process said before torch wrapped it into its traceback."""
    if "DataLoader worker process" not in message:
        return message
    return message.strip().rsplit("\n", 1)[-1].partition(": ")[2]
