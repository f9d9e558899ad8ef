"""Which detection is a hit, and of which true box: the ground of curves, precision, recall, F1 and galleries."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from maskdet.boxes import box_iou
from maskdet.schema import BOX_COLUMNS

NO_ANNOTATION = -1
"""Stands in the column `annotation` of a detection that is no hit."""

ScoreThreshold = float | Mapping[str, float]
"""One score threshold for every class, or one for each; NaN keeps no detection of the class."""


def above_threshold(predictions: pd.DataFrame, score_threshold: ScoreThreshold) -> pd.DataFrame:
    """Return the rows with `score >= score_threshold`, in their order and with their index.

    Args:
        predictions: Columns `class_name` and `score` at least.
        score_threshold: One number, or one for each class; a class whose threshold is NaN loses every row.

    Raises:
        ValueError: If a class of the table has no threshold.
    """
    if not isinstance(score_threshold, Mapping):
        return predictions[predictions["score"] >= score_threshold]
    unknown = sorted(set(predictions["class_name"]) - set(score_threshold))
    if unknown:
        raise ValueError(f"score_threshold: expected a threshold for {unknown[0]!r}, got {sorted(score_threshold)}")
    scores = predictions["score"].to_numpy()  # (N,)
    lowest = predictions["class_name"].map(dict(score_threshold)).to_numpy(scores.dtype)  # (N,) compared as float32 is
    return predictions[scores >= lowest]


def match_detections(
    annotations: pd.DataFrame, predictions: pd.DataFrame, iou_threshold: float = 0.5, by_class: bool = True
) -> pd.DataFrame:
    """Give every detection the true box that it hits, greedily from the highest score down, as COCO does.

    A detection takes the free true box of its image and class with the largest IoU, if that is at least the threshold
    (of equal ones the last, as in COCO). No ceiling on detections: whoever wants one drops rows of lower score, which
    changes no match above them; the same holds of a score threshold.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Detections, columns as `schema.PREDICTIONS`; not modified, may be empty.
        iou_threshold: In (0, 1].
        by_class: False lets a detection hit a true box of any class, for confusion matrices.

    Returns:
        The rows of `predictions` in their order and with their index, plus `is_tp` (bool), `annotation` (int64, the
        index label of the true box or -1) and `iou` (float64, with that box; 0 without one). No label but -1 occurs
        twice; `is_tp` is `annotation != -1`.

    Raises:
        ValueError: If `iou_threshold` lies outside (0, 1].

    Reference:
        pycocotools, `COCOeval.evaluateImg`.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"expected 0 < iou_threshold <= 1, got {iou_threshold}")
    keys = ["file_name", "class_name"] if by_class else ["file_name"]
    true_boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    boxes = predictions[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    scores = predictions["score"].to_numpy()  # (N,)
    matched = np.full(len(predictions), NO_ANNOTATION)  # (N,) row numbers of annotations
    ious = np.zeros(len(predictions))  # (N,)
    rows_by_key = annotations.groupby(keys, sort=False).indices
    for key, rows in predictions.groupby(keys, sort=False).indices.items():
        if key in rows_by_key:
            by_score = rows[np.argsort(-scores[rows], kind="stable")]  # (n,)
            true_rows = rows_by_key[key]  # (m,)
            hits = _greedy_hits(box_iou(boxes[by_score], true_boxes[true_rows]), iou_threshold)
            for i, (j, iou) in hits.items():
                matched[by_score[i]], ious[by_score[i]] = true_rows[j], iou
    is_tp = matched != NO_ANNOTATION  # (N,)
    labels = np.full(len(predictions), NO_ANNOTATION)  # (N,)
    labels[is_tp] = annotations.index.to_numpy()[matched[is_tp]]
    return predictions.assign(is_tp=is_tp, annotation=labels, iou=ious)


def _greedy_hits(ious: np.ndarray, iou_threshold: float) -> dict[int, tuple[int, float]]:
    """Return {detection: (true box, IoU)} for (n, m) IoUs whose rows run from the highest score down."""
    hits = {}
    free = np.where(ious >= min(iou_threshold, 1 - 1e-10), ious, -1.0)  # (n, m); -1: too far or taken
    last = free.shape[1] - 1
    for i in np.flatnonzero(free.max(axis=1) >= 0):
        j = last - int(free[i, ::-1].argmax())  # the last of equal ones
        if free[i, j] >= 0:
            hits[int(i)] = (j, float(free[i, j]))
            free[:, j] = -1.0
    return hits
