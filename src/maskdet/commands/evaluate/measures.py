"""The figures of a labelled set: metrics with intervals, curves, confusion, verdicts at the model's own thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.commands.evaluate.classes import ClassPlan
from maskdet.commands.evaluate.tables import SetTables
from maskdet.evaluation.bootstrap import NUM_REPLICATES, bootstrap_metrics
from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.matching import above_threshold, match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import size_tertiles
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.evaluation.weighted import WeightedMetrics
from maskdet.reporting.picture import JudgedTables, judge_tables

IOU_THRESHOLD = 0.5
"""Of precision, recall, F1, curves, confusion and galleries."""


@dataclass(frozen=True)
class Measures:
    """What the labels of a set say of a model.

    Attributes:
        tables: What was counted: images, true boxes, detections.
        thresholds: Lowest score of each class for precision, recall, F1, confusion and pictures.
        judged: Verdicts at these thresholds.
        metrics: `test`, and where there are two or more groups its ends `test_low` and `test_high`; nested as in
            `metrics.json`.
        num_groups: Groups of look-alike images that were drawn anew for the intervals.
        curves: As `evaluation.curves.pr_curves` returns them.
        confusion: As `evaluation.confusion.confusion_pairs`; detections that are not counted stand here too.
        num_left_out: Detections at or above their threshold of classes that are not counted, by class.
    """

    tables: EvaluationTables
    thresholds: Mapping[str, float]
    judged: JudgedTables
    metrics: Summary
    num_groups: int
    curves: pd.DataFrame
    confusion: pd.DataFrame
    num_left_out: Mapping[str, int]


def measure(
    labels: SetTables,
    predictions: pd.DataFrame,
    plan: ClassPlan,
    thresholds: Mapping[str, float],
    group_of_file: Mapping[str, int],
    num_replicates: int = NUM_REPLICATES,
) -> Measures:
    """Return the figures of a set.

    Args:
        labels: The labelled images, one at least.
        predictions: Of these images and of others, which are ignored; columns as `schema.PREDICTIONS`.
        plan: What is counted as what.
        thresholds: Of every class of the model, the model's own.
        group_of_file: Group of look-alikes of every labelled image.
        num_replicates: Of the bootstrap.
    """
    of_set = predictions[predictions["file_name"].isin(labels.images["file_name"])].reset_index(drop=True)
    merged = plan.merge(of_set)
    counted = plan.count(of_set)
    tables = EvaluationTables(labels.images, labels.annotations, counted, size_tertiles(labels.annotations))
    groups = {name: group_of_file[name] for name in labels.images["file_name"]}
    flat = _with_ends(tables, groups, thresholds, num_replicates)
    counts = {"images": len(labels.images), "faces": len(labels.annotations), "detections": len(counted)}
    values = {row.metric: row.value for row in flat.itertuples()} | {f"num_{k}": n for k, n in counts.items()}
    values |= {f"size_bound_px/{i}": bound for i, bound in enumerate(tables.size_bounds_px, start=1)}
    metrics = {"test": nest_metrics(values)}
    metrics |= {f"test_{end}": nest_metrics(flat.set_index("metric")[end].to_dict()) for end in ("low", "high")}
    matches = match_detections(labels.annotations, counted, IOU_THRESHOLD)
    shown = above_threshold(of_set, thresholds)
    return Measures(
        tables=tables,
        thresholds=thresholds,
        judged=judge_tables(labels.annotations, above_threshold(counted, thresholds), 0.0, IOU_THRESHOLD),
        metrics=metrics,
        num_groups=len(set(groups.values())),
        curves=pr_curves(matches, labels.annotations),
        confusion=confusion_pairs(labels.annotations, merged, thresholds, IOU_THRESHOLD),
        num_left_out={name: int((shown["class_name"] == name).sum()) for name in plan.left_out},
    )


def _with_ends(
    tables: EvaluationTables, group_of_file: Mapping[str, int], thresholds: Mapping[str, float], num_replicates: int
) -> pd.DataFrame:
    """Return `metric, value, low, high`; the ends are NaN where there is but one group to draw."""
    if len(set(group_of_file.values())) > 1:
        table = bootstrap_metrics(tables, group_of_file, thresholds, IOU_THRESHOLD, num_replicates)
        return table[["metric", "value", "low", "high"]]
    values = WeightedMetrics(tables, group_of_file, thresholds, IOU_THRESHOLD)(np.ones((1, 1)))
    rows = [{"metric": name, "value": float(value[0])} for name, value in values.items()]
    return pd.DataFrame(rows).assign(low=float("nan"), high=float("nan"))
