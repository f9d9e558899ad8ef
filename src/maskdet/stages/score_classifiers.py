"""Stage `score_classifiers`: how well crops are classified, which classifier is better, how much leakage flatters."""

from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from omegaconf import DictConfig

from maskdet.evaluation.classification import (
    HEADLINES,
    confident_errors,
    confusion_table,
    interval_rows,
    precision_recall_curves,
    resample_faces,
    roc_curves,
    with_groups,
)
from maskdet.evaluation.classifier_comparison import (
    DIFFERENCE_COLUMNS,
    compare_classifiers,
    mcnemar_test,
    protocol_inflation,
)
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.reporting.two_phase_files import FOLDERS, GROUPED, OVERLAID, PHOTOS
from maskdet.schema import CROP_PREDICTIONS, CROPS, FOLDS, read_table
from maskdet.stages.classifier_printout import print_classifiers
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json


class _Run(NamedTuple):
    data: str
    classifier: str
    protocol: str


Judged = dict[_Run, pd.DataFrame]
"""What each run says of the faces that it was not trained on: judged faces, see `evaluation.classification`."""


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Score every classifier that the config lists under every protocol; crops of photos and of folders stay apart.

    Writes under `reports/two_phase/`: `classifiers.json` (what is returned), `classifiers.csv` (a row a data set,
    classifier, protocol and metric), `classifier_pairs.csv` (every two classifiers on the same faces, grouped),
    `inflation.csv` (every other protocol against the grouped one), `classifier_errors.csv` (the surest errors,
    grouped), and the data of plots: `plots/roc.csv` and `plots/precision_recall.csv` (grouped), `plots/confusion.csv`.

    Args:
        cfg: Reads `two_phase.classifiers`, `two_phase.protocols`, `two_phase.folder_classifiers`,
            `two_phase.folder_protocols`, `two_phase.overlaid_classifiers`, `two_phase.num_confident_errors` and
            `evaluate.bootstrap`.
        workspace: Holds `build/classify/<classifier>/<protocol>/predictions.parquet` and `build/folds.parquet`; of
            overlaid classifiers `build/classify_overlaid/<classifier>/grouped/…`; of classifiers of folders
            `build/classify_folders/…` and `build/folder_crops/index.parquet`.

    Returns:
        Data set → `figures`: classifier → protocol → `num_faces`, `num_groups`, and `value`, `low`, `high` of each
        metric; `mcnemar`: classifier a → classifier b → what `mcnemar_test` returns; `inflation`: classifier →
        protocol → headline → `grouped`, `other`, `difference`, `low`, `high`, `p_value`.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If a table breaks its schema, a photo has no group, two classifiers judged different faces, or a
            list is empty, repeats itself or lacks the grouped protocol.
    """
    judged = _read(cfg.two_phase, workspace)
    grouped = _grouped(judged)
    resampling = (cfg.evaluate.bootstrap.num_replicates, cfg.evaluate.bootstrap.seed)
    tables = {
        "classifiers": _of_runs(judged, lambda faces: interval_rows(resample_faces(faces, *resampling))),
        "classifier_pairs": _pairs(judged, resampling),
        "inflation": _inflation(judged, resampling),
        "classifier_errors": _of_runs(
            grouped, lambda faces: confident_errors(faces, cfg.two_phase.num_confident_errors)
        ),
        "plots/roc": _of_runs(grouped, roc_curves),
        "plots/precision_recall": _of_runs(grouped, precision_recall_curves),
        "plots/confusion": _of_runs(judged, confusion_table),
    }
    summary = _summary(judged, tables)
    write_rounded_json(summary, workspace.output("reports/two_phase/classifiers.json"))
    for name, table in tables.items():
        write_rounded_csv(table, workspace.output(f"reports/two_phase/{name}.csv"))
    print_classifiers(summary)
    return summary


def _read(settings: DictConfig, workspace: Workspace) -> Judged:
    """Read the runs of the photos, and of the folders where any classifier is listed for them."""
    groups = _groups(read_table(workspace.input("build/folds.parquet"), FOLDS))
    lists = (list(settings.classifiers), list(settings.protocols))
    judged = _read_runs(PHOTOS, workspace.input("build/classify"), groups, *lists)
    for name in settings.overlaid_classifiers:
        folder = workspace.input(f"build/classify_overlaid/{name}/{GROUPED}")
        judged[_Run(PHOTOS, f"{name}{OVERLAID}", GROUPED)] = _read_faces(folder, groups)
    if settings.folder_classifiers:
        groups = _groups(read_table(workspace.input("build/folder_crops/index.parquet"), CROPS))
        lists = (list(settings.folder_classifiers), list(settings.folder_protocols))
        judged |= _read_runs(FOLDERS, workspace.input("build/classify_folders"), groups, *lists)
    return judged


def _groups(table: pd.DataFrame) -> dict[str, int]:
    return table.set_index("file_name")["group"].to_dict()


def _read_runs(
    data: str, folder: Path, group_of_file: dict[str, int], classifiers: list[str], protocols: list[str]
) -> Judged:
    """Read what every classifier says of one set of crops under every protocol."""
    for kind, names in (("classifiers", classifiers), ("protocols", protocols)):
        if not names or len(set(names)) < len(names):
            raise ValueError(f"two_phase, {kind} of {data}: expected one or more different names, got {names}")
    if GROUPED not in protocols:
        raise ValueError(f"two_phase, protocols of {data}: expected {GROUPED!r} among them, got {protocols}")
    runs = [_Run(data, classifier, protocol) for classifier in classifiers for protocol in protocols]
    return {run: _read_faces(folder / run.classifier / run.protocol, group_of_file) for run in runs}


def _read_faces(folder: Path, group_of_file: dict[str, int]) -> pd.DataFrame:
    return with_groups(read_table(folder / "predictions.parquet", CROP_PREDICTIONS), group_of_file)


def _grouped(judged: Judged, data: str | None = None) -> Judged:
    """Return the runs under the grouped protocol, of one set of crops or of all."""
    return {run: faces for run, faces in judged.items() if run.protocol == GROUPED and data in (None, run.data)}


def _data_sets(judged: Judged) -> list[str]:
    return list(dict.fromkeys(run.data for run in judged))


def _of_runs(judged: Judged, table_of: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Return a table of each run's faces, one below the other, behind the columns of `_Run`."""
    return _stacked((run._asdict(), table_of(faces)) for run, faces in judged.items())


