"""Stage `score_models`: one phase, two phases and rescored boxes on the same out-of-fold photos, in one table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from maskdet.evaluation.bootstrap import Resampled, interval_columns, resample
from maskdet.evaluation.paired import check_same_truth, difference_rows
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.evaluation.weighted import WeightedMetrics
from maskdet.schema import CLASS_NAMES, PREDICTIONS, read_table
from maskdet.stages.cost import COST_KEYS, TIMES, CostReport
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.held_out_tables import HeldOutTables, read_held_out
from maskdet.stages.model_printout import print_models
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json

BASELINE, TWO_PHASE, RESCORED = "efficientdet", "two_phase", "rescored"

Costs = dict[str, CostReport]
"""Step, e.g. "classify" → what it says of its cost."""

_METRICS = ("map", "map_50", "map_75", *(f"{kind}/{name}" for kind in ("ap", "ap_50") for name in CLASS_NAMES))
"""Counted ten thousand times over. Not precision, recall and F1: scores of different models mean different things."""

_NO_THRESHOLD = 0.5
"""Average precision has none."""

_DIFFERENCES = {
    "difference": "value",
    "difference_low": "low",
    "difference_high": "high",
    "p_value": "p_value",
    "least_p_value": "least_p_value",
    "percentile_p_value": "percentile_p_value",
}
"""Column of `models.csv` → key under `difference` in `models.json`."""


@dataclass(frozen=True)
class _Model:
    """What one model found, in the same photos for every model, and what that cost."""

    tables: EvaluationTables
    cost: Costs


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Score the detector, the two-phase detectors of `two_phase.face_detectors` and the rescored boxes.

    Writes `reports/two_phase/models.json` (what is returned) and `models.csv` (a row a model and metric).

    Args:
        cfg: Reads `split.train_folds`, `two_phase.face_detectors`, and of `hypotheses` the replicates, the seed and the
            level, so that this table and H7 say the same.
        workspace: Holds the tables of `read_held_out`, `build/two_phase/*.parquet`, and what `predict`, `find_faces`,
            `two_phase` and `rescore` say under `reports/` of their cost.

    Returns:
        `train_folds`, `num_images`, `num_faces`, `num_groups`, and `models`: name → `value`, `low`, `high` of each
        metric (95 % intervals over groups of look-alikes), `cost` (of each step), the `TIMES` of all steps, and but
        for the baseline `difference`: `value` (model − baseline), `low`, `high`, `p_value`, `least_p_value`,
        `percentile_p_value` of each metric, paired, see `bca.BcaTest`.

    Raises:
        FileNotFoundError: If a table or a report of a cost is missing.
        ValueError: If a table breaks its schema or holds photos of other folds, or a report lacks a figure.
    """
    held_out = read_held_out(cfg, workspace)
    models = _read_models(held_out, cfg.two_phase.face_detectors, workspace)
    resampled = {name: _resampled(model, models[BASELINE], held_out, cfg.hypotheses) for name, model in models.items()}
    rows = pd.concat([_rows(name, resampled, 1 - cfg.hypotheses.alpha) for name in models], ignore_index=True)
    summary = _counts(held_out) | {
        "models": {name: _summary(rows[rows["model"] == name], model.cost) for name, model in models.items()}
    }
    write_rounded_json(summary, workspace.output("reports/two_phase/models.json"))
    write_rounded_csv(rows, workspace.output("reports/two_phase/models.csv"))
    print_models(summary)
    return summary


