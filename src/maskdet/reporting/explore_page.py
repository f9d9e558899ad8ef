"""The page of the first look: figures that answer when pointed at, a map of look-alikes, sample sheets."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from maskdet.evaluation.exploration.topic import Topic
from maskdet.reporting.embedding import fit_photos
from maskdet.reporting.explore_captions import counted
from maskdet.reporting.explore_figures import FEATURE_MAP, SECTIONS, ExploredFigure
from maskdet.reporting.explore_samples import Sample
from maskdet.reporting.figure_files import figure_pixels
from maskdet.reporting.html import Tile, html_template, write_html
from maskdet.reporting.palette import class_style
from maskdet.reporting.summary_tables import TextTable

TITLE = "A first look at the data"

MAX_ATLAS_BYTES = 3_000_000
"""Of the thumbnails on the map, as base64 text."""

_MAX_SAMPLE_BYTES = 3_000_000
_MAX_ROWS = 80  # a longer table is no reading matter: its file is named instead


@dataclass(frozen=True)
class FigureCard:
    """A figure on the page.

    Attributes:
        name: Of its file.
        title: Heading.
        caption: What it shows.
        svg: An `<svg>` element, trusted.
        table: The rows behind it; None where they are too many to read.
    """

    name: str
    title: str
    caption: str
    svg: str
    table: TextTable | None


@dataclass(frozen=True)
class MapBlock:
    """The map of look-alikes.

    Attributes:
        title: Heading.
        caption: What it shows.
        still: Data URI of the static figure, for a reader without scripts.
        points: What `explore_map.map_points` returns.
        atlas: Data URI of the thumbnails; empty without photos.
    """

    title: str
    caption: str
    still: str
    points: Mapping
    atlas: str = ""


@dataclass(frozen=True)
class SampleGroup:
    """The samples of a class.

    Attributes:
        title: Short name of the class.
        samples: (sample, data URI).
    """

    title: str
    samples: list[tuple[Sample, str]]


@dataclass(frozen=True)
class ExplorePage:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading and title of the page.
        subtitle: Which images.
        tiles: Headline figures.
        notes: What is left out, and why; may be empty.
        sections: (key, heading, cards), without the map.
        map: The map; None without features.
        samples: By class; empty without photos.
    """

    title: str
    subtitle: str
    tiles: list[Tile]
    notes: list[str]
    sections: list[tuple[str, str, list[FigureCard]]]
    map: MapBlock | None = None
    samples: list[SampleGroup] = field(default_factory=list)


def page_sections(figures: Mapping[str, ExploredFigure]) -> list[tuple[str, str, list[FigureCard]]]:
    """Return the parts of the page that have figures beside the map."""
    parts = []
    for key, (heading, names) in SECTIONS.items():
        cards = [_card(figures[name]) for name in names if name in figures and name != FEATURE_MAP]
        parts += [(key, heading, cards)] if cards else []
    return parts


def _card(figure: ExploredFigure) -> FigureCard:
    table = _text_table(figure.table) if len(figure.table) <= _MAX_ROWS else None
    return FigureCard(figure.name, figure.title, figure.caption, figure.chart.svg(figure.name, figure.alt), table)


def _text_table(table: pd.DataFrame) -> TextTable:
    """Return rows as text; columns that name a share are percentages."""
    rows = [
        [_cell(name, value) for name, value in zip(table.columns, row, strict=True)] for row in table.to_numpy(object)
    ]
    return TextTable([name.replace("_", " ") for name in table.columns], rows, [""] * len(rows))


def _cell(column: str, value: object) -> str:
    """Return a cell of a table.

    >>> _cell("share", 0.125), _cell("count", 1200), _cell("low", 5.656), _cell("class_name", "with_mask")
    ('12.5%', '1,200', '5.66', 'mask')
    """
    if isinstance(value, str):
        return class_style(value).short_name
    if "share" in column:
        return f"{value:.1%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.2f}"


def headline_tiles(topics: Mapping[str, Topic | None]) -> list[Tile]:
    """Return the figures that a reader asks for first."""
    classes, crowding = topics["classes"].numbers, topics["crowding"].numbers
    tiles = [
        Tile("images", f"{classes['num_images']:,}", "", f"{classes['num_images_without_faces']:,} without a face"),
        Tile("faces", f"{classes['num_faces']:,}", "", f"{crowding['median']:g} in the median image"),
    ]
    if "rarest" in classes:
        rarest = classes["rarest"]
        name = class_style(rarest["class_name"]).short_name
        tiles.append(
            Tile("rarest class", f"{rarest['face_share']:.1%}", "", f"{name}, {counted(rarest['num_faces'], 'face')}")
        )
    if topics.get("box_sides"):
        side = topics["box_sides"].numbers["short_side_px"]
        tiles.append(
            Tile(
                "face's shorter side",
                f"{side['median']:.0f} px",
                "",
                f"nine in ten {side['p5']:.0f} to {side['p95']:.0f}",
            )
        )
    if topics.get(FEATURE_MAP) and "groups" in topics[FEATURE_MAP].numbers:
        groups = topics[FEATURE_MAP].numbers["groups"]
        tiles.append(
            Tile("look-alikes", f"{groups['num_images']:,}", "", f"images in {counted(groups['num_groups'], 'group')}")
        )
    return tiles


def subtitle(images: pd.DataFrame) -> str:
    """Name the sources of the images with their counts.

    >>> subtitle(pd.DataFrame({"source": ["b", "a", "b"]}))
    'b: 2 images; a: 1 image'
    """
    counts = images["source"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return "; ".join(f"{source}: {counted(int(count), 'image')}" for source, count in counts.items())


def sample_groups(samples: Mapping[str, Sequence[Sample]]) -> list[SampleGroup]:
    """Return the samples of each class with their pictures as data URIs, all of them below a size."""
    flat = [sample for of_class in samples.values() for sample in of_class]
    uris, _ = fit_photos([sample.picture for sample in flat], _MAX_SAMPLE_BYTES)
    encoded = list(zip(flat, uris, strict=False))
    return [
        SampleGroup(class_style(name).short_name, [pair for pair in encoded if pair[0].class_name == name])
        for name in samples
    ]


def map_block(figure: ExploredFigure, points: Mapping, atlas_uri: str) -> MapBlock:
    """Return the map with its static figure beside it."""
    return MapBlock(figure.title, figure.caption, _png_uri(figure_pixels(figure.chart.figure)), points, atlas_uri)


def _png_uri(pixels: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(_png(pixels)).decode()}"


def _png(pixels: np.ndarray) -> bytes:
    """Return a figure as PNG in at most 256 colours: its lines are flat, and the file goes into git."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def write_figures(figures: Mapping[str, ExploredFigure], folder: Path) -> None:
    """Write `<name>.png` for each figure, on white; equal figures are equal bytes."""
    for name, figure in figures.items():
        (folder / f"{name}.png").write_bytes(_png(figure_pixels(figure.chart.figure)))


def write_explore_page(page: ExplorePage, path: Path) -> int:
    """Write the page as one UTF-8 HTML file that needs nothing but itself, and return its size in bytes."""
    return write_html(html_template("explore.html.j2").render(page=page), path)
