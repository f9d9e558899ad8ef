"""The page of `maskdet evaluate`: figures with intervals, curves, confusion and pictures, in one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from jinja2 import ChoiceLoader, PackageLoader

from maskdet.commands.evaluate.cards import GROUPS
from maskdet.commands.evaluate.measures import IOU_THRESHOLD, Measures
from maskdet.evaluation.errors import ERROR_KINDS, HIT
from maskdet.evaluation.summary import Summary
from maskdet.inference.counts import share_masked
from maskdet.reporting import plots
from maskdet.reporting.cards import GalleryCard
from maskdet.reporting.embedding import MAX_TOTAL_BYTES, fit_photos
from maskdet.reporting.html import FigureBlock, Tile, html_template, write_html
from maskdet.reporting.number_texts import UNDEFINED, number
from maskdet.reporting.page_content import TILES
from maskdet.reporting.page_figures import Plot
from maskdet.reporting.palette import CLASS_STYLES, class_style, text_rgb
from maskdet.reporting.summary_tables import (
    TextTable,
    class_table,
    headline_table,
    interval,
    third_names,
)

_TEMPLATE = "evaluation.html.j2"


@dataclass(frozen=True)
class EvaluationPage:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading and title of the page.
        subtitle: What was evaluated on what, in a line.
        warnings: What limits the figures; may be empty.
        tiles: Headline figures.
        interval_note: What the intervals rest on; empty where there are none.
        facts: (label, text) of model, set and classes.
        tables: (heading, how to read it, table).
        figures: Plots; may be empty.
        known: (heading, file names with what they equal); None: no picture is known.
        failures: (file name, why it was left out).
        has_labels: Whether cards show a truth beside the prediction.
        cards: Of the gallery, the most important first.
        groups: Group → (name, how its cards were chosen).
        kinds: What the filter of kinds offers; empty: no such filter.
        thirds: Names of the thirds of the faces by size, smallest first; may be empty.
    """

    title: str
    subtitle: str
    warnings: list[str]
    tiles: list[Tile]
    interval_note: str
    facts: list[tuple[str, str]]
    tables: list[tuple[str, str, TextTable]]
    figures: list[FigureBlock]
    known: tuple[str, list[tuple[str, str]]] | None
    failures: list[tuple[str, str]]
    has_labels: bool
    cards: Sequence[GalleryCard]
    groups: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    thirds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """What a page of either kind says around its figures; attributes as of `EvaluationPage`."""

    title: str
    subtitle: str
    warnings: Sequence[str]
    facts: Sequence[tuple[str, str]]
    known: tuple[str, list[tuple[str, str]]] | None
    failures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Stated:
    """What a model states of itself, on the set that it was made for.

    Attributes:
        metrics: Metric key → value; may be empty.
        size: Side in pixels of the input that they are of, where the file's own is another; else None.
    """

    metrics: Mapping[str, float]
    size: int | None = None


def labelled_page(frame: Frame, measures: Measures, stated: Stated, cards: Sequence[GalleryCard]) -> EvaluationPage:
    """Return the page of a labelled set.

    Args:
        frame: What stands around the figures.
        measures: The figures.
        stated: What the model states of itself.
        cards: Of the gallery.
    """
    metrics = as_validation(measures.metrics)
    headline = headline_table(metrics)
    headline.header[1] = "this set"
    by_class = class_table(metrics, measures.judged)
    _add_stated(by_class, stated)
    thresholds = _threshold_text(measures.thresholds)
    has_ends = measures.num_groups > 1
    return EvaluationPage(
        title=frame.title,
        subtitle=frame.subtitle,
        warnings=list(frame.warnings),
        tiles=[_tile(metrics, key, label) for key, label in TILES.items()],
        interval_note=f"Below each figure its 95 % interval, from {measures.num_groups} groups of look-alike images "
        "drawn anew again and again."
        if has_ends
        else "",
        facts=list(frame.facts),
        tables=[
            (
                "Metrics",
                f"Precision, recall and F1 count detections from the model's own thresholds on ({thresholds}), which "
                "were not chosen on this set. A dash: undefined.",
                headline,
            ),
            (
                "Classes",
                f"Hits, misses and false alarms at the same thresholds, IoU ≥ {IOU_THRESHOLD:g}; a face found under a "
                "wrong class is a miss of one class and a false alarm of the other.",
                by_class,
            ),
        ],
        figures=_figures(measures),
        known=frame.known,
        failures=list(frame.failures),
        has_labels=True,
        cards=cards,
        groups=_used_groups(cards),
        kinds=(HIT, *ERROR_KINDS),
        thirds=tuple(third_names(metrics).values()),
    )


