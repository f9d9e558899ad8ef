"""Render the report: one HTML file that needs nothing but itself."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maskdet.atomic import atomic_file
from maskdet.reporting.palette import CLASS_STYLES
from maskdet.reporting.summary_tables import TextTable


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
class Card:
    """A picture of a gallery on the page.

    Attributes:
        file_name: Of the image.
        fold: The fold that held it out; −1 for none.
        truth: Data URI.
        prediction: Data URI.
        captions: One line on the truth, one on the prediction.
        num_errors: Misses and false alarms.
    """

    file_name: str
    fold: int
    truth: str
    prediction: str
    captions: tuple[str, str]
    num_errors: int


@dataclass(frozen=True)
class Section:
    """A gallery on the page.

    Attributes:
        key: A word for ids and the filter.
        title: Heading.
        text: How its pictures were chosen.
        cards: May be empty.
    """

    key: str
    title: str
    text: str
    cards: list[Card]


@dataclass(frozen=True)
class Page:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading and title of the page.
        subtitle: What was run, in a line.
        warnings: What limits the numbers; may be empty.
        tiles: (label, value, small print) of the headline numbers.
        facts: (label, text) of what was run.
        headline: Metrics, pooled and by fold.
        classes: Metrics by class.
        thresholds: Says which detections the counts mean.
        figures: Plots.
        sections: Galleries.
        picture_note: Size and quality of the embedded pictures.
        data_records: Name → (label, value) rows of the JSON files of the data stages.
        config_yaml: The whole config.
    """

    title: str
    subtitle: str
    warnings: list[str]
    tiles: list[tuple[str, str, str]]
    facts: list[tuple[str, str]]
    headline: TextTable
    classes: TextTable
    thresholds: str
    figures: list[FigureBlock]
    sections: list[Section]
    picture_note: str
    data_records: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    config_yaml: str = ""


def render_page(page: Page) -> str:
    """Return the page as HTML text without any reference to another file or address."""
    environment = Environment(
        loader=PackageLoader("maskdet.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["trusted"] = Markup
    return environment.get_template("report.html.j2").render(page=page, class_styles=CLASS_STYLES)


def write_page(page: Page, path: Path) -> int:
    """Write the page as UTF-8, under a temporary name first, and return its size in bytes."""
    content = render_page(page).encode()
    with atomic_file(path) as temporary:
        temporary.write_bytes(content)
    return len(content)
