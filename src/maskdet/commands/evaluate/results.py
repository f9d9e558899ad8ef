"""What `maskdet evaluate` leaves of a predicted set: tables, `metrics.json`, the page, figures on the terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from maskdet.commands.evaluate.cards import SetCardSource, labelled_cards, unlabelled_cards
from maskdet.commands.evaluate.classes import ClassPlan, best_on_each_face
from maskdet.commands.evaluate.known import Known
from maskdet.commands.evaluate.measures import IOU_THRESHOLD, Measures, measure
from maskdet.commands.evaluate.page import (
    Frame,
    Stated,
    as_validation,
    labelled_page,
    unlabelled_page,
    write_evaluation_page,
)
from maskdet.commands.evaluate.printout import print_found, print_measures
from maskdet.commands.evaluate.tables import SetTables, label_tables
from maskdet.data.known_images import Pictures
from maskdet.data.labelled_set import NOTE, LabelledImage, LabelledSet
from maskdet.evaluation.bootstrap import CONFIDENCE
from maskdet.evaluation.matching import above_threshold
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.inference.counts import counted_text
from maskdet.inference.predictor import Predictor
from maskdet.reporting.page_content import run_warnings
from maskdet.reporting.picture import JudgedTables
from maskdet.schema import ANNOTATIONS, IMAGES, PREDICTIONS, write_table
from maskdet.stages.rounded_files import write_rounded_json

FEW_GROUPS = 20
"""Below so many groups of look-alike images an interval is called rough."""


@dataclass(frozen=True)
class Subject:
    """A set as it was read.

    Attributes:
        name: What the user calls it.
        labelled: Its images, with labels or without.
        pictures: What was seen of them.
        known: Which of them the model knows.
        num_not_compared: Files of the sets given by --against that are no readable pictures.
        counted: Images that figures are made of, in this project's classes; empty without labels.
        plan: How classes go together; None: the set has no labels.
        excluded: Labelled images left out for a class.
        keeps_known: Whether images that the model was trained on are counted.
    """

    name: str
    labelled: LabelledSet
    pictures: Pictures
    known: Known
    num_not_compared: int
    counted: tuple[LabelledImage, ...]
    plan: ClassPlan | None
    excluded: tuple[str, ...]
    keeps_known: bool

    @property
    def num_without_labels(self) -> int:
        """Return how many images of a labelled set nothing labels."""
        return sum(self.plan is not None and image.label_file is None for image in self.labelled.images)


@dataclass(frozen=True)
class _Found:
    """What a model found in a set.

    Attributes:
        predictions: Every detection, columns as `schema.PREDICTIONS`.
        thresholds: Lowest score of each class that is shown.
        has_labels: Whether each class is judged by itself; otherwise a face is shown once, as its likeliest class.
        failures: Why images were left out, by file name.
    """

    predictions: pd.DataFrame
    thresholds: Mapping[str, float]
    has_labels: bool
    failures: Mapping[str, str]

    @cached_property
    def shown(self) -> pd.DataFrame:
        """Return the detections at or above their thresholds."""
        shown = above_threshold(self.predictions, self.thresholds)
        return (shown if self.has_labels else best_on_each_face(shown)).reset_index(drop=True)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many detections of each class are shown."""
        counts = self.shown["class_name"].value_counts()
        return {name: int(counts.get(name, 0)) for name in self.thresholds}


def write_results(
    subject: Subject,
    predictions: pd.DataFrame,
    predictor: Predictor,
    failures: Mapping[str, str],
    output: Path,
    num_images: int,
    num_replicates: int,
) -> dict:
    """Write the tables, `metrics.json` and `evaluation.html`, the page last, and print the figures.

    Nothing is written before everything is known, and files of an earlier run that do not belong to this one go.

    Args:
        subject: The set; its folder still has the images.
        predictions: Columns as `schema.PREDICTIONS`.
        predictor: The model.
        failures: Why images were left out, by file name.
        output: The folder to write to.
        num_images: Pictures of each choice of the gallery.
        num_replicates: Of the bootstrap.

    Returns:
        What `metrics.json` holds.
    """
    details = predictor.metadata.details
    found = _Found(predictions, dict(predictor.metadata.score_thresholds), subject.plan is not None, failures)
    notes = _notes(subject)
    if subject.plan is None:
        labels, measures, record = None, None, _record(subject, found, predictor)
        cards = unlabelled_cards(list(subject.pictures.looks), found.shown, _card_source(subject, None), num_images)
        frame = _frame(subject, found, predictor, notes)
        page = unlabelled_page(frame, len(subject.pictures.looks), found.shown, found.thresholds, cards)
    else:
        labels = label_tables(subject.counted, subject.pictures.looks, subject.name)
        groups = subject.known.groups
        measures = measure(labels, predictions, subject.plan, found.thresholds, groups, num_replicates)
        record = _record(subject, found, predictor) | measures.metrics | _counted_record(subject, labels, measures)
        notes += _class_notes(subject.plan, measures) + _limits(labels, measures)
        cards = labelled_cards(_card_source(subject, measures), num_images)
        page = labelled_page(_frame(subject, found, predictor, notes), measures, _stated(details), cards)
    for name in ("evaluation.html", "metrics.json", "images.parquet", "annotations.parquet"):
        (output / name).unlink(missing_ok=True)  # old figures must not stand beside new tables, whenever a run ends
    write_table(predictions, output / "predictions.parquet", PREDICTIONS)
    if labels is not None:
        write_table(labels.images, output / "images.parquet", IMAGES)
        write_table(labels.annotations, output / "annotations.parquet", ANNOTATIONS)
    write_rounded_json(record | {"notes": notes}, output / "metrics.json")
    write_evaluation_page(page, output / "evaluation.html")
    print(f"set      {subject.name}: {page.subtitle}")
    for note in notes:
        print(f"note     {note}")
    print_found(found.counts) if measures is None else print_measures(measures)
    names = ["predictions.parquet", *(["images.parquet", "annotations.parquet"] if labels else [])]
    for name in (*names, "metrics.json", "evaluation.html"):
        print(f"wrote    {output / name}")
    return record


