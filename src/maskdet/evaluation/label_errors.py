"""Where the labels themselves may be wrong: what models that never saw an image say against its labels."""

from pathlib import Path

import numpy as np
import pandas as pd

from maskdet.atomic import atomic_file
from maskdet.boxes import box_area, box_iou
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.matching import NO_ANNOTATION
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

WRONG_CLASS, MISPLACED_BOX = "wrong_class", "misplaced_box"
MISSING_LABEL, SPURIOUS_LABEL = "missing_label", "spurious_label"

LABEL_BOX = [f"label_{column}" for column in BOX_COLUMNS]
PREDICTED_BOX = [f"predicted_{column}" for column in BOX_COLUMNS]

_NEIGHBOURS = 100  # faces of about a size, of which the share that is found is taken
_VERDICT = ["file_name", "fold", "kind", "suspicion", "annotation", "label", "predicted", "score", "iou", "reason"]
_COLUMNS = [*_VERDICT, *LABEL_BOX, *PREDICTED_BOX]


def likely_label_errors(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    min_suspicion: float = 0.5,
    iou_threshold: float = 0.5,
    background_iou: float = 0.1,
) -> pd.DataFrame:
    """Rank the labels that a person should look at again.

    The predictions must be out-of-fold: a model repeats the errors that it was trained on. A suspicion lies in [0, 1]:

    - `wrong_class`, a detection of another class lies on the label: its score, times 1 - the best score that a
      detection of the label's own class has there;
    - `misplaced_box`, a detection of the label's class lies beside the label, near it and no other, and none lies on
      it: its score, times 1 - IoU, times 1 - the best score on the label;
    - `missing_label`, a detection lies on no label: its score, times 1 - its largest IoU with a label. Of several in
      one place the best one;
    - `spurious_label`, no detection of any class lies on or beside the label (those on another label apart): 1 - the
      best score there, times the share of the 100 faces nearest in size that are found (best score on them at least
      1/2), so that tiny faces, which are often missed, are not accused.

    "On" means an IoU of `iou_threshold` or more, "beside" one between the two thresholds, "on no label" one of
    `background_iou` or less. Suspicions are as good as the scores: calibrated ones compare better across classes.

    Args:
        images: A row an image; of its columns only `file_name` is read. Images without detections count: pass those
            only that were predicted.
        annotations: True boxes, columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Out-of-fold detections with low scores too, columns as `schema.PREDICTIONS`; may be empty.
        min_suspicion: Rows below it are left out.
        iou_threshold: In (0, 1].
        background_iou: In (0, iou_threshold].

    Returns:
        Most suspicious first; a label at most once a kind. Columns `file_name, fold` (of the detection; <NA> for a
        spurious label), `kind, suspicion, annotation` (index label of the true box, -1 for a missing one), `label` and
        `predicted` (classes), `score, iou, reason` (a sentence), `label_x_min` … `label_y_max`, `predicted_x_min` …
        `predicted_y_max`; missing values where there is no label or no detection.

    Raises:
        ValueError: If an image has detections of several folds (some of which were trained on it), if a threshold
            lies outside its range, or see `check_tables`.

    Reference:
        After the idea of Tkachenko et al. (2023), ObjectLab, https://arxiv.org/abs/2309.00832 (overlooked, badly
        located, swapped), with IoU in place of its similarity; the spurious label is added.
    """
    if not 0 < background_iou <= iou_threshold <= 1:
        raise ValueError(f"expected 0 < background_iou <= iou_threshold <= 1, got {background_iou} and {iou_threshold}")
    check_tables(images, annotations, predictions, CLASS_NAMES)
    _check_one_fold(predictions)
    predictions = predictions.reset_index(drop=True)
    pairs = _overlapping_pairs(annotations, predictions, background_iou)
    on_label = pairs[pairs["iou"] >= iou_threshold]
    beside = pairs[(pairs["iou"] < iou_threshold) & ~pairs["face"].isin(on_label.loc[on_label["is_same"], "face"])]
    beside = beside[beside["is_same"] & ~beside["detection"].isin(on_label["detection"])]
    found = [
        _wrong_classes(annotations, predictions, on_label),
        _misplaced_boxes(annotations, predictions, beside, on_label),
        _missing_labels(annotations, predictions, pairs, iou_threshold),
        _spurious_labels(annotations, on_label, pairs),
    ]
    rows = pd.concat([_with_boxes(part, annotations, predictions) for part in found], ignore_index=True)
    rows = rows[rows["suspicion"] >= min_suspicion]
    return rows.sort_values(["suspicion", "file_name", "kind"], ascending=[False, True, True], ignore_index=True)


