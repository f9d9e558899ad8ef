"""The numbers of the report as rows of text: headline metrics, classes, what the data summary says."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from maskdet.reporting.palette import class_style
from maskdet.reporting.picture import JudgedTables
from maskdet.schema import CLASS_NAMES

UNDEFINED = "–"
"""Stands where a metric is not defined: no true face of that class or size."""

_HEADLINES = {
    "map": ("mAP", "mean over classes and IoU 0.50 to 0.95, as COCO counts"),
    "map_50": ("mAP50", "mean over classes at IoU 0.50"),
    "map_75": ("mAP75", "mean over classes at IoU 0.75"),
    "map_small": ("mAP, small faces", "area below 32² pixels of the original image"),
    "map_medium": ("mAP, medium faces", "area from 32² to 96² pixels"),
    "map_large": ("mAP, large faces", "area above 96² pixels"),
    "ar_100": ("AR", "best mean recall with at most 100 detections an image"),
    "precision": ("precision", "share of shown detections that are right"),
    "recall": ("recall", "share of true faces that are found, with the right class"),
    "f1": ("F1", "harmonic mean of the two"),
}


@dataclass(frozen=True)
class TextTable:
    """A table ready to be printed.

    Attributes:
        header: Names of the columns, the first over the row names.
        rows: Cells in the order of the header.
        notes: One explanation a row, for the eye and for screen readers; empty strings where there is none.
    """

    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def headline_table(metrics: Mapping) -> TextTable:
    """Return pooled value, mean ± standard deviation over folds, and each fold's value of the headline metrics.

    Args:
        metrics: `metrics.json`; None and missing keys become a dash.
    """
    folds = metrics.get("fold", {})
    header = ["metric", "pooled", f"mean ± SD of {len(folds)} fold{'s' * (len(folds) != 1)}"]
    rows = [
        [label, number(metrics["val"].get(key)), _spread(metrics, key), *(number(folds[k].get(key)) for k in folds)]
        for key, (label, _) in _HEADLINES.items()
    ]
    counts = [
        [label, str(metrics["val"].get(key, UNDEFINED)), "", *(str(folds[k].get(key, UNDEFINED)) for k in folds)]
        for key, label in (("num_images", "images"), ("num_faces", "faces"))
    ]
    notes = [note for _, note in _HEADLINES.values()] + [""] * len(counts)
    return TextTable([*header, *(f"fold {k}" for k in folds)], rows + counts, notes)


def class_table(metrics: Mapping, judged: JudgedTables) -> TextTable:
    """Return a row a class: faces, AP, and the counts at the display threshold.

    Args:
        metrics: `metrics.json`.
        judged: Verdicts on the same images.
    """
    header = ["class", "faces", "AP", "AP50", "AP50, mean ± SD of folds"]
    header += ["hits", "misses", "false alarms", "precision", "recall"]
    rows, notes = [], []
    for name in CLASS_NAMES:
        hits, misses, alarms = _counts(judged, name)
        aps = [number(metrics["val"].get(key, {}).get(name)) for key in ("ap", "ap_50")]
        ratios = [_ratio(hits, hits + alarms), _ratio(hits, hits + misses)]
        counts = [str(hits), str(misses), str(alarms)]
        rows.append([name, str(hits + misses), *aps, _spread(metrics, "ap_50", name), *counts, *ratios])
        notes.append(_class_note(name, hits + misses))
    return TextTable(header, rows, notes)


def record_rows(record: Mapping, prefix: str = "") -> list[tuple[str, str]]:
    """Flatten a JSON record into names and values; a list becomes its length.

    >>> record_rows({"num_images": 3, "faces_per_class": {"with_mask": 2}, "repairs": []})
    [('num images', '3'), ('faces per class, with mask', '2'), ('repairs', '0')]
    """
    rows = []
    for key, value in record.items():
        name = prefix + str(key).replace("_", " ")
        if isinstance(value, Mapping):
            rows += record_rows(value, f"{name}, ")
        else:
            rows.append((name, str(len(value)) if isinstance(value, list) else str(value)))
    return rows


def number(value: float | None) -> str:
    """Return a metric with three decimals, a dash for an undefined one.

    >>> number(0.12345), number(None), number(float("nan"))
    ('0.123', '–', '–')
    """
    return UNDEFINED if value is None or math.isnan(value) else f"{value:.3f}"


def _spread(metrics: Mapping, key: str, name: str | None = None) -> str:
    mean, deviation = (metrics.get(part, {}).get(key) for part in ("fold_mean", "fold_sd"))
    if name is not None:
        mean, deviation = ((part or {}).get(name) for part in (mean, deviation))
    return f"{number(mean)} ± {number(deviation)}"


def _counts(judged: JudgedTables, class_name: str) -> tuple[int, int, int]:
    """Return hits, misses, false alarms of a class."""
    faces = judged.faces[judged.faces["class_name"] == class_name]
    detections = judged.detections[judged.detections["class_name"] == class_name]
    hits = int(faces["is_found"].sum())
    return hits, len(faces) - hits, int((~detections["is_tp"]).sum())


def _ratio(part: int, whole: int) -> str:
    return number(part / whole if whole else None)


def _class_note(name: str, num_faces: int) -> str:
    """Say the name on the pictures, and what a single face is worth where faces are few."""
    note = f"“{class_style(name).short_name}” on the pictures"
    if 0 < num_faces < 200:
        note += f"; one face more or less is {1 / num_faces:.1%} of recall"
    return note
