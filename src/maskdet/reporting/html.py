"""Render the report: one HTML file that needs nothing but itself and stays below a size."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from maskdet.atomic import atomic_file
from maskdet.reporting.cards import IMAGE, GalleryCard
from maskdet.reporting.embedding import fit_photos
from maskdet.reporting.palette import CLASS_STYLES, text_rgb
from maskdet.reporting.summary_tables import TextTable

MAX_PAGE_BYTES = 7_800_000
"""Of the whole page; photos get what text and figures leave of it."""

_NOTE_BYTES = 1000  # for the note on the photos and the counts, which the first rendering lacks


@dataclass(frozen=True)
class FigureBlock:
    """A plot on the page.

    Attributes:
        title: Heading.
        svg: An `<svg>` element, trusted.
        text: How to read it.
    """

    title: str
    svg: str
    text: str


@dataclass(frozen=True)
class Finding:
    """A part of the analysis: what it says in words, as a plot, as a table, as lines to copy.

    Attributes:
        title: Heading.
        text: How to read it.
        figure: A plot, or None.
        table: Rows, or None; folded away beside a plot.
        code: Lines to copy; may be empty.
    """

    title: str
    text: str
    figure: FigureBlock | None = None
    table: TextTable | None = None
    code: str = ""


@dataclass(frozen=True)
class Tile:
    """A headline figure.

    Attributes:
        label: Its name.
        value: The figure.
        interval: Its 95 % interval; empty where there is none.
        small: Small print; may be empty.
    """

    label: str
    value: str
    interval: str
    small: str


@dataclass(frozen=True)
class Gallery:
    """Everything that the gallery shows.

    Attributes:
        cards: In the order of importance: where the page would grow too large, those at the end are left out.
        groups: Group → (name, how its cards were chosen), in the order of the filter.
        kinds: Kinds of errors, in the order of the filter.
        thirds: Names of the thirds of the faces by size, smallest first; may be empty.
        text: How many there are in all.
    """

    cards: Sequence[GalleryCard] = ()
    groups: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: Sequence[str] = ()
    thirds: Sequence[str] = ()
    text: str = ""


@dataclass(frozen=True)
class Page:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading and title of the page.
        subtitle: What was run, in a line.
        warnings: What limits the numbers; may be empty.
        tiles: The headline figures.
        facts: (label, text) of what was run.
        headline: Metrics, pooled and by fold.
        classes: Metrics by class.
        thresholds: Says which detections the counts mean.
        figures: Plots.
        findings: Parts of the analysis; may be empty.
        absent: (file, what is left out for want of it); may be empty.
        gallery: Images and errors.
        data_records: Name → (label, value) rows of the JSON files of the data stages.
        config_yaml: The whole config.
    """

    title: str
    subtitle: str
    warnings: list[str]
    tiles: list[Tile]
    facts: list[tuple[str, str]]
    headline: TextTable
    classes: TextTable
    thresholds: str
    figures: list[FigureBlock]
    findings: list[Finding]
    absent: list[tuple[str, str]]
    gallery: Gallery
    data_records: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    config_yaml: str = ""


def render_page(page: Page, max_bytes: int = MAX_PAGE_BYTES) -> str:
    """Return the page as HTML text without any reference to another file or address.

    Args:
        page: What it shows.
        max_bytes: Of the text as UTF-8. Photos lose first size and quality, then the last cards are left out; the page
            says how many. Only a page that is larger without any card is larger than this.
    """
    cards = list(page.gallery.cards)
    while cards and (text_bytes := len(_render(page, cards, [], "").encode())) > max_bytes:
        cards = cards[: int(len(cards) * max_bytes / text_bytes * 0.9)]
    room = max_bytes - len(_render(page, cards, [], "").encode()) - _NOTE_BYTES
    uris, note = fit_photos([card.photo for card in cards], room)
    if len(uris) < len(page.gallery.cards):
        note += (
            f"; {len(page.gallery.cards) - len(uris)} more are left out to keep the page below {max_bytes / 1e6:.1f} MB"
        )
    return _render(page, cards[: len(uris)], uris, note)


def _render(page: Page, cards: Sequence[GalleryCard], uris: Sequence[str], note: str) -> str:
    """Return the page with these cards, images first; without URIs with their frames alone."""
    pairs = list(zip(cards, uris or [""] * len(cards), strict=True))
    ordered = sorted(pairs, key=lambda pair: pair[0].form != IMAGE)
    inks = {name: f"rgb{text_rgb(style.color)}" for name, style in CLASS_STYLES.items()}
    template = html_template("report.html.j2")
    return template.render(page=page, cards=ordered, note=note, class_styles=CLASS_STYLES, inks=inks)


def write_page(page: Page, path: Path) -> int:
    """Write the page as UTF-8, under a temporary name first, and return its size in bytes."""
    return write_html(render_page(page), path)


def html_template(name: str) -> Template:
    """Return a template of `templates/`: texts are escaped, `| trusted` lets markup of our own through."""
    environment = Environment(
        loader=PackageLoader("maskdet.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["trusted"] = Markup
    return environment.get_template(name)


def write_html(text: str, path: Path) -> int:
    """Write a page as UTF-8, under a temporary name first, and return its size in bytes."""
    content = text.encode()
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return len(content)
