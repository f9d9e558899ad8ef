"""Stage `evaluate`: metrics, curves and confusion matrix of the held-out predictions, from tables alone."""

import json
import math
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.atomic import atomic_file
from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.curves import ALL_CLASSES, operating_point, pr_curves
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.evaluation.summary import Summary, evaluate_folds, flatten_metrics
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, read_table
from maskdet.stages.entry import Workspace, stage_main

DECIMALS = 6
"""Of every number in the written files: enough for any comparison, few enough that equal results are equal bytes."""

CURVE_IOU_THRESHOLD = 0.5
TRAINING_COLUMNS = ("train/loss", "train/loss_class", "train/loss_box", "val/map", "val/map_50")
HEADLINES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large", "ar_100", "precision", "recall", "f1")


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Evaluate the folds of `cfg.split.train_folds` and write `reports/metrics.json` and the data of the plots.

    Args:
        cfg: Reads `split.train_folds` and `evaluate`.
        workspace: Holds `build/table/`, `build/folds.parquet` and `build/predictions/<fold>.parquet`; histories
            `reports/history/<fold>.csv` may be missing.

    Returns:
        What `evaluate_folds` returns.

    Raises:
        FileNotFoundError: If a table is missing, that of a fold included.
        ValueError: If a table breaks its schema or holds predictions for images of another fold.
    """
    train_folds = [int(fold) for fold in cfg.split.train_folds]
    tables = (
        read_table(workspace.input("build/table/images.parquet"), IMAGES),
        read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS),
        read_table(workspace.input("build/folds.parquet"), FOLDS),
        {k: read_table(workspace.input(f"build/predictions/{k}.parquet"), PREDICTIONS) for k in train_folds},
    )
    thresholds = (cfg.evaluate.score_threshold, cfg.evaluate.iou_threshold)
    summary = evaluate_folds(*tables, train_folds, *thresholds)
    pooled = pool_folds(*tables, train_folds)
    _write_json(summary, workspace, "reports/metrics.json")
    _write_plots(summary, pooled, *thresholds, workspace)
    _print_summary(summary, pooled, *thresholds)
    return summary


def _write_json(summary: Summary, workspace: Workspace, relative: str) -> None:
    with atomic_file(workspace.output(relative)) as path:
        path.write_text(json.dumps(_rounded(summary), indent=2, sort_keys=True, allow_nan=False) + "\n")


def _rounded(value: Summary | float) -> Summary | float | None:
    """Round every number of a tree; NaN becomes None, JSON's null."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, DECIMALS)
    return value


def _write_plots(
    summary: Summary, pooled: EvaluationTables, score_threshold: float, iou_threshold: float, workspace: Workspace
) -> None:
    matches = match_detections(pooled.annotations, pooled.predictions, CURVE_IOU_THRESHOLD)
    curves = pr_curves(matches, pooled.annotations)
    by_fold = [{"fold": int(fold), **flatten_metrics(metrics)} for fold, metrics in summary["fold"].items()]
    plots = {
        "pr_curves": curves,
        "confusion": confusion_pairs(pooled.annotations, pooled.predictions, score_threshold, iou_threshold),
        "folds": pd.DataFrame(by_fold),
        "precision_at_recall": _one_column_a_class(curves),
        "training": _mean_history([workspace.input(f"reports/history/{fold}.csv") for fold in summary["fold"]]),
    }
    for name, table in plots.items():
        with atomic_file(workspace.output(f"reports/plots/{name}.csv")) as path:
            table.to_csv(path, index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")


def _one_column_a_class(curves: pd.DataFrame) -> pd.DataFrame:
    """Return columns `recall` and one of precisions a class, as `dvc plots` wants lines."""
    wide = curves.pivot_table(index="recall", columns="class_name", values="precision")
    return wide.reindex(columns=list(CLASS_NAMES)).reset_index()


def _mean_history(paths: list[Path]) -> pd.DataFrame:
    """Return the mean over the folds of `TRAINING_COLUMNS` at each step; a fold without a history is left out."""
    histories = [pd.read_csv(path) for path in paths if path.is_file()]
    table = pd.concat(histories) if histories else pd.DataFrame(columns=["step"])
    return table.reindex(columns=["step", *TRAINING_COLUMNS]).astype(float).groupby("step").mean().reset_index()


def _print_summary(summary: Summary, pooled: EvaluationTables, score_threshold: float, iou_threshold: float) -> None:
    """Print two tables that fit into 80 columns."""
    console = Console(highlight=False, width=80)
    console.print(_headline_table(summary))
    matches = match_detections(pooled.annotations, pooled.predictions, iou_threshold)
    console.print(_class_table(summary, operating_point(matches, pooled.annotations, score_threshold)))
    console.print(f"precision, recall, F1: score >= {score_threshold}, IoU >= {iou_threshold}; -: undefined")


def _headline_table(summary: Summary) -> Table:
    pooled = summary["val"]
    title = f"{pooled['num_images']} images, {pooled['num_faces']} faces, {pooled['num_detections']} detections"
    table = Table("metric", title=title, title_justify="left", box=SIMPLE)
    table.add_column("pooled", justify="right")
    table.add_column(f"mean ± SD of {len(summary['fold'])} fold(s)", justify="right")
    for key in HEADLINES:
        spread = f"{_text(summary['fold_mean'][key])} ± {_text(summary['fold_sd'][key])}"
        table.add_row(key, _text(pooled[key]), spread)
    return table


def _class_table(summary: Summary, operating: pd.DataFrame) -> Table:
    table = Table("class", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("faces", "ap", "ap_50", "ap_50 by fold", "prec.", "rec.", "f1"):
        table.add_column(column, justify="right", no_wrap=True)
    means, deviations = summary["fold_mean"]["ap_50"], summary["fold_sd"]["ap_50"]
    for row in operating[operating["class_name"] != ALL_CLASSES].itertuples():
        name = row.class_name
        aps = (summary["val"]["ap"][name], summary["val"]["ap_50"][name])
        spread = f"{_text(means[name])} ± {_text(deviations[name])}"
        ratios = (row.precision, row.recall, row.f1)
        table.add_row(name, str(row.tp + row.fn), *map(_text, aps), spread, *map(_text, ratios))
    return table


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    stage_main(run)
