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
    roc_curves,
    with_groups,
)
from maskdet.evaluation.classifier_comparison import compare_classifiers, protocol_inflation, right_answers
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.paired_outcomes import mcnemar_test
from maskdet.evaluation.paired import DIFFERENCE_COLUMNS
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.reporting.two_phase_files import FOLDERS, OTHER_FOLDS, OVERLAID, PHOTOS
from maskdet.schema import CROP_PREDICTIONS, CROPS, FOLDS, GROUPED, read_table
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
            `two_phase.folder_protocols`, `two_phase.overlaid_classifiers`, `two_phase.chosen_on_folds`,
            `two_phase.num_confident_errors`, `evaluate.bootstrap.num_replicates`, and of `hypotheses` what their tests
            by groups read: permutations, seed, level.
        workspace: Holds `build/classify/<classifier>/<protocol>/predictions.parquet` and `build/folds.parquet`; of
            overlaid classifiers `build/classify_overlaid/<classifier>/grouped/…`; of classifiers of folders
            `build/classify_folders/…` and `build/folder_crops/index.parquet`.

    Returns:
        Data set → `figures`: classifier → protocol → `num_faces`, `num_groups`, and `value`, `low`, `high` of each
        metric, of grouped runs on photos also of accuracy and balanced accuracy without the folds that recipes were
        tried on, as `other_folds`, beside their `folds` and counts; `mcnemar`: classifier a → classifier b →
        `num_faces`, the counts of `Crosstab` and `p_value`; `inflation`: classifier → protocol → headline →
        `grouped`, `other`, `difference`, `low`, `high`, `p_value`, `least_p_value`, `num_faces`.

    Raises:
        FileNotFoundError: If a table is missing.
        ValueError: If a table breaks its schema, a photo has no group, two classifiers judged different faces, a list
            is empty, repeats itself or lacks the grouped protocol, or recipes were tried on all folds.
    """
    judged = _read(cfg.two_phase, workspace)
    grouped, others = _grouped(judged), _on_other_folds(judged, list(cfg.two_phase.chosen_on_folds))
    tests = cfg.hypotheses
    resampling = Resampling(cfg.evaluate.bootstrap.num_replicates, tests.num_permutations, tests.seed, tests.alpha)
    tables = {
        "classifiers": _figures(judged, others, resampling),
        "classifier_pairs": _pairs(judged, resampling),
        "inflation": _inflation(judged, resampling),
        "classifier_errors": _of_runs(
            grouped, lambda faces: confident_errors(faces, cfg.two_phase.num_confident_errors)
        ),
        "plots/roc": _of_runs(grouped, roc_curves),
        "plots/precision_recall": _of_runs(grouped, precision_recall_curves),
        "plots/confusion": _of_runs(judged, confusion_table),
    }
    summary = _summary(judged, others, tables)
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


def _on_other_folds(judged: Judged, chosen_on_folds: list[int]) -> Judged:
    """Return the grouped runs on photos without the faces of the folds that recipes were tried on, if any."""
    others = {}
    for run, faces in _grouped(judged, PHOTOS).items():
        had_a_say = faces["fold"].isin(chosen_on_folds)
        if had_a_say.all():
            raise ValueError(
                f"two_phase.chosen_on_folds: expected folds beside which there are others, got {chosen_on_folds}; "
                f"the faces that {run.classifier} judged are of {sorted(faces['fold'].unique().tolist())}"
            )
        if had_a_say.any():
            others[run] = faces[~had_a_say].reset_index(drop=True)
    return others


def _data_sets(judged: Judged) -> list[str]:
    return list(dict.fromkeys(run.data for run in judged))


def _figures(judged: Judged, others: Judged, resampling: Resampling) -> pd.DataFrame:
    """Return the figures of every run with their intervals, those of the other folds after those of all."""
    tables = []
    for run, faces in judged.items():
        tables.append((run._asdict(), interval_rows(faces, resampling)))
        if run in others:
            rows = interval_rows(others[run], resampling)
            rows = rows[rows["metric"].isin(["accuracy", "balanced_accuracy"])]
            tables.append((run._asdict(), rows.assign(metric=f"{OTHER_FOLDS}/" + rows["metric"])))
    return _stacked(tables)


def _of_runs(judged: Judged, table_of: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """Return a table of each run's faces, one below the other, behind the columns of `_Run`."""
    return _stacked((run._asdict(), table_of(faces)) for run, faces in judged.items())


