"""Why the mean AP is not higher: TIDE's kinds of errors, and what each of them costs."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import box_iou
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.coco import AP_MAX_DETECTIONS
from maskdet.evaluation.curves import ALL_CLASSES, average_precision, best_of_each_class, ranked_rows
from maskdet.evaluation.matching import NO_ANNOTATION, match_detections
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

HIT = "hit"
CLASSIFICATION, LOCALISATION, BOTH = "classification", "localisation", "both"
DUPLICATE, BACKGROUND, MISSED = "duplicate", "background", "missed"
FALSE_POSITIVE, FALSE_NEGATIVE = "false_positive", "false_negative"

ERROR_KINDS = (CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND, MISSED)
"""TIDE's six kinds; a detection has one of the first five, a true box without any detection near is missed."""

ORACLES = (*ERROR_KINDS, FALSE_POSITIVE, FALSE_NEGATIVE)
"""What can be corrected: each kind, or every detection that is no hit, or every true box that is not hit."""


@dataclass(frozen=True)
class DetectionErrors:
    """Every detection and every true box with its error.

    Attributes:
        detections: What AP counts of the predictions, in their order and with their index. Columns as
            `match_detections` returns them, plus `error` ("hit" or one of the first five of `ERROR_KINDS`), `cause`
            (index label of the true box that the error concerns, -1 for none) and `is_repair` (bool: the oracle of its
            kind turns it into a hit; at most one a true box, which then is not missed).
        faces: The annotations plus `is_found` (bool) and `is_missed` (bool: neither found nor within a repair's reach).
        iou_threshold: From which IoU on a detection is a hit.
    """

    detections: pd.DataFrame
    faces: pd.DataFrame
    iou_threshold: float


def classify_errors(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    iou_threshold: float = 0.5,
    background_iou: float = 0.1,
    max_detections: int = AP_MAX_DETECTIONS,
) -> DetectionErrors:
    """Say of every detection that is no hit what is wrong with it. The first kind that applies counts.

    - localisation: its best IoU with a true box of its class lies between `background_iou` and `iou_threshold`;
    - classification: it reaches `iou_threshold` with a true box of another class;
    - duplicate: it reaches `iou_threshold` with a true box of its class, which a better detection has taken;
    - background: it reaches more than `background_iou` with no true box;
    - both: it is near a box of another class, but neither class nor place are right.

    Args:
        images: A row an image; of its columns only `file_name` is read.
        annotations: True boxes, columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Detections, columns as `schema.PREDICTIONS`, with a unique index; may be empty.
        iou_threshold: In (0, 1]; the foreground threshold.
        background_iou: In (0, iou_threshold]; at most so much overlap counts as none.
        max_detections: Best detections of a class in an image that are looked at, as in `coco_metrics`; tidecv counts
            the best of an image whatever their classes.

    Raises:
        ValueError: If a threshold lies outside its range, or see `check_tables`.

    Reference:
        Bolya et al. (2020), TIDE, https://arxiv.org/abs/2008.08115, section 2. Agrees with tidecv apart from detections
        of one score and boxes of one IoU (ordered as COCO orders them here) and from the ceiling.
    """
    if not 0 < background_iou <= iou_threshold:
        raise ValueError(f"expected 0 < background_iou <= iou_threshold ({iou_threshold}), got {background_iou}")
    check_tables(images, annotations, predictions, CLASS_NAMES)
    kept = best_of_each_class(predictions, max_detections)
    matches = match_detections(annotations, kept, iou_threshold)
    is_found = annotations.index.isin(matches["annotation"])  # (M,)
    error, cause_row = _error_of_each(annotations, matches, is_found, iou_threshold, background_iou)
    cause = np.where(cause_row >= 0, np.append(annotations.index, NO_ANNOTATION)[cause_row], NO_ANNOTATION)  # (N,)
    detections = matches.assign(error=error, cause=cause)
    found_labels = set(annotations.index[is_found])
    detections["is_repair"] = _repairs(detections, found_labels)
    within_reach = annotations.index.isin(detections.loc[detections["is_repair"], "cause"])  # (M,)
    faces = annotations.assign(is_found=is_found, is_missed=~is_found & ~within_reach)
    return DetectionErrors(detections, faces, iou_threshold)