def unlabelled_page(
    frame: Frame,
    num_images: int,
    shown: pd.DataFrame,
    thresholds: Mapping[str, float],
    cards: Sequence[GalleryCard],
) -> EvaluationPage:
    """Return the page of a set without labels: counts and pictures.

    Args:
        frame: What stands around them.
        num_images: How many were predicted.
        shown: Detections at or above their thresholds, columns as `schema.PREDICTIONS`.
        thresholds: Lowest score of each class of the model.
        cards: Of the gallery.
    """
    counts = {name: int((shown["class_name"] == name).sum()) for name in thresholds}
    share, num_empty = share_masked(counts), num_images - shown["file_name"].nunique()
    tiles = [
        Tile("images", str(num_images), "", f"{num_empty} without a face"),
        Tile("faces", str(len(shown)), "", "detected, right or not"),
        Tile("masked", UNDEFINED if share is None else f"{share:.0%}", "", "of the detected faces"),
    ]
    text = (
        f"Detections from the model's own thresholds on ({_threshold_text(thresholds)}), a face once, as its likeliest "
        "class. No label says whether they hold."
    )
    return EvaluationPage(
        title=frame.title,
        subtitle=frame.subtitle,
        warnings=list(frame.warnings),
        tiles=tiles,
        interval_note="",
        facts=list(frame.facts),
        tables=[("Counts", text, _count_table(shown, thresholds))],
        figures=[],
        known=frame.known,
        failures=list(frame.failures),
        has_labels=False,
        cards=cards,
        groups=_used_groups(cards),
    )


def write_evaluation_page(page: EvaluationPage, path: Path) -> int:
    """Write the page as one UTF-8 HTML file that needs nothing but itself, and return its size in bytes."""
    shared = html_template("table.html.j2").environment
    loader = ChoiceLoader([PackageLoader(__package__), shared.loader])
    uris, note = fit_photos([card.photo for card in page.cards], MAX_TOTAL_BYTES)
    inks = {name: f"rgb{text_rgb(style.color)}" for name, style in CLASS_STYLES.items()}
    text = (
        shared.overlay(loader=loader)
        .get_template(_TEMPLATE)
        .render(
            page=page,
            cards=list(zip(page.cards, uris, strict=False)),
            note=note,
            class_styles=CLASS_STYLES,
            inks=inks,
        )
    )
    return write_html(text, path)


def as_validation(metrics: Summary) -> Summary:
    """Return the metrics under the keys that the tables of the report read."""
    return {key.replace("test", "val", 1): value for key, value in metrics.items()}


def _tile(metrics: Mapping, key: str, label: str) -> Tile:
    ends = interval(metrics, key)
    return Tile(label, number(metrics["val"].get(key)), "" if ends == UNDEFINED else ends, "")


def _add_stated(table: TextTable, stated: Stated) -> None:
    """Put what the model states of each class beside what was found; nothing where it states none."""
    if not any(key.startswith("ap_50/") for key in stated.metrics):
        return
    table.header.insert(5, "AP50, stated by the model" + (f" for {stated.size} px" if stated.size else ""))
    for row in table.rows:
        row.insert(5, number(stated.metrics.get(f"ap_50/{row[0]}")))


def _threshold_text(thresholds: Mapping[str, float]) -> str:
    return ", ".join(f"{class_style(name).short_name} {value:.3g}" for name, value in thresholds.items())


def _figures(measures: Measures) -> list[FigureBlock]:
    candidates = {
        "pr_curves": (
            "Precision and recall",
            f"Each point is a score threshold. IoU {IOU_THRESHOLD:g}.",
            plots.plot_pr_curves(measures.curves),
        ),
        "confusion": (
            "What is taken for what",
            f"From the model's own thresholds on, IoU ≥ {IOU_THRESHOLD:g}; detections that no other figure counts "
            "too. Rows: shares and counts of the true class; last column: missed; last row: false alarms.",
            plots.plot_confusion(measures.confusion),
        ),
    }
    return [Plot(*of_plot).block(name) for name, of_plot in candidates.items() if of_plot[2] is not None]


def _count_table(shown: pd.DataFrame, class_names: Mapping[str, float]) -> TextTable:
    rows = []
    for name in class_names:
        of_class = shown[shown["class_name"] == name]
        scores = of_class["score"]
        figures = [number(None if scores.empty else value) for value in (scores.min(), scores.median(), scores.max())]
        rows.append([name, str(len(of_class)), str(of_class["file_name"].nunique()), *figures])
    header = ["class", "faces", "images", "lowest score", "median", "highest"]
    return TextTable(header, rows, [f"“{class_style(name).short_name}” on the pictures" for name in class_names])


def _used_groups(cards: Sequence[GalleryCard]) -> dict[str, tuple[str, str]]:
    used = {group for card in cards for group in card.groups}
    return {group: words for group, words in GROUPS.items() if group in used}
