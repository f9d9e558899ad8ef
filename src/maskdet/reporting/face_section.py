"""The page's part on face detectors: how well each finds faces on all images, by size and mask state."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from maskdet.evaluation.sizes import COCO_SIZES, TERTILES
from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.html import FigureBlock
from maskdet.reporting.model_section import machine_names, time_shown
from maskdet.reporting.number_texts import estimate_text, p_cell
from maskdet.reporting.palette import class_style
from maskdet.reporting.summary_tables import TextTable, third_names
from maskdet.reporting.two_phase_figures import EstimateAxis, estimate_rows, plot_estimates, plot_face_curves
from maskdet.schema import CLASS_NAMES

_ALL = "all"
_RATES = {"ap": "AP", "recall": "recall", "precision": "precision", "f1": "F1"}
_COCO_TEXTS = {
    "small": "small, area below 32² px",
    "medium": "medium, 32² to 96² px",
    "large": "large, area over 96² px",
}


@dataclass(frozen=True)
class FaceSection:
    """Everything on face detectors.

    Attributes:
        text: What was counted.
        table: A row a detector, all faces.
        note: How to read it.
        figures: By size, by state, precision and recall.
        pairs: One detector against another; may have no row.
        numbers: (title, table) of every rate by size and state, to be folded away.
    """

    text: str
    table: TextTable
    note: str
    figures: list[FigureBlock]
    pairs: TextTable
    numbers: list[tuple[str, TextTable]]


def face_section(rows: pd.DataFrame, pairs: pd.DataFrame, curves: pd.DataFrame, record: Mapping) -> FaceSection:
    """Return the part.

    Args:
        rows: `face_detectors.csv`; detectors are shown in its order.
        pairs: `face_detector_pairs.csv`.
        curves: `plots/face_precision_recall.csv`.
        record: `face_detectors.json`.
    """
    ious = _iou_suffixes(rows)
    num_faces = record["num_true_faces"]
    text = (
        f"{record['num_images']:,} images with {num_faces[_ALL]:,} true faces, whatever they wear. The detectors were "
        "trained on other sets, and score thresholds chosen on fold 1. Recall, precision and F1 count faces found at "
        "each detector's own score threshold; AP ranks all that it found."
    )
    return FaceSection(
        text=text,
        table=detectors_table(rows, record, ious),
        note=_note(record),
        figures=_figures(rows, curves, record, ious[0]),
        pairs=pairs_table(pairs, ious),
        numbers=[
            (f"{_RATES[rate]} at IoU {_iou_text(iou)}", table)
            for rate in ("recall", "ap", "precision")
            for iou in ious
            if (table := _subgroup_table(rows, f"{rate}_{iou}", record)).rows
        ],
    )


def _iou_suffixes(rows: pd.DataFrame) -> list[str]:
    """Return the IoU thresholds as the metrics' names have them, e.g. `50`, in the order of the file."""
    return list(dict.fromkeys(name.rpartition("_")[2] for name in rows["metric"]))


def _iou_text(suffix: str) -> str:
    """Return a threshold as a number.

    >>> _iou_text("50"), _iou_text("45")
    ('0.5', '0.45')
    """
    return f"{int(suffix) / 100:g}"


def subgroup_names(record: Mapping) -> dict[str, str]:
    """Return subgroup → its name in words, in the order of the page.

    Args:
        record: `face_detectors.json`; reads `size_bounds_px`.
    """
    lower, upper = record["size_bounds_px"]
    thirds = third_names({"val": {"size_bound_px": {"1": lower, "2": upper}}})
    ordinals = dict(zip(TERTILES, ("smallest", "middle", "largest"), strict=True))
    return {
        _ALL: "all faces",
        **{name: f"{ordinals[name]} third, {text}" for name, text in thirds.items()},
        **{name: _COCO_TEXTS[name] for name in COCO_SIZES},
        **{name: class_style(name).short_name for name in CLASS_NAMES},
    }


def detectors_table(rows: pd.DataFrame, record: Mapping, ious: list[str]) -> TextTable:
    """Return a row a detector with its figures on all faces; arguments as in `face_section`."""
    metrics = [f"ap_{iou}" for iou in ious] + [f"{rate}_{ious[0]}" for rate in ("recall", "precision", "f1")]
    metrics += [f"{rate}_{iou}" for iou in ious[1:] for rate in ("recall", "precision")]
    key, heading = time_shown(record["detectors"].values())
    header = ["face detector", *(_metric_text(metric) for metric in metrics), heading, "images without a face"]
    cells, notes = [], []
    for name, of_detector in rows[rows["subgroup"] == _ALL].groupby("detector", sort=False):
        by_metric = of_detector.set_index("metric")[["value", "low", "high"]].reindex(metrics)
        told = record["detectors"][name]
        cost = [f"{told[key]:,.0f}", f"{told['num_images_without_face']:,}"]
        cells.append([name, *(estimate_text(*ends) for ends in by_metric.to_numpy(float).tolist()), *cost])
        notes.append(f"score ≥ {told['score_threshold']:g}")
    return TextTable(header, cells, notes)


