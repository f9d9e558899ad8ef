"""Make figures in one style and turn them into SVG for the page or into pixels for W&B."""

import io
import re

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK = "#1b1c1d"
"""Colour of text and axes; in a page's SVG it becomes the colour of the page's text."""

BLUES = LinearSegmentedColormap.from_list("blues", ["#f1f5f9", "#0072b2"])
"""Colours of shares and counts in cells, from none to all."""

LINE_STYLES = ("-", "--", "-.", ":")
"""Of lines that differ without colour; a longer list starts again."""

_SIZE_INCHES = (4.3, 3.3)  # 310 points wide: text of 9 points stays readable on a phone
_STYLE = {
    "font.size": 9.5,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#808080",
    "grid.alpha": 0.25,
    "lines.linewidth": 1.8,
    "lines.markersize": 3.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "maskdet",
}


in_report_style = matplotlib.rc_context(_STYLE)
"""Decorates a function that draws: inside it matplotlib's defaults are those of the report."""


def styled_figure(x_label: str, y_label: str, grid: bool = True) -> tuple[Figure, Axes]:
    """Return an empty figure with one pair of named axes; to be called in the report's style.

    Args:
        x_label: What the horizontal axis counts, with its unit.
        y_label: The same of the vertical axis.
        grid: Whether to draw grid lines.
    """
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label)
    axes.grid(grid)
    return figure, axes


def legend_below(figure: Figure, columns: int) -> None:
    """Put the legend under the axes, in so many columns."""
    figure.legend(loc="outside lower center", ncols=columns, columnspacing=1.1, handletextpad=0.4, handlelength=1.6)


def figure_svg(figure: Figure, name: str, alt: str) -> str:
    """Return a figure as an `<svg>` element that can stand in a page beside others.

    Equal figures give equal text. Its ids start with `name`, its ink is the text colour of the page, its background
    is transparent.

    Args:
        figure: As `styled_figure` makes it; drawn here.
        name: A word that no other figure of the page has.
        alt: What a reader who does not see it is told.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#|url\(#', lambda found: f"{found.group()}{name}-", text).replace("xlink:href", "href")
    text = text.replace("'DejaVu Sans', sans-serif", "system-ui, sans-serif").replace(INK, "currentColor")
    text = re.sub(r'<svg ([^>]*?)width="[^"]*"', r"<svg \1", text, count=1)
    text = re.sub(r'<svg ([^>]*?)height="[^"]*"', r"<svg \1", text, count=1)
    return text.replace("<svg ", f'<svg role="img" aria-label="{_attribute(alt)}" ', 1)


def figure_pixels(figure: Figure, dots_per_inch: int = 160) -> np.ndarray:
    """Return a figure on white as (H, W, 3) uint8, RGB.

    Args:
        figure: As `styled_figure` makes it.
        dots_per_inch: 160 gives about 700 × 530 pixels.
    """
    figure.set_dpi(dots_per_inch)
    with matplotlib.rc_context(_STYLE):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # (H, W, 3)


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
