"""Put the report's page together from tables, metrics, pictures and config."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskdet.evaluation.errors import ERROR_KINDS, HIT
from maskdet.evaluation.sizes import TERTILES
from maskdet.reporting.analysis_files import LABEL_ERRORS_FILE, Analysis
from maskdet.reporting.analysis_tables import (
    anchor_table,
    calibration_table,
    error_table,
    subgroup_table,
    threshold_table,
)
from maskdet.reporting.cards import ERROR, IMAGE, GalleryCard
from maskdet.reporting.error_cards import CONFIDENT, LABEL
from maskdet.reporting.facts import checkpoint_text, run_facts, select
from maskdet.reporting.gallery import rarest_class
from maskdet.reporting.html import Finding, Gallery, Page, Tile
from maskdet.reporting.number_texts import UNDEFINED, number
from maskdet.reporting.page_figures import FINDING_FIGURES, Plot, Results
from maskdet.reporting.picture import JudgedTables
from maskdet.reporting.summary_tables import (
    class_table,
    headline_table,
    interval,
    record_rows,
    third_names,
)
from maskdet.schema import CLASS_NAMES

FEW_FACES = 200
"""A class with fewer is warned of: its AP rests on few cases."""

_TITLE = "Face masks: worn, not worn, worn wrongly"
TILES = {"map": "mAP", "map_50": "mAP50", "precision": "precision", "recall": "recall", "f1": "F1"}
"""Headline metric → its name on a tile."""

GROUPS = {
    "best": ("Best images", "highest F1 of the image, of equal ones those with more hits: chosen to please"),
    "worst": ("Worst images", "lowest F1 of the image, of equal ones those with more misses and false alarms"),
    "random": ("Random images", "drawn from all, whatever the outcome: what is usual"),
    "rare": ("Rarest class", "drawn from the images that hold a face of the class “{rarest}”"),
    CONFIDENT: ("Most confident errors", "the wrong detections of the highest scores"),
    LABEL: ("Likely label errors", "where models that never saw the image contradict its label"),
}
"""Group of cards → its name and how they were chosen."""


@dataclass(frozen=True)
class Background:
    """What was run, beside the results.

    Attributes:
        config: The whole composed config in plain containers.
        config_yaml: The same as text.
        root: The project's root, for the git revision.
        trainings: Fold → what its `model.json` says; may be empty.
        data_reports: JSON files of the data stages, by name.
    """

    config: Mapping
    config_yaml: str
    root: Path
    trainings: Mapping[str, Mapping]
    data_reports: Mapping[str, Mapping]


def build_page(
    results: Results, background: Background, figures: Mapping[str, Plot], cards: Sequence[GalleryCard]
) -> Page:
    """Return the page.

    Args:
        results: Numbers and tables.
        background: What was run.
        figures: As `build_figures` returns them.
        cards: Of the gallery, the most important first.
    """
    config, metrics, analysis = background.config, results.metrics, results.analysis
    counts = metrics["val"]
    return Page(
        title=_TITLE,
        subtitle=f"{select(config, 'model.architecture') or 'a detector'} on {select(config, 'data.name') or 'data'}: "
        f"{counts['num_images']} images, {counts['num_faces']} faces, {_count(len(metrics.get('fold', {})), 'fold')}",
        warnings=run_warnings(config, metrics, results.judged),
        tiles=_tiles(metrics),
        facts=run_facts(config, metrics, background.root, background.trainings),
        headline=headline_table(metrics),
        classes=class_table(metrics, results.judged),
        thresholds=f"score ≥ {results.score_threshold:g} and IoU ≥ {results.iou_threshold:g}",
        figures=[plot.block(name) for name, plot in figures.items() if name not in FINDING_FIGURES],
        findings=_findings(metrics, analysis, figures),
        absent=list(analysis.absent.items()),
        gallery=_gallery(results, cards),
        data_records={name: record_rows(record) for name, record in background.data_reports.items()},
        config_yaml=background.config_yaml,
    )


def read_data_reports(folder: Path) -> dict[str, Mapping]:
    """Read the JSON files of a folder by their stem, sorted; none if there is no folder."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def run_warnings(config: Mapping, metrics: Mapping, judged: JudgedTables) -> list[str]:
    """Say what limits the numbers, a sentence each; none where nothing does.

    Args:
        config: The whole composed config in plain containers.
        metrics: `metrics.json`.
        judged: Verdicts on the pooled images.
    """
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
    present = set(judged.faces["class_name"])
    warnings += [
        f"No faces of the class {name}: its figures are undefined, and mAP is a mean of the other classes."
        for name in CLASS_NAMES
        if name not in present
    ]
    rarest = rarest_class(judged.faces)
    num_rarest = int((judged.faces["class_name"] == rarest).sum())
    if 0 < num_rarest < FEW_FACES:
        warnings.append(f"Only {num_rarest} faces of the class {rarest}: its AP rests on few cases.")
    return warnings