def _stacked(labelled: Iterable[tuple[dict[str, str], pd.DataFrame]]) -> pd.DataFrame:
    tables = []
    for labels, table in labelled:
        tables.append(pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1))
    return pd.concat(tables, ignore_index=True)


def _pairs(judged: Judged, resampling: tuple[int, int]) -> pd.DataFrame:
    """Return what `compare_classifiers` says of each set of crops, behind the column `data`."""
    return _stacked(
        (
            {"data": data},
            compare_classifiers({r.classifier: faces for r, faces in _grouped(judged, data).items()}, *resampling),
        )
        for data in _data_sets(judged)
    )


def _inflation(judged: Judged, resampling: tuple[int, int]) -> pd.DataFrame:
    """Return what `protocol_inflation` says of each run that is not grouped; a is the grouped one."""
    others = [run for run in judged if run.protocol != GROUPED]
    if not others:
        return pd.DataFrame(columns=[*_Run._fields, *DIFFERENCE_COLUMNS, "num_faces"])
    return _stacked(
        (
            run._asdict(),
            protocol_inflation(judged[run._replace(protocol=GROUPED)], judged[run], *resampling),
        )
        for run in others
    )


def _summary(judged: Judged, tables: dict[str, pd.DataFrame]) -> Summary:
    summary: Summary = {data: {"figures": {}, "mcnemar": {}, "inflation": {}} for data in _data_sets(judged)}
    for run_labels, rows in tables["classifiers"].groupby(list(_Run._fields), sort=False):
        key, faces = _Run(*run_labels), judged[_Run(*run_labels)]
        figures = {end: nest_metrics(rows.set_index("metric")[end].to_dict()) for end in ("value", "low", "high")}
        counts = {"num_faces": len(faces), "num_groups": int(faces["group"].nunique())}
        summary[key.data]["figures"].setdefault(key.classifier, {})[key.protocol] = counts | figures
    for (run_a, faces_a), (run_b, faces_b) in combinations(_grouped(judged).items(), 2):
        if run_a.data == run_b.data:
            tested = mcnemar_test(faces_a, faces_b)
            summary[run_a.data]["mcnemar"].setdefault(run_a.classifier, {})[run_b.classifier] = tested
    headlines = tables["inflation"][tables["inflation"]["metric"].isin(HEADLINES)]
    for row in headlines.to_dict("records"):
        of_classifier = summary[row["data"]]["inflation"].setdefault(row["classifier"], {})
        of_classifier.setdefault(row["protocol"], {})[row["metric"]] = {
            "grouped": row["a"],
            "other": row["b"],
            **{name: row[name] for name in ("difference", "low", "high", "p_value", "num_faces")},
        }
    return summary


if __name__ == "__main__":
    stage_main(run)
