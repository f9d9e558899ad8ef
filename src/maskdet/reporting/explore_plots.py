"""Figures of the first look that count faces and images in bars, lines and cells."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from maskdet.evaluation.exploration.boxes import ALL_CLASSES
from maskdet.evaluation.exploration.topic import IMAGES_SERIES
from maskdet.evaluation.sizes import COCO_SIZES
from maskdet.reporting.explore_charts import Chart
from maskdet.reporting.figure_files import BLUES, INK, in_report_style, legend_below, styled_figure
from maskdet.reporting.palette import ClassStyle, class_style, text_rgb

_FACES_BLUE, _IMAGES_GREY = "#0072b2", "#9aa0a6"
_SIZE_STYLES = {
    "small": ClassStyle("#56b4e9", "small", "-"),
    "medium": ClassStyle("#e69f00", "medium", "--"),
    "large": ClassStyle("#009e73", "large", "-."),
}
_SIZE_LIMITS = dict(zip(COCO_SIZES, ("below 32² px", "32² to 96² px", "from 96² px"), strict=True))
_RELATIVE_TICKS = {0.02: "2%", 0.05: "5%", 0.1: "10%", 0.2: "20%", 0.5: "50%", 1.0: "100%"}
_RATIO_TICKS = {0.25: "1:4", 0.5: "1:2", 1.0: "1:1", 2.0: "2:1", 4.0: "4:1"}


def series_style(series: str) -> ClassStyle:
    """Return how a series of a histogram looks: images in the colour of the text, a COCO size or a class in its own."""
    if series == IMAGES_SERIES:
        return ClassStyle(INK, "images", "-")
    return _SIZE_STYLES.get(series) or class_style(series)


@in_report_style
def plot_classes(table: pd.DataFrame, numbers: Mapping) -> Chart | None:
    """Draw faces and images of each class as bars; None without faces."""
    if table.empty:
        return None
    figure, axes = styled_figure("faces or images (count)", "")
    figure.set_size_inches(4.3, 1.3 + 0.55 * len(table))
    chart = Chart(figure)
    for place, row in enumerate(table.itertuples()):
        style = class_style(row.class_name)
        texts = (
            (row.num_faces, f"{row.num_faces:,} faces, {row.face_share:.1%}"),
            (row.num_images, f"in {row.num_images:,} images, {row.image_share:.1%}"),
        )
        for step, (count, text) in enumerate(texts):
            look = {"color": style.color} if step == 0 else {"facecolor": "none", "edgecolor": style.color}
            bar = axes.barh(place + 0.36 * step - 0.18, count, height=0.32, **look)
            chart.tell(bar.patches[0], f"{style.short_name}: {text}")
            axes.annotate(text, (count, place + 0.36 * step - 0.18), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(table)), [class_style(name).short_name for name in table["class_name"]])
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlim(0, 1.5 * table["num_faces"].max())  # room for the texts
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return chart


@in_report_style
def plot_crowding(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw which share of the images has so many faces, and which share of the faces they hold."""
    figure, axes = styled_figure("faces in an image (count)", "share of the set")
    chart = Chart(figure)
    places = np.arange(len(table))
    for shift, column, label, color, hatch in (
        (-0.2, "image_share", "images", _IMAGES_GREY, None),
        (0.2, "face_share", "faces in them", _FACES_BLUE, "////"),
    ):
        axes.bar(places + shift, table[column], 0.38, color=color, hatch=hatch, edgecolor="white", label=label)
    labels = [_range_text(row.faces_from, row.faces_to) for row in table.itertuples()]
    chart.tell_columns(
        axes,
        places - 0.5,
        places + 0.5,
        [
            f"{label} faces: {row.num_images:,} images ({row.image_share:.1%}), {row.num_faces:,} faces "
            f"({row.face_share:.1%})"
            for label, row in zip(labels, table.itertuples(), strict=True)
        ],
    )
    # Seven ranges and more do not fit side by side.
    axes.set_xticks(places, labels, rotation=45 if len(labels) > 6 else 0, rotation_mode="anchor")
    if len(labels) > 6:
        for tick in axes.get_xticklabels():
            tick.set_horizontalalignment("right")
    axes.set_xlim(-0.6, len(table) - 0.4)
    _label_percent(axes)
    axes.grid(axis="x", visible=False)
    legend_below(figure, columns=2)
    return chart


def _label_percent(axes: Axes) -> None:
    """Label the vertical axis in whole percents, where ticks are whole percents."""
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _range_text(low: int, high: int) -> str:
    """Return the numbers of a bin.

    >>> _range_text(3, 3), _range_text(6, 10)
    ('3', '6–10')
    """
    return str(low) if low == high else f"{low}–{high}"


