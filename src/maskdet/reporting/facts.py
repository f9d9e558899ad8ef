"""What was run: data, settings, code and packages, as labels and texts for the head of the report."""

import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from maskdet.reporting.machine import machine_text

PACKAGES = ("torch", "pytorch-lightning", "effdet", "timm", "albumentations", "hydra-core", "dvc", "wandb", "numpy")
"""Distributions whose versions the report states."""

_NOT_SET = "not set"
_SETTINGS = {
    "model.pretrained": "start weights",
    "framing.size": "training input (px)",
    "predict.framing.size": "prediction input (px)",
    "trainer.max_epochs": "epochs",
    "trainer.samples_per_epoch": "samples an epoch",
    "trainer.batch_size": "batch size",
    "trainer.balance_power": "class balance power",
    "trainer.ema_decay": "EMA decay",
    "trainer.precision": "precision",
    "optimizer.lr": "peak learning rate",
    "split.strategy": "split",
    "split.num_folds": "folds of the split",
    "seed": "seed",
}
"""Settings that the head names where the config has them; the whole config stands at the end of the page."""

_CHECKPOINTS = {
    "last": "those at a length of training fixed beforehand (trainer.checkpoint: last)",
    "best": "optimistic: the epoch was chosen on the very fold that is reported (trainer.checkpoint: best)",
}


def select(config: Mapping, dotted_key: str) -> object | None:
    """Return a value of a nested config, None where there is none.

    >>> select({"model": {"architecture": "d0"}}, "model.architecture")
    'd0'
    """
    value: object = config
    for key in dotted_key.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def run_facts(config: Mapping, metrics: Mapping, root: Path, trainings: Mapping[str, Mapping]) -> list[tuple[str, str]]:
    """Return (label, text) pairs that say what the report is about.

    Args:
        config: The whole composed config in plain containers; a key that it lacks is called "not set".
        metrics: `metrics.json`.
        root: The project's root, for the git revision.
        trainings: Fold → what its `model.json` says; may be empty.
    """
    counts, folds = metrics["val"], ", ".join(metrics.get("fold", {}))
    settings = [f"{label} {_text(select(config, key))}" for key, label in _SETTINGS.items() if _has(config, key)]
    pairs = [
        ("Data", f"{_text(select(config, 'data.name'))}: {counts['num_images']} images, {counts['num_faces']} faces"),
        ("Architecture", _text(select(config, "model.architecture"))),
        ("Folds", f"{folds}: each image is judged by the model that did not see it"),
        ("Weights", checkpoint_text(select(config, "trainer.checkpoint"))),
        ("Settings", "; ".join(settings) or _NOT_SET),
        ("Training", training_text(trainings)),
        ("This page", f"made from the tables on {machine_text()}"),
        ("Code", git_revision(root) or "no git revision"),
        ("Packages", ", ".join([f"Python {platform.python_version()}", *package_versions()])),
    ]
    return [(label, text) for label, text in pairs if text]


def checkpoint_text(checkpoint: object | None) -> str:
    """Say which weights a value of `trainer.checkpoint` stands for, and whether that flatters the numbers.

    >>> checkpoint_text("best").split(":")[0]
    'optimistic'
    """
    return _CHECKPOINTS.get(str(checkpoint), f"trainer.checkpoint: {_text(checkpoint)}")


def training_text(trainings: Mapping[str, Mapping]) -> str:
    """Say on what the folds were trained, how many steps, how long; what is not on file is called so.

    Args:
        trainings: Fold → `model.json`: `device`, `steps`, and where the training wrote them `hardware` (a text) and
            `seconds`.

    >>> training_text({"0": {"device": "cpu", "steps": 10}, "1": {"device": "cpu", "steps": 10}})
    '2 folds, 10 steps each, on cpu; which machine and how long: not recorded'
    """
    if not trainings:
        return "device, machine and time are not on file (build/train/<fold>/model.json is absent)"
    records = list(trainings.values())
    steps = _join(f"{record['steps']:,}" for record in records if "steps" in record) or "unknown"
    places = _join(str(record.get("hardware") or record.get("device") or "an unknown device") for record in records)
    text = f"{len(records)} fold{'s' * (len(records) != 1)}, {steps} steps each, on {places}"
    seconds = [record["seconds"] for record in records if record.get("seconds") is not None]
    unknown = [] if all(record.get("hardware") for record in records) else ["which machine"]
    if len(seconds) == len(records):
        text += f"; {sum(seconds) / 60:.0f} minutes in all"
    else:
        unknown.append("how long")
    return f"{text}; {' and '.join(unknown)}: not recorded" if unknown else text


def _join(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(texts))


def package_versions() -> list[str]:
    """Return "name version" of every installed distribution among `PACKAGES`."""
    return list(_versions())


def git_revision(root: Path) -> str | None:
    """Return the commit, its day and whether files differ from it; None outside a repository or without git."""
    commit = _git(root, "show", "--no-patch", "--format=%h of %cs", "HEAD")
    if not commit:
        return None
    return f"{commit}, with uncommitted changes" if _git(root, "status", "--porcelain") else commit


def _versions() -> Iterator[str]:
    for name in PACKAGES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue


def _git(root: Path, *arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def _has(config: Mapping, key: str) -> bool:
    return select(config, key) is not None


def _text(value: object | None) -> str:
    return _NOT_SET if value is None else str(value)
