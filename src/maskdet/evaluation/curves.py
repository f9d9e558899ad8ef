"""Precision over recall, and precision, recall, F1 at one score threshold, from matched detections."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskdet.evaluation.coco import AP_MAX_DETECTIONS
from maskdet.schema import CLASS_NAMES

RECALL_POINTS = np.linspace(0, 1, 101)  # (101,) COCO's
ALL_CLASSES = "all"
"""Name of the row of `operating_point` that counts the detections of every class together (micro average)."""

_OPERATING_COLUMNS = ["class_name", "tp", "fp", "fn", "precision", "recall", "f1"]


def pr_curves(
    matches: pd.DataFrame, annotations: pd.DataFrame, class_names: Sequence[str] = CLASS_NAMES
) -> pd.DataFrame:
    """Return each class's precision at COCO's 101 recall points.

    The precision is COCO's monotone envelope: the best precision at this recall or a higher one, 0 where the recall
    is not reached. With matches at IoU 0.5 the mean of a class's precisions therefore is its `ap_50`. Two runs give
    rows for the same recalls, so that their CSV files compare line by line.

    Args:
        matches: What `match_detections` returns; the best 100 detections of a class in an image are used.
        annotations: The true boxes that were matched.
        class_names: The order of the curves.

    Returns:
        Columns `class_name, recall, precision, score`; 101 rows a class, recall rising; none for a class without a
        true box. `score` is the threshold that yields the recall, NaN where it is not reached.
    """
    rank = matches.sort_values("score", ascending=False, kind="stable").groupby(["file_name", "class_name"]).cumcount()
    kept = matches[rank.reindex(matches.index) < AP_MAX_DETECTIONS]
    num_faces = annotations["class_name"].value_counts()
    curves = [_pr_curve(kept[kept["class_name"] == c], c, int(num_faces[c])) for c in class_names if c in num_faces]
    empty = pd.DataFrame({"class_name": pd.Series(dtype=str), "recall": [], "precision": [], "score": []})
    return pd.concat(curves, ignore_index=True) if curves else empty


def _pr_curve(matches: pd.DataFrame, class_name: str, num_faces: int) -> pd.DataFrame:
    order = np.lexsort([matches["file_name"].to_numpy(str), -matches["score"].to_numpy()])  # ties as COCO breaks them
    hits = np.cumsum(matches["is_tp"].to_numpy()[order])  # (N,)
    scores = matches["score"].to_numpy(np.float64)[order]  # (N,)
    precision = hits / np.arange(1, len(hits) + 1)  # (N,)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # (N,)
    reached = np.searchsorted(hits / num_faces, RECALL_POINTS, side="left")  # (101,)
    columns = {
        "class_name": class_name,
        "recall": RECALL_POINTS,
        "precision": np.append(envelope, 0.0)[reached],
        "score": np.append(scores, np.nan)[reached],
    }
    return pd.DataFrame(columns)


def operating_point(
    matches: pd.DataFrame,
    annotations: pd.DataFrame,
    score_threshold: float,
    class_names: Sequence[str] = CLASS_NAMES,
) -> pd.DataFrame:
    """Count hits, false alarms and misses of the detections with `score >= score_threshold`.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count.
        annotations: The true boxes that were matched.
        score_threshold: In [0, 1]; a larger one trades recall for precision.
        class_names: The order of the rows.

    Returns:
        A row a class, then the row `"all"`, in which every detection counts once (micro average). Columns
        `class_name, tp, fp, fn` (counts), `precision` (NaN without detections), `recall` (NaN without true boxes),
        `f1` (NaN without either).
    """
    kept = matches[matches["score"] >= score_threshold]
    rows = [_counts(c, kept[kept["class_name"] == c], int((annotations["class_name"] == c).sum())) for c in class_names]
    rows.append(_counts(ALL_CLASSES, kept, len(annotations)))
    return pd.DataFrame(rows, columns=_OPERATING_COLUMNS)


def _counts(class_name: str, kept: pd.DataFrame, num_faces: int) -> list:
    tp = int(kept["is_tp"].sum())
    fp, fn = len(kept) - tp, num_faces - tp
    return [class_name, tp, fp, fn, _ratio(tp, tp + fp), _ratio(tp, num_faces), _ratio(2 * tp, 2 * tp + fp + fn)]


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
