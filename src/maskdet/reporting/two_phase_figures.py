"""Figures of the two-phase study: estimates with their intervals, ROC and PR curves of a classifier, its training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from maskdet.reporting.figure_files import INK, LINE_STYLES, in_report_style, legend_below, styled_figure
from maskdet.reporting.palette import class_style
from maskdet.schema import CLASS_NAMES

SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""One colour a series, Okabe and Ito's; a longer list starts again."""

_MARKERS = ("o", "s", "^", "D", "v", "P")  # so that series differ without colour
_ROW_INCHES = 0.2
_SHORT_NAME = 15  # letters of a name of which three fit beside each other in a legend
_CURVE_STEP = 1 / 500  # of a curve's axes: what lies nearer cannot be told apart on the page


@dataclass(frozen=True)
class EstimateAxis:
    """The axis along which estimates are drawn.

    Attributes:
        label: What it counts, with its unit.
        limits: Its ends; None fits them to the intervals.
        line: Where a vertical line marks "no difference"; None for none.
    """

    label: str
    limits: tuple[float, float] | None = None
    line: float | None = None


@in_report_style
def plot_estimates(estimates: pd.DataFrame, axis: EstimateAxis) -> Figure | None:
    """Draw a dot with its interval for every label and series, labels below each other.

    Args:
        estimates: Columns `label` (a row of the figure), `series` (a colour and a mark), `value`, `low`, `high`; drawn
            in the order in which they come. A row without a value is left out, one without an interval is a dot. A
            series keeps its colour and its place where it has no value, so that figures of the same series agree.
        axis: What is estimated.

    Returns:
        The figure, as tall as there are rows; None where no value is defined.
    """
    defined = estimates.dropna(subset="value")
    if defined.empty:
        return None
    labels, series = (list(dict.fromkeys(estimates[name])) for name in ("label", "series"))
    pitch = len(series) + 1.0  # one empty line between labels
    figure, axes = styled_figure(axis.label, "")
    figure.set_size_inches(4.6, max(2.0, 1.1 + _ROW_INCHES * pitch * len(labels)))
    if axis.line is not None:
        axes.axvline(axis.line, color=INK, linewidth=1, linestyle=":")
    for place, name in enumerate(series):
        rows = defined[defined["series"] == name]
        if rows.empty:
            continue
        heights = rows["label"].map(labels.index).to_numpy() * pitch + place  # (n,)
        style = {"color": SERIES_COLORS[place % len(SERIES_COLORS)]}
        axes.hlines(heights, rows["low"], rows["high"], linewidth=2, alpha=0.55, **style)
        mark = _MARKERS[place % len(_MARKERS)]
        axes.plot(rows["value"], heights, mark, linestyle="", markersize=5, label=name, **style)
    axes.set_yticks(np.arange(len(labels)) * pitch + (len(series) - 1) / 2, labels)
    axes.set_ylim(len(labels) * pitch - 1 + 0.4, -1)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 2.5, 5, 10)))
    if axis.limits:
        axes.set_xlim(*axis.limits)
    if len(series) > 1:
        legend_below(figure, columns=2 if max(map(len, series)) > _SHORT_NAME else 3)
    return figure


@in_report_style
def plot_roc(curves: pd.DataFrame, auc_of_class: Mapping[str, float]) -> Figure | None:
    """Draw a classifier's ROC curves, each class against the rest; None without curves.

    Args:
        curves: Columns `class_name, false_positive_rate, true_positive_rate` of one classifier and protocol.
        auc_of_class: Class → AUC, for the legend.
    """
    labels = ("false positive rate (share of other faces)", "true positive rate (share of the class)")
    lines = _class_lines(curves, ("false_positive_rate", "true_positive_rate"), "AUC", auc_of_class)
    axes = _unit_square(labels, lines)
    if axes is None:
        return None
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":")
    return axes.figure


@in_report_style
def plot_precision_recall(curves: pd.DataFrame, ap_of_class: Mapping[str, float]) -> Figure | None:
    """Draw a classifier's precision over recall, a line a class; None without curves.

    Args:
        curves: Columns `class_name, recall, precision` of one classifier and protocol.
        ap_of_class: Class → AP, for the legend.
    """
    lines = _class_lines(curves, ("recall", "precision"), "AP", ap_of_class)
    axes = _unit_square(("recall (share of the class)", "precision (share of faces called so)"), lines)
    return None if axes is None else axes.figure


@in_report_style
def plot_face_curves(curves: pd.DataFrame, ap_of_detector: Mapping[str, float]) -> Figure | None:
    """Draw the precision of face detectors over their recall, a line each; None without curves.

    Args:
        curves: Columns `detector, recall, precision`.
        ap_of_detector: Detector → AP, for the legend; its order is that of the colours.
    """
    lines = [
        _Line(
            f"{name}, AP {ap:.3f}",
            SERIES_COLORS[place % len(SERIES_COLORS)],
            LINE_STYLES[place % len(LINE_STYLES)],
            curves.loc[curves["detector"] == name, ["recall", "precision"]].to_numpy(float),
        )
        for place, (name, ap) in enumerate(ap_of_detector.items())
    ]
    axes = _unit_square(("recall (share of true faces found)", "precision (share of faces found)"), lines)
    return None if axes is None else axes.figure


