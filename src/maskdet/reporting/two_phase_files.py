"""Read what the two-phase study leaves under `reports/`; a file that is absent is an error that names its stage."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from maskdet.schema import GROUPED

_RUN = ("data", "classifier", "protocol")
_ESTIMATE = ("value", "low", "high")
_DIFFERENCE = ("metric", "a", "b", "difference", "low", "high", "p_value", "least_p_value")


@dataclass(frozen=True)
class StudySource:
    """A file of the study.

    Attributes:
        path: Under `reports/`.
        stage: What writes it.
        columns: Of a CSV file: what a reader needs; further ones are kept.
    """

    path: str
    stage: str
    columns: tuple[str, ...] = ()


TABLES = {
    "models": StudySource(
        "two_phase/models.csv",
        "score_models",
        ("model", "metric", *_ESTIMATE, "difference", "difference_low", "difference_high", "p_value", "least_p_value"),
    ),
    "face_detectors": StudySource(
        "two_phase/face_detectors.csv",
        "score_faces",
        ("detector", "metric", "subgroup", "num_true_faces", *_ESTIMATE),
    ),
    "face_detector_pairs": StudySource(
        "two_phase/face_detector_pairs.csv", "score_faces", ("detector_a", "detector_b", "subgroup", *_DIFFERENCE)
    ),
    "face_curves": StudySource(
        "two_phase/plots/face_precision_recall.csv", "score_faces", ("detector", "recall", "precision")
    ),
    "classifiers": StudySource("two_phase/classifiers.csv", "score_classifiers", (*_RUN, "metric", *_ESTIMATE)),
    "classifier_pairs": StudySource(
        "two_phase/classifier_pairs.csv",
        "score_classifiers",
        ("data", "classifier_a", "classifier_b", *_DIFFERENCE, "p_value_holm", "least_p_value_holm"),
    ),
    "inflation": StudySource("two_phase/inflation.csv", "score_classifiers", (*_RUN, *_DIFFERENCE, "num_faces")),
    "classifier_errors": StudySource(
        "two_phase/classifier_errors.csv",
        "score_classifiers",
        (*_RUN, "file_name", "face", "fold", "class_name", "predicted", "probability", "probability_true"),
    ),
    "roc": StudySource(
        "two_phase/plots/roc.csv",
        "score_classifiers",
        (*_RUN, "class_name", "false_positive_rate", "true_positive_rate"),
    ),
    "precision_recall": StudySource(
        "two_phase/plots/precision_recall.csv", "score_classifiers", (*_RUN, "class_name", "recall", "precision")
    ),
    "confusion": StudySource(
        "two_phase/plots/confusion.csv", "score_classifiers", (*_RUN, "actual", "predicted", "count")
    ),
}
"""Tables that are read, by name."""

RECORDS = {
    "models": StudySource("two_phase/models.json", "score_models"),
    "hypotheses": StudySource("hypotheses.json", "hypotheses"),
    "classifiers": StudySource("two_phase/classifiers.json", "score_classifiers"),
    "face_detectors": StudySource("two_phase/face_detectors.json", "score_faces"),
    "overlays": StudySource("two_phase/overlays.json", "overlays"),
}
"""JSON files that are read, by name."""

OVERLAID = "_overlaid"
"""Ends the name of a classifier that was trained with drawn masks besides."""

OTHER_FOLDS = "other_folds"
"""Begins the metrics, behind a slash, that leave out the folds on which recipes of classifiers were tried."""

PHOTOS, FOLDERS = "photos", "folders"
"""Where crops come from: annotated faces of the photos, or a set of crops sorted into a folder a class."""

_HISTORY_COLUMNS = ("part", "epoch")


@dataclass(frozen=True)
class Study:
    """What the study found.

    Attributes:
        tables: Name of `TABLES` → rows.
        records: Name of `RECORDS` → content.
        histories: (data, classifier, protocol) → training history, of the grouped protocol.
    """

    tables: Mapping[str, pd.DataFrame]
    records: Mapping[str, Mapping]
    histories: Mapping[tuple[str, str, str], pd.DataFrame]


def read_study(reports_dir: Path) -> Study:
    """Read every file of the study.

    Args:
        reports_dir: The folder `reports`.

    Raises:
        FileNotFoundError: If a file is absent; the message names the stage that writes it.
        ValueError: If a file is no JSON, or a table lacks a column.
    """
    tables = {name: _read_table(reports_dir, source) for name, source in TABLES.items()}
    runs = tables["classifiers"][list(_RUN)].drop_duplicates().itertuples(index=False, name=None)
    return Study(
        tables=tables,
        records={name: _read_json(reports_dir, source) for name, source in RECORDS.items()},
        histories={run: _read_table(reports_dir, history_source(*run)) for run in runs if run[2] == GROUPED},
    )


def history_source(data: str, classifier: str, protocol: str) -> StudySource:
    """Return where a run's training history lies.

    >>> history_source("photos", "cnn", "grouped").path, history_source("folders", "cnn", "grouped").path
    ('two_phase/history/cnn-grouped.csv', 'two_phase/history/classify_folders-cnn-grouped.csv')
    >>> history_source("photos", "cnn_overlaid", "grouped").path
    'two_phase/history/classify_overlaid-cnn-grouped.csv'
    """
    kind = "overlaid" if classifier.endswith(OVERLAID) else "" if data == PHOTOS else data
    stage = f"classify_{kind}" if kind else "classify"
    prefix = f"{stage}-" if kind else ""
    name = f"{prefix}{classifier.removesuffix(OVERLAID)}-{protocol}"
    return StudySource(f"two_phase/history/{name}.csv", stage, _HISTORY_COLUMNS)


def _existing(reports_dir: Path, source: StudySource) -> Path:
    path = reports_dir / source.path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected what the stage `{source.stage}` writes, found no file; run it first")
    return path


def _read_table(reports_dir: Path, source: StudySource) -> pd.DataFrame:
    path = _existing(reports_dir, source)
    table = pd.read_csv(path)
    lacking = [column for column in source.columns if column not in table.columns]
    if lacking:
        raise ValueError(
            f"{path}: expected a column {lacking[0]!r}, got {', '.join(table.columns)}; run `{source.stage}` again"
        )
    return table


def _read_json(reports_dir: Path, source: StudySource) -> Mapping:
    path = _existing(reports_dir, source)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error
