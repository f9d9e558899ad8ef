"""Whether one classifier of crops is better than another on the same faces, and how much a leaky protocol flatters.

What a table of judged faces is, `evaluation.classification` says.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

from maskdet.evaluation.bca import bca_p_value
from maskdet.evaluation.bootstrap import CONFIDENCE, NUM_REPLICATES, Resampled, interval_columns
from maskdet.evaluation.classification import predicted_classes, resample_faces
from maskdet.schema import CLASS_NAMES

DIFFERENCE_COLUMNS = ["metric", "a", "b", "difference", "low", "high", "p_value"]
"""Of `difference_rows`."""

_KEYS = ["file_name", "face"]


def compare_classifiers(
    faces_of: Mapping[str, pd.DataFrame], num_replicates: int = NUM_REPLICATES, seed: int = 0
) -> pd.DataFrame:
    """Compare every two classifiers on the same faces, figure by figure.

    Args:
        faces_of: Classifier → judged faces; the same faces for all, in any order.
        num_replicates: Of the bootstrap over groups, at least 2.
        seed: Of its draws.

    Returns:
        The rows of `difference_rows` of every pair, `classifier_a, classifier_b` first, in the order of `faces_of`,
        and `p_value_holm`: corrected for the number of pairs, within each metric. Empty for fewer than two.

    Raises:
        ValueError: If two classifiers judged different faces, or of different classes; see also `resample_faces`.

    Reference:
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    resampled, tables = {}, []
    for name, faces in faces_of.items():
        check_same_faces(next(iter(faces_of.values())), faces, f"{next(iter(faces_of))} and {name}")
        resampled[name] = resample_faces(faces, num_replicates, seed)
    for a, b in combinations(faces_of, 2):
        rows = difference_rows(resampled[a], resampled[b])
        rows.insert(0, "classifier_a", a)
        rows.insert(1, "classifier_b", b)
        tables.append(rows)
    if not tables:
        return pd.DataFrame(columns=["classifier_a", "classifier_b", *DIFFERENCE_COLUMNS, "p_value_holm"])
    table = pd.concat(tables, ignore_index=True)
    return table.assign(p_value_holm=table.groupby("metric")["p_value"].transform(_holm))


def _holm(p_values: pd.Series) -> pd.Series:
    """Return the p-values corrected for their number; undefined ones stay so and do not count.

    Own lines, as statsmodels' `multipletests` collects garbage at every call, a third of a second each; the tests hold
    the two to each other.
    """
    ranked = p_values.dropna().sort_values()
    corrected = np.maximum.accumulate(ranked * np.arange(len(ranked), 0, -1)).clip(upper=1)
    return corrected.reindex(p_values.index)


def difference_rows(a: Resampled, b: Resampled, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return how much better b is than a: both counted the same groups in every draw.

    Args:
        a: What `resample_faces` returns for some faces.
        b: The same for another classifier or protocol on the same faces, with the same replicates and seed.
        confidence: Of the intervals, in (0, 1).

    Returns:
        A row a metric: `metric, a, b, difference` (b − a), `low, high` (of the difference, BCa), `p_value` (two-sided,
        of no difference, not below 2 / (replicates + 1)). NaN where undefined.
    """
    gain = b.minus(a)
    rows = [
        {
            "metric": name,
            "a": a.values[name],
            "b": b.values[name],
            "difference": value,
            **interval_columns(gain, name, confidence),
            "p_value": bca_p_value(value, gain.replicates[name], gain.jackknife[name]),
        }
        for name, value in gain.values.items()
    ]
    return pd.DataFrame(rows)


def protocol_inflation(
    faces_grouped: pd.DataFrame, faces_other: pd.DataFrame, num_replicates: int = NUM_REPLICATES, seed: int = 0
) -> pd.DataFrame:
    """Return by how much another protocol's figures lie above those of the grouped one, on the same faces.

    A protocol that deals faces, not groups, to training and test shows the classifier the same people and the same
    photo before it is judged. The difference also holds what other amounts of training data and other random draws of
    the training do; the interval is over groups of photos alone.

    Args:
        faces_grouped: Judged by classifiers that saw no face of the group.
        faces_other: Judged under the other protocol; only faces that both tables hold are compared.
        num_replicates: Of the bootstrap over groups.
        seed: Of its draws.

    Returns:
        The rows of `difference_rows` (a: grouped, b: the other), and `num_faces`, which both protocols judged.

    Raises:
        ValueError: If no face is in both, or one has two classes; see also `resample_faces`.
    """
    shared = faces_grouped[_KEYS].merge(faces_other[_KEYS])
    if shared.empty:
        raise ValueError("expected faces that both protocols judged, got none")
    grouped, other = (faces.merge(shared, on=_KEYS) for faces in (faces_grouped, faces_other))
    check_same_faces(grouped, other, "the two protocols")
    resampled = [resample_faces(faces, num_replicates, seed) for faces in (grouped, other)]
    return difference_rows(*resampled).assign(num_faces=len(shared))


def mcnemar_test(faces_a: pd.DataFrame, faces_b: pd.DataFrame) -> dict[str, float]:
    """Return McNemar's exact test of equal accuracy of two classifiers.

    It takes every face for an independent one, which faces of one photo are not: where it and the paired bootstrap over
    groups differ, the bootstrap is right.

    Args:
        faces_a: Judged by one classifier.
        faces_b: The same faces, judged by the other, in any order.

    Returns:
        `num_faces`, `both_right`, `only_a_right`, `only_b_right`, `both_wrong` (counts) and `p_value`; 1 where the
        two never differ.

    Raises:
        ValueError: If the faces or their classes differ.

    Reference:
        McNemar (1947), Psychometrika 12, 153–157; statsmodels' `mcnemar`, exact.
    """
    check_same_faces(faces_a, faces_b, "the two classifiers")
    right_a, right_b = (_is_right(faces) for faces in (faces_a, faces_b))  # (N,) each
    table = np.array([[np.sum((right_a == a) & (right_b == b)) for b in (True, False)] for a in (True, False)])
    (both, only_a), (only_b, neither) = table.tolist()
    counts = {"both_right": both, "only_a_right": only_a, "only_b_right": only_b, "both_wrong": neither}
    return {"num_faces": len(right_a), **counts, "p_value": float(mcnemar(table, exact=True).pvalue)}


def _is_right(faces: pd.DataFrame) -> np.ndarray:
    """Return (N,) bool in the order of file names and faces."""
    faces = faces.sort_values(_KEYS)
    return np.array(CLASS_NAMES)[predicted_classes(faces)] == faces["class_name"].to_numpy(str)


def check_same_faces(faces_a: pd.DataFrame, faces_b: pd.DataFrame, names: str) -> None:
    """Refuse tables that do not judge the same faces with the same true classes.

    Args:
        faces_a: Judged faces.
        faces_b: Judged faces.
        names: What the message calls the two.

    Raises:
        ValueError: If they do not; the message names the first face that tells them apart.
    """
    columns = [*_KEYS, "class_name"]
    rows = pd.concat([faces_a[columns], faces_b[columns]])
    unequal = rows[~rows.duplicated(keep=False)]
    if len(unequal):
        first = unequal.sort_values(columns).iloc[0]
        raise ValueError(
            f"{names}: expected the same faces with the same classes, got {len(faces_a)} and {len(faces_b)} faces; "
            f"only one table has face {first['face']} of {first['file_name']!r} as {first['class_name']}"
        )
