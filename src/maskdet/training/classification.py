"""Train a classifier of crops on the faces that one part does not hold out."""

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import MisconfigurationException
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from maskdet.data.sampling import EpochSampler, class_weights
from maskdet.models.classifiers import CropClassifier
from maskdet.training.callbacks import EpochSeed, History
from maskdet.training.crop_data import AugmentedCrops, CachedViews, FaceCrops, LabelledCrops, PlainCrops, compute_views
from maskdet.training.optimization import parameter_groups

_NO_NEWS = (".*LeafSpec.* is deprecated", ".*does not have many workers", ".*number of training batches.*")
"""Warnings of libraries about what is meant to be so."""


@dataclass(frozen=True)
class PartResult:
    """What the training of one part gives.

    Attributes:
        classifier: As it was after the last epoch, in evaluation mode, on the CPU.
        history: A row an epoch: `epoch, step, seconds, train/…, val/…`.
        probabilities: (N, C) float32 of the faces held out, in the order of `FaceCrops.held_out`.
    """

    classifier: CropClassifier
    history: list[dict[str, float]]
    probabilities: np.ndarray


class ClassificationModule(pl.LightningModule):
    """Trains a `CropClassifier` on crops, or its head alone on features that were computed beforehand.

    Args:
        classifier: The network.
        optimizer: Called with parameter groups.
        scheduler: Called with `(optimizer, total_steps)`; stepped after each optimizer step.
        lr: Peak learning rate.
        weight_decay: Of tensors with two and more dimensions.
        lr_multipliers: Prefix of parameter names, e.g. `base`, to factor.
        loss_weights: (C,) how much an example of each class counts in the loss.
        label_smoothing: Share of each target that is spread over all classes.
    """

    def __init__(
        self,
        classifier: CropClassifier,
        optimizer: Callable[[list[dict]], torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
        lr: float,
        weight_decay: float,
        lr_multipliers: Mapping[str, float],
        loss_weights: np.ndarray,
        label_smoothing: float,
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self._optimizer, self._scheduler = optimizer, scheduler
        frozen = {"base": 0.0} if classifier.frozen == "base" else {}
        self._groups = {"lr": lr, "weight_decay": weight_decay, "lr_multipliers": {**lr_multipliers, **frozen}}
        self.register_buffer("loss_weights", torch.tensor(loss_weights, dtype=torch.float32), persistent=False)
        self._label_smoothing = label_smoothing

    def configure_optimizers(self) -> dict:
        """Build the optimizer over parameter groups and a schedule that is stepped with it."""
        optimizer = self._optimizer(parameter_groups(self.classifier, **self._groups))
        scheduler = self._scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_index: int) -> torch.Tensor:
        """Return the loss.

        Raises:
            FloatingPointError: If it is not finite.
        """
        logits, targets = self._logits(batch[0]), batch[1]
        loss = cross_entropy(logits, targets, weight=self.loss_weights, label_smoothing=self._label_smoothing)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"epoch {self.current_epoch}, step {self.global_step}: expected a finite loss, got {float(loss)}; "
                "lower classifier.optimizer.lr"
            )
        self._log("train", loss.detach(), logits, targets)
        return loss

    def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_index: int) -> None:
        """Log loss, without weights and smoothing, and accuracy of the faces held out."""
        logits, targets = self._logits(batch[0]), batch[1]
        self._log("val", cross_entropy(logits, targets), logits, targets)

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return (B, C) of (B, 3, S, S) crops or (B, F) features."""
        return self.classifier.head(inputs) if inputs.ndim == 2 else self.classifier(inputs)

    def _log(self, name: str, loss: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> None:
        accuracy = (logits.argmax(1) == targets).float().mean()
        values = {f"{name}/loss": loss, f"{name}/accuracy": accuracy}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(targets))


def build_classifier(cfg: DictConfig, class_names: tuple[str, ...]) -> CropClassifier:
    """Return the classifier that the config describes; new weights depend on `classify.seed` alone."""
    pl.seed_everything(cfg.classify.seed, verbose=False)
    return instantiate(cfg.classifier.model, class_names=class_names, _convert_="all")


def cached_features(cfg: DictConfig, faces: FaceCrops, path: Path) -> np.ndarray | None:
    """Return features of every crop and view, computed once for all parts; None where none are to be cached.

    Args:
        cfg: Reads `classifier` and `classify`.
        faces: All of them are computed.
        path: `.npy` file; taken if it is there.

    Raises:
        ValueError: If views are to be cached of a base that is not frozen.
    """
    num_views = cfg.classifier.cached_views
    if not num_views:
        return None
    if cfg.classifier.model.frozen != "base":
        raise ValueError(
            f"classifier.cached_views={num_views}: expected a frozen base, whose features stay as they are, got "
            f"classifier.model.frozen={cfg.classifier.model.frozen}; set cached_views=0"
        )
    classifier = build_classifier(cfg, faces.class_names)
    augmentation = instantiate(cfg.classifier.augment, _convert_="all")
    return compute_views(classifier, faces.everything, augmentation, num_views, cfg.classify.seed, path)


def fit_part(
    cfg: DictConfig,
    faces: FaceCrops,
    part: int,
    features: np.ndarray | None,
    loggers: list[Logger],
    history_path: Path,
) -> PartResult:
    """Train on the faces that a part does not hold out and classify those that it does.

    The number of epochs is fixed beforehand and the last one's weights are taken: nothing is chosen on faces that are
    then reported.

    Args:
        cfg: The composed config; reads `classifier` and `classify`.
        faces: Of all parts.
        part: Held out.
        features: What `cached_features` returned.
        loggers: Get the metrics of each epoch.
        history_path: Written after each epoch.

    Raises:
        ValueError: If the config does not fit together or the machine has no such accelerator.
        FloatingPointError: If the loss stops being finite.
    """
    training, held_out = faces.training(part), faces.held_out(part)
    module = build_module(cfg, build_classifier(cfg, faces.class_names), training)
    history = History(history_path, echo=partial(_echo, part))
    with warnings.catch_warnings():
        for message in _NO_NEWS:
            warnings.filterwarnings("ignore", message=message)
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        trainer = build_trainer(cfg, [EpochSeed(cfg.classify.seed), history], loggers)
        trainer.fit(module, *_loaders(cfg, training, held_out, features))
    if trainer.interrupted:
        raise KeyboardInterrupt
    device = trainer.strategy.root_device
    probabilities = _judged(module.classifier.to(device), held_out, cfg.classify.evaluation_batch_size)
    return PartResult(module.classifier.cpu().eval(), history.rows, probabilities)


def build_module(cfg: DictConfig, classifier: CropClassifier, training: LabelledCrops) -> ClassificationModule:
    """Return the Lightning module that the config describes."""
    options = cfg.classifier
    weights = class_weights([training.class_indices], options.loss_balance_power)[: len(classifier.class_names)]
    return ClassificationModule(
        classifier,
        optimizer=instantiate(options.optimizer.constructor),
        scheduler=instantiate(options.scheduler),
        lr=options.optimizer.lr,
        weight_decay=options.optimizer.weight_decay,
        lr_multipliers=dict(options.optimizer.lr_multipliers),
        loss_weights=weights,
        label_smoothing=options.label_smoothing,
    )


def build_trainer(cfg: DictConfig, callbacks: list[pl.Callback], loggers: list[Logger]) -> pl.Trainer:
    """Return a trainer of one device that writes nothing of its own accord.

    Raises:
        ValueError: If Lightning cannot make it, e.g. as the machine has no such accelerator.
    """
    try:
        return pl.Trainer(
            accelerator=cfg.classify.accelerator,
            devices=1,
            precision=cfg.classify.precision,
            max_epochs=cfg.classifier.max_epochs,
            gradient_clip_val=cfg.classifier.gradient_clip_norm,
            callbacks=callbacks,
            logger=loggers or False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            enable_checkpointing=False,
            log_every_n_steps=1,
        )
    except MisconfigurationException as error:
        raise ValueError(f"classify: expected settings that this machine allows, got {error}") from error


def augmented_examples(cfg: DictConfig, faces: FaceCrops, number: int) -> tuple[list[np.ndarray], list[str]]:
    """Return the first training crops of the first part as the network gets them, (S, S, 3) uint8, and their classes.

    Args:
        cfg: Reads `classifier` and `classify`.
        faces: Of all parts.
        number: Of crops; fewer where an epoch has fewer.
    """
    training = faces.training(faces.held_out_parts[0])
    augmented, draws = _augmented(cfg, training), list(_sampler(cfg, training))[:number]
    found = [augmented[draw] for draw in draws]
    return [pixels.numpy().transpose(1, 2, 0) for pixels, _ in found], [faces.class_names[k] for _, k in found]


def _augmented(cfg: DictConfig, training: LabelledCrops) -> AugmentedCrops:
    return AugmentedCrops(training, instantiate(cfg.classifier.augment, _convert_="all"), cfg.classify.seed)


def _sampler(cfg: DictConfig, training: LabelledCrops) -> EpochSampler:
    power = cfg.classifier.balance_power
    weights = class_weights([training.class_indices], power)[training.class_indices] if power else None
    return EpochSampler(len(training), None, weights, cfg.classify.seed)


def _loaders(
    cfg: DictConfig, training: LabelledCrops, held_out: LabelledCrops, features: np.ndarray | None
) -> tuple[DataLoader, DataLoader]:
    seed, batch_size, workers = cfg.classify.seed, cfg.classifier.batch_size, cfg.classify.num_workers
    examples = _augmented(cfg, training) if features is None else CachedViews(training, features, seed)
    plain = PlainCrops(held_out, None if features is None else features[0])
    drop_last = len(training) > batch_size  # a last batch of one would break batch norms
    return (
        DataLoader(examples, batch_size, sampler=_sampler(cfg, training), num_workers=workers, drop_last=drop_last),
        DataLoader(plain, cfg.classify.evaluation_batch_size, num_workers=workers),
    )


def _judged(classifier: CropClassifier, crops: LabelledCrops, batch_size: int) -> np.ndarray:
    """Return (N, C) probabilities of crops that are read batch by batch."""
    batches = [range(start, min(start + batch_size, len(crops))) for start in range(0, len(crops), batch_size)]
    found = [
        classifier.predict_probabilities(np.stack([crops.pixels[row] for row in rows]), batch_size) for rows in batches
    ]
    return np.concatenate(found)


def _echo(part: int, line: str) -> None:
    print(f"part {part}: {line}", flush=True)
