"""Stage `evaluate`: metrics, intervals, curves, thresholds and calibration of the held-out predictions, from tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from maskdet.evaluation.bootstrap import bootstrap_metrics
from maskdet.evaluation.calibration import calibration_summary, cross_fit, fit_calibrator, reliability_table
from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.curves import ALL_CLASSES, pr_curves
from maskdet.evaluation.matching import above_threshold, match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.summary import Summary, evaluate_folds, flatten_metrics, nest_metrics
from maskdet.evaluation.thresholds import (
    BEST_F1,
    MIN_PRECISION,
    MIN_RECALL,
    choose_thresholds,
    threshold_curves,
    thresholds_of,
)
from maskdet.schema import CLASS_NAMES
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.evaluation_printout import print_evaluation
from maskdet.stages.held_out_tables import HeldOutTables, read_held_out
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json

CURVE_IOU_THRESHOLD = 0.5
TRAINING_COLUMNS = ("train/loss", "train/loss_class", "train/loss_box", "val/map", "val/map_50")

RAW, CROSS_FITTED = "raw", "cross_fitted"
"""Scores as the model gives them; scores as a calibrator gives them that was fitted on other images."""

CALIBRATION_FIGURES = ("brier", "d_ece", "d_ece_position", "d_ece_size")

_NUM_PARTS = 5  # of groups, for cross-fitting within a single fold


@dataclass(frozen=True)
class _Judged:
    """The pooled detections with their verdicts at `evaluate.iou_threshold`, and what follows from them.

    Attributes:
        matches: What `match_detections` returns, the column `score` raw.
        chosen: What `choose_thresholds` returns.
        shown: RAW and, where they exist, CROSS_FITTED → the matches with a raw score of `calibration.min_score` or
            more, their `score` of that kind.
    """

    matches: pd.DataFrame
    chosen: pd.DataFrame
    shown: dict[str, pd.DataFrame]


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Evaluate the folds of `cfg.split.train_folds`.

    Writes under `reports/`: `metrics.json` (what is returned; null for undefined), `thresholds.json` (class → goal →
    threshold and what it gives), `calibrator.json` (`Calibrator.to_record`) and the data of the plots, `plots/*.csv`.

    Args:
        cfg: Reads `split.train_folds` and `evaluate`.
        workspace: Holds `build/table/`, `build/folds.parquet` and `build/predictions/<fold>.parquet`; histories
            `reports/history/<fold>.csv` may be missing.

    Returns:
        What `evaluate_folds` returns, plus `val_low` and `val_high`, the ends of the 95 % intervals of `val` without
        its counts, and `calibration`: `num_detections` by class and `raw` and `cross_fitted`, each figure → class →
        value as in `calibration_summary`. NaN where undefined: intervals of a single group of look-alikes, calibrated
        scores where nothing is left to fit them on.

    Raises:
        FileNotFoundError: If a table is missing, that of a fold included.
        ValueError: If a table breaks its schema or holds predictions for images of another fold, or a setting lies
            outside its range.
    """
    tables = read_held_out(cfg, workspace)
    settings = cfg.evaluate
    pooled = tables.pool()
    judged = _judge(pooled, tables, settings)
    summary = _summary(pooled, tables, settings) | {"calibration": _calibration(judged, pooled, settings)}
    calibrator = fit_calibrator(judged.matches, settings.calibration.kind, iou_threshold=settings.iou_threshold)
    write_rounded_json(summary, workspace.output("reports/metrics.json"))
    write_rounded_json(_thresholds(judged.chosen, settings), workspace.output("reports/thresholds.json"))
    # Knots of an isotonic map must stay different, however near each other.
    write_rounded_json(calibrator.to_record(), workspace.output("reports/calibrator.json"), exact=["scores"])
    histories = [workspace.input(f"reports/history/{fold}.csv") for fold in tables.train_folds]
    for name, table in (_plots(summary, pooled, judged, settings) | {"training": _mean_history(histories)}).items():
        write_rounded_csv(table, workspace.output(f"reports/plots/{name}.csv"))
    print_evaluation(summary, pooled, judged.matches, judged.chosen, settings.score_threshold, settings.iou_threshold)
    return summary


def _judge(pooled: EvaluationTables, tables: HeldOutTables, settings: DictConfig) -> _Judged:
    matches = match_detections(pooled.annotations, pooled.predictions, settings.iou_threshold)
    chosen = choose_thresholds(matches, pooled.annotations, settings.min_precision, settings.min_recall)
    shown = above_threshold(matches, settings.calibration.min_score)
    scores = {RAW: matches["score"]}
    parts = _parts(matches, tables.group_of_file)
    if parts.nunique() != 1:
        scores[CROSS_FITTED] = cross_fit(matches, settings.calibration.kind, parts.to_numpy())
    return _Judged(
        matches, chosen, {kind: shown.assign(score=score.loc[shown.index]) for kind, score in scores.items()}
    )


def _parts(matches: pd.DataFrame, group_of_file: Mapping[str, int]) -> pd.Series:
    """Return what each detection is left out with: its fold, or of a single fold a fifth of its groups."""
    if matches["fold"].nunique() > 1:
        return matches["fold"]
    return matches["file_name"].map(group_of_file).astype("int64") % _NUM_PARTS


def _summary(pooled: EvaluationTables, tables: HeldOutTables, settings: DictConfig) -> Summary:
    thresholds = (settings.score_threshold, settings.iou_threshold)
    sources = (tables.images, tables.annotations, tables.folds, tables.predictions)
    summary = evaluate_folds(*sources, tables.train_folds, *thresholds)
    resampling = (settings.bootstrap.num_replicates, settings.bootstrap.seed)
    return summary | _intervals(summary["val"], pooled, tables.group_of_file, thresholds, resampling)