def _check_one_fold(predictions: pd.DataFrame) -> None:
    num_folds = predictions.groupby("file_name")["fold"].nunique()
    if (num_folds > 1).any():
        raise ValueError(
            f"predictions: expected every image to be predicted in the one fold that holds it out, "
            f"got {num_folds.max()} folds for {num_folds.idxmax()!r}"
        )


def _overlapping_pairs(annotations: pd.DataFrame, predictions: pd.DataFrame, background_iou: float) -> pd.DataFrame:
    """Return `face, detection` (row numbers), `iou, score, is_same` (class) of each pair that overlaps by so much."""
    true_boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    boxes = predictions[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    faces_of = annotations.groupby("file_name", sort=False).indices
    parts = [np.zeros((0, 3))]
    for file_name, rows in predictions.groupby("file_name", sort=False).indices.items():
        if file_name in faces_of:
            ious = box_iou(true_boxes[faces_of[file_name]], boxes[rows])  # (m, n)
            face, detection = np.nonzero(ious > background_iou)
            parts.append(np.stack([faces_of[file_name][face], rows[detection], ious[face, detection]], axis=1))
    pairs = pd.DataFrame(np.concatenate(parts), columns=["face", "detection", "iou"])
    pairs = pairs.astype({"face": np.int64, "detection": np.int64})
    classes = predictions["class_name"].to_numpy(object)[pairs["detection"]]  # (P,)
    is_same = classes == annotations["class_name"].to_numpy(object)[pairs["face"]]  # (P,)
    scores = predictions["score"].to_numpy(np.float64)[pairs["detection"]]  # (P,)
    return pairs.assign(score=scores, is_same=is_same.astype(bool))


def _best_scores(on_label: pd.DataFrame, num_faces: int) -> np.ndarray:
    """Return (M,) the best score of the pairs of each face; 0 without any."""
    return on_label.groupby("face")["score"].max().reindex(range(num_faces), fill_value=0.0).to_numpy()


def _one_a_face(pairs: pd.DataFrame) -> pd.DataFrame:
    return pairs.sort_values("suspicion", ascending=False, kind="stable").drop_duplicates("face")


def _wrong_classes(annotations: pd.DataFrame, predictions: pd.DataFrame, on_label: pd.DataFrame) -> pd.DataFrame:
    own = _best_scores(on_label[on_label["is_same"]], len(annotations))  # (M,)
    other = on_label[~on_label["is_same"]]
    rows = _one_a_face(other.assign(suspicion=other["score"] * (1 - own[other["face"]])))
    labels = annotations["class_name"].to_numpy(object)[rows["face"]]
    classes = predictions["class_name"].to_numpy(object)[rows["detection"]]
    told = zip(labels, classes, rows["score"], own[rows["face"]], strict=True)
    reasons = [f"labelled {a}, predicted {b} with {score:.2f} ({a}: {rest:.2f})" for a, b, score, rest in told]
    return rows.assign(kind=WRONG_CLASS, reason=reasons)


def _misplaced_boxes(
    annotations: pd.DataFrame, predictions: pd.DataFrame, beside: pd.DataFrame, on_label: pd.DataFrame
) -> pd.DataFrame:
    best = _best_scores(on_label, len(annotations))  # (M,)
    # A detection accuses the label that it is nearest to.
    nearest = beside.sort_values("iou", ascending=False, kind="stable").drop_duplicates("detection")
    rows = _one_a_face(nearest.assign(suspicion=nearest["score"] * (1 - nearest["iou"]) * (1 - best[nearest["face"]])))
    classes = predictions["class_name"].to_numpy(object)[rows["detection"]]
    told = zip(classes, rows["score"], rows["iou"], strict=True)
    reasons = [f"{name} predicted with {score:.2f} beside the label (IoU {iou:.2f})" for name, score, iou in told]
    return rows.assign(kind=MISPLACED_BOX, reason=reasons)


def _missing_labels(
    annotations: pd.DataFrame, predictions: pd.DataFrame, pairs: pd.DataFrame, iou_threshold: float
) -> pd.DataFrame:
    candidates = predictions[~predictions.index.isin(pairs["detection"])]
    candidates = candidates.sort_values("score", ascending=False, kind="stable")
    candidates = candidates[_is_first_in_its_place(candidates, iou_threshold)]
    ious = _largest_ious(annotations, candidates)  # (n,)
    scores = candidates["score"].to_numpy(np.float64)  # (n,)
    told = zip(candidates["class_name"], scores, strict=True)
    columns = {"face": NO_ANNOTATION, "detection": candidates.index, "iou": ious, "score": scores}
    reasons = [f"{name} predicted with {score:.2f} where nothing is labelled" for name, score in told]
    return pd.DataFrame(columns).assign(suspicion=scores * (1 - ious), kind=MISSING_LABEL, reason=reasons)


def _is_first_in_its_place(ranked: pd.DataFrame, iou_threshold: float) -> np.ndarray:
    """Return (n,) bool: no detection above, of whatever class, that is itself first overlaps it so much."""
    boxes, is_first = ranked[BOX_COLUMNS].to_numpy(np.float64), np.ones(len(ranked), bool)  # (n, 4), (n,)
    for rows in ranked.groupby("file_name", sort=False).indices.values():
        overlaps = box_iou(boxes[rows], boxes[rows]) >= iou_threshold  # (k, k)
        for i in range(len(rows)):
            is_first[rows[i]] = not (overlaps[i, :i] & is_first[rows[:i]]).any()
    return is_first


def _largest_ious(annotations: pd.DataFrame, detections: pd.DataFrame) -> np.ndarray:
    """Return (n,) the largest IoU of each detection with a label of its image; 0 without labels."""
    boxes, largest = detections[BOX_COLUMNS].to_numpy(np.float64), np.zeros(len(detections))  # (n, 4), (n,)
    true_boxes, faces_of = annotations[BOX_COLUMNS].to_numpy(np.float64), annotations.groupby("file_name").indices
    for file_name, rows in detections.groupby("file_name", sort=False).indices.items():
        if file_name in faces_of:
            largest[rows] = box_iou(boxes[rows], true_boxes[faces_of[file_name]]).max(axis=1)
    return largest


def _spurious_labels(annotations: pd.DataFrame, on_label: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    is_on_another = ~pairs.index.isin(on_label.index) & pairs["detection"].isin(on_label["detection"])
    near = _best_scores(pairs[~is_on_another], len(annotations))  # (M,)
    sizes = np.sqrt(box_area(annotations[BOX_COLUMNS].to_numpy(np.float64)))  # (M,)
    found_share = _share_among_nearest(sizes, _best_scores(on_label, len(annotations)) >= 0.5)  # (M,)
    told = zip(near, sizes, found_share, strict=True)
    reasons = [
        f"nothing predicted above {score:.2f} here; of faces of about {size:.0f} px {share:.0%} are found"
        for score, size, share in told
    ]
    columns = {"face": np.arange(len(near)), "detection": NO_ANNOTATION, "score": near, "iou": np.nan}
    return pd.DataFrame(columns).assign(suspicion=(1 - near) * found_share, kind=SPURIOUS_LABEL, reason=reasons)


def _share_among_nearest(values: np.ndarray, is_true: np.ndarray) -> np.ndarray:
    """Return (M,) for each value the share of true ones among the values that are next to it in order, itself too."""
    order = np.argsort(values, kind="stable")  # (M,)
    window = min(_NEIGHBOURS, len(values))
    starts = np.clip(np.arange(len(values)) - window // 2, 0, len(values) - window)  # (M,)
    sums = np.insert(np.cumsum(is_true[order]), 0, 0)  # (M + 1,)
    shares = np.empty(len(values))  # (M,)
    shares[order] = (sums[starts + window] - sums[starts]) / max(window, 1)
    return shares


def _with_boxes(rows: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the result; `face` and `detection` are row numbers, -1 for none."""
    faces = annotations.reset_index(names="annotation").reindex(rows["face"]).reset_index(drop=True)
    detections = predictions.reindex(rows["detection"]).reset_index(drop=True)
    table = rows.reset_index(drop=True)
    table["file_name"] = faces["file_name"].fillna(detections["file_name"])
    table["fold"] = detections["fold"].astype("Int64")
    table["annotation"] = faces["annotation"].fillna(NO_ANNOTATION).astype(np.int64)
    table["label"], table["predicted"] = faces["class_name"], detections["class_name"]
    table[LABEL_BOX], table[PREDICTED_BOX] = faces[BOX_COLUMNS].to_numpy(), detections[BOX_COLUMNS].to_numpy()
    return table[_COLUMNS]


def write_label_errors(errors: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV with an empty column `decision` in front, for a person to fill.

    Args:
        errors: What `likely_label_errors` returns.
        path: Written under a temporary name first.
    """
    table = errors.copy()
    table.insert(0, "decision", "")
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g", lineterminator="\n")