def _stacked(labelled: Iterable[tuple[dict[str, str], pd.DataFrame]]) -> pd.DataFrame:
    """Return tables of the same columns below each other; empty ones have no types and would take those of others."""
    tables = [pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1) for labels, table in labelled]
    filled = [table for table in tables if len(table)]
    return pd.concat(filled or tables[:1], ignore_index=True)


def _pairs(judged: Judged, resampling: Resampling) -> pd.DataFrame:
    """Return what `compare_classifiers` says of each set of crops, behind the column `data`."""
    return _stacked(
        (
            {"data": data},
            compare_classifiers({r.classifier: faces for r, faces in _grouped(judged, data).items()}, resampling),
        )
        for data in _data_sets(judged)
    )


def _inflation(judged: Judged, resampling: Resampling) -> pd.DataFrame:
    """Return what `protocol_inflation` says of each run that is not grouped; a is the grouped one."""
    others = [run for run in judged if run.protocol != GROUPED]
    if not others:
        return pd.DataFrame(columns=[*_Run._fields, *DIFFERENCE_COLUMNS, "num_faces"])
    return _stacked(
        (
            run._asdict(),
            protocol_inflation(judged[run._replace(protocol=GROUPED)], judged[run], resampling),
        )
        for run in others
    )


def _summary(judged: Judged, others: Judged, tables: dict[str, pd.DataFrame]) -> Summary:
    summary: Summary = {data: {"figures": {}, "mcnemar": {}, "inflation": {}} for data in _data_sets(judged)}
    for run_labels, rows in tables["classifiers"].groupby(list(_Run._fields), sort=False):
        key = _Run(*run_labels)
        figures = {end: nest_metrics(rows.set_index("metric")[end].to_dict()) for end in ("value", "low", "high")}
        if key in others:
            folds = sorted(others[key]["fold"].unique().tolist())
            figures[OTHER_FOLDS] = {"folds": folds, **_counts(others[key])}
        summary[key.data]["figures"].setdefault(key.classifier, {})[key.protocol] = _counts(judged[key]) | figures
    for (run_a, faces_a), (run_b, faces_b) in combinations(_grouped(judged).items(), 2):
        if run_a.data == run_b.data:
            tested = _mcnemar(faces_a, faces_b)
            summary[run_a.data]["mcnemar"].setdefault(run_a.classifier, {})[run_b.classifier] = tested
    headlines = tables["inflation"][tables["inflation"]["metric"].isin(HEADLINES)]
    for row in headlines.to_dict("records"):
        of_classifier = summary[row["data"]]["inflation"].setdefault(row["classifier"], {})
        of_classifier.setdefault(row["protocol"], {})[row["metric"]] = {
            "grouped": row["a"],
            "other": row["b"],
            **{name: row[name] for name in (*DIFFERENCE_COLUMNS[3:], "num_faces")},
        }
    return summary


def _counts(faces: pd.DataFrame) -> dict[str, int]:
    return {"num_faces": len(faces), "num_groups": int(faces["group"].nunique())}


def _mcnemar(faces_a: pd.DataFrame, faces_b: pd.DataFrame) -> dict[str, int | float]:
    counts = vars(mcnemar_test(*right_answers(faces_a, faces_b))).copy()
    evidence = counts.pop("evidence")
    return {"num_faces": len(faces_a), **counts, "p_value": evidence.p_value}


if __name__ == "__main__":
    stage_main(run)