def _card_source(subject: Subject, measures: Measures | None) -> SetCardSource:
    empty = EvaluationTables(*[pd.DataFrame()] * 3)
    no_verdicts = JudgedTables(pd.DataFrame(), pd.DataFrame())
    return SetCardSource(
        tables=measures.tables if measures else empty,
        judged=measures.judged if measures else no_verdicts,
        fold_of_file={},
        image_dir=subject.labelled.root,
        iou_threshold=IOU_THRESHOLD,
        apply_exif=subject.plan is None,
    )


def _notes(subject: Subject) -> list[str]:
    """Say what limits the figures, a sentence each; what the model knows first."""
    trained_on, notes = subject.known.trained_on, []
    seen = "Images that were in the model's training, or may have been"
    if trained_on and subject.plan is None:
        notes.append(f"{seen}: {len(trained_on)} of {len(subject.pictures.looks)}. They are not out of sample.")
    elif trained_on and subject.keeps_known:
        num_kept = sum(image.file_name in trained_on for image in subject.counted)
        notes.append(
            f"NOT OUT OF SAMPLE (--keep-known). {seen}: {num_kept} of {len(subject.counted)} that are counted. Unless "
            "they were held out from it, the figures are too good."
        )
    elif trained_on:
        notes.append(f"{seen}: {len(trained_on)}. They are predicted, and counted in no figure.")
    counts = {
        "Images listed in a set of the project that the model was not trained on, by its own word": len(
            subject.known.elsewhere
        ),
        "Files of --against that are links or no readable pictures, so that copies of them are counted": (
            subject.num_not_compared
        ),
        "Images without labels, predicted and counted in no figure": subject.num_without_labels,
        "Images left out, as they show a dropped class (--drop)": len(subject.excluded),
    }
    notes += [f"{words}: {count}." for words, count in counts.items() if count]
    findings = [finding for finding in subject.labelled.findings if finding.severity != NOTE]
    rules = Counter(finding.rule for finding in findings if finding.rule != "image-without-labels")
    if rules:
        listed = ", ".join(f"{count} {rule}" for rule, count in rules.items())
        notes.append(f"Reading the set found {listed}; `maskdet audit` shows each.")
    return notes


def _class_notes(plan: ClassPlan, measures: Measures) -> list[str]:
    """Say what became of the classes of the model that the set does not label."""
    notes = [
        f"Detections of {name} count as {target} (--merge): the set has no such label."
        for name, target in plan.merged.items()
    ]
    notes += [
        f"The set has no label {name}: {count} detections of it at or above its threshold are left out, neither hits "
        f"nor false alarms, and a face that was called so counts as missed. --merge {name}=CLASS counts them as "
        f"another class, --class {name}={name} as false alarms."
        for name, count in measures.num_left_out.items()
    ]
    return notes


def _limits(labels: SetTables, measures: Measures) -> list[str]:
    """Say what the figures rest on where that is little, or other than tools of the set's format would count."""
    notes = []
    if labels.num_difficult:
        notes.append(
            f"Boxes that are marked difficult, or as a crowd: {labels.num_difficult}. Here they count as any face; the "
            "evaluation of COCO and VOC ignores them, so that recall and AP usually come out higher there."
        )
    if measures.num_groups < 2:
        notes.append("There are no intervals: all images look alike, or there is but one.")
    elif measures.num_groups < FEW_GROUPS:
        notes.append(
            f"Only {measures.num_groups} groups of look-alike images: the intervals are rough, rather too narrow."
        )
    return notes + run_warnings({}, as_validation(measures.metrics), measures.judged)


