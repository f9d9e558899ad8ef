"""Whether one classifier of crops is better than another on the same faces, and how much a leaky protocol flatters.

What a table of judged faces is, `evaluation.classification` says.
"""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from maskdet.evaluation.bootstrap import Resampled
from maskdet.evaluation.classification import is_right, mean_weights, resample_faces
from maskdet.evaluation.holm import holm
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.named_faces import FACE_KEYS, check_same_faces
from maskdet.evaluation.hypotheses.paired_outcomes import compare_means
from maskdet.evaluation.paired import DIFFERENCE_COLUMNS, difference_rows


def compare_classifiers(faces_of: Mapping[str, pd.DataFrame], resampling: Resampling) -> pd.DataFrame:
    """Compare every two classifiers on the same faces, figure by figure.

    Args:
        faces_of: Classifier → judged faces; the same faces for all, in any order.
        resampling: Draws and flips of groups, level.

    Returns:
        The rows of `compare_faces` of every pair, `classifier_a, classifier_b` first, in the order of `faces_of`, and
        `p_value_holm`: corrected for the number of pairs, within each metric, with `least_p_value_holm`, which is 0
        unless it is a bound. Empty for fewer than two.

    Raises:
        ValueError: If two classifiers judged different faces, or of different classes; see also `resample_faces`.
    """
    first = next(iter(faces_of), "")
    resampled = {}
    for name, faces in faces_of.items():
        check_same_faces(faces_of[first], faces, f"{first} and {name}")
        resampled[name] = resample_faces(faces, resampling.num_replicates, resampling.seed)
    tables = []
    for a, b in combinations(faces_of, 2):
        rows = _compared((faces_of[a], resampled[a]), (faces_of[b], resampled[b]), resampling)
        rows.insert(0, "classifier_a", a)
        rows.insert(1, "classifier_b", b)
        tables.append(rows)
    if not tables:
        names = ["classifier_a", "classifier_b", *DIFFERENCE_COLUMNS, "p_value_holm", "least_p_value_holm"]
        return pd.DataFrame(columns=names)
    return _with_holm(pd.concat(tables, ignore_index=True))


def _with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with p-values corrected within each metric."""
    table[["p_value_holm", "least_p_value_holm"]] = np.nan
    for rows in table.groupby("metric").groups.values():
        corrected = holm(*table.loc[rows, ["p_value", "least_p_value"]].to_numpy().T)
        table.loc[rows, ["p_value_holm", "least_p_value_holm"]] = np.transpose(corrected)
    return table


def compare_faces(faces_a: pd.DataFrame, faces_b: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return how much better b is than a on the same faces.

    Args:
        faces_a: Judged faces.
        faces_b: The same faces in any order, judged by another classifier or under another protocol.
        resampling: Draws and flips of groups, level.

    Returns:
        A row a metric, `DIFFERENCE_COLUMNS`; NaN where undefined. Accuracy, recalls and balanced accuracy are compared
        by `compare_means`, as in the hypotheses, the others by BCa over the same draws of groups for both.

    Raises:
        ValueError: If the faces or their classes differ; see also `resample_faces`.
    """
    check_same_faces(faces_a, faces_b, "the two")
    a, b = ((faces, resample_faces(faces, resampling.num_replicates, resampling.seed)) for faces in (faces_a, faces_b))
    return _compared(a, b, resampling)


def _compared(
    a: tuple[pd.DataFrame, Resampled], b: tuple[pd.DataFrame, Resampled], resampling: Resampling
) -> pd.DataFrame:
    """Return the rows of `compare_faces` of judged faces and their resamples."""
    rows = difference_rows(a[1], b[1], resampling.confidence)[DIFFERENCE_COLUMNS].set_index("metric")
    faces_a, faces_b = (faces.sort_values(FACE_KEYS) for faces in (a[0], b[0]))
    weights, groups = mean_weights(faces_a["class_name"]), FaceGroups.of(faces_a["group"])
    for name, found in compare_means(is_right(faces_a), is_right(faces_b), weights, groups, resampling).items():
        rows.loc[name, [*found.columns()]] = [*found.columns().values()]
    return rows.reset_index()


def right_answers(faces_a: pd.DataFrame, faces_b: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return which faces each calls by their class, (N,) bool each, in the order of file names and faces.

    Raises:
        ValueError: If the faces or their classes differ.
    """
    check_same_faces(faces_a, faces_b, "the two classifiers")
    return is_right(faces_a.sort_values(FACE_KEYS)), is_right(faces_b.sort_values(FACE_KEYS))


def protocol_inflation(faces_grouped: pd.DataFrame, faces_other: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return by how much another protocol's figures lie above those of the grouped one, on the same faces.

    A protocol that deals faces, not groups, to training and test shows the classifier the same people and the same
    photo before it is judged. The difference also holds what other amounts of training data and other random draws of
    the training do; the interval is over groups of photos alone.

    Args:
        faces_grouped: Judged by classifiers that saw no face of the group.
        faces_other: Judged under the other protocol; only faces that both tables hold are compared.
        resampling: Draws and flips of groups, level.

    Returns:
        The rows of `compare_faces` (a: grouped, b: the other), and `num_faces`, which both protocols judged.

    Raises:
        ValueError: If no face is in both, or one has two classes; see also `resample_faces`.
    """
    shared = faces_grouped[FACE_KEYS].merge(faces_other[FACE_KEYS])
    if shared.empty:
        raise ValueError("expected faces that both protocols judged, got none")
    grouped, other = (faces.merge(shared, on=FACE_KEYS) for faces in (faces_grouped, faces_other))
    return compare_faces(grouped, other, resampling).assign(num_faces=len(shared))
