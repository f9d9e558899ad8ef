"""Put the report's page together from tables, metrics, pictures and config."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from maskdet.reporting import plots
from maskdet.reporting.embedding import embed_pictures
from maskdet.reporting.facts import checkpoint_text, run_facts, select
from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.gallery import rarest_class
from maskdet.reporting.html import Card, FigureBlock, Page, Section
from maskdet.reporting.picture import GalleryPicture, JudgedTables
from maskdet.reporting.summary_tables import class_table, headline_table, number, record_rows

_TITLE = "Face masks: worn, not worn, worn wrongly"
_TILES = {"map": "mAP", "map_50": "mAP50", "precision": "precision", "recall": "recall", "f1": "F1"}
_SECTION_TEXTS = {
    "best": (
        "Best images",
        "Highest F1 of the image; of equal ones those with more hits. Chosen to please: look below.",
    ),
    "worst": ("Worst images", "Lowest F1 of the image; of equal ones those with more misses and false alarms."),
    "random": ("Random images", "Drawn from all images, whatever the outcome: what is usual."),
    "rare": ("Rarest class", "Drawn from the images that hold a face of the class “{rarest}”."),
}


@dataclass(frozen=True)
class Results:
    """What the report is made of.

    Attributes:
        metrics: `metrics.json`.
        matches: Every detection of the pooled folds with `is_tp`.
        judged: Verdicts at the display threshold.
        curves: `plots/pr_curves.csv`.
        confusion: `plots/confusion.csv`, a row a pair.
        histories: Fold → its training history; folds without one are absent.
        score_threshold: The display threshold.
        iou_threshold: A detection is right from this IoU on.
    """

    metrics: Mapping
    matches: pd.DataFrame
    judged: JudgedTables
    curves: pd.DataFrame
    confusion: pd.DataFrame
    histories: Mapping[int, pd.DataFrame]
    score_threshold: float
    iou_threshold: float


@dataclass(frozen=True)
class Background:
    """What was run, beside the results.

    Attributes:
        config: The whole composed config in plain containers.
        config_yaml: The same as text.
        root: The project's root, for the git revision.
        devices: What the folds were trained on; may be empty.
        data_reports: JSON files of the data stages, by name.
    """

    config: Mapping
    config_yaml: str
    root: Path
    devices: Sequence[str]
    data_reports: Mapping[str, Mapping]


def build_figures(results: Results) -> dict[str, tuple[str, str, Figure]]:
    """Return name → (title, how to read it, figure); a figure without data is absent."""
    history = results.histories
    threshold = f"score ≥ {results.score_threshold:g}, IoU ≥ {results.iou_threshold:g}"
    candidates = {
        "pr_curves": (
            "Precision and recall",
            "Each point is a score threshold. IoU 0.5, all folds pooled.",
            plots.plot_pr_curves(results.curves),
        ),
        "confusion": (
            "What is taken for what",
            f"{threshold}. Rows: shares and counts of the true class; last column: missed; last row: false alarms.",
            plots.plot_confusion(results.confusion),
        ),
        "folds": (
            "AP50 by class and fold",
            "How far the folds lie apart shows how much to trust a third decimal.",
            plots.plot_folds(results.metrics),
        ),
        "scores": (
            "Scores of right and wrong detections",
            "Where the two overlap, the score cannot tell them apart.",
            plots.plot_scores(results.matches, results.score_threshold),
        ),
        "loss": (
            "Training loss",
            "Of each fold's training part.",
            plots.plot_history(history, "train/loss", "loss (no unit)"),
        ),
        "map": ("mAP while training", "On the fold held out.", plots.plot_history(history, "val/map", "mAP (0 to 1)")),
    }
    return {name: block for name, block in candidates.items() if block[2] is not None}


def build_page(
    results: Results,
    background: Background,
    figures: Mapping[str, tuple[str, str, Figure]],
    pictures: Mapping[str, Sequence[GalleryPicture]],
    max_side_px: int,
) -> Page:
    """Return the page, pictures embedded.

    Args:
        results: Numbers and tables.
        background: What was run.
        figures: As `build_figures` returns them.
        pictures: Section → pictures in their order.
        max_side_px: Longer side of a picture, at most.
    """
    config, metrics = background.config, results.metrics
    counts = metrics["val"]
    sections, note = _sections(pictures, rarest_class(results.judged.faces), max_side_px)
    return Page(
        title=_TITLE,
        subtitle=f"{select(config, 'model.architecture') or 'a detector'} on {select(config, 'data.name') or 'data'}: "
        f"{counts['num_images']} images, {counts['num_faces']} faces, {len(metrics.get('fold', {}))} held-out folds",
        warnings=_warnings(config, metrics, results.judged),
        tiles=_tiles(metrics),
        facts=run_facts(config, metrics, background.root, background.devices),
        headline=headline_table(metrics),
        classes=class_table(metrics, results.judged),
        thresholds=f"score ≥ {results.score_threshold:g} and IoU ≥ {results.iou_threshold:g}",
        figures=[
            FigureBlock(t, figure_svg(figure, name, f"{t}. {text}"), text)
            for name, (t, text, figure) in figures.items()
        ],
        sections=sections,
        picture_note=note,
        data_records={name: record_rows(record) for name, record in background.data_reports.items()},
        config_yaml=background.config_yaml,
    )


def read_data_reports(folder: Path) -> dict[str, Mapping]:
    """Read the JSON files of a folder by their stem, sorted; none if there is no folder."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def _tiles(metrics: Mapping) -> list[tuple[str, str, str]]:
    mean, deviation = metrics.get("fold_mean", {}), metrics.get("fold_sd", {})
    return [
        (label, number(metrics["val"].get(key)), f"folds {number(mean.get(key))} ± {number(deviation.get(key))}")
        for key, label in _TILES.items()
    ]


def _warnings(config: Mapping, metrics: Mapping, judged: JudgedTables) -> list[str]:
    """Say what limits the numbers."""
    warnings = []
    if select(config, "data.name") == "sample":
        warnings.append(
            "Drawn scenes of the embedded sample: the numbers say that the pipeline runs, nothing of photos."
        )
    if select(config, "trainer.checkpoint") == "best":
        warnings.append(f"The numbers are {checkpoint_text('best')}.")
    num_folds, num_run = select(config, "split.num_folds"), len(metrics.get("fold", {}))
    if isinstance(num_folds, int) and num_run < num_folds:
        warnings.append(f"A partial answer: {num_run} of {num_folds} folds were run.")
    rarest = rarest_class(judged.faces)
    num_rarest = int((judged.faces["class_name"] == rarest).sum())
    if 0 < num_rarest < 200:
        warnings.append(f"Only {num_rarest} faces of the class {rarest}: its AP rests on few cases.")
    return warnings


def _sections(
    pictures: Mapping[str, Sequence[GalleryPicture]], rarest: str | None, max_side_px: int
) -> tuple[list[Section], str]:
    """Return the galleries with embedded pictures, and the note on their size."""
    uris, note = embed_pictures([picture for group in pictures.values() for picture in group], max_side_px)
    remaining = iter(uris)
    sections = []
    for key, group in pictures.items():
        title, text = _SECTION_TEXTS[key]
        cards = [_card(picture, next(remaining)) for picture in group]
        sections.append(Section(key, title, text.format(rarest=rarest), cards))
    return sections, note


def _card(picture: GalleryPicture, uris: tuple[str, str]) -> Card:
    counts = picture.counts
    num_errors = counts["misses"] + counts["false_alarms"]
    return Card(picture.file_name, picture.fold, *uris, picture.captions, num_errors)
