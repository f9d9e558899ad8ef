"""The figures of a labelled set: metrics with intervals, curves, confusion, verdicts at the model's own thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.commands.evaluate.classes import ClassPlan
from maskdet.commands.evaluate.tables import SetTables
from maskdet.evaluation.bootstrap import CONFIDENCE, NUM_REPLICATES, interval_columns, resample
from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.matching import above_threshold, match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import area_ranges, size_tertiles
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.evaluation.weighted import WeightedMetrics
from maskdet.reporting.picture import JudgedTables, judge_tables
from maskdet.schema import BOX_COLUMNS

IOU_THRESHOLD = 0.5
"""Of precision, recall, F1, curves, confusion and galleries."""

_RATES = ("precision", "recall", "f1")
_NO_ENDS = {"low": float("nan"), "high": float("nan")}


@dataclass(frozen=True)
class Measures:
    """What the labels of a set say of a model.

    Attributes:
        tables: What was counted: images, true boxes, detections.
        thresholds: Lowest score of each class for precision, recall, F1, confusion and pictures; of a detection that
            a merge counts under another class, that of the class that found it.
        judged: Verdicts at these thresholds.
        metrics: `test` and the ends of its intervals, `test_low` and `test_high`, NaN where there are none; nested as
            in `metrics.json`.
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
    counted = plan.count(of_set)
    tables = EvaluationTables(labels.images, labels.annotations, counted, size_tertiles(labels.annotations))
    groups = {name: group_of_file[name] for name in labels.images["file_name"]}
    shown = above_threshold(of_set, thresholds)  # before a merge: by the class that the model shows
    flat = _with_ends(tables, plan.count(shown), groups, num_replicates)
    counts = {"images": len(labels.images), "faces": len(labels.annotations), "detections": len(counted)}
    values = {row.metric: row.value for row in flat.itertuples()} | {f"num_{k}": n for k, n in counts.items()}
    values |= {f"size_bound_px/{i}": bound for i, bound in enumerate(tables.size_bounds_px, start=1)}
    metrics = {"test": nest_metrics(values)}
    metrics |= {f"test_{end}": nest_metrics(flat.set_index("metric")[end].to_dict()) for end in ("low", "high")}
    matches = match_detections(labels.annotations, counted, IOU_THRESHOLD)
    return Measures(
        tables=tables,
        thresholds=thresholds,
        judged=judge_tables(labels.annotations, plan.count(shown), 0.0, IOU_THRESHOLD),
        metrics=metrics,
        num_groups=len(set(groups.values())),
        curves=pr_curves(matches, labels.annotations),
        confusion=confusion_pairs(labels.annotations, plan.merge(shown), 0.0, IOU_THRESHOLD),
        num_left_out={name: int((shown["class_name"] == name).sum()) for name in plan.left_out},
    )


def _with_ends(
    tables: EvaluationTables, shown: pd.DataFrame, group_of_file: Mapping[str, int], num_replicates: int
) -> pd.DataFrame:
    """Return `metric, value, low, high`; no ends where the faces of a metric lie in fewer than two groups.

    Args:
        tables: What ranked metrics count.
        shown: Detections that precision, recall and F1 count.
        group_of_file: Group of look-alikes of every image.
        num_replicates: Of the bootstrap.
    """
    ranked = WeightedMetrics(tables, group_of_file, 0.0, IOU_THRESHOLD)
    rated = WeightedMetrics(replace(tables, predictions=shown), group_of_file, 0.0, IOU_THRESHOLD, metrics=_RATES)
    as_is = np.ones((ranked.num_groups, 1))
    values = {name: float(value[0]) for of_kind in (ranked, rated) for name, value in of_kind(as_is).items()}
    is_drawn = ranked.num_groups > 1
    resampled = [resample(of_kind, num_replicates, seed=0) for of_kind in (ranked, rated) if is_drawn]
    num_groups = _num_groups_of_faces(tables, group_of_file)
    rows = []
    for name, value in values.items():
        has_ends = num_groups.get(name.removeprefix("map_").split("/")[-1], num_groups["all"]) > 1
        ends = interval_columns(resampled[name in _RATES], name, CONFIDENCE) if has_ends else _NO_ENDS
        rows.append({"metric": name, "value": value, **ends})
    return pd.DataFrame(rows)


def _num_groups_of_faces(tables: EvaluationTables, group_of_file: Mapping[str, int]) -> dict[str, int]:
    """Return in how many groups the faces of each size, `all` among them, and of each class that occurs lie."""
    areas = box_area(tables.annotations[BOX_COLUMNS].to_numpy(np.float64))  # (M,)
    groups = tables.annotations["file_name"].map(dict(group_of_file))  # (M,)
    ranges = area_ranges(tables.size_bounds_px)
    sizes = {name: groups[(areas >= low) & (areas <= high)].nunique() for name, (low, high) in ranges.items()}
    return sizes | groups.groupby(tables.annotations["class_name"]).nunique().to_dict()
