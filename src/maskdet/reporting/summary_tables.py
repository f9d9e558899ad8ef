"""The numbers of the report as rows of text: headline metrics, classes, what the data summary says."""

from collections.abc import Mapping
from dataclasses import dataclass

from maskdet.evaluation.sizes import TERTILES
from maskdet.reporting.number_texts import UNDEFINED, number
from maskdet.reporting.palette import class_style
from maskdet.reporting.picture import JudgedTables
from maskdet.schema import CLASS_NAMES

_HEADLINES = {
    "map": ("mAP", "mean over classes and IoU 0.50 to 0.95, as COCO counts"),
    "map_50": ("mAP50", "mean over classes at IoU 0.50"),
    "map_75": ("mAP75", "mean over classes at IoU 0.75"),
    "map_small": ("mAP, small faces", "area below 32² pixels of the original image"),
    "map_medium": ("mAP, medium faces", "area from 32² to 96² pixels"),
    "map_large": ("mAP, large faces", "area above 96² pixels"),
    "ar_100": ("AR", "best mean recall with at most 100 detections of a class in an image"),
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
    """Return pooled value, its interval, mean ± standard deviation over several folds, and each fold's value.

    Args:
        metrics: `metrics.json`; None and missing keys become a dash.
    """
    folds, pooled = metrics.get("fold", {}), metrics["val"]
    headlines = {key: texts for key, texts in {**_HEADLINES, **_thirds(metrics)}.items() if key in pooled}
    several = len(folds) > 1  # the mean of one fold says nothing new
    header = ["metric", "pooled", "95 % interval", *([f"mean ± SD of {len(folds)} folds"] * several)]
    rows = [
        [label, number(pooled[key]), interval(metrics, key)]
        + ([_spread(metrics, key)] if several else [])
        + [number(fold.get(key)) for fold in folds.values()]
        for key, (label, _) in headlines.items()
    ]
    counts = [
        [label, str(pooled.get(key, UNDEFINED)), "", *[""] * several]
        + [str(fold.get(key, UNDEFINED)) for fold in folds.values()]
        for key, label in (("num_images", "images"), ("num_faces", "faces"))
    ]
    notes = [note for _, note in headlines.values()] + [""] * len(counts)
    return TextTable([*header, *(f"fold {k}" for k in folds)], rows + counts, notes)


def class_table(metrics: Mapping, judged: JudgedTables) -> TextTable:
    """Return a row a class: faces, AP, and the counts at the display threshold.

    Args:
        metrics: `metrics.json`.
        judged: Verdicts on the same images.
    """
    header = ["class", "faces", "AP", "AP50", "AP50, 95 % interval"]
    several = len(metrics.get("fold", {})) > 1
    header += ["AP50, mean ± SD of folds"] * several
    header += ["hits", "misses", "false alarms", "precision", "recall"]
    rows, notes = [], []
    for name in CLASS_NAMES:
        hits, misses, alarms = _counts(judged, name)
        aps = [number(metrics["val"].get(key, {}).get(name)) for key in ("ap", "ap_50")]
        ratios = [_ratio(hits, hits + alarms), _ratio(hits, hits + misses)]
        counts = [str(hits), str(misses), str(alarms)]
        spreads = [interval(metrics, "ap_50", name), *([_spread(metrics, "ap_50", name)] if several else [])]
        rows.append([name, str(hits + misses), *aps, *spreads, *counts, *ratios])
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


def interval(metrics: Mapping, key: str, name: str | None = None) -> str:
    """Return both ends of a pooled metric's 95 % interval; a dash where they are not on file or undefined.

    Args:
        metrics: `metrics.json`.
        key: E.g. `map`.
        name: A class, for a metric that has one value a class.

    >>> interval({"val_low": {"map": 0.59}, "val_high": {"map": 0.7}}, "map")
    '0.590 to 0.700'
    """
    low, high = ((metrics.get(part) or {}).get(key) for part in ("val_low", "val_high"))
    if name is not None:
        low, high = ((part or {}).get(name) for part in (low, high))
    texts = number(low), number(high)
    return UNDEFINED if UNDEFINED in texts else f"{texts[0]} to {texts[1]}"


def third_names(metrics: Mapping) -> dict[str, str]:
    """Return what each third of the faces by size holds, smallest first; {} where the bounds are not on file.

    >>> third_names({"val": {"size_bound_px": {"1": 18.0, "2": 29.5}}})["tertile_2"]
    '18 to 29.5 px'
    """
    bounds = metrics["val"].get("size_bound_px") or {}
    first, second = bounds.get("1"), bounds.get("2")
    if first is None or second is None:
        return {}
    texts = (f"up to {first:.3g} px", f"{first:.3g} to {second:.3g} px", f"over {second:.3g} px")
    return dict(zip(TERTILES, texts, strict=True))


def _thirds(metrics: Mapping) -> dict[str, tuple[str, str]]:
    ordinals = ("smallest", "middle", "largest")
    names = third_names(metrics)
    return {
        f"map_{key}": (f"mAP, {ordinal} third", f"of the set's faces: {names[key]} (root of the area)")
        for key, ordinal in zip(TERTILES, ordinals, strict=True)
        if key in names
    }


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
