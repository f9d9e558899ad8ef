"""The numbers of `metrics.json`: pooled over the held-out folds, for each fold, and their mean and spread."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.curves import ALL_CLASSES, operating_point
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables, pool_folds

Summary = dict[str, "Summary | float | int"]


def evaluate_folds(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    folds: pd.DataFrame,
    predictions: Mapping[int, pd.DataFrame],
    train_folds: Sequence[int],
    score_threshold: float,
    iou_threshold: float = 0.5,
) -> Summary:
    """Return every metric of the cross-validation.

    Pooled numbers rank the detections of all folds in one list: the scores of the folds' models are compared with
    each other. A mean over folds does not do that; the two differ, and neither is the other's estimate.

    Args:
        images: Every image, columns as `schema.IMAGES`.
        annotations: Every true box, columns as `schema.ANNOTATIONS`.
        folds: A row an image, columns as `schema.FOLDS`.
        predictions: Fold → detections of the model that held it out, columns as `schema.PREDICTIONS`.
        train_folds: The folds to evaluate; images of other folds count nowhere.
        score_threshold: Of `precision`, `recall`, `f1`; in [0, 1].
        iou_threshold: Of the same three; in (0, 1].

    Returns:
        `{"val": metrics, "fold": {"0": metrics, …}, "fold_mean": …, "fold_sd": …}`. Metrics are those of
        `evaluate_tables` with a nesting level for each slash. Mean and standard deviation (ddof = 1) run over the
        folds where the metric is defined and leave the `num_…` and the size bounds out; the deviation of fewer than
        two is NaN.

    Raises:
        ValueError: See `pool_folds`.
    """
    pooled = pool_folds(images, annotations, folds, predictions, train_folds)
    metrics_of_fold = {}
    for fold in train_folds:
        tables = pool_folds(images, annotations, folds, predictions, [fold])
        metrics_of_fold[str(fold)] = evaluate_tables(tables, score_threshold, iou_threshold)
    mean, deviation = _mean_and_deviation(list(metrics_of_fold.values()))
    return {
        "val": nest_metrics(evaluate_tables(pooled, score_threshold, iou_threshold)),
        "fold": {fold: nest_metrics(metrics) for fold, metrics in metrics_of_fold.items()},
        "fold_mean": nest_metrics(mean),
        "fold_sd": nest_metrics(deviation),
    }


def evaluate_tables(tables: EvaluationTables, score_threshold: float, iou_threshold: float = 0.5) -> dict[str, float]:
    """Return the flat metrics of one set of images.

    Args:
        tables: What is counted.
        score_threshold: Of `precision`, `recall`, `f1`; in [0, 1].
        iou_threshold: Of the same three; in (0, 1].

    Returns:
        The keys of `coco_metrics`; `precision, recall, f1`, micro-averaged over classes; `num_images, num_faces,
        num_detections` (int; every row of the predictions, whatever its score); where the tables carry size bounds
        `size_bound_px/1, size_bound_px/2`, the square roots of the areas between the thirds.
    """
    matches = match_detections(tables.annotations, tables.predictions, iou_threshold)
    table = operating_point(matches, tables.annotations, score_threshold).set_index("class_name")
    coco = coco_metrics(tables.images, tables.annotations, tables.predictions, size_bounds_px=tables.size_bounds_px)
    return {
        **coco,
        **{key: float(table.loc[ALL_CLASSES, key]) for key in ("precision", "recall", "f1")},
        "num_images": len(tables.images),
        "num_faces": len(tables.annotations),
        "num_detections": len(tables.predictions),
        **{f"size_bound_px/{i}": bound for i, bound in enumerate(tables.size_bounds_px or (), start=1)},
    }


def _mean_and_deviation(metrics_of_folds: list[dict[str, float]]) -> tuple[dict[str, float], dict[str, float]]:
    mean, deviation = {}, {}
    for key in metrics_of_folds[0]:
        if not key.startswith(("num_", "size_bound_px")):
            values = [metrics[key] for metrics in metrics_of_folds if not math.isnan(metrics[key])]
            mean[key] = float(np.mean(values)) if values else float("nan")
            deviation[key] = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return mean, deviation


def nest_metrics(flat: Mapping[str, float]) -> Summary:
    """Turn each slash of a key into a nesting level.

    >>> nest_metrics({"map": 0.5, "ap/with_mask": 0.7})
    {'map': 0.5, 'ap': {'with_mask': 0.7}}
    """
    nested: Summary = {}
    for key, value in flat.items():
        *parents, name = key.split("/")
        level = nested
        for parent in parents:
            level = level.setdefault(parent, {})
        level[name] = value
    return nested


def flatten_metrics(nested: Summary, prefix: str = "") -> dict[str, float]:
    """Undo `nest_metrics`.

    >>> flatten_metrics({"map": 0.5, "ap": {"with_mask": 0.7}})
    {'map': 0.5, 'ap/with_mask': 0.7}
    """
    flat = {}
    for key, value in nested.items():
        flat |= flatten_metrics(value, f"{prefix}{key}/") if isinstance(value, dict) else {prefix + key: value}
    return flat
