"""How every stage starts: with `params.yaml` under DVC, with Hydra's command line for a person.

A stage may run for a study beside the main road: `study=NAME` or `study=NAME/PART` on its command line lets it read
other settings and work in folders of its own. Stages know nothing of it.
"""

import copy
import os
import re
import sys
from collections.abc import Callable, Sequence
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
class Study:
    """A study beside the main road: the same stages, other settings, folders of its own.

    Attributes:
        name: Its key in `studies`.
        part: Its key in the study's `parts`, which differ in some settings; None: what the parts have in common.
        shared: Folders and files that the parts have in common, e.g. `build/raw`.
    """

    name: str
    part: str | None = None
    shared: tuple[str, ...] = ()

    def place(self, relative: str) -> str:
        """Return where the study keeps what the main road keeps at `relative`.

        >>> study = Study("composite", "grouped", ("build/raw",))
        >>> study.place("build/raw/images"), study.place("build/folds.parquet")
        ('build/composite/raw/images', 'build/composite/grouped/folds.parquet')
        """
        top, _, rest = relative.partition("/")
        is_shared = any(relative == path or relative.startswith(f"{path}/") for path in self.shared)
        own = [self.name] if is_shared or self.part is None else [self.name, self.part]
        return "/".join([top, *own, rest])


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and where it writes.

    Inputs lie under the project's root. Outputs go there too when DVC runs the stage; when a person does, they go to
    Hydra's run folder, so that the jobs of a multirun never meet. A study has its own folders in both.
    """

    root: Path
    output_root: Path
    study: Study | None = None

    def input(self, relative: str) -> Path:
        """Return the path of an input, e.g. `build/folds.parquet`, under the project's root."""
        return self.root / self._place(relative)

    def output(self, relative: str) -> Path:
        """Return the path of an output under the root, or under Hydra's run folder."""
        return self.output_root / self._place(relative)

    def _place(self, relative: str) -> str:
        return self.study.place(relative) if self.study else relative


Stage = Callable[[DictConfig, Workspace], object]


def stage_main(run: Stage) -> object:
    """Run a stage as a command: compose its config, call it, turn user errors into one line and exit code 1.

    Args:
        run: `run(cfg, workspace)`; its return value is handed back, so that Hydra sweepers can optimize it.
    """
    root = Path.cwd()
    if os.environ.get("DVC_STAGE"):
        return _reporting_errors(lambda: _run_under_dvc(run, root))
    if not (root / "conf" / "config.yaml").is_file():
        sys.exit(f"error: {root}: expected conf/config.yaml; run this command from the project's root")

    @hydra.main(version_base="1.3", config_path=str(root / "conf"), config_name="config")
    def from_command_line(cfg: DictConfig) -> object:
        return _reporting_errors(lambda: _run_under_hydra(run, cfg, root))

    return from_command_line()


def _run_under_dvc(run: Stage, root: Path) -> object:
    cfg = OmegaConf.load(root / "params.yaml")
    OmegaConf.set_struct(cfg, True)
    words = sys.argv[1:]
    for word in words:
        if word.startswith("study="):
            cfg.merge_with_dotlist([word])
    cfg, study = of_study(cfg)
    return run(_with_overrides(cfg, words), Workspace(root, root, study))


def _run_under_hydra(run: Stage, cfg: DictConfig, root: Path) -> object:
    settings, study = of_study(cfg)
    if study:
        _refuse_lost_overrides(HydraConfig.get().overrides.task, cfg, settings)
    return run(settings, Workspace(root, Path(HydraConfig.get().runtime.output_dir), study))


def of_study(cfg: DictConfig) -> tuple[DictConfig, Study | None]:
    """Return the config of the study that `cfg.study` names, and where it works.

    A study is a node of `studies`: `parts` (name → settings), `shared` (see `Study`), and settings. Each key of its
    settings, and then of the part's, takes the place of the config's key of that name as a whole.

    Args:
        cfg: The composed config; not modified. `study` is null, `NAME` or `NAME/PART`.

    Returns:
        Without a study the given config and None.

    Raises:
        ValueError: If the study, its part or a key of its settings is unknown.
    """
    if not cfg.get("study"):
        return cfg, None
    name, _, part = cfg.study.partition("/")
    known = sorted(
        {path for study in cfg.studies for path in (study, *(f"{study}/{p}" for p in cfg.studies[study].parts))}
    )
    if cfg.study not in known:
        raise ValueError(f"study: expected null or one of {', '.join(known)}, got {cfg.study!r}")
    node = cfg.studies[name]
    settings = copy.deepcopy(cfg)
    for origin, values in ((f"studies.{name}", node), (f"studies.{name}.parts.{part}", node.parts.get(part) or {})):
        for key in values:
            if key in ("parts", "shared"):
                continue
            if key not in cfg:
                raise ValueError(f"{origin}: expected keys of the config, got {key!r}")
            settings[key] = values[key]
    return settings, Study(name, part or None, tuple(node.shared))


def _refuse_lost_overrides(overrides: Sequence[str], cfg: DictConfig, settings: DictConfig) -> None:
    """Refuse overrides of what the study replaces: they would change nothing, without a word."""
    for override in overrides:
        key = re.split(r"[.@=]", override.lstrip("+~"))[0]
        if key in cfg and cfg[key] != settings[key]:
            raise ValueError(
                f"{override}: expected no override of what study={cfg.study} sets itself; override its own node, "
                f"studies.{cfg.study.partition('/')[0]}"
            )


def _with_overrides(cfg: DictConfig, words: Sequence[str]) -> DictConfig:
    """Apply the command line's `key=value` words to the content of `params.yaml`; an unknown key is an error.

    As on Hydra's command line, `classifier=NAME` names an option of a group: of those that `params.yaml` holds, in
    `classifiers`.
    """
    for word in words:
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
