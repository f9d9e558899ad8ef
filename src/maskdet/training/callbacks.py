"""Callbacks: averaged weights, the history table, a line an epoch for logs."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytorch_lightning as pl
import torch
from timm.utils import ModelEmaV3

from maskdet.atomic import atomic_file


class EmaWeights(pl.Callback):
    """Keep an exponential moving average of the weights; validate and save with it.

    timm's implementation: floats are averaged, integer buffers copied, and the decay warms up, so that early
    averages are not ruled by the first weights.

    Args:
        decay: Between 0 and 1; the average spans about 1 / (1 - decay) steps.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.ema: ModelEmaV3 | None = None
        self._raw: dict[str, torch.Tensor] | None = None
        self._restored: dict[str, torch.Tensor] | None = None
        self._averaged_step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy the weights once the module is built; a restored average is filled in at the start of the fit."""
        if stage == "fit" and self.ema is None:
            self.ema = ModelEmaV3(pl_module.detector, decay=self.decay, use_warmup=True, warmup_power=0.75)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the module's device."""
        self.ema.module.to(pl_module.device)
        if self._restored is not None:
            self.ema.module.load_state_dict(self._restored)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count on from the restored step."""
        self._averaged_step = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Average after each optimizer step; with accumulated gradients that is not after each batch."""
        if trainer.global_step > self._averaged_step:
            self.ema.update(pl_module.detector, step=trainer.global_step)
            self._averaged_step = trainer.global_step

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the average in the place of the weights."""
        if not trainer.sanity_checking:
            self._raw = {name: tensor.clone() for name, tensor in pl_module.detector.state_dict().items()}
            pl_module.detector.load_state_dict(self.ema.module.state_dict())

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the weights back."""
        if self._raw is not None:
            pl_module.detector.load_state_dict(self._raw)
            self._raw = None

    def state_dict(self) -> dict[str, Any]:
        """Return the average, for the checkpoint."""
        return {"ema": self.ema.module.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the average of a checkpoint."""
        self._restored = state_dict["ema"]


class History(pl.Callback):
    """Write one row of metrics an epoch, as CSV; a resumed run continues the table.

    Args:
        path: The file; written anew, whole, after each epoch.
        echo: Called with a line of text an epoch, for logs without a progress bar.
    """

    def __init__(self, path: Path, echo: Callable[[str], None] | None = None) -> None:
        self.path, self.echo = path, echo
        self.rows: list[dict[str, float]] = []
        self._epoch_began = 0.0

    @property
    def seconds(self) -> float:
        """What the epochs took in all, those before an interruption included."""
        return sum(row["seconds"] for row in self.rows)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch_began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        if not _validated(trainer):  # Lightning still holds the values of an earlier epoch
            metrics = {name: value for name, value in metrics.items() if not name.startswith("val/")}
        seconds = time.monotonic() - self._epoch_began
        self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step, "seconds": seconds, **metrics})
        self.write()
        if self.echo:
            shown = ("train/loss", "val/map", "val/map_50")
            self.echo(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, step {trainer.global_step}: "
                + ", ".join(f"{name} {metrics[name]:.4f}" for name in shown if name in metrics)
            )

    def write(self) -> None:
        """Write the table."""
        columns = {"epoch": None, "step": None, "seconds": None} | {
            name: None for row in self.rows for name in sorted(row)
        }
        table = pd.DataFrame(self.rows, columns=list(columns))
        with atomic_file(self.path) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the rows of a checkpoint."""
        self.rows = [dict(row) for row in state_dict["rows"]]


class EpochSeed(pl.Callback):
    """Seed torch at the start of each epoch, so that stochastic depth does not depend on where a run was resumed.

    Args:
        seed: Any non-negative integer.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed with (seed, epoch)."""
        torch.manual_seed(self.seed * 100_003 + trainer.current_epoch)


def _validated(trainer: pl.Trainer) -> bool:
    every = trainer.check_val_every_n_epoch
    return bool(every) and (trainer.current_epoch + 1) % every == 0
