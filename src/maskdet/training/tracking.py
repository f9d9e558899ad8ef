"""What a training shows of itself: the sheet of augmented images, the tracked run of the fold."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from maskdet.data.datamodule import FoldDataModule, as_numpy
from maskdet.evaluation.curves import ALL_CLASSES, operating_point
from maskdet.models.efficientdet import EfficientDetector
from maskdet.reporting.contact_sheet import contact_sheet, write_contact_sheet
from maskdet.reporting.gallery import open_pictures, select_images
from maskdet.reporting.picture import judge_tables
from maskdet.reporting.wandb_content import (
    log_checkpoint,
    log_gallery,
    log_pictures,
    log_predictions_table,
    log_summary,
)
from maskdet.reporting.wandb_runs import group_name, logger_kind, open_run
from maskdet.schema import CLASS_NAMES, PREDICTIONS, validate
from maskdet.training.prediction import predict_batches

SHEET_FILE = "augmented.jpg"
SHEET_IMAGES = 16


class AugmentedSheet(pl.Callback):
    """Before the first epoch, write a sheet of training images as the network gets them, with their boxes.

    Args:
        folder: Gets `augmented.jpg`.
        run: A W&B run that shows the same sheet, or None.
    """

    def __init__(self, folder: Path, run: object | None) -> None:
        self.folder, self.run = folder, run

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the first examples of epoch 0."""
        examples = [as_numpy(example) for example in trainer.datamodule.first_examples(SHEET_IMAGES)]
        images, boxes = [image for image, _, _ in examples], [boxes for _, boxes, _ in examples]
        names = [[CLASS_NAMES[index] for index in indices] for _, _, indices in examples]
        write_contact_sheet(images, boxes, names, self.folder / SHEET_FILE)
        if self.run is not None:
            log_pictures(self.run, {"train/augmented": contact_sheet(images, boxes, names)})


@contextmanager
def open_tracker(cfg: DictConfig, folder: Path, tables_are: dict) -> Iterator[tuple[list[Logger], object | None]]:
    """Yield Lightning's loggers for a fold, and the W&B run if there is one; close them on every way out.

    Args:
        cfg: The composed config; `cfg.logger` decides.
        folder: Where runs are kept.
        tables_are: What was really trained on, recorded beside the config, which may name another data set.

    Raises:
        ValueError: If `logger.kind` is unknown.
    """
    config = OmegaConf.to_container(cfg, resolve=True)
    if logger_kind(config["logger"]) == "tensorboard":
        logger = TensorBoardLogger(folder / "tensorboard", name=group_name(None, config), version=run_name(cfg.fold))
        try:
            yield [logger], None
        finally:
            logger.experiment.close()
        return
    with open_run(config["logger"], config, job_type="train", name=run_name(cfg.fold), run_dir=folder) as run:
        if run is not None:
            run.config.update({"tables": tables_are})
        yield ([WandbLogger(experiment=run)] if run is not None else []), run


def log_fold_result(
    run: object | None, cfg: DictConfig, detector: EfficientDetector, data: FoldDataModule, weights_dir: Path
) -> None:
    """Give the fold's W&B run its weights and, of a held-out fold, predictions: precision, recall, galleries, a table.

    Args:
        run: None does nothing.
        cfg: The composed config.
        detector: The network with the weights that were saved.
        data: Its held-out images are shown.
        weights_dir: Logged as an artifact.
    """
    if run is None:
        return
    log_checkpoint(run, weights_dir, name=run_name(cfg.fold))
    if cfg.fold is None:
        return
    table = predict_batches(detector.eval(), data.val_dataloader(), cfg.fold)
    predictions = validate(table, PREDICTIONS, f"predictions of fold {cfg.fold}")
    held_out = data.evaluation_set.source
    threshold = cfg.logger.score_threshold
    judged = judge_tables(data.held_out_annotations, predictions, threshold)
    points = operating_point(judged.detections, data.held_out_annotations, threshold).set_index("class_name")
    overall = points.loc[ALL_CLASSES]
    log_summary(run, {"val": {name: float(overall[name]) for name in ("precision", "recall", "f1")}})
    folds = dict.fromkeys(held_out.file_names, cfg.fold)
    for section, names in select_images(held_out.file_names, judged, cfg.logger.num_images, cfg.seed).items():
        log_gallery(run, f"gallery/{section}", open_pictures(names, held_out.image_dir, judged, folds))
    log_predictions_table(run, predictions)


def run_name(fold: int | None) -> str:
    """Return the name of a training's run: `fold0`, or `all` where no fold is held out."""
    return "all" if fold is None else f"fold{fold}"
