"""COCO's detection metrics from the tables, computed by faster-coco-eval in memory."""

import numpy as np
import pandas as pd
from faster_coco_eval import COCO
from faster_coco_eval.core.faster_eval_api import COCOeval_faster

from maskdet.boxes import xyxy_to_xywh
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.sizes import area_ranges
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

MAX_DETECTIONS = (1, 10, 100, 300)
"""Ceilings on the detections of one class in one image; AP uses 100, each of them has its AR."""

AP_MAX_DETECTIONS = 100
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # (10,) COCO's


def coco_metrics(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    size_bounds_px: tuple[float, float] | None = None,
) -> dict[str, float]:
    """Return mAP, AP by class and size, and AR, as COCO defines them.

    Images without a face count: their detections are false positives. A box with `is_difficult` is an ordinary box,
    here it is neither ignored nor weighted. COCO's ceiling (100 for AP) holds for each class of an image, not for the
    image. Equal scores are ordered by file name, then by row.

    Args:
        images: A row an image to evaluate; of its columns only `file_name` is read.
        annotations: True boxes of these images, columns as `schema.ANNOTATIONS`.
        predictions: Detections in these images, columns as `schema.PREDICTIONS`, any order, may be empty.
        size_bounds_px: What `sizes.size_tertiles` returns for the whole set; None leaves the thirds out.

    Returns:
        `map, map_50, map_75, map_small, map_medium, map_large, ar_1, ar_10, ar_100, ar_300`, then `ap/<class>` and
        `ap_50/<class>` of each class in the order of `CLASS_NAMES`; in [0, 1]. NaN where no true box has the class
        or the size; such a class is left out of the means. With bounds also `map_tertile_1` (the smallest third of
        the set's faces), `map_tertile_2, map_tertile_3`.

    Raises:
        ValueError: See `check_tables`: unknown files or classes, inverted boxes, scores that are none.

    Reference:
        Lin et al. (2014), Microsoft COCO, https://arxiv.org/abs/1405.0312; agrees with pycocotools within 1e-6.
    """
    check_tables(images, annotations, predictions, CLASS_NAMES)
    ranges = area_ranges(size_bounds_px)
    image_ids = {file_name: i for i, file_name in enumerate(sorted(images["file_name"]), start=1)}
    class_ids = {class_name: i for i, class_name in enumerate(CLASS_NAMES, start=1)}
    true_rows = _coco_rows(annotations, image_ids, class_ids)
    found_rows = _coco_rows(predictions, image_ids, class_ids)
    if not true_rows:
        return _flat_metrics(*_undefined_arrays(len(class_ids), len(ranges)), list(ranges))
    arrays = _accumulate(image_ids, class_ids, true_rows, found_rows, list(ranges.values()))
    return _flat_metrics(*arrays, list(ranges))


def _coco_rows(table: pd.DataFrame, image_ids: dict[str, int], class_ids: dict[str, int]) -> list[dict]:
    """Return COCO's record of every box. float32 coordinates become float64 before any sum, so widths are exact."""
    image_of_row = table["file_name"].map(image_ids).to_numpy(np.int64)  # (N,)
    class_of_row = table["class_name"].map(class_ids).to_numpy(np.int64)  # (N,)
    boxes_xywh = xyxy_to_xywh(table[BOX_COLUMNS].to_numpy(np.float64))  # (N, 4)
    areas = boxes_xywh[:, 2:].prod(axis=1)  # (N,)
    scores = table["score"].to_numpy(np.float64) if "score" in table else np.zeros(len(table))  # (N,)
    columns = (image_of_row, class_of_row, boxes_xywh, areas, scores)
    keys = ("id", "image_id", "category_id", "bbox", "area", "score")
    rows = zip(range(1, len(table) + 1), *(column.tolist() for column in columns), strict=True)
    return [{**dict(zip(keys, row, strict=True)), "iscrowd": 0} for row in rows]


def _accumulate(
    image_ids: dict[str, int],
    class_ids: dict[str, int],
    true_rows: list[dict],
    found_rows: list[dict],
    ranges: list[tuple[float, float]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return precision (T, R, K, A, M) and recall (T, K, A, M); -1 where undefined.

    T IoU thresholds, R recall points, K classes, A ranges of the area, M ceilings.
    """
    header = {
        "images": [{"id": i} for i in image_ids.values()],
        "categories": [{"id": i, "name": name} for name, i in class_ids.items()],
    }
    truth = COCO({**header, "annotations": true_rows})
    found = COCO({**header, "annotations": found_rows})
    evaluation = COCOeval_faster(truth, found, iouType="bbox")
    evaluation.params.maxDets = list(MAX_DETECTIONS)
    evaluation.params.areaRng = [list(bounds) for bounds in ranges]
    evaluation.evaluate()
    evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"])


def _undefined_arrays(num_classes: int, num_ranges: int) -> tuple[np.ndarray, np.ndarray]:
    shape = (num_classes, num_ranges, len(MAX_DETECTIONS))
    return np.full((10, 101, *shape), -1.0), np.full((10, *shape), -1.0)


def _flat_metrics(precision: np.ndarray, recall: np.ndarray, range_names: list[str]) -> dict[str, float]:
    """Average COCO's arrays; shapes as in `_accumulate`, the first range is that of all areas."""
    at_ceiling = precision[..., MAX_DETECTIONS.index(AP_MAX_DETECTIONS)]  # (T, R, K, A)
    every_size = at_ceiling[..., 0]  # (T, R, K)
    metrics = {
        "map": _mean_defined(every_size),
        "map_50": _mean_defined(every_size[0]),
        "map_75": _mean_defined(every_size[5]),
    }
    metrics |= {f"map_{name}": _mean_defined(at_ceiling[..., i]) for i, name in enumerate(range_names) if i}
    metrics |= {f"ar_{n}": _mean_defined(recall[..., 0, i]) for i, n in enumerate(MAX_DETECTIONS)}
    metrics |= {f"ap/{name}": _mean_defined(every_size[:, :, k]) for k, name in enumerate(CLASS_NAMES)}
    return metrics | {f"ap_50/{name}": _mean_defined(every_size[0, :, k]) for k, name in enumerate(CLASS_NAMES)}


def _mean_defined(values: np.ndarray) -> float:
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
