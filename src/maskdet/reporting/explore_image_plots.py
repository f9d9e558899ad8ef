"""Figures of the first look with two spatial axes: where faces lie, how large images are, which images are alike."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from maskdet.evaluation.exploration.boxes import ALL_CLASSES
from maskdet.reporting.explore_charts import Chart
from maskdet.reporting.explore_mixes import mix_styles
from maskdet.reporting.figure_files import BLUES, INK, in_report_style, legend_below, styled_figure
from maskdet.reporting.palette import class_style

_TOLD_SIZES = 300  # image sizes that answer when pointed at, the most common: a set of web photos may have thousands
_WIDE_RANGE = 8  # a longest side so many times the shortest wants logarithmic axes
_MARKERS = {"circle": "o", "square": "s", "cross": "x"}


@in_report_style
def plot_positions(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw a heat map of all faces and one of each class; each has its own scale, whose end its title names."""
    names = list(dict.fromkeys(table["class_name"]))
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.3 if columns > 1 else 3.2, 0.5 + 2.0 * rows), layout="constrained")
    chart = Chart(figure)
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        grid = table[table["class_name"] == name].pivot(index="row", columns="column", values="coverage").to_numpy()
        axes.imshow(grid, cmap=BLUES, vmin=0, extent=(0, 1, 1, 0), interpolation="nearest", aspect="auto")
        title = "all faces" if name == ALL_CLASSES else class_style(name).short_name
        axes.set_title(f"{title}, up to {grid.max():.1%}", fontsize=9.5)
        chart.tell_grid(axes, [[f"{title}: {coverage:.2%} of the faces are here" for coverage in row] for row in grid])
        _label_shares(axes, is_left=place % columns == 0, is_low=place >= len(names) - columns)
    return chart


def _label_shares(axes: Axes, is_left: bool, is_low: bool) -> None:
    """Name the axes of a panel where no neighbour has them."""
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.tick_params(labelbottom=is_low, labelleft=is_left)
    axes.set_xlabel("share of the width" if is_low else "")
    axes.set_ylabel("share of the height" if is_left else "")


@in_report_style
def plot_image_sizes(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw a disc a size, its area by the number of images; the line parts landscape from portrait."""
    figure, axes = styled_figure("width (px)", "height (px)")
    chart = Chart(figure)
    told, rest = table.head(_TOLD_SIZES), table.iloc[_TOLD_SIZES:]
    most = table["num_images"].max()
    for row in told.itertuples():
        size = max(22 * (row.num_images / most) ** 0.5, 2.5)
        disc = axes.plot(row.width, row.height, "o", markersize=size, color="#0072b2", alpha=0.45, markeredgewidth=0)
        images = "image" if row.num_images == 1 else "images"
        chart.tell(disc[0], f"{row.width} × {row.height} px: {row.num_images:,} {images} ({row.share:.1%})")
    axes.plot(rest["width"], rest["height"], "o", markersize=2.5, color="#0072b2", alpha=0.45, markeredgewidth=0)
    shortest, longest = numbers["shortest_side_px"], numbers["longest_side_px"]
    if longest >= _WIDE_RANGE * shortest:
        low, high = shortest / 1.25, longest * 1.25
        _set_log_scales(axes)
    else:
        margin = 0.08 * longest
        low, high = max(shortest - margin, 0), longest + margin
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=":", label="square: wide as high")
    legend_below(figure, columns=1)
    return chart


def _set_log_scales(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


@in_report_style
def plot_feature_map(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw images on the plane, colour and shape by their classes; rings are look-alikes, dots the largest group."""
    method = numbers["method"]
    figure, axes = styled_figure(f"first axis of {method} (no unit)", f"second axis of {method} (no unit)", grid=False)
    figure.set_size_inches(4.6, 4.9)
    size = 26 if len(table) < 1500 else 9
    styles = mix_styles(table["class_mix"])
    for style in dict.fromkeys(styles.values()):
        rows = table[table["class_mix"].map(styles) == style]
        edge = {} if style.shape == "cross" else {"linewidths": 0}
        label = f"{style.label} ({len(rows):,})"
        marker = _MARKERS[style.shape]
        axes.scatter(rows["x"], rows["y"], size, color=style.color, marker=marker, label=label, alpha=0.85, **edge)
    if "groups" in numbers:
        _mark_groups(axes, table, numbers["groups"]["largest"]["group"], size)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.03)
    legend_below(figure, columns=2)
    return Chart(figure)


def _mark_groups(axes: Axes, table: pd.DataFrame, largest: int, size: float) -> None:
    """Put a dot on images of the largest group and a ring around those of the other groups."""
    series = table[table["group"] == largest]
    others = table[(table["group_size"] > 1) & (table["group"] != largest)]
    axes.scatter(series["x"], series["y"], size / 7, color="white", linewidths=0)
    dotted = {"markersize": 5, "markerfacecolor": "white", "markeredgecolor": "#8a8f94", "markeredgewidth": 2}
    axes.plot([], [], "o", label=f"white dot: largest group ({len(series):,})", **dotted)
    ring = {"facecolors": "none", "edgecolors": INK, "linewidths": 0.9}
    axes.scatter(others["x"], others["y"], 2.6 * size, label=f"ring: other look-alikes ({len(others):,})", **ring)