def _error_of_each(
    annotations: pd.DataFrame, matches: pd.DataFrame, is_found: np.ndarray, iou_threshold: float, background_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) str kinds of errors and (N,) int, the row of the true box that each concerns or -1."""
    true_boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    true_classes = annotations["class_name"].to_numpy(object)  # (M,)
    boxes = matches[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    classes = matches["class_name"].to_numpy(object)  # (N,)
    error, cause_row = np.full(len(matches), BACKGROUND, object), np.full(len(matches), -1)  # (N,), (N,)
    true_rows_of = annotations.groupby("file_name", sort=False).indices
    for file_name, rows in matches.groupby("file_name", sort=False).indices.items():
        if file_name in true_rows_of:
            true_rows = true_rows_of[file_name]  # (m,)
            ious = box_iou(boxes[rows], true_boxes[true_rows])  # (n, m)
            same_class = classes[rows, None] == true_classes[true_rows]  # (n, m)
            kinds, nearest = _kinds(ious, same_class, is_found[true_rows], iou_threshold, background_iou)
            error[rows], cause_row[rows] = kinds, np.where(nearest >= 0, true_rows[nearest], -1)
    error[matches["is_tp"]], cause_row[matches["is_tp"]] = HIT, -1
    return error, cause_row


def _kinds(
    ious: np.ndarray, same_class: np.ndarray, is_found: np.ndarray, iou_threshold: float, background_iou: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) kinds as if no detection were a hit, and (n,) int, the true box that each concerns or -1.

    Args:
        ious: (n, m) of detections and true boxes of one image, m > 0.
        same_class: (n, m) bool.
        is_found: (m,) bool.
        iou_threshold: See `classify_errors`.
        background_iou: See `classify_errors`.
    """
    right, wrong, taken = (np.where(of, ious, 0.0) for of in (same_class, ~same_class, same_class & is_found))  # (n, m)
    best_right = right.max(axis=1)  # (n,)
    conditions = {
        LOCALISATION: (background_iou <= best_right) & (best_right <= iou_threshold),
        CLASSIFICATION: wrong.max(axis=1) >= iou_threshold,
        DUPLICATE: taken.max(axis=1) >= iou_threshold,
        BACKGROUND: ious.max(axis=1) <= background_iou,
    }
    concerned = [right.argmax(axis=1), wrong.argmax(axis=1), taken.argmax(axis=1), np.full(len(ious), -1)]
    kinds = np.select(list(conditions.values()), list(conditions), BOTH)  # (n,)
    return kinds, np.select(list(conditions.values()), concerned, ious.argmax(axis=1))


def _repairs(detections: pd.DataFrame, found_labels: set[int]) -> np.ndarray:
    """Return (N,) bool: the best of the wrongly placed or wrongly named detections of each true box not found."""
    is_candidate = detections["error"].isin([CLASSIFICATION, LOCALISATION]) & ~detections["cause"].isin(found_labels)
    ranked = detections.iloc[ranked_rows(detections)]
    best = ranked[is_candidate.reindex(ranked.index)].drop_duplicates("cause")
    return detections.index.isin(best.index)