def _frame(subject: Subject, found: _Found, predictor: Predictor, notes: Sequence[str]) -> Frame:
    counted = ""
    if subject.plan is not None:
        num_faces = sum(len(image.boxes) for image in subject.counted)
        counted = f", {len(subject.counted)} counted with {num_faces} labels"
    model = predictor.model_path.name if predictor.model_path else "a model"
    known = None
    if subject.known.trained_on:
        num = len(subject.known.trained_on)
        known = f"Images that the model was trained on, or may have been: {num}", list(subject.known.trained_on.items())
    elif subject.known.elsewhere:
        known = f"Listed images: {len(subject.known.elsewhere)}", list(subject.known.elsewhere.items())
    return Frame(
        title=f"{model} on {subject.name}",
        subtitle=f"{len(subject.pictures.looks)} images predicted{counted}",
        warnings=notes,
        facts=_facts(subject, found, predictor),
        known=known,
        failures=list(found.failures.items()),
    )


def _facts(subject: Subject, found: _Found, predictor: Predictor) -> list[tuple[str, str]]:
    """Return (label, text) of model, set and classes."""
    data, labels = predictor.metadata.details.get("data"), subject.labelled.format if subject.plan else "no labels"
    trained_on = data.get("name") if isinstance(data, Mapping) else None
    facts = [
        (
            "model",
            f"{predictor.model_path.name if predictor.model_path else 'in memory'}, run by {predictor.runtime_name}",
        ),
        ("trained on", str(trained_on or "it does not say")),
        ("set", f"{subject.name}, {labels}, {len(subject.labelled.images)} images"),
        (
            "images looked up",
            "in the lists of the project's sets, by the hash of their pixels; a copy that was scaled, cropped or saved "
            "anew is found by --against alone, in the set that it names",
        ),
        ("detections shown", counted_text(found.counts)),
    ]
    if subject.plan is None:
        return facts
    pairs = [f"{old} → {new or 'dropped'}" for old, new in subject.plan.class_map.items()]
    facts.append(("classes", ", ".join(pairs)))
    facts.append(("labels lie on", "pixels as stored; an EXIF orientation is not applied"))
    num_groups = len({subject.known.groups[image.file_name] for image in subject.counted})
    facts.append(
        (
            "intervals",
            f"{CONFIDENCE:.0%} (BCa), over {num_groups} groups of look-alike images (hashes and shared points); other "
            "images of this kind could give such figures, another training is not in them",
        )
    )
    return facts


def _stated(details: Mapping) -> Stated:
    """Return the metrics that a model states of itself, flat, and of which size they are where the file says so."""
    metrics, export = details.get("metrics"), details.get("export")
    pairs = metrics.items() if isinstance(metrics, Mapping) else ()
    values = {key: of_key.get("value") for key, of_key in pairs if isinstance(of_key, Mapping)}
    size = export.get("metrics_at_size") if isinstance(export, Mapping) else None
    return Stated({key: value for key, value in values.items() if isinstance(value, int | float)}, size)


def _record(subject: Subject, found: _Found, predictor: Predictor) -> dict:
    """Return what `metrics.json` says of any set."""
    return {
        "set": {
            "name": subject.name,
            "format": subject.labelled.format,
            "num_images": len(subject.labelled.images),
            "num_predicted": len(subject.pictures.looks),
            "num_without_labels": subject.num_without_labels,
            "num_excluded": len(subject.excluded),
        },
        "model": {
            "file": predictor.model_path.name if predictor.model_path else None,
            "runtime": predictor.runtime_name,
            "data": predictor.metadata.details.get("data"),
        },
        "score_threshold": dict(found.thresholds),
        "num_shown": found.counts,
        "known": {
            "num_trained_on": len(subject.known.trained_on),
            "are_counted": subject.keeps_known,
            "files": subject.known.trained_on,
            "files_not_trained_on": subject.known.elsewhere,
        },
        "failures": dict(found.failures),
    }


def _counted_record(subject: Subject, labels: SetTables, measures: Measures) -> dict:
    """Return what `metrics.json` says of a labelled set beside the metrics."""
    plan = asdict(subject.plan) if subject.plan else {}
    return {
        "iou_threshold": IOU_THRESHOLD,
        "labels": {
            "num_clipped": labels.num_clipped,
            "num_dropped": labels.num_dropped,
            "num_difficult": labels.num_difficult,
        },
        "classes": plan | {"left_out": dict(measures.num_left_out)},
        "intervals": {
            "confidence": CONFIDENCE,
            "over": "groups of look-alike images",
            "num_groups": measures.num_groups,
        },
    }
