"""What COCO makes of every detection at every size and IoU threshold, found once, so that images can be reweighted.

faster-coco-eval holds the same verdicts in memory that Python cannot read, hence this module; the tests hold the two
to each other.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import box_area, box_iou
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.coco import IOU_THRESHOLDS, MAX_DETECTIONS
from maskdet.evaluation.sizes import area_ranges
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

_UNMATCHED, _ON_COUNTED, _ON_IGNORED = 0, 1, 2
_NEARLY_ONE = 1 - 1e-10  # COCO's cap on a threshold


@dataclass(frozen=True)
class CocoVerdicts:
    """N detections, the best 300 of each class in each image, from the highest score down, and M true boxes.

    Equal scores are ordered by file name, then by row. A sizes are those of `area_ranges`, T thresholds COCO's.

    Attributes:
        size_names: A names; the first is `all`.
        files: The images' names, sorted; indices of images point into it.
        image_of_detection: (N,) int.
        class_of_detection: (N,) int, place in the list of classes.
        rank: (N,) int, place among the detections of its class and image, from 0.
        is_hit: (A, T, N) bool, the detection has found a true box of its class and of this size.
        is_counted: (A, T, N) bool, it is a hit or a false alarm; the others are left out: they lie on a true box of
            another size, or on none and are of another size themselves.
        image_of_face: (M,) int.
        class_of_face: (M,) int.
        is_face_counted: (A, M) bool, the true box has this size.
    """

    size_names: tuple[str, ...]
    files: tuple[str, ...]
    image_of_detection: np.ndarray
    class_of_detection: np.ndarray
    rank: np.ndarray
    is_hit: np.ndarray
    is_counted: np.ndarray
    image_of_face: np.ndarray
    class_of_face: np.ndarray
    is_face_counted: np.ndarray


def coco_verdicts(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    size_bounds_px: tuple[float, float] | None = None,
) -> CocoVerdicts:
    """Match detections with true boxes as COCO does, for every size and every threshold in one pass.

    Args:
        images: See `coco_metrics`.
        annotations: See `coco_metrics`.
        predictions: See `coco_metrics`.
        size_bounds_px: See `coco_metrics`.

    Returns:
        The verdicts.

    Raises:
        ValueError: See `coco_metrics`.

    Reference:
        pycocotools, `COCOeval.evaluateImg`.
    """
    check_tables(images, annotations, predictions, CLASS_NAMES)
    ranges = area_ranges(size_bounds_px)
    files = pd.Index(sorted(images["file_name"]))
    classes = pd.Index(CLASS_NAMES)
    found = _indexed(predictions, files, classes)
    scores = predictions["score"].to_numpy(np.float64)
    found = found.iloc[np.lexsort([found["image"], -scores])]  # stable: equal ones keep the order of rows
    rank = found.groupby(["image", "class"], sort=False).cumcount().to_numpy()
    is_kept = rank < max(MAX_DETECTIONS)
    found, rank = found[is_kept], rank[is_kept]
    faces = _indexed(annotations, files, classes)
    limits = np.array(list(ranges.values()))[:, :, None]  # (A, 2, 1)
    is_face_counted = _inside(faces, limits)  # (A, M)
    matched = _match(found, faces, is_face_counted)  # (A, T, N)
    is_of_size = _inside(found, limits)[:, None]  # (A, 1, N)
    return CocoVerdicts(
        size_names=tuple(ranges),
        files=tuple(files),
        image_of_detection=found["image"].to_numpy(),
        class_of_detection=found["class"].to_numpy(),
        rank=rank,
        is_hit=matched == _ON_COUNTED,
        is_counted=(matched == _ON_COUNTED) | ((matched == _UNMATCHED) & is_of_size),
        image_of_face=faces["image"].to_numpy(),
        class_of_face=faces["class"].to_numpy(),
        is_face_counted=is_face_counted,
    )


def _indexed(table: pd.DataFrame, files: pd.Index, classes: pd.Index) -> pd.DataFrame:
    """Return columns `image, class` (indices) and the box in float64, as COCO calculates."""
    columns = {"image": files.get_indexer(table["file_name"]), "class": classes.get_indexer(table["class_name"])}
    return pd.DataFrame(columns).join(table[BOX_COLUMNS].astype(np.float64).reset_index(drop=True))


def _inside(table: pd.DataFrame, limits: np.ndarray) -> np.ndarray:
    areas = box_area(table[BOX_COLUMNS].to_numpy())  # (N,)
    return (areas >= limits[:, 0]) & (areas <= limits[:, 1])  # (A, N)


def _match(found: pd.DataFrame, faces: pd.DataFrame, is_face_counted: np.ndarray) -> np.ndarray:
    """Return (A, T, N) of what each detection lies on; a class of an image concerns no other."""
    matched = np.zeros((len(is_face_counted), len(IOU_THRESHOLDS), len(found)), np.int8)
    boxes, true_boxes = found[BOX_COLUMNS].to_numpy(), faces[BOX_COLUMNS].to_numpy()  # (N, 4), (M, 4)
    faces_of_key = faces.groupby(["image", "class"], sort=False).indices
    for key, rows in found.groupby(["image", "class"], sort=False).indices.items():
        true_rows = faces_of_key.get(key)
        if true_rows is not None:
            ious = box_iou(boxes[rows], true_boxes[true_rows])  # (n, m)
            matched[..., rows] = _match_greedily(ious, is_face_counted[:, true_rows])
    return matched


def _match_greedily(ious: np.ndarray, is_face_counted: np.ndarray) -> np.ndarray:
    """Return (A, T, n) from (n, m) IoUs, rows from the highest score down, and (A, m) sizes.

    A detection takes the free true box of the size with the largest IoU; only where there is none, one of another
    size, which takes it out of the count. Of equal IoUs the last, as in COCO.
    """
    thresholds = np.minimum(IOU_THRESHOLDS, _NEARLY_ONE)[:, None]  # (T, 1)
    num_sizes, num_faces = is_face_counted.shape
    is_free = np.ones((num_sizes, len(thresholds), num_faces), bool)  # (A, T, m)
    matched = np.full((num_sizes, len(thresholds), len(ious)), _UNMATCHED, np.int8)  # (A, T, n)
    for row in np.flatnonzero(ious.max(axis=1) >= thresholds[0, 0]):
        near = np.flatnonzero(ious[row] >= thresholds[0, 0])[::-1]  # (k,) the last first: argmax takes the first
        can_take = is_free[:, :, near] & (ious[row, near] >= thresholds)  # (A, T, k)
        is_right_size = can_take & is_face_counted[:, None, near]
        has_right_size = is_right_size.any(axis=2)  # (A, T)
        candidates = np.where(has_right_size[..., None], is_right_size, can_take)
        taken = np.where(candidates, ious[row, near], -1).argmax(axis=2)  # (A, T)
        size, threshold = np.nonzero(candidates.any(axis=2))
        is_free[size, threshold, near[taken[size, threshold]]] = False
        matched[size, threshold, row] = np.where(has_right_size[size, threshold], _ON_COUNTED, _ON_IGNORED)
    return matched
