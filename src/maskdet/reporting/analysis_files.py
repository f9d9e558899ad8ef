"""Read what `evaluate` and `analyse` leave under `reports/`; a file that is absent is named, and its part left out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from maskdet.evaluation.label_errors import LABEL_BOX, PREDICTED_BOX
from maskdet.schema import BOX_COLUMNS


@dataclass(frozen=True)
class TableSource:
    """A CSV file of the evaluation.

    Attributes:
        path: Under `reports/`.
        columns: What a reader needs; further ones are kept.
        title: What the page shows of it.
    """

    path: str
    columns: tuple[str, ...]
    title: str


_DETECTION = ("file_name", "fold", "class_name", "score", *BOX_COLUMNS)
TABLE_SOURCES = {
    "threshold_curves": TableSource(
        "plots/threshold_curves.csv",
        ("class_name", "score_threshold", "precision", "recall", "f1"),
        "precision, recall and F1 over the score threshold",
    ),
    "reliability": TableSource(
        "plots/reliability.csv",
        ("low", "high", "num_detections", "mean_score", "hit_rate"),
        "how far a score is a probability",
    ),
    "errors": TableSource(
        "analysis/errors.csv", ("error", "class_name", "count", "ap_gain"), "what each kind of error costs"
    ),
    "subgroups": TableSource(
        "analysis/subgroups.csv",
        ("property", "subgroup", "num_faces", "num_missed", "num_misnamed", "recall", "low", "high"),
        "recall by subgroup",
    ),
    "anchor_fit": TableSource(
        "analysis/anchor_fit.csv",
        (
            *("is_in_use", "scale", "num_scales", "aspect_ratios"),
            *("num_per_cell", "covered", "mean_best_iou", "is_efficient"),
        ),
        "how well the anchors cover the faces",
    ),
    "confident_errors": TableSource(
        "analysis/confident_errors.csv", (*_DETECTION, "error", "true_class"), "the most confident wrong detections"
    ),
    "label_errors": TableSource(
        "analysis/label_errors.csv",
        ("file_name", "kind", "suspicion", "label", "predicted", "score", "reason", *LABEL_BOX, *PREDICTED_BOX),
        "likely label errors",
    ),
}
"""What is read, by name."""

LABEL_ERRORS_FILE = f"reports/{TABLE_SOURCES['label_errors'].path}"


@dataclass(frozen=True)
class Analysis:
    """What is on file.

    Attributes:
        tables: Name → rows; only those whose file is there.
        thresholds: `thresholds.json`, or None.
        calibrator: `calibrator.json`, or None.
        anchors_yaml: `analysis/anchors.yaml`, or "".
        absent: Path → what the page leaves out for want of it.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    thresholds: Mapping | None = None
    calibrator: Mapping | None = None
    anchors_yaml: str = ""
    absent: Mapping[str, str] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table of `TABLE_SOURCES`; without its file one of its columns and no row."""
        return self.tables.get(name, pd.DataFrame(columns=list(TABLE_SOURCES[name].columns)))


def read_analysis(reports_dir: Path) -> Analysis:
    """Read what is there of the evaluation and the analysis.

    Args:
        reports_dir: The folder `reports`.

    Raises:
        ValueError: If a file is no JSON, or a table lacks a column.
    """
    tables = {name: _read_table(reports_dir / source.path, source) for name, source in TABLE_SOURCES.items()}
    absent = {
        f"reports/{TABLE_SOURCES[name].path}": TABLE_SOURCES[name].title for name in tables if tables[name] is None
    }
    records = {}
    for name, title in (("thresholds", "the chosen score thresholds"), ("calibrator", "the fitted calibrator")):
        records[name] = _read_json(reports_dir / f"{name}.json")
        absent |= {f"reports/{name}.json": title} if records[name] is None else {}
    anchors = reports_dir / "analysis/anchors.yaml"
    return Analysis(
        tables={name: table for name, table in tables.items() if table is not None},
        anchors_yaml=anchors.read_text(encoding="utf-8") if anchors.is_file() else "",
        absent=absent,
        **records,
    )


def _read_table(path: Path, source: TableSource) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    table = pd.read_csv(path)
    lacking = [column for column in source.columns if column not in table.columns]
    if lacking:
        raise ValueError(f"{path}: expected a column {lacking[0]!r}, got {', '.join(table.columns)}")
    return table


def _read_json(path: Path) -> Mapping | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error
