"""Train one fold: config to weights."""

import logging
import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from maskdet.data.datamodule import FoldDataModule, Tables
from maskdet.models.weights import save_weights
from maskdet.reporting.machine import machine_text
from maskdet.schema import CLASS_NAMES
from maskdet.training.callbacks import EmaWeights, EpochSeed, History
from maskdet.training.module import VALIDATION_METRICS, DetectionModule
from maskdet.training.resume import forget, only_one_process
from maskdet.training.tracking import SHEET_FILE, AugmentedSheet, log_fold_result, open_tracker

GROUPS = ("seed", "fold", "augment", "framing", "model", "optimizer", "scheduler", "trainer")
"""The parts of the config that decide the weights."""

SPEED_SETTINGS = ("num_workers", "images_in_memory", "accelerator")
"""Keys of `trainer` that change how fast a training is and nothing of its result."""

_NO_NEWS = ("Checkpoint directory .* exists", ".*LeafSpec.* is deprecated", "This DataLoader will create")
"""Warnings of libraries about what is meant to be so; they would hide those that matter."""


@dataclass(frozen=True)
class FitPaths:
    """Where a fit writes.

    Attributes:
        weights_dir: Gets `weights.safetensors`, `model.json`, `augmented.jpg`.
        history_path: One row of metrics an epoch.
        resume_dir: Checkpoints, history and sheet until the fit has succeeded.
        lock_dir: Held while the fold is trained, whatever the parameters.
        tracking_dir: Run folders of W&B or TensorBoard.
    """

    weights_dir: Path
    history_path: Path
    resume_dir: Path
    lock_dir: Path
    tracking_dir: Path


def fit_fold(cfg: DictConfig, tables: Tables, paths: FitPaths) -> dict[str, float]:
    """Train on all folds but `cfg.fold` and write the weights; resume where a killed run stopped.

    Args:
        cfg: The composed config; `fold=null` trains on every image, without a validation.
        tables: Images, annotations, folds.
        paths: Where to write.

    Returns:
        The last value of each metric, by key; those of the validation are absent if there was none.

    Raises:
        ValueError: If the config does not fit together, or another process trains this fold.
        InstantiationException: If a constructor that the config names refuses its arguments; its cause says why.
        FloatingPointError: If the loss stops being finite.
    """
    with only_one_process(paths.lock_dir), warnings.catch_warnings(), ExitStack() as stack:
        for message in _NO_NEWS:
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        pl.seed_everything(cfg.seed, verbose=False)
        data, module = build_data(cfg, tables), build_module(cfg)
        ema, history = EmaWeights(cfg.trainer.ema_decay), History(paths.resume_dir / "history.csv", echo=_echo())
        loggers, run = stack.enter_context(open_tracker(cfg, paths.tracking_dir, tables.facts))
        callbacks = [EpochSeed(cfg.seed), ema, history, AugmentedSheet(paths.resume_dir, run)]
        trainer = build_trainer(cfg, [*callbacks, *_optional_callbacks(cfg, paths.resume_dir)], loggers)
        last = paths.resume_dir / "last.ckpt"
        if last.is_file():
            print(f"fold {cfg.fold}: resumes from {last}", flush=True)
        trainer.fit(module, data, ckpt_path=last if last.is_file() else None, weights_only=True)
        if trainer.interrupted:
            raise KeyboardInterrupt
        module.detector.load_state_dict(_chosen_state(cfg, ema, paths.resume_dir))
        _publish(history, paths)
        known = {"data": tables.facts, "hardware": machine_text(), "seconds": round(history.seconds, 1)}
        settings = model_settings(cfg, module) | known
        save_weights(module.detector.state_dict(), settings, paths.weights_dir)
        log_fold_result(run, cfg, module.detector, data, paths.weights_dir)
    forget(paths.resume_dir)
    return {name: value for row in history.rows for name, value in row.items()}


def _publish(history: History, paths: FitPaths) -> None:
    """Move what was kept with the checkpoints to its place, now that the fit has succeeded."""
    for path in (paths.history_path, paths.weights_dir / SHEET_FILE):
        path.parent.mkdir(parents=True, exist_ok=True)
    history.write()
    history.path.replace(paths.history_path)
    (paths.resume_dir / SHEET_FILE).replace(paths.weights_dir / SHEET_FILE)


def build_data(cfg: DictConfig, tables: Tables) -> FoldDataModule:
    """Return the data module that the config describes."""
    options = cfg.trainer
    return FoldDataModule(
        tables,
        fold=cfg.fold,
        framing=instantiate(cfg.framing, _convert_="all"),
        augmentation=instantiate(cfg.augment, _convert_="all"),
        evaluation_framing=instantiate(options.validation.framing),
        batch_size=options.batch_size,
        evaluation_batch_size=options.validation.batch_size,
        samples_per_epoch=options.samples_per_epoch,
        balance_power=options.balance_power,
        num_workers=options.num_workers,
        in_memory=options.images_in_memory,
        seed=cfg.seed,
    )