def _intervals(
    pooled_metrics: Summary,
    pooled: EvaluationTables,
    group_of_file: Mapping[str, int],
    thresholds: tuple[float, float],
    resampling: tuple[int, int],
) -> Summary:
    """Return `val_low` and `val_high`; every end is NaN where there is but one group to draw."""
    if pooled.images["file_name"].map(group_of_file).nunique() < 2:
        names = [name for name in flatten_metrics(pooled_metrics) if not name.startswith(("num_", "size_bound_px"))]
        undefined = nest_metrics(dict.fromkeys(names, float("nan")))
        return {"val_low": undefined, "val_high": undefined}
    table = bootstrap_metrics(pooled, group_of_file, *thresholds, *resampling).set_index("metric")
    return {f"val_{end}": nest_metrics(table[end].to_dict()) for end in ("low", "high")}


def _calibration(judged: _Judged, pooled: EvaluationTables, settings: DictConfig) -> Summary:
    num_bins = settings.calibration.num_bins
    tables = {
        kind: calibration_summary(shown, pooled.images, num_bins=num_bins).set_index("class_name")
        for kind, shown in judged.shown.items()
    }
    counts = tables[RAW]["num_detections"]
    figures = {kind: table[list(CALIBRATION_FIGURES)].to_dict() for kind, table in tables.items()}
    undefined = {figure: dict.fromkeys(counts.index, float("nan")) for figure in CALIBRATION_FIGURES}
    return {"num_detections": counts.to_dict(), CROSS_FITTED: undefined, **figures}


def _thresholds(chosen: pd.DataFrame, settings: DictConfig) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return class → goal → threshold and what it gives; None where the goal is out of reach."""
    wanted = {MIN_PRECISION: settings.min_precision, MIN_RECALL: settings.min_recall}
    tree = {name: {} for name in (*CLASS_NAMES, ALL_CLASSES)}
    for row in chosen.astype(object).where(chosen.notna(), None).to_dict("records"):
        name, goal = row.pop("class_name"), row.pop("goal")
        tree[name][goal] = row | ({"wanted": wanted[goal]} if goal in wanted else {})
    return tree


def _plots(
    summary: Summary, pooled: EvaluationTables, judged: _Judged, settings: DictConfig
) -> dict[str, pd.DataFrame]:
    """Return the tables of the plots by name; long ones for the report, one column a line for `dvc plots`."""
    at_half = match_detections(pooled.annotations, pooled.predictions, CURVE_IOU_THRESHOLD)
    curves = pr_curves(at_half, pooled.annotations)
    over_threshold = threshold_curves(judged.matches, pooled.annotations)
    thresholds = thresholds_of(judged.chosen, BEST_F1)
    reliability = _reliability(judged, settings.calibration.num_bins)
    by_fold = [{"fold": int(fold), **flatten_metrics(metrics)} for fold, metrics in summary["fold"].items()]
    return {
        "pr_curves": curves,
        "precision_at_recall": _one_column_a_class(curves, "recall", "precision"),
        "threshold_curves": over_threshold,
        "f1_at_threshold": _one_column_a_class(over_threshold, "score_threshold", "f1"),
        "reliability": reliability,
        "hit_rate_at_score": _hit_rate_at_score(reliability),
        "confusion": confusion_pairs(pooled.annotations, pooled.predictions, thresholds, settings.iou_threshold),
        "folds": pd.DataFrame(by_fold),
    }


def _one_column_a_class(curves: pd.DataFrame, x: str, y: str) -> pd.DataFrame:
    """Return columns `x` and one of `y` a class, as `dvc plots` wants lines."""
    wide = curves.pivot_table(index=x, columns="class_name", values=y)
    return wide.reindex(columns=list(CLASS_NAMES)).reset_index()


def _reliability(judged: _Judged, num_bins: int) -> pd.DataFrame:
    """Return the bins of `reliability_table` for both kinds of scores, each class and all of them."""
    parts = []
    for kind, shown in judged.shown.items():
        for name in (*CLASS_NAMES, ALL_CLASSES):
            rows = shown if name == ALL_CLASSES else shown[shown["class_name"] == name]
            bins = reliability_table(rows["score"].to_numpy(), rows["is_tp"].to_numpy(), num_bins)
            parts.append(bins.assign(scores=kind, class_name=name))
    return pd.concat(parts, ignore_index=True)[["scores", "class_name", *bins.columns]]


def _hit_rate_at_score(reliability: pd.DataFrame) -> pd.DataFrame:
    """Return the hit rate of all classes by the middle of the bin: `score, raw, cross_fitted, ideal`.

    Bins that either kind of scores leaves empty are left out: `dvc plots` would draw them as hit rates of 0.
    """
    rows = reliability[reliability["class_name"] == ALL_CLASSES]
    wide = rows.assign(score=(rows["low"] + rows["high"]) / 2).pivot_table(
        index="score", columns="scores", values="hit_rate"
    )
    wide = wide.dropna().reindex(columns=[RAW, CROSS_FITTED]).reset_index()
    return wide.assign(ideal=wide["score"])


def _mean_history(paths: list[Path]) -> pd.DataFrame:
    """Return the mean over the folds of `TRAINING_COLUMNS` at each step; a fold without a history is left out."""
    histories = [pd.read_csv(path) for path in paths if path.is_file()]
    table = pd.concat(histories) if histories else pd.DataFrame(columns=["step"])
    return table.reindex(columns=["step", *TRAINING_COLUMNS]).astype(float).groupby("step").mean().reset_index()


if __name__ == "__main__":
    stage_main(run)