def _tiles(metrics: Mapping) -> list[Tile]:
    mean, deviation = metrics.get("fold_mean", {}), metrics.get("fold_sd", {})
    several = len(metrics.get("fold", {})) > 1
    tiles = []
    for key, label in TILES.items():
        ends, value = interval(metrics, key), metrics["val"].get(key)
        folds = f"folds {number(mean.get(key))} ± {number(deviation.get(key))}" if several else ""
        tiles.append(Tile(label, number(value), "" if ends == UNDEFINED else ends, folds))
    return tiles


def _findings(metrics: Mapping, analysis: Analysis, figures: Mapping[str, Plot]) -> list[Finding]:
    """Return the parts of the analysis that are on file."""
    blocks = {name: figures[name].block(name) for name in FINDING_FIGURES if name in figures}
    found = []
    if "errors" in analysis.tables:
        text = "Gains do not add up: an error hides others. After TIDE (Bolya et al. 2020), at IoU 0.5."
        table = error_table(analysis.table("errors"))
        found.append(Finding("What each kind of error costs", text, blocks.get("errors"), table))
    if "subgroups" in analysis.tables:
        text = (
            "Found: hit by a detection of the right class at the display threshold. Demographics are not in the data."
        )
        table = subgroup_table(analysis.table("subgroups"))
        found.append(Finding("Which faces are found", text, blocks.get("subgroups"), table))
    if analysis.thresholds:
        text = "Chosen on the detections that they are judged by: on other images expect a little less."
        found.append(Finding("Score thresholds", text, table=threshold_table(analysis.thresholds)))
    if metrics.get("calibration"):
        text = "0 is best. Compare D-ECE of one kind only: more bins alone make it larger."
        found.append(Finding("Calibration", text, table=calibration_table(metrics["calibration"])))
    if "anchor_fit" in analysis.tables:
        text = "Covered: some anchor overlaps the face as far as training asks for. Below, the lines to copy."
        found.append(Finding("Anchors", text, None, anchor_table(analysis.table("anchor_fit")), analysis.anchors_yaml))
    return found


def _gallery(results: Results, cards: Sequence[GalleryCard]) -> Gallery:
    """Return the gallery with the choices that its filters offer and a text on how much of the whole it shows."""
    rarest = rarest_class(results.judged.faces)
    used = {group for card in cards for group in card.groups}
    groups = {key: (name, text.format(rarest=rarest)) for key, (name, text) in GROUPS.items() if key in used}
    analysis, forms = results.analysis, [card.form for card in cards]
    text = f"Chosen: {_count(forms.count(IMAGE), 'image')} of {results.metrics['val']['num_images']}"
    num_errors = len(analysis.table("confident_errors")), len(analysis.table("label_errors"))
    if any(num_errors):
        text += (
            f", {_count(forms.count(ERROR), 'single error')} of the {num_errors[0]} most confident and "
            f"{_count(num_errors[1], 'likely label error')} on file; {LABEL_ERRORS_FILE} lists the latter to be fixed"
        )
    known_kinds = {box.kind for card in cards for box in card.boxes}
    kinds = [kind for kind in (*ERROR_KINDS, HIT) if kind in known_kinds]
    names = third_names(results.metrics)
    return Gallery(cards, groups, kinds, [names[key] for key in TERTILES if key in names], f"{text}.")


def _count(num: int, noun: str) -> str:
    """Return a count with its noun.

    >>> _count(1, "fold"), _count(2, "fold")
    ('1 fold', '2 folds')
    """
    return f"{num} {noun}{'s' * (num != 1)}"
