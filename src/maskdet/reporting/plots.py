"""The report's figures. Each function returns a matplotlib figure; `figure_files` turns it into SVG or pixels.

No pyplot: nothing global, nothing left open.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from maskdet.evaluation.confusion import BACKGROUND, confusion_counts
from maskdet.reporting.figure_files import BLUES, INK, in_report_style, legend_below, styled_figure
from maskdet.reporting.palette import FOLD_COLORS, class_style, text_rgb
from maskdet.schema import CLASS_NAMES

_SCORE_BINS = np.linspace(0, 1, 21)  # (21,) edges


@in_report_style
def plot_history(histories: Mapping[int, pd.DataFrame], column: str, label: str) -> Figure | None:
    """Draw one column of the training histories over the epoch, a line a fold.

    Args:
        histories: Fold → rows with `epoch` and metric columns; empty cells are skipped.
        column: E.g. `train/loss` or `val/map_50`; rates in [0, 1] get an axis from 0 to 1.
        label: Name of the axis, unit included.

    Returns:
        The figure; None where no history has a value in this column.
    """
    lines = {fold: _line(table, column) for fold, table in sorted(histories.items())}
    lines = {fold: line for fold, line in lines.items() if len(line)}
    if not lines:
        return None
    figure, axes = styled_figure("epoch (count, from 0)", label)
    for position, (fold, line) in enumerate(lines.items()):
        marker = "o" if len(line) < 15 else None
        color = FOLD_COLORS[position % len(FOLD_COLORS)]
        axes.plot(line["epoch"], line[column], color=color, marker=marker, label=f"fold {fold}")
    if column.startswith("val/"):
        axes.set_ylim(0, 1)
    else:
        axes.set_ylim(bottom=0)
    last_epoch = max(table["epoch"].max() for table in histories.values() if "epoch" in table)
    axes.set_xlim(-0.04 * max(last_epoch, 1), 1.04 * max(last_epoch, 1))  # one span in all plots of a training
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return figure


@in_report_style
def plot_pr_curves(curves: pd.DataFrame) -> Figure | None:
    """Draw precision over recall at IoU 0.5, a line a class; None without curves.

    Args:
        curves: Columns `class_name, recall, precision, score` as `evaluation.curves.pr_curves` returns them.
    """
    if curves.empty:
        return None
    figure, axes = styled_figure("recall (share of true faces found)", "precision (share of detections right)")
    for name in [name for name in CLASS_NAMES if name in set(curves["class_name"])]:
        curve, style = curves[curves["class_name"] == name], class_style(name)
        ap = curve["precision"].mean()  # over COCO's 101 recall points
        label = f"{style.short_name}, AP50 {ap:.3f}"
        axes.plot(curve["recall"], curve["precision"], color=style.color, linestyle=style.line_style, label=label)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    legend_below(figure, columns=2)
    return figure


@in_report_style
def plot_confusion(pairs: pd.DataFrame) -> Figure:
    """Draw which class is taken for which: each row's shares as colour and number, the counts below them.

    Args:
        pairs: Columns `actual, predicted` as `evaluation.confusion.confusion_pairs` returns them; may be empty.

    Returns:
        A figure with `background` as last row (false alarms: their shares say as what) and last column (misses).
    """
    names = [*CLASS_NAMES, BACKGROUND]
    table = confusion_counts(pairs).pivot(index="actual", columns="predicted", values="count").loc[names, names]
    counts = table.to_numpy()  # (K + 1, K + 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (K + 1, K + 1), rows sum to 1 or 0
    figure, axes = styled_figure("predicted class", "true class", grid=False)
    axes.pcolormesh(shares, cmap=BLUES, vmin=0, vmax=1, edgecolors="white", linewidth=1.5)
    for (row, column), count in np.ndenumerate(counts):
        is_nowhere = row == column == len(CLASS_NAMES)
        color = np.array(text_rgb(_hex(shares[row, column]))) / 255
        text = "–" if is_nowhere else f"{shares[row, column]:.0%}\n{count}"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=color)
    labels = [class_style(name).short_name for name in names]
    axes.set_xticks(np.arange(len(names)) + 0.5, labels)
    axes.set_yticks(np.arange(len(names)) + 0.5, labels)
    axes.tick_params(length=0)
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    return figure


@in_report_style
def plot_folds(metrics: Mapping) -> Figure | None:
    """Draw each class's AP50: a dot a fold, a bar for their mean, a diamond for the pooled value.

    Args:
        metrics: `metrics.json`; an undefined value is None and has no mark.

    Returns:
        The figure; None where there is no fold.
    """
    folds = metrics.get("fold", {})
    if not folds:
        return None
    figure, axes = styled_figure("class", "AP50 (0 to 1)")
    offsets = np.linspace(-0.22, 0.22, len(folds)) if len(folds) > 1 else np.zeros(1)  # (folds,)
    positions = np.arange(len(CLASS_NAMES))  # (K,)
    for index, fold in enumerate(folds):
        color = FOLD_COLORS[index % len(FOLD_COLORS)]
        axes.scatter(positions + offsets[index], _by_class(folds[fold]), color=color, label=f"fold {fold}", s=24)
    means = _by_class(metrics.get("fold_mean", {}))
    axes.hlines(means, positions - 0.3, positions + 0.3, color=INK, linewidth=1.4, label="mean of folds")
    pooled = _by_class(metrics["val"])
    axes.scatter(positions, pooled, marker="D", s=30, facecolors="none", edgecolors=INK, label="pooled", zorder=3)
    axes.set_xticks(positions, [class_style(name).short_name for name in CLASS_NAMES])
    axes.set_xlim(-0.5, len(CLASS_NAMES) - 0.5)
    axes.set_ylim(0, 1.02)
    legend_below(figure, columns=4)
    return figure


@in_report_style
def plot_scores(matches: pd.DataFrame, score_threshold: float) -> Figure | None:
    """Draw how many detections have which score, right ones and false alarms apart.

    Args:
        matches: Every detection, with `score` and `is_tp` as `evaluation.matching.match_detections` returns them.
        score_threshold: The display threshold, drawn as a line.

    Returns:
        The figure, counts on a logarithmic axis; None without detections.
    """
    if matches.empty:
        return None
    figure, axes = styled_figure("score", "detections (count, logarithmic)")
    groups = (("right", True, "#0072b2", "-"), ("false alarm", False, "#d55e00", "--"))
    for label, is_tp, color, line_style in groups:
        counts, _ = np.histogram(matches.loc[matches["is_tp"] == is_tp, "score"], _SCORE_BINS)  # (20,)
        axes.stairs(counts, _SCORE_BINS, fill=True, color=color, alpha=0.25)
        axes.stairs(counts, _SCORE_BINS, color=color, linestyle=line_style, linewidth=1.6, label=label)
    axes.axvline(score_threshold, color=INK, linewidth=1, linestyle=":", label=f"shown from {score_threshold:g}")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1)
    legend_below(figure, columns=3)
    return figure


def _line(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return epoch and value where there is a value."""
    if not {"epoch", column} <= set(history.columns):
        return pd.DataFrame()
    return history[["epoch", column]].dropna()


def _by_class(metrics: Mapping) -> np.ndarray:
    """Return AP50 in the order of the classes, (K,) float, NaN where undefined."""
    values = metrics.get("ap_50", {})
    return np.array([np.nan if values.get(name) is None else values[name] for name in CLASS_NAMES], dtype=float)


def _hex(share: float) -> str:
    """Return the colour of a cell."""
    red, green, blue = (round(255 * value) for value in BLUES(float(share))[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
