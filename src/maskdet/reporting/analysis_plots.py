"""Figures of what was found beyond the curves: thresholds, calibration, costs of errors, recall by subgroup."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.evaluation.errors import ERROR_KINDS
from maskdet.evaluation.thresholds import BEST_F1
from maskdet.reporting.figure_files import INK, in_report_style, legend_below, styled_figure
from maskdet.reporting.palette import class_style
from maskdet.schema import CLASS_NAMES

_BLUE, _ORANGE = "#0072b2", "#d55e00"
_SCORE_LINES = {"raw": ("as the model gives them", _ORANGE, "--"), "cross_fitted": ("calibrated", _BLUE, "-")}
_ROW_INCHES = 0.23  # of the tall figure of subgroups


@in_report_style
def plot_thresholds(curves: pd.DataFrame, thresholds: Mapping | None) -> Figure | None:
    """Draw F1 over the score threshold, a line a class, its best point marked; None without curves.

    Args:
        curves: Columns as `evaluation.thresholds.threshold_curves` returns them.
        thresholds: `thresholds.json`, class → goal → `score_threshold, f1`; None marks nothing.
    """
    if curves.empty:
        return None
    figure, axes = styled_figure("score threshold (0 to 1)", "F1 (0 to 1)")
    for name in CLASS_NAMES:
        curve, style = curves[curves["class_name"] == name], class_style(name)
        axes.plot(
            curve["score_threshold"], curve["f1"], color=style.color, linestyle=style.line_style, label=style.short_name
        )
        best = ((thresholds or {}).get(name) or {}).get(BEST_F1) or {}
        if best.get("score_threshold") is not None:
            axes.plot(best["score_threshold"], best["f1"], "o", color=style.color, markersize=6, zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    legend_below(figure, columns=3)
    return figure


@in_report_style
def plot_reliability(reliability: pd.DataFrame) -> Figure | None:
    """Draw the hit rate over the score, all classes together: on the diagonal a score is a probability.

    Args:
        reliability: Columns as `reliability_table` returns them, and if several kinds of scores or classes are on file
            also `scores` (`raw`, `cross_fitted`) and `class_name`, of which the rows "all" are drawn.

    Returns:
        The figure; None where no bin holds a detection.
    """
    rows = reliability[reliability["num_detections"] > 0]
    rows = rows if "scores" in rows else rows.assign(scores="raw")
    if "class_name" in rows:
        rows = rows[rows["class_name"] == ALL_CLASSES]
    if rows.empty:
        return None
    figure, axes = styled_figure("mean score of the bin (0 to 1)", "hit rate (share of detections right)")
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="a score is a probability")
    for kind, line in rows.groupby("scores", sort=False):
        label, color, line_style = _SCORE_LINES.get(kind, (kind, INK, "-."))
        axes.plot(line["mean_score"], line["hit_rate"], "o", color=color, linestyle=line_style, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    legend_below(figure, columns=1)
    return figure


@in_report_style
def plot_error_costs(costs: pd.DataFrame) -> Figure | None:
    """Draw how much AP50 the correction of each kind of error alone would give, mean of the classes.

    Args:
        costs: Columns as `evaluation.errors.error_costs` returns them.

    Returns:
        The figure; None without a row "all".
    """
    rows = costs[costs["class_name"] == ALL_CLASSES].set_index("error")
    if rows.empty:
        return None
    rows = rows.reindex(ERROR_KINDS)
    figure, axes = styled_figure("mAP50 to be gained (0 to 1)", "kind of error")
    places = np.arange(len(rows))  # (6,)
    axes.barh(places, rows["ap_gain"].fillna(0), color=_BLUE, height=0.6)
    for place, row in zip(places, rows.itertuples(), strict=True):
        text = "–" if np.isnan(row.ap_gain) else f"{row.ap_gain:.3f} ({row.count:,.0f})"
        end = (0 if np.isnan(row.ap_gain) else row.ap_gain, place)
        axes.annotate(text, end, xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, list(rows.index))
    axes.invert_yaxis()
    axes.margins(x=0.32)
    axes.set_xlim(left=0)
    axes.grid(axis="y", visible=False)
    return figure


@in_report_style
def plot_subgroups(subgroups: pd.DataFrame) -> Figure | None:
    """Draw the recall of each group of faces with its interval, the groups of a property below each other.

    Args:
        subgroups: Columns as `evaluation.subgroups.recall_by_subgroup` returns them.

    Returns:
        The figure, as tall as there are groups; None without groups.
    """
    if subgroups.empty:
        return None
    figure, axes = styled_figure("recall, 95 % interval (0 to 1)", "group of faces (count)")
    first_of_property = subgroups["property"] != subgroups["property"].shift()
    places = np.arange(len(subgroups)) + 0.7 * (first_of_property.cumsum() - 1)  # (G,) a gap before each property
    figure.set_size_inches(4.6, max(2.4, 1 + _ROW_INCHES * float(places.iloc[-1] + 1)))
    axes.hlines(places, subgroups["low"], subgroups["high"], color=_BLUE, linewidth=2, alpha=0.55)
    axes.plot(subgroups["recall"], places, "o", color=_BLUE, markersize=5)
    names = [
        group if prop in (ALL_CLASSES, group) else f"{prop.replace('_', ' ')}: {group}"
        for prop, group in _names(subgroups)
    ]
    axes.set_yticks(places, [f"{name} ({num})" for name, num in zip(names, subgroups["num_faces"], strict=True)])
    axes.tick_params(axis="y", labelsize=8)
    axes.set_ylim(float(places.iloc[-1]) + 0.7, -0.7)
    axes.set_xlim(0, 1.02)
    axes.grid(axis="y", visible=False)
    return figure


def _names(subgroups: pd.DataFrame) -> list[tuple[str, str]]:
    """Return property and group of each row, classes under their short names."""
    pairs = zip(subgroups["property"], subgroups["subgroup"].astype(str), strict=True)
    return [(prop, class_style(group).short_name if prop == "class" else group) for prop, group in pairs]
