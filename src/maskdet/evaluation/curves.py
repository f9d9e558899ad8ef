"""Precision over recall, and precision, recall, F1 at one score threshold, from matched detections."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskdet.evaluation.coco import AP_MAX_DETECTIONS
from maskdet.evaluation.matching import ScoreThreshold, above_threshold
from maskdet.evaluation.rates import detection_rates
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
    kept = best_of_each_class(matches)
    num_faces = annotations["class_name"].value_counts()
    curves = [_pr_curve(kept[kept["class_name"] == c], c, int(num_faces[c])) for c in class_names if c in num_faces]
    empty = pd.DataFrame({"class_name": pd.Series(dtype=str), "recall": [], "precision": [], "score": []})
    return pd.concat(curves, ignore_index=True) if curves else empty


def best_of_each_class(predictions: pd.DataFrame, max_detections: int = AP_MAX_DETECTIONS) -> pd.DataFrame:
    """Return the detections that AP counts: the best `max_detections` of each class in each image.

    Args:
        predictions: Columns as `schema.PREDICTIONS`, more are kept; a unique index.
        max_detections: COCO's ceiling; of equal scores the rows that come first stay.

    Returns:
        Some of the rows, in their order and with their index.
    """
    by_score = predictions.sort_values("score", ascending=False, kind="stable")
    rank = by_score.groupby(["file_name", "class_name"]).cumcount()
    return predictions[rank.reindex(predictions.index) < max_detections]


def ranked_rows(detections: pd.DataFrame) -> np.ndarray:
    """Return the row numbers from the highest score down; ties as COCO breaks them: by file name, then by row."""
    return np.lexsort([detections["file_name"].to_numpy(str), -detections["score"].to_numpy()])  # (N,)


def average_precision(is_tp: np.ndarray, num_faces: int) -> float:
    """Return the mean of COCO's precision envelope over its 101 recall points.

    Args:
        is_tp: (N,) bool, one class's detections from the highest score down.
        num_faces: True boxes of the class, at least as many as hits.

    Returns:
        In [0, 1]; NaN without a true box.
    """
    return float(_precision_at_recalls(is_tp, num_faces)[0].mean()) if num_faces else float("nan")


def _precision_at_recalls(is_tp: np.ndarray, num_faces: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (101,) precisions and (101,) int, the detection that reaches each recall (N where none does)."""
    hits = np.cumsum(is_tp)  # (N,)
    precision = hits / np.arange(1, len(hits) + 1)  # (N,)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]  # (N,)
    reached = np.searchsorted(hits / num_faces, RECALL_POINTS, side="left")  # (101,)
    return np.append(envelope, 0.0)[reached], reached


def _pr_curve(matches: pd.DataFrame, class_name: str, num_faces: int) -> pd.DataFrame:
    ranked = matches.iloc[ranked_rows(matches)]
    precision, reached = _precision_at_recalls(ranked["is_tp"].to_numpy(), num_faces)
    columns = {
        "class_name": class_name,
        "recall": RECALL_POINTS,
        "precision": precision,
        "score": np.append(ranked["score"].to_numpy(np.float64), np.nan)[reached],
    }
    return pd.DataFrame(columns)


def operating_point(matches: pd.DataFrame, annotations: pd.DataFrame, score_threshold: ScoreThreshold) -> pd.DataFrame:
    """Count hits, false alarms and misses of the detections with `score >= score_threshold`.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count.
        annotations: The true boxes that were matched.
        score_threshold: In [0, 1]; a larger one trades recall for precision. One number, or one for each class.

    Returns:
        A row a class, then the row `"all"`, in which every detection counts once (micro average). Columns
        `class_name, tp, fp, fn` (counts), `precision` (NaN without detections), `recall` (NaN without true boxes),
        `f1` (NaN without true boxes).
    """
    kept = above_threshold(matches, score_threshold)
    rows = [_counts(c, kept[kept["class_name"] == c], int((annotations["class_name"] == c).sum())) for c in CLASS_NAMES]
    rows.append(_counts(ALL_CLASSES, kept, len(annotations)))
    return pd.DataFrame(rows, columns=_OPERATING_COLUMNS)


def _counts(class_name: str, kept: pd.DataFrame, num_faces: int) -> list:
    tp = int(kept["is_tp"].sum())
    fp, fn = len(kept) - tp, num_faces - tp
    rates = detection_rates(tp, len(kept), num_faces)
    return [class_name, tp, fp, fn, *(float(rate) for rate in rates.values())]