@in_report_style
def plot_sides(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw how the shorter sides of faces are spread, a line a class, on a logarithmic axis."""
    chart, axes = _histograms(
        table, "shorter side of the box (px, logarithmic)", "share of the class", "{:g} to {:g} px"
    )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return chart


@in_report_style
def plot_relative_sizes(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw how large faces are in their images, a line a class, on a logarithmic axis."""
    label = "side of the face, share of the image's (logarithmic)"
    chart, axes = _histograms(table, label, "share of the class", "{:.1%} to {:.1%}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(_RELATIVE_TICKS), list(_RELATIVE_TICKS.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    return chart


@in_report_style
def plot_ratios(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw how the aspect ratios of boxes are spread, a line a class, on a logarithmic axis."""
    chart, axes = _histograms(
        table, "width : height of the box (logarithmic)", "share of the class", "{:.2f} to {:.2f}"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(_RATIO_TICKS), list(_RATIO_TICKS.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    return chart


@in_report_style
def plot_brightness(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw how bright images and the faces of each class are."""
    chart, axes = _histograms(table, "mean luminance (0 to 255)", "share of the series", "{:.0f} to {:.0f}")
    axes.set_xlim(0, 256)
    axes.set_xticks(range(0, 257, 64))
    return chart


@in_report_style
def plot_sharpness(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw how sharp images, or faces of each size, are."""
    return _histograms(table, "edges over contrast (ratio, no unit)", "share of the series", "{:.1f} to {:.1f}")[0]


def _histograms(table: pd.DataFrame, x_label: str, y_label: str, bin_text: str) -> tuple[Chart, Axes]:
    """Draw the shares of every series of `topic.histogram` as steps; pointing at a bin tells them all."""
    figure, axes = styled_figure(x_label, y_label)
    chart = Chart(figure)
    bins = table[["low", "high"]].drop_duplicates()
    edges = np.append(bins["low"], bins["high"].iloc[-1])  # (B + 1,)
    told = [[bin_text.format(*row)] for row in bins.itertuples(index=False)]
    for series, rows in table.groupby("series", sort=False):
        style = series_style(series)
        axes.stairs(rows["share"], edges, fill=True, color=style.color, alpha=0.07)
        label = f"{style.short_name} ({rows['count'].sum():,})"
        axes.stairs(rows["share"], edges, color=style.color, linestyle=style.line_style, linewidth=1.6, label=label)
        for lines, row in zip(told, rows.itertuples(), strict=True):
            lines.append(f"{style.short_name}: {row.count:,} ({row.share:.1%})")
    chart.tell_columns(axes, edges[:-1], edges[1:], ["\n".join(lines) for lines in told])
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    _label_percent(axes)
    legend_below(figure, columns=2 if table["series"].nunique() > 3 else 3)
    return chart, axes


@in_report_style
def plot_coco_sizes(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw the shares of small, medium and large faces of each class, side by side in one bar."""
    figure, axes = styled_figure("share of the class", "")
    names = list(dict.fromkeys(table["class_name"]))
    if len(names) == 2:  # one class is all classes
        names = names[1:]
    figure.set_size_inches(4.3, 1.3 + 0.42 * len(names))
    chart = Chart(figure)
    for place, name in enumerate(names):
        rows = table[table["class_name"] == name].set_index("size").loc[list(COCO_SIZES)]
        starts = rows["share"].cumsum() - rows["share"]
        for size, row in rows.iterrows():
            color = _SIZE_STYLES[size].color
            label = f"{size} ({_SIZE_LIMITS[size]})" if place == 0 else None
            bar = axes.barh(place, row["share"], left=starts[size], color=color, edgecolor="white", label=label)
            chart.tell(bar.patches[0], f"{_row_name(name)}, {size}: {row['num_faces']:,} faces ({row['share']:.1%})")
            if row["share"] >= 0.08:
                ink = np.array(text_rgb(color)) / 255
                axes.text(
                    starts[size] + row["share"] / 2, place, f"{row['share']:.0%}", color=ink, ha="center", va="center"
                )
    axes.set_yticks(range(len(names)), [_row_name(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    legend_below(figure, columns=2)
    return chart


def _row_name(class_name: str) -> str:
    return "all faces" if class_name == ALL_CLASSES else class_style(class_name).short_name


@in_report_style
def plot_co_occurrence(table: pd.DataFrame, numbers: Mapping) -> Chart:
    """Draw which share of the images with a class of the rows holds that of the columns too, the counts below."""
    names = list(dict.fromkeys(table["class_a"]))
    figure, axes = styled_figure("also holds", "images that hold", grid=False)
    chart = Chart(figure)
    for index, row in enumerate(table.itertuples()):
        down, across = divmod(index, len(names))
        color = to_hex(BLUES(row.share_of_a))
        cell = axes.barh(down, 1, left=across - 0.5, height=1, color=color, edgecolor="white", linewidth=1.5)
        ink = np.array(text_rgb(color)) / 255
        axes.text(across, down, f"{row.share_of_a:.0%}\n{row.num_images:,}", color=ink, ha="center", va="center")
        a, b = (class_style(name).short_name for name in (row.class_a, row.class_b))
        text = f"{a}: {row.num_images:,} images"
        if row.class_a != row.class_b:
            text = f"{a} and {b}: {row.num_images:,} images, {row.num_expected:.0f} if classes were independent"
        chart.tell(cell.patches[0], text)
    labels = [class_style(name).short_name for name in names]
    axes.set_xticks(range(len(names)), labels)
    axes.set_yticks(range(len(names)), labels)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return chart