def build_module(cfg: DictConfig) -> DetectionModule:
    """Return the Lightning module with a freshly made network."""
    detect = OmegaConf.to_container(cfg.trainer.validation.detect)
    detector = instantiate(cfg.model, num_classes=len(CLASS_NAMES), detect=detect, _convert_="all")
    options = cfg.optimizer
    return DetectionModule(
        detector.to(memory_format=torch.channels_last),
        optimizer=instantiate(options.constructor),
        scheduler=instantiate(cfg.scheduler),
        lr=options.lr,
        weight_decay=options.weight_decay,
        lr_multipliers=dict(options.lr_multipliers),
    )


def build_trainer(cfg: DictConfig, callbacks: list[pl.Callback], loggers: list[pl.loggers.Logger]) -> pl.Trainer:
    """Return a trainer of one device that writes nothing of its own accord.

    Raises:
        ValueError: If Lightning cannot make it, e.g. as the machine has no such accelerator.
    """
    try:
        return pl.Trainer(**_trainer_options(cfg), callbacks=callbacks, logger=loggers or False)
    except MisconfigurationException as error:
        raise ValueError(f"trainer: expected settings that this machine allows, got {error}") from error


def _trainer_options(cfg: DictConfig) -> dict:
    options = cfg.trainer
    return {
        "accelerator": options.accelerator,
        "devices": 1,
        "precision": options.precision,
        "max_epochs": options.max_epochs,
        "gradient_clip_val": options.gradient_clip_norm,
        "accumulate_grad_batches": options.accumulate_grad_batches,
        "check_val_every_n_epoch": options.validation.every_n_epochs,
        "limit_val_batches": None if cfg.fold is not None else 0,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "enable_progress_bar": sys.stdout.isatty(),
        "enable_checkpointing": True,
        "log_every_n_steps": 1,
    }


def model_settings(cfg: DictConfig, module: DetectionModule) -> dict:
    """Return what belongs beside the weights: plain values only."""
    model = OmegaConf.to_container(cfg.model, resolve=True)
    model.pop("_target_")
    detect = OmegaConf.to_container(cfg.trainer.validation.detect, resolve=True)
    return {
        "model": model | {"num_classes": len(CLASS_NAMES), "detect": detect},
        "class_names": list(CLASS_NAMES),
        "training": {
            key: OmegaConf.to_container(cfg[key], resolve=True)
            for key in GROUPS
            if key not in ("seed", "fold", "model")
        },
        "fold": cfg.fold,
        "seed": cfg.seed,
        "checkpoint": cfg.trainer.checkpoint,
        "device": str(module.trainer.strategy.root_device.type),
        "steps": module.trainer.global_step,
    }


def _optional_callbacks(cfg: DictConfig, resume_dir: Path) -> list[pl.Callback]:
    options = cfg.trainer
    callbacks: list[pl.Callback] = [
        ModelCheckpoint(resume_dir, "last", monitor=None, save_on_train_epoch_end=True, enable_version_counter=False)
    ]
    if options.monitor not in VALIDATION_METRICS:
        raise ValueError(f"trainer.monitor: expected one of {VALIDATION_METRICS}, got {options.monitor!r}")
    if options.checkpoint not in ("last", "best"):
        raise ValueError(f"trainer.checkpoint: expected 'last' or 'best', got {options.checkpoint!r}")
    if cfg.fold is None and (options.checkpoint == "best" or options.early_stopping_patience is not None):
        raise ValueError(
            "fold=null: expected trainer.checkpoint=last and trainer.early_stopping_patience=null, as no image is held "
            f"out to choose by, got {options.checkpoint} and {options.early_stopping_patience}"
        )
    if options.checkpoint == "best":
        if options.max_epochs < options.validation.every_n_epochs:
            raise ValueError(
                f"trainer.checkpoint=best: expected a validation within {options.max_epochs} epochs, got one every "
                f"{options.validation.every_n_epochs} (trainer.validation.every_n_epochs)"
            )
        callbacks.append(
            ModelCheckpoint(
                resume_dir,
                "best",
                monitor=options.monitor,
                mode="max",
                save_on_train_epoch_end=False,
                enable_version_counter=False,
            )
        )
    if options.early_stopping_patience is not None:
        callbacks.append(EarlyStopping(options.monitor, patience=options.early_stopping_patience, mode="max"))
    if sys.stdout.isatty():
        callbacks.append(RichProgressBar())
    return callbacks


def _chosen_state(cfg: DictConfig, ema: EmaWeights, resume_dir: Path) -> dict[str, torch.Tensor]:
    if cfg.trainer.checkpoint == "last":
        return ema.ema.module.state_dict()
    best = torch.load(resume_dir / "best.ckpt", map_location="cpu", weights_only=True)
    return best["callbacks"]["EmaWeights"]["ema"]


def _echo() -> object:
    return None if sys.stdout.isatty() else lambda line: print(line, flush=True)