def error_costs(errors: DetectionErrors) -> pd.DataFrame:
    """Return how many errors of each kind there are, and how much AP the correction of each kind alone would give.

    The gains do not add up to what is missing to 1: an error hides others. A repair moves a detection to the right
    class or place with the score that it has; whatever else would repair the same true box, and every double and
    false alarm, is dropped; a missed box is taken from the count of true boxes.

    Args:
        errors: What `classify_errors` returns.

    Returns:
        Columns `error` (of `ORACLES`, in that order), `class_name` (the classes, then "all"), `count` (detections by
        the class that they name; "missed" and "false_negative" true boxes by theirs) and `ap_gain`, of the mean over
        the classes that have true boxes in the rows "all"; at the errors' IoU threshold. NaN for a class without a
        true box; never negative for the six kinds (the steps of 101 recall points can lose a trifle).

    Reference:
        Bolya et al. (2020), section 2.3. tidecv counts a class without true boxes as 0 where it has detections, and
        leaves a class out that has neither detections nor true boxes any more; here it keeps its 0.
    """
    ranked = errors.detections.iloc[ranked_rows(errors.detections)]
    num_faces = errors.faces["class_name"].value_counts().reindex(CLASS_NAMES, fill_value=0)  # (K,)
    base = _class_aps(ranked, num_faces)
    parts = []
    for oracle in ORACLES:
        gains = _class_aps(*_corrected(errors, ranked, num_faces, oracle)).where(num_faces > 0) - base  # (K,)
        gains[ALL_CLASSES] = gains.mean()  # NaN left out
        counts = _counts(errors, oracle).reindex(CLASS_NAMES, fill_value=0)
        counts[ALL_CLASSES] = counts.sum()
        gains = gains.clip(lower=0) if oracle in ERROR_KINDS else gains
        part = {"error": oracle, "class_name": gains.index, "count": counts.to_numpy(), "ap_gain": gains.to_numpy()}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _class_aps(ranked: pd.DataFrame, num_faces: pd.Series) -> pd.Series:
    """Return the AP of each class; 0 for a class that a correction left without true boxes or that has none."""
    hits_of = {name: part.to_numpy() for name, part in ranked.groupby("class_name")["is_tp"]}
    nothing = np.zeros(0, bool)
    aps = {c: average_precision(hits_of.get(c, nothing), n) if n else 0.0 for c, n in num_faces.items()}
    return pd.Series(aps, dtype=np.float64)


def _corrected(
    errors: DetectionErrors, ranked: pd.DataFrame, num_faces: pd.Series, oracle: str
) -> tuple[pd.DataFrame, pd.Series]:
    """Return the ranked detections and the counts of true boxes after an oracle's work."""
    if oracle in (MISSED, FALSE_NEGATIVE):
        return ranked, num_faces - _counts(errors, oracle).reindex(num_faces.index, fill_value=0)
    if oracle == FALSE_POSITIVE:
        return ranked[ranked["is_tp"]], num_faces
    concerned = ranked["error"] == oracle
    kept = ranked[~concerned | ranked["is_repair"]]
    repaired = concerned.reindex(kept.index)
    classes = kept["class_name"].mask(repaired, kept["cause"].map(errors.faces["class_name"]))
    return kept.assign(class_name=classes, is_tp=kept["is_tp"] | repaired), num_faces


def _counts(errors: DetectionErrors, oracle: str) -> pd.Series:
    """Return the number of errors by class."""
    faces, detections = errors.faces, errors.detections
    rows = {
        MISSED: lambda: faces[faces["is_missed"]],
        FALSE_NEGATIVE: lambda: faces[~faces["is_found"]],
        FALSE_POSITIVE: lambda: detections[~detections["is_tp"]],
    }.get(oracle, lambda: detections[detections["error"] == oracle])()
    return rows["class_name"].value_counts()


def most_confident_errors(errors: DetectionErrors, num: int) -> pd.DataFrame:
    """Return the wrong detections of the highest scores, best first: what a gallery of errors shows.

    Args:
        errors: What `classify_errors` returns.
        num: At most so many rows.

    Returns:
        Rows of `errors.detections` that are no hit, with their index, plus `true_class` (that of the true box which the
        error concerns, NaN for none).
    """
    wrong = errors.detections[~errors.detections["is_tp"]]
    best = wrong.iloc[ranked_rows(wrong)[:num]]
    return best.assign(true_class=best["cause"].map(errors.faces["class_name"]))
