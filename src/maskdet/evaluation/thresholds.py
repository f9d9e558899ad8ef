"""Operating points: precision, recall and F1 over the score threshold, and the threshold that meets a goal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.evaluation.rates import detection_rates
from maskdet.schema import CLASS_NAMES

SCORE_POINTS = np.linspace(0, 1, 101)  # (101,) thresholds of a drawn curve

BEST_F1, MIN_PRECISION, MIN_RECALL = "best_f1", "min_precision", "min_recall"
GOALS = (BEST_F1, MIN_PRECISION, MIN_RECALL)

_COUNTS = ["tp", "fp", "fn"]
_RATIOS = ["precision", "recall", "f1"]


def threshold_curves(
    matches: pd.DataFrame, annotations: pd.DataFrame, score_points: np.ndarray = SCORE_POINTS
) -> pd.DataFrame:
    """Return what `operating_point` returns, at many thresholds.

    Two runs give rows for the same thresholds, so that their CSV files compare line by line.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count.
        annotations: The true boxes that were matched.
        score_points: (T,) thresholds, any order.

    Returns:
        Columns `class_name, score_threshold, tp, fp, fn, precision, recall, f1`; T rows a class in the order of
        `score_points`, then T of "all" (micro average). Ratios are NaN where `operating_point` has NaN.

    Raises:
        ValueError: If a score is NaN.
    """
    parts = []
    for name, group, num_faces in _groups(matches, annotations, CLASS_NAMES):
        scores, hits = _ranking(group)
        num_kept = len(scores) - np.searchsorted(scores[::-1], score_points.astype(scores.dtype), side="left")  # (T,)
        parts.append(_points(name, score_points, num_kept, hits, num_faces))
    return pd.concat(parts, ignore_index=True)


def choose_thresholds(
    matches: pd.DataFrame,
    annotations: pd.DataFrame,
    min_precision: float,
    min_recall: float,
    class_names: Sequence[str] = CLASS_NAMES,
) -> pd.DataFrame:
    """Return for each class the threshold of the best F1, of a wanted precision and of a wanted recall.

    - `best_f1`: of equal ones the highest threshold;
    - `min_precision`: of all thresholds with at least this precision the one of most recall;
    - `min_recall`: of all thresholds with at least this recall the one of most precision.

    A threshold lies half-way between the last score that it keeps and the next one, so that it may be rounded a little.
    It was chosen on the detections that it is judged by: on other images expect a little less.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count.
        annotations: The true boxes that were matched.
        min_precision: Wanted precision in (0, 1].
        min_recall: Wanted recall in (0, 1].
        class_names: The order of the classes.

    Returns:
        Columns `class_name, goal, score_threshold, tp, fp, fn, precision, recall, f1`; a row a class and goal, then
        the rows of "all", one threshold for every class. Where a goal is out of reach (a class without hits has no
        best F1) the threshold and the ratios are NaN and the counts missing.

    Raises:
        ValueError: If a wanted share lies outside (0, 1], or a score is NaN.
    """
    for name, wanted in ((MIN_PRECISION, min_precision), (MIN_RECALL, min_recall)):
        if not 0 < wanted <= 1:
            raise ValueError(f"{name}: expected a share in (0, 1], got {wanted}")
    parts = []
    for name, group, num_faces in _groups(matches, annotations, class_names):
        candidates = _candidates(name, *_ranking(group), num_faces)
        chosen = {
            BEST_F1: _best(candidates, "f1", candidates["f1"] > 0),
            MIN_PRECISION: _best(candidates, "recall", candidates["precision"] >= min_precision),
            MIN_RECALL: _best(candidates, "precision", candidates["recall"] >= min_recall),
        }
        rows = candidates.reindex(list(chosen.values()))
        parts.append(rows.assign(class_name=name, goal=list(chosen)).astype(dict.fromkeys(_COUNTS, "Int64")))
    columns = ["class_name", "goal", "score_threshold", *_COUNTS, *_RATIOS]
    return pd.concat(parts, ignore_index=True)[columns]


def thresholds_of(chosen: pd.DataFrame, goal: str) -> dict[str, float]:
    """Return the threshold of each class, without "all", as `operating_point` and `confusion_pairs` take it.

    Args:
        chosen: What `choose_thresholds` returns.
        goal: One of `GOALS`.

    Raises:
        ValueError: If the goal is unknown.
    """
    if goal not in GOALS:
        raise ValueError(f"goal: expected one of {list(GOALS)}, got {goal!r}")
    rows = chosen[(chosen["goal"] == goal) & (chosen["class_name"] != ALL_CLASSES)]
    return dict(zip(rows["class_name"], rows["score_threshold"].astype(float), strict=True))


def _groups(
    matches: pd.DataFrame, annotations: pd.DataFrame, class_names: Sequence[str]
) -> list[tuple[str, pd.DataFrame, int]]:
    """Return (name, detections, number of true boxes) of each class, then of all together."""
    undefined = matches[matches["score"].isna()]
    if len(undefined):
        raise ValueError(f"matches: expected scores in [0, 1], got NaN in row {undefined.index[0]}")
    faces = annotations["class_name"].value_counts().reindex(class_names, fill_value=0)
    groups = [(name, matches[matches["class_name"] == name], int(faces[name])) for name in class_names]
    return [*groups, (ALL_CLASSES, matches, len(annotations))]


def _ranking(matches: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) scores, falling, and (N + 1,) int, the hits among the first 0…N."""
    order = np.argsort(-matches["score"].to_numpy(), kind="stable")  # (N,)
    hits = np.cumsum(matches["is_tp"].to_numpy()[order])  # (N,)
    return matches["score"].to_numpy()[order], np.insert(hits, 0, 0)


def _candidates(class_name: str, scores: np.ndarray, hits: np.ndarray, num_faces: int) -> pd.DataFrame:
    """Return a row for each different score, from the highest down: the threshold that keeps it and nothing lower."""
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])  # (D,) rows, last of equal ones
    lowest_kept = scores[last]  # (D,)
    next_score = np.append(lowest_kept[1:], lowest_kept[-1:])  # (D,) below the lowest score nothing is known
    between = ((lowest_kept.astype(np.float64) + next_score) / 2).astype(scores.dtype)  # (D,)
    thresholds = np.where(between > next_score, between, lowest_kept)  # (D,) neighbours in float32 have no middle
    return _points(class_name, thresholds.astype(np.float64), last + 1, hits, num_faces)


def _points(
    class_name: str, thresholds: np.ndarray, num_kept: np.ndarray, hits: np.ndarray, num_faces: int
) -> pd.DataFrame:
    tp = hits[num_kept]  # (T,)
    fp, fn = num_kept - tp, num_faces - tp
    columns = {"class_name": class_name, "score_threshold": thresholds, "tp": tp, "fp": fp, "fn": fn}
    return pd.DataFrame(columns | detection_rates(tp, num_kept, num_faces))


def _best(candidates: pd.DataFrame, column: str, is_allowed: pd.Series) -> int:
    """Return the row label of the largest value, of equal ones the first (highest threshold); -1 if none is allowed."""
    values = candidates.loc[is_allowed, column].dropna()
    return int(values.idxmax()) if len(values) else -1
