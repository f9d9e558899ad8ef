"""The tracked run of a cross-fit: one of W&B or TensorBoard for all parts, with curves a part."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from maskdet.reporting.wandb_runs import group_name, logger_kind, open_run

if TYPE_CHECKING:
    import wandb


@dataclass
class PartTracker:
    """Gives each part's training its loggers.

    Attributes:
        run: The W&B run, or None.
        tensorboard: Arguments of the TensorBoard logger, or None.
    """

    run: "wandb.Run | None"
    tensorboard: dict[str, str] | None = None

    def loggers(self, part: int) -> list[Logger]:
        """Return Lightning's loggers; keys in W&B are `part0-val/loss`, TensorBoard has a folder a part."""
        if self.run is not None:
            return [WandbLogger(experiment=self.run, prefix=f"part{part}")]
        if self.tensorboard is not None:
            return [TensorBoardLogger(**self.tensorboard, sub_dir=f"part{part}")]
        return []

    def replay(self, part: int, history: Sequence[dict[str, float]]) -> None:
        """Log the epochs of a part that an earlier process trained, so that the run holds all parts.

        Args:
            part: Which one.
            history: A row an epoch: `epoch, step, …` and metrics, whose names have a slash.
        """
        for logger in self.loggers(part):
            for row in history:
                metrics = {name: value for name, value in row.items() if "/" in name}
                logger.log_metrics({**metrics, "epoch": row["epoch"]}, step=int(row["step"]) - 1)
            logger.finalize("success")


@contextmanager
def open_part_tracker(cfg: DictConfig, name: str, folder: Path) -> Iterator[PartTracker]:
    """Yield the tracker that `cfg.logger` asks for; its run is closed on every way out.

    Args:
        cfg: The composed config, recorded whole.
        name: Of the run, e.g. `mobilenet_v2-grouped`.
        folder: Where runs are kept.

    Raises:
        ValueError: If `logger.kind` is unknown.
    """
    config = OmegaConf.to_container(cfg, resolve=True)
    if logger_kind(config["logger"]) == "tensorboard":
        yield PartTracker(
            None, {"save_dir": str(folder / "tensorboard"), "name": group_name(None, config), "version": name}
        )
        return
    with open_run(config["logger"], config, job_type="classify", name=name, run_dir=folder) as run:
        yield PartTracker(run)
