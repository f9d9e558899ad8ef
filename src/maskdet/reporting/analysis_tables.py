"""Tables of what the evaluation found beyond the metrics: thresholds, calibration, errors, subgroups, anchors."""

from collections.abc import Mapping

import pandas as pd

from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.evaluation.errors import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    LOCALISATION,
    MISSED,
    ORACLES,
)
from maskdet.evaluation.thresholds import BEST_F1, MIN_PRECISION, MIN_RECALL
from maskdet.reporting.number_texts import UNDEFINED, number
from maskdet.reporting.summary_tables import TextTable
from maskdet.schema import CLASS_NAMES

ERROR_TEXTS = {
    CLASSIFICATION: "well placed, wrong class",
    LOCALISATION: "right class, badly placed",
    BOTH: "near a face of another class, badly placed",
    DUPLICATE: "a second detection of a face that is found",
    BACKGROUND: "no face is labelled there",
    MISSED: "a face without any detection near",
    FALSE_POSITIVE: "every detection that is no hit",
    FALSE_NEGATIVE: "every face that is not found",
}
"""What each kind of error means, in a few words."""

_GOALS = {BEST_F1: "best F1", MIN_PRECISION: "precision", MIN_RECALL: "recall"}
_SCORES = {"raw": "as given", "cross_fitted": "calibrated"}
_FIGURES = {
    "brier": ("Brier score", "mean squared gap between score and outcome"),
    "d_ece": ("D-ECE", "mean gap between score and hit rate, by score"),
    "d_ece_position": ("D-ECE with position", "by score and centre of the box"),
    "d_ece_size": ("D-ECE with size", "by score and sides of the box"),
}
_BEST_ANCHORS = 8


def threshold_table(thresholds: Mapping) -> TextTable:
    """Return a row a class and goal: threshold, precision, recall, F1.

    Args:
        thresholds: `thresholds.json`: class → goal → numbers, None where the goal is out of reach.
    """
    rows, notes = [], []
    for name in (*CLASS_NAMES, ALL_CLASSES):
        for goal, point in (thresholds.get(name) or {}).items():
            point = point or {}
            wanted = f" ≥ {point['wanted']:g}" if point.get("wanted") is not None else ""
            cells = [number(point.get(key)) for key in ("score_threshold", "precision", "recall", "f1")]
            rows.append([name, f"{_GOALS.get(goal, goal)}{wanted}", *cells])
            notes.append("")
    return TextTable(["class", "goal", "score from", "precision", "recall", "F1"], rows, notes)


def calibration_table(calibration: Mapping) -> TextTable:
    """Return the calibration of all classes together, scores as given and calibrated.

    Args:
        calibration: Of `metrics.json`: kind of scores → figure → class → value.
    """
    kinds = [kind for kind in _SCORES if calibration.get(kind)]
    rows = [
        [label, *(number((calibration[kind].get(figure) or {}).get(ALL_CLASSES)) for kind in kinds)]
        for figure, (label, _) in _FIGURES.items()
    ]
    return TextTable(["figure", *(_SCORES[kind] for kind in kinds)], rows, [note for _, note in _FIGURES.values()])


def error_table(costs: pd.DataFrame) -> TextTable:
    """Return a row a kind of error: how many, and the AP that its correction alone would give.

    Args:
        costs: Columns as `evaluation.errors.error_costs` returns them.
    """
    names = [name for name in (ALL_CLASSES, *CLASS_NAMES) if name in set(costs["class_name"])]
    gains = costs.pivot_table(index="error", columns="class_name", values="ap_gain", dropna=False)
    counts = costs[costs["class_name"] == ALL_CLASSES].set_index("error")["count"]
    kinds = [kind for kind in ORACLES if kind in gains.index]
    header = ["kind of error", "errors", *(f"AP50 gain, {name.replace('_', ' ')}" for name in names)]
    rows = [
        [kind.replace("_", " "), str(int(counts.get(kind, 0))), *(number(gains.loc[kind].get(name)) for name in names)]
        for kind in kinds
    ]
    return TextTable(header, rows, [ERROR_TEXTS[kind] for kind in kinds])


def subgroup_table(subgroups: pd.DataFrame) -> TextTable:
    """Return a row a group of faces: how many, recall with its interval, how many are missed or misnamed.

    Args:
        subgroups: Columns as `evaluation.subgroups.recall_by_subgroup` returns them.
    """
    header = ["group of faces", "faces", "recall", "95 % interval", "missed", "of these misnamed"]
    rows = [
        [
            row.subgroup if row.property == ALL_CLASSES else f"{row.property.replace('_', ' ')}: {row.subgroup}",
            str(row.num_faces),
            number(row.recall),
            f"{row.low:.3f} to {row.high:.3f}",
            str(row.num_missed),
            str(row.num_misnamed),
        ]
        for row in subgroups.itertuples()
    ]
    return TextTable(header, rows, [""] * len(rows))


def anchor_table(anchors: pd.DataFrame) -> TextTable:
    """Return the anchors in use, and of those that no cheaper ones beat the eight that cover most faces.

    Args:
        anchors: Columns as `evaluation.anchor_fit.best_anchors` returns them, plus `is_in_use` (bool), most faces
            covered first.
    """
    in_use = anchors["is_in_use"].astype(bool)
    efficient = anchors["is_efficient"].astype(bool) & ~in_use
    shown = anchors[in_use | (efficient & (efficient.cumsum() <= _BEST_ANCHORS))]
    header = ["anchors", "a cell", "faces covered", "mean best IoU"]
    rows = [
        [
            f"scale {row.scale:g}, {row.num_scales} an octave, ratios {row.aspect_ratios}",
            str(row.num_per_cell),
            UNDEFINED if pd.isna(row.covered) else f"{row.covered:.1%}",
            number(row.mean_best_iou),
        ]
        for row in shown.itertuples()
    ]
    return TextTable(header, rows, ["in use" if used else "" for used in in_use[shown.index]])
