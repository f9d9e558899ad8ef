"""The Lightning module: a batch to a loss, a batch to detections, and validation metrics."""

import logging
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torchmetrics.detection import MeanAveragePrecision

from maskdet.data.datamodule import Batch
from maskdet.data.dataset import Example
from maskdet.models.efficientdet import Detections, EfficientDetector
from maskdet.schema import CLASS_NAMES
from maskdet.training.optimization import parameter_groups
from maskdet.training.prediction import image_boxes

logging.getLogger("faster_coco_eval").setLevel(logging.WARNING)  # else a page of tables at each validation

OVERALL_METRICS = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
VALIDATION_METRICS = [
    *(f"val/{name}" for name in (*OVERALL_METRICS, "ar_100")),
    *(f"val/{kind}/{name}" for kind in ("ap", "ap_50") for name in CLASS_NAMES),
]
"""What a validation logs, and what `trainer.monitor` may name."""


class DetectionModule(pl.LightningModule):
    """Trains an `EfficientDetector`.

    Args:
        detector: The network with its losses.
        optimizer: Called with parameter groups.
        scheduler: Called with `(optimizer, total_steps)`; stepped after each optimizer step.
        lr: Peak learning rate.
        weight_decay: Of tensors with two and more dimensions.
        lr_multipliers: Prefix of parameter names to factor.
    """

    def __init__(
        self,
        detector: EfficientDetector,
        optimizer: Callable[[list[dict]], torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
        lr: float,
        weight_decay: float,
        lr_multipliers: dict[str, float],
    ) -> None:
        super().__init__()
        self.detector = detector
        self._optimizer, self._scheduler = optimizer, scheduler
        self._groups = {"lr": lr, "weight_decay": weight_decay, "lr_multipliers": lr_multipliers}
        self.map_metric = _mean_average_precision()
        self.map_50_metric = _mean_average_precision(iou_thresholds=[0.5])

    def configure_optimizers(self) -> dict:
        """Build the optimizer over parameter groups and a schedule that is stepped with it."""
        optimizer = self._optimizer(parameter_groups(self.detector.network, **self._groups))
        scheduler = self._scheduler(optimizer, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        """Return the loss.

        Raises:
            FloatingPointError: If it is not finite; the message names the images of the batch.
        """
        losses = self.detector.loss(batch.images, batch.boxes_xyxy, batch.class_indices)
        if not torch.isfinite(losses["loss"]):
            values = {name: float(value) for name, value in losses.items()}
            raise FloatingPointError(
                f"epoch {self.current_epoch}, step {self.global_step}: expected a finite loss, got {values} "
                f"for the images {batch.file_names}"
            )
        self.log_dict(
            {f"train/{name}": value.detach() for name, value in losses.items()},
            on_step=False,
            on_epoch=True,
            batch_size=len(batch.examples),
        )
        group = self.optimizers().param_groups[0]
        self.log("train/lr", group["lr"] / group["lr_multiplier"], on_step=False, on_epoch=True, batch_size=1)
        return losses["loss"]

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Collect detections and truth; the metric is computed once, at the end of the epoch."""
        detections = self.detector.detect(batch.images)
        predictions = [_metric_prediction(*pair) for pair in zip(detections, batch.examples, strict=True)]
        truth = [_metric_truth(example) for example in batch.examples]
        self.map_metric.update(predictions, truth)
        self.map_50_metric.update(predictions, truth)

    def on_validation_epoch_end(self) -> None:
        """Log mAP, its variants, and AP of each class by name."""
        self.log_dict({f"val/{name}": value for name, value in self._validation_metrics().items()})

    def _validation_metrics(self) -> dict[str, float]:
        overall, at_50 = self.map_metric.compute(), self.map_50_metric.compute()
        self.map_metric.reset()
        self.map_50_metric.reset()
        metrics = {name: float(overall[name]) for name in OVERALL_METRICS}
        metrics["ar_100"] = float(overall["mar_100"])
        for key, computed in (("ap", overall), ("ap_50", at_50)):
            values = torch.atleast_1d(computed["map_per_class"]).tolist()
            classes = torch.atleast_1d(computed["classes"]).tolist()
            by_index = dict(zip(classes, values, strict=True))
            metrics |= {f"{key}/{name}": by_index.get(index, -1.0) for index, name in enumerate(CLASS_NAMES)}
        return {name: value if value >= 0 else float("nan") for name, value in metrics.items()}  # -1: no true box


def _mean_average_precision(**options: object) -> MeanAveragePrecision:
    metric = MeanAveragePrecision(backend="faster_coco_eval", class_metrics=True, **options)
    metric.warn_on_many_detections = False  # 300 are kept for AR; AP counts 100, as COCO does
    return metric


def _metric_prediction(found: Detections, example: Example) -> dict[str, torch.Tensor]:
    """Return detections in pixels of the original image, so that sizes mean what they mean in the tables."""
    boxes, has_area = (torch.from_numpy(array) for array in image_boxes(found.boxes_xyxy, example))
    return {
        "boxes": boxes[has_area],
        "scores": found.scores.cpu()[has_area],
        "labels": found.class_indices.cpu()[has_area],
    }


def _metric_truth(example: Example) -> dict[str, torch.Tensor]:
    boxes, _ = image_boxes(example.boxes_xyxy, example)
    return {"boxes": torch.from_numpy(boxes), "labels": example.class_indices}
