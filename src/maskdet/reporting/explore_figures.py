"""Which figures the first look has: title, caption in numbers, drawing, and the rows behind it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from maskdet.evaluation.exploration.topic import Topic
from maskdet.reporting import explore_captions, explore_image_plots, explore_plots
from maskdet.reporting.explore_charts import Chart

Caption = Callable[[Mapping], str]
Plot = Callable[[pd.DataFrame, Mapping], Chart | None]

FEATURE_MAP = "feature_map"
"""The figure that the page shows as a map to move in."""

SECTIONS = {
    "classes": ("Classes", ("classes", "crowding", "co_occurrence")),
    "faces": ("Faces", ("box_sides", "coco_sizes", "relative_sizes", "aspect_ratios", "positions", "face_sharpness")),
    "images": ("Images", ("image_sizes", "brightness", "image_sharpness")),
    "alike": ("Look-alikes", (FEATURE_MAP,)),
}
"""Parts of the page and of the index: key → (heading, figures in their order)."""

_FIGURES: dict[str, tuple[str, Caption, Plot]] = {
    "classes": ("Faces and images of each class", explore_captions.classes_caption, explore_plots.plot_classes),
    "crowding": ("Faces in an image", explore_captions.crowding_caption, explore_plots.plot_crowding),
    "co_occurrence": (
        "Classes that share an image",
        explore_captions.co_occurrence_caption,
        explore_plots.plot_co_occurrence,
    ),
    "box_sides": ("Size of faces in pixels", explore_captions.sides_caption, explore_plots.plot_sides),
    "coco_sizes": ("Small, medium and large faces", explore_captions.coco_sizes_caption, explore_plots.plot_coco_sizes),
    "relative_sizes": (
        "Size of faces in the image",
        explore_captions.relative_sizes_caption,
        explore_plots.plot_relative_sizes,
    ),
    "aspect_ratios": ("Shape of boxes", explore_captions.ratios_caption, explore_plots.plot_ratios),
    "positions": ("Where faces lie", explore_captions.positions_caption, explore_image_plots.plot_positions),
    "face_sharpness": ("Sharpness of faces", explore_captions.face_sharpness_caption, explore_plots.plot_sharpness),
    "image_sizes": ("Size of images", explore_captions.image_sizes_caption, explore_image_plots.plot_image_sizes),
    "brightness": (
        "Brightness of images and faces",
        explore_captions.brightness_caption,
        explore_plots.plot_brightness,
    ),
    "image_sharpness": ("Sharpness of images", explore_captions.image_sharpness_caption, explore_plots.plot_sharpness),
    FEATURE_MAP: (
        "Which images look alike",
        explore_captions.feature_map_caption,
        explore_image_plots.plot_feature_map,
    ),
}


@dataclass(frozen=True)
class ExploredFigure:
    """A figure with its words and its rows.

    Attributes:
        name: Of its files and its part of `numbers.json`.
        title: Heading.
        caption: What it shows, in numbers.
        chart: The drawing.
        table: The rows behind it.
    """

    name: str
    title: str
    caption: str
    chart: Chart
    table: pd.DataFrame

    @property
    def alt(self) -> str:
        """What a reader who does not see it is told."""
        return f"{self.title}. {self.caption}"


def build_figures(topics: Mapping[str, Topic | None]) -> dict[str, ExploredFigure]:
    """Return name → figure in the order of the page; a topic that is None, absent or without rows is left out.

    Args:
        topics: Name of a figure → what was found.
    """
    return {figure.name: figure for figure in _drawn(topics)}


def _drawn(topics: Mapping[str, Topic | None]) -> Iterator[ExploredFigure]:
    for _, names in SECTIONS.values():
        for name in names:
            topic = topics.get(name)
            title, caption, plot = _FIGURES[name]
            chart = None if topic is None else plot(topic.table, topic.numbers)
            if chart is not None:
                yield ExploredFigure(name, title, caption(topic.numbers), chart, topic.table)


def index_markdown(title: str, subtitle: str, notes: list[str], figures: Mapping[str, ExploredFigure]) -> str:
    """Return a Markdown page of all figures, for a reader without the photos; images are links to `figures/`."""
    lines = [f"# {title}", "", f"{subtitle}.", "", *(f"{note}\n" for note in notes)]
    for heading, names in SECTIONS.values():
        shown = [figures[name] for name in names if name in figures]
        lines += [f"## {heading}", ""] if shown else []
        for figure in shown:
            picture = f"![{figure.title}](figures/{figure.name}.png)"
            lines += [f"### {figure.title}", "", figure.caption, "", picture, ""]
            lines += [f"Rows: [`figures/{figure.name}.csv`](figures/{figure.name}.csv)", ""]
    return "\n".join(lines).rstrip() + "\n"