class _Line(NamedTuple):
    label: str
    color: str
    line_style: str
    points: np.ndarray  # (N, 2)


def _class_lines(
    curves: pd.DataFrame, columns: tuple[str, str], area: str, area_of_class: Mapping[str, float]
) -> list[_Line]:
    """Return a line a class that occurs; its label says the area below it."""
    lines = []
    for name in [name for name in CLASS_NAMES if name in set(curves["class_name"])]:
        style, points = class_style(name), curves.loc[curves["class_name"] == name, list(columns)].to_numpy(float)
        lines.append(
            _Line(f"{style.short_name}, {area} {area_of_class[name]:.3f}", style.color, style.line_style, points)
        )
    return lines


def _unit_square(labels: tuple[str, str], lines: Sequence[_Line]) -> Axes | None:
    """Draw curves on axes from 0 to 1; None where no line has a point."""
    lines = [line for line in lines if len(line.points)]
    if not lines:
        return None
    figure, axes = styled_figure(*labels)
    for line in lines:
        axes.plot(*_thinned(line.points), color=line.color, linestyle=line.line_style, label=line.label)
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    legend_below(figure, columns=2)
    return axes


def _thinned(points: np.ndarray) -> np.ndarray:
    """Return (2, M) of the (N, 2) points of a curve, without those that fall on their neighbour when drawn."""
    grid = np.round(points / _CURVE_STEP)  # (N, 2)
    is_kept = np.append((grid[1:] != grid[:-1]).any(axis=1), True)  # (N,) the last of equal ones
    is_kept[0] = True
    return points[is_kept].T


@in_report_style
def plot_training(history: pd.DataFrame, metric: str, label: str) -> Figure | None:
    """Draw a metric of the training part and of the part held out over the epochs.

    Thin lines are parts, thick ones their means.

    Args:
        history: Columns `part, epoch, train/<metric>, val/<metric>`; a column may be absent, a cell empty.
        metric: `loss` or `accuracy`; the latter gets an axis up to 1.
        label: Name of the axis, unit included.

    Returns:
        The figure; None where neither column has a value.
    """
    sides = {"train": ("trained on", "#0072b2", "--"), "val": ("held out", "#d55e00", "-")}
    drawn = [side for side in sides if f"{side}/{metric}" in history and history[f"{side}/{metric}"].notna().any()]
    if not drawn:
        return None
    figure, axes = styled_figure("epoch (count, from 0)", label)
    for side in drawn:
        name, color, line_style = sides[side]
        by_epoch = history.pivot_table(index="epoch", columns="part", values=f"{side}/{metric}")  # (E, parts)
        axes.plot(by_epoch.index, by_epoch, color=color, linestyle=line_style, linewidth=0.7, alpha=0.5)
        axes.plot(by_epoch.index, by_epoch.mean(axis=1), color=color, linestyle=line_style, label=name)
    if metric == "accuracy":
        axes.set_ylim(top=1)
    else:
        axes.set_ylim(bottom=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend_below(figure, columns=2)
    return figure


@in_report_style
def plot_cost(points: Sequence[tuple[str, float, Mapping]]) -> Figure | None:
    """Draw mAP50 with its interval over the time that an image takes.

    Args:
        points: (name, milliseconds an image, record with `value`, `low`, `high`); those without time are left out.

    Returns:
        The figure, time on a logarithmic axis; None without a point.
    """
    defined = [point for point in points if point[1] > 0 and not np.isnan(point[2]["value"])]
    if not defined:
        return None
    figure, axes = styled_figure("time of an image (ms, logarithmic)", "mAP50 (0 to 1), 95 % interval")
    for place, (name, milliseconds, record) in enumerate(defined):
        color = SERIES_COLORS[place % len(SERIES_COLORS)]
        axes.vlines(milliseconds, record["low"], record["high"], color=color, linewidth=2, alpha=0.55)
        axes.plot(milliseconds, record["value"], _MARKERS[place % len(_MARKERS)], color=color, markersize=6, label=name)
    times = [point[1] for point in defined]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.6, max(times) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(0, 1)
    legend_below(figure, columns=2)
    return figure


def estimate_rows(rows: Sequence[tuple[str, str, Mapping]]) -> pd.DataFrame:
    """Return what `plot_estimates` draws, from (label, series, record with `value`, `low`, `high`).

    A missing or None number is undefined.
    """
    records = [
        {"label": label, "series": series, **{end: record.get(end) for end in ("value", "low", "high")}}
        for label, series, record in rows
    ]
    table = pd.DataFrame(records, columns=["label", "series", "value", "low", "high"])
    return table.astype(dict.fromkeys(("value", "low", "high"), float))
