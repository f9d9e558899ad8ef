"""The numbers of the classifiers of crops as rows of text: figures, report by class, leakage, one against another."""

from collections.abc import Mapping, Sequence

import pandas as pd

from maskdet.evaluation.classification import HEADLINES
from maskdet.reporting.number_texts import UNDEFINED, estimate_text, number, p_cell
from maskdet.reporting.palette import class_style
from maskdet.reporting.summary_tables import TextTable
from maskdet.reporting.two_phase_files import OTHER_FOLDS, OVERLAID
from maskdet.schema import CLASS_NAMES, GROUPED

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "macro_ap": "macro AP",
}
"""Headline → its name on the page."""

_OF_CLASS = {"precision": "precision", "recall": "recall", "f1": "F1", "auc": "AUC, one against the rest", "ap": "AP"}
_COMPARED = ("accuracy", "balanced_accuracy")


def protocol_name(protocol: str) -> str:
    """Return a protocol in words.

    >>> protocol_name("grouped"), protocol_name("by_face_80_20")
    ('grouped', 'by face, 80/20')
    """
    if not protocol.startswith("by_face_"):
        return protocol.replace("_", " ")
    return f"by face, {protocol.removeprefix('by_face_').replace('_', '/')}"


def figures_table(rows: pd.DataFrame) -> TextTable:
    """Return a row a classifier with the headlines of the grouped protocol, and those of the other folds, if any.

    Args:
        rows: Of `classifiers.csv`, one set of crops.
    """
    grouped = rows[rows["protocol"] == GROUPED]
    names = list(dict.fromkeys(grouped["classifier"]))
    others = {f"{OTHER_FOLDS}/{metric}": f"{METRIC_NAMES[metric]}, other folds" for metric in _COMPARED}
    headings = {metric: METRIC_NAMES[metric] for metric in HEADLINES}
    headings |= {metric: name for metric, name in others.items() if metric in set(grouped["metric"])}
    cells = [[name, *_estimates(grouped[grouped["classifier"] == name], list(headings))] for name in names]
    notes = ["trained with drawn masks besides" if name.endswith(OVERLAID) else "" for name in names]
    return TextTable(["classifier", *headings.values()], cells, notes)


def report_table(rows: pd.DataFrame, num_faces: Mapping[str, int]) -> TextTable:
    """Return the classification report of one classifier and protocol: a row a class.

    Args:
        rows: Of `classifiers.csv`, one classifier and protocol.
        num_faces: Class → true faces; a class without any is left out.
    """
    names = [name for name in CLASS_NAMES if num_faces.get(name)]
    cells = [
        [
            class_style(name).short_name,
            f"{num_faces[name]:,}",
            *_estimates(rows, [f"{key}/{name}" for key in _OF_CLASS]),
        ]
        for name in names
    ]
    return TextTable(["class", "faces", *_OF_CLASS.values()], cells, [""] * len(cells))


def _estimates(rows: pd.DataFrame, metrics: Sequence[str]) -> list[str]:
    by_metric = rows.set_index("metric")[["value", "low", "high"]].reindex(metrics)
    return [estimate_text(*ends) for ends in by_metric.to_numpy(float).tolist()]


def inflation_table(inflation: pd.DataFrame) -> TextTable:
    """Return a row a classifier and leaky protocol: how far its figures lie above the grouped ones.

    Args:
        inflation: `inflation.csv`, one set of crops.
    """
    chosen = inflation[inflation["metric"].isin(_COMPARED)]
    header, cells, notes = ["classifier and split"], [], []
    for metric in _COMPARED:
        header += [f"{METRIC_NAMES[metric]}, grouped", "by face", "difference", "p"]
    for (classifier, protocol), rows in chosen.groupby(["classifier", "protocol"], sort=False):
        row = [classifier]
        for metric in _COMPARED:
            row += _inflation_cells(rows[rows["metric"] == metric])
        cells.append(row)
        notes.append(f"{protocol_name(protocol)}, {int(rows['num_faces'].iloc[0]):,} faces")
    return TextTable(header, cells, notes)


def _inflation_cells(rows: pd.DataFrame) -> list[str]:
    if rows.empty:
        return [UNDEFINED] * 4
    row = rows.iloc[0]
    p_value = p_cell(row["p_value"], row["least_p_value"])
    return [number(row["a"]), number(row["b"]), estimate_text(row["difference"], row["low"], row["high"], "+"), p_value]


def overlays_table(pairs: pd.DataFrame) -> TextTable:
    """Return what drawn masks among the training faces change, a row a classifier and metric.

    Args:
        pairs: `classifier_pairs.csv`, one set of crops; may hold no classifier that was trained with them.
    """
    metrics = {f"ap/{name}": f"AP, {class_style(name).short_name}" for name in CLASS_NAMES[::-1]}
    metrics |= {f"recall/{name}": f"recall, {class_style(name).short_name}" for name in CLASS_NAMES[::-1]}
    metrics |= {metric: METRIC_NAMES[metric] for metric in _COMPARED}
    with_masks = pairs[pairs["classifier_b"] == pairs["classifier_a"] + OVERLAID]
    cells, notes = [], []
    for classifier, rows in with_masks.groupby("classifier_a", sort=False):
        by_metric = rows.set_index("metric").reindex(metrics)
        for metric, row in by_metric.iterrows():
            difference = estimate_text(row["difference"], row["low"], row["high"], "+")
            ends = [number(row["a"]), number(row["b"]), difference, p_cell(row["p_value"], row["least_p_value"])]
            cells.append([metrics[metric], *ends])
            notes.append(classifier)
    return TextTable(["figure", "without", "with drawn masks", "difference", "p"], cells, notes)


def pairs_table(pairs: pd.DataFrame, mcnemar: Mapping) -> TextTable:
    """Return a row a pair of classifiers on the same faces; above 0 the second is better.

    Args:
        pairs: `classifier_pairs.csv`, one set of crops.
        mcnemar: Classifier a → classifier b → `only_a_right, only_b_right, p_value`.
    """
    header = ["second against first"]
    for metric in _COMPARED:
        header += [f"{METRIC_NAMES[metric]}, difference", "p, Holm"]
    header += ["right alone: first, second", "p, McNemar"]
    cells = []
    for (first, second), rows in pairs.groupby(["classifier_a", "classifier_b"], sort=False):
        row = [f"{second} against {first}"]
        for metric in _COMPARED:
            row += _pair_cells(rows[rows["metric"] == metric])
        tested = mcnemar.get(first, {}).get(second, {})
        alone = [str(tested.get(f"only_{side}_right", UNDEFINED)) for side in "ab"]
        cells.append([*row, ", ".join(alone), p_cell(tested.get("p_value"))])
    return TextTable(header, cells, [""] * len(cells))


def _pair_cells(rows: pd.DataFrame) -> list[str]:
    """Return difference and corrected p-value."""
    if rows.empty:
        return [UNDEFINED] * 2
    row = rows.iloc[0]
    p_value = p_cell(row["p_value_holm"], row["least_p_value_holm"])
    return [estimate_text(row["difference"], row["low"], row["high"], "+"), p_value]