def _metric_text(metric: str) -> str:
    rate, _, iou = metric.rpartition("_")
    return f"{_RATES[rate]}, IoU {_iou_text(iou)}"


def _subgroup_table(rows: pd.DataFrame, metric: str, record: Mapping) -> TextTable:
    """Return a row a subgroup of which the metric is defined, a column a detector."""
    detectors = list(record["detectors"])
    detectors.sort(key=list(dict.fromkeys(rows["detector"])).index)
    of_metric = rows[rows["metric"] == metric].set_index(["subgroup", "detector"])[["value", "low", "high"]]
    cells = []
    for subgroup, name in subgroup_names(record).items():
        if subgroup in of_metric.index.get_level_values("subgroup"):
            estimates = [estimate_text(*of_metric.loc[(subgroup, detector)].tolist()) for detector in detectors]
            cells.append([name, f"{record['num_true_faces'][subgroup]:,}", *estimates])
    return TextTable(["faces", "number", *detectors], cells, [""] * len(cells))


def pairs_table(pairs: pd.DataFrame, ious: list[str]) -> TextTable:
    """Return a row a pair of detectors, all faces; above 0 the second is better.

    Args:
        pairs: `face_detector_pairs.csv`.
        ious: The IoU thresholds as the metrics' names have them.
    """
    metrics = [f"{rate}_{iou}" for iou in ious for rate in ("ap", "recall")]
    header = ["second against first", *(text for metric in metrics for text in (_metric_text(metric), "p"))]
    cells = []
    for (first, second), rows in pairs[pairs["subgroup"] == _ALL].groupby(["detector_a", "detector_b"], sort=False):
        by_metric, row = rows.set_index("metric"), [f"{second} against {first}"]
        for metric in metrics:
            told = by_metric.loc[metric]
            row += [
                estimate_text(told["difference"], told["low"], told["high"], "+"),
                p_cell(told["p_value"], told["least_p_value"]),
            ]
        cells.append(row)
    return TextTable(header, cells, [""] * len(cells))


def _note(record: Mapping) -> str:
    """Say how the times were taken, and that boxes have habits."""
    machines = machine_names(record["detectors"].values())
    return (
        f"Below each figure its 95 % interval over groups of look-alike images. Times: {'; '.join(machines)}, reading "
        "of the photo included. Detectors end a face at other places than the annotators do: the lower IoU forgives "
        "more of that."
    )


def _figures(rows: pd.DataFrame, curves: pd.DataFrame, record: Mapping, iou: str) -> list[FigureBlock]:
    at_iou = f"IoU ≥ {_iou_text(iou)}. In brackets the number of true faces."
    ap = rows[(rows["metric"] == f"ap_{iou}") & (rows["subgroup"] == _ALL)].set_index("detector")["value"]
    candidates = [
        ("size", "Recall by face size", at_iou, _recall(rows, record, f"recall_{iou}", (_ALL, *TERTILES))),
        ("state", "Recall by mask state", at_iou, _recall(rows, record, f"recall_{iou}", CLASS_NAMES)),
        (
            "curves",
            "Precision and recall",
            f"Each point is a score threshold. IoU ≥ {_iou_text(iou)}.",
            plot_face_curves(curves, ap.to_dict()),
        ),
    ]
    return [
        FigureBlock(title, figure_svg(figure, f"faces_{key}", f"{title}. {text}"), text)
        for key, title, text, figure in candidates
        if figure is not None
    ]


def _recall(rows: pd.DataFrame, record: Mapping, metric: str, subgroups: tuple[str, ...]) -> Figure | None:
    names, of_metric = subgroup_names(record), rows[rows["metric"] == metric]
    estimates = [
        (f"{names[subgroup].split(', ')[-1]} ({record['num_true_faces'][subgroup]:,})", row["detector"], row)
        for subgroup in subgroups
        for row in of_metric[of_metric["subgroup"] == subgroup].to_dict("records")
    ]
    return plot_estimates(estimate_rows(estimates), EstimateAxis("recall, 95 % interval", (0, 1.02)))