def _read_models(held_out: HeldOutTables, face_detectors: Sequence[str], workspace: Workspace) -> dict[str, _Model]:
    reports = workspace.input("reports")
    detect = _mean_cost([_cost(reports / f"predict/{fold}.json") for fold in held_out.train_folds])
    models = {BASELINE: _Model(held_out.pool(), {"detect": detect})}
    for name in face_detectors:
        steps = {
            "find_faces": _cost(reports / f"two_phase/find_faces/{name}.json"),
            "classify": _cost(reports / f"two_phase/two_phase/{name}.json"),
        }
        path = workspace.input(f"build/two_phase/{name}.parquet")
        models[f"{TWO_PHASE}/{name}"] = _Model(_pooled(held_out, path), steps)
    steps = {"detect": detect, "classify": _cost(reports / "two_phase/rescore.json")}
    models[RESCORED] = _Model(_pooled(held_out, workspace.input("build/two_phase/rescored.parquet")), steps)
    return models


def _pooled(held_out: HeldOutTables, path: Path) -> EvaluationTables:
    """Return a model's detections in the photos of the folds that count, with these photos and their true boxes."""
    table = read_table(path, PREDICTIONS)
    of_fold = {fold: table[table["fold"] == fold] for fold in held_out.train_folds}
    try:
        return pool_folds(held_out.images, held_out.annotations, held_out.folds, of_fold, held_out.train_folds)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _cost(path: Path) -> CostReport:
    """Return what a step says of its cost: the keys of `maskdet.stages.cost.Cost.report`."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected what the stage says of its cost, found no file; run it first")
    report = json.loads(path.read_text(encoding="utf-8"))
    lost = [key for key in COST_KEYS if key not in report]
    if lost:
        raise ValueError(f"{path}: expected the key {lost[0]!r}, got {sorted(report)}")
    return {key: report[key] for key in COST_KEYS}


def _mean_cost(costs: Sequence[CostReport]) -> CostReport:
    """Return the mean over folds, which hold about equally many photos; the machine is that of the first."""
    return costs[0] | {key: float(np.mean([cost[key] for cost in costs])) for key in TIMES}


def _resampled(model: _Model, baseline: _Model, held_out: HeldOutTables, settings: DictConfig) -> Resampled:
    """Return the metrics of a model on the same draws of groups as those of the baseline."""
    check_same_truth(baseline.tables, model.tables)
    metrics = WeightedMetrics(model.tables, held_out.group_of_file, _NO_THRESHOLD, metrics=_METRICS)
    return resample(metrics, settings.num_replicates, settings.seed)


def _rows(name: str, resampled: Mapping[str, Resampled], confidence: float) -> pd.DataFrame:
    """Return a row a metric: `model, metric, value, low, high, difference…`; the baseline's differences are NaN."""
    own, baseline = resampled[name], resampled[BASELINE]
    rows = pd.DataFrame(
        [
            {"model": name, "metric": metric, "value": value, **interval_columns(own, metric, confidence)}
            for metric, value in own.values.items()
        ]
    )
    if own is baseline:
        return rows.assign(**dict.fromkeys(_DIFFERENCES, np.nan))
    paired = difference_rows(baseline, own, confidence)
    paired = paired.rename(columns={"low": "difference_low", "high": "difference_high"})
    return rows.merge(paired[["metric", *_DIFFERENCES]], on="metric", how="left", validate="1:1")


def _counts(held_out: HeldOutTables) -> Summary:
    pooled, group_of_file = held_out.pool(), held_out.group_of_file
    return {
        "train_folds": list(held_out.train_folds),
        "num_images": len(pooled.images),
        "num_faces": len(pooled.annotations),
        "num_groups": len({group_of_file[name] for name in pooled.images["file_name"]}),
    }


def _summary(rows: pd.DataFrame, cost: Costs) -> Summary:
    by_metric = rows.set_index("metric")
    summary = {end: nest_metrics(by_metric[end].to_dict()) for end in ("value", "low", "high")}
    if by_metric["difference"].notna().any():
        summary["difference"] = {key: nest_metrics(by_metric[column].to_dict()) for column, key in _DIFFERENCES.items()}
    return summary | {"cost": cost} | {key: float(sum(step[key] for step in cost.values())) for key in TIMES}


if __name__ == "__main__":
    stage_main(run)
