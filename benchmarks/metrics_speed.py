"""Time `coco_metrics` (faster-coco-eval) against pycocotools on one synthetic cross-validation.

Run `PYTHONPATH=src python benchmarks/metrics_speed.py` from the project's root; needs the extra `dev`.
"""

import contextlib
import io
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskdet.boxes import xyxy_to_xywh
from maskdet.evaluation.coco import MAX_DETECTIONS, coco_metrics
from maskdet.evaluation.matching import match_detections
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

NUM_IMAGES, NUM_FACES, NUM_DETECTIONS = 683, 4_000, 70_000


def synthetic_tables(seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return images, annotations, predictions in the real set's proportions; a third of the detections lie on faces.

    Args:
        seed: Of every draw.

    Returns:
        683 images, 4,000 true boxes, 70,000 detections, columns as far as metrics read them.
    """
    rng = np.random.default_rng(seed)
    names = np.array([f"image_{i:04d}.png" for i in range(NUM_IMAGES)])
    file_of_face = rng.integers(0, NUM_IMAGES, NUM_FACES)  # (M,)
    faces = _random_boxes(rng, NUM_FACES)  # (M, 4)
    boxes = _random_boxes(rng, NUM_DETECTIONS)  # (N, 4)
    file_of_box = rng.integers(0, NUM_IMAGES, NUM_DETECTIONS)  # (N,)
    face_of_box = rng.integers(0, NUM_FACES, NUM_DETECTIONS // 3)  # (N / 3,)
    boxes[: len(face_of_box)] = faces[face_of_box] + rng.normal(0, 2, (len(face_of_box), 4))
    file_of_box[: len(face_of_box)] = file_of_face[face_of_box]
    return (
        pd.DataFrame({"file_name": names}),
        _box_table(rng, names[file_of_face], faces),
        _box_table(rng, names[file_of_box], boxes).assign(score=rng.uniform(0, 1, NUM_DETECTIONS).astype(np.float32)),
    )


def _random_boxes(rng: np.random.Generator, num: int) -> np.ndarray:
    corners = rng.uniform(0, 350, (num, 2))  # (N, 2)
    return np.hstack([corners, corners + rng.uniform(15, 60, (num, 2))])  # (N, 4)


def _box_table(rng: np.random.Generator, file_names: np.ndarray, boxes: np.ndarray) -> pd.DataFrame:
    classes = rng.choice(CLASS_NAMES, len(boxes), p=[0.8, 0.17, 0.03])
    columns = pd.DataFrame(boxes.astype(np.float32), columns=BOX_COLUMNS)
    return columns.assign(file_name=file_names, class_name=classes)


def pycocotools_map(images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame) -> float:
    """Return pycocotools' mAP at 100 detections, from the same tables."""
    header = {
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": k, "name": name} for k, name in enumerate(CLASS_NAMES)],
    }
    ids = {name: i for i, name in enumerate(images["file_name"])}
    with contextlib.redirect_stdout(io.StringIO()):
        sides = [COCO(), COCO()]
        for side, table in zip(sides, (annotations, predictions), strict=True):
            side.dataset = {**header, "annotations": _coco_rows(table, ids)}
            side.createIndex()
        evaluation = COCOeval(*sides, iouType="bbox")
        evaluation.params.maxDets = list(MAX_DETECTIONS)
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, MAX_DETECTIONS.index(100)]  # (T, R, K)
    return float(precision[precision > -1].mean())


def _coco_rows(table: pd.DataFrame, ids: dict[str, int]) -> list[dict]:
    scores = table["score"].tolist() if "score" in table else [0.0] * len(table)
    boxes_xywh = xyxy_to_xywh(table[BOX_COLUMNS].to_numpy(np.float64)).tolist()
    rows = zip(table["file_name"], table["class_name"], boxes_xywh, scores, strict=True)
    return [
        {
            "id": number,
            "image_id": ids[file_name],
            "category_id": CLASS_NAMES.index(class_name),
            "bbox": box_xywh,
            "area": box_xywh[2] * box_xywh[3],
            "iscrowd": 0,
            "score": score,
        }
        for number, (file_name, class_name, box_xywh, score) in enumerate(rows, start=1)
    ]


def timed(function: Callable, *arguments: object) -> tuple[object, float]:
    """Return the result and the CPU seconds that it took."""
    started = time.process_time()
    return function(*arguments), time.process_time() - started


def main() -> None:
    """Print both times, their ratio and how far the two mAPs lie apart."""
    images, annotations, predictions = synthetic_tables()
    metrics, fast_seconds = timed(coco_metrics, images, annotations, predictions)
    reference, slow_seconds = timed(pycocotools_map, images, annotations, predictions)
    _, matching_seconds = timed(match_detections, annotations, predictions)
    print(f"{len(images)} images, {len(annotations)} faces, {len(predictions)} detections; CPU seconds")
    print(f"coco_metrics      {fast_seconds:6.2f}  mAP {metrics['map']:.6f}")
    print(f"pycocotools       {slow_seconds:6.2f}  mAP {reference:.6f}  ({slow_seconds / fast_seconds:.1f} times)")
    print(f"match_detections  {matching_seconds:6.2f}")
    print(f"difference of mAP {abs(metrics['map'] - reference):.1e}")


if __name__ == "__main__":
    main()
