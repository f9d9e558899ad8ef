"""Detections as tables of one file: CSV, Parquet, COCO JSON."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskdet.atomic import atomic_file
from maskdet.boxes import box_area, xyxy_to_xywh
from maskdet.inference.results import ImageResult, shortest_floats
from maskdet.inference.suppression import Detections

CSV_COLUMNS = ("file_name", "class_name", "score", "x_min", "y_min", "x_max", "y_max")
"""The table `predictions` of `maskdet.schema`, which loads pandas, without the fold."""

_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}  # a file name that is no UTF-8 comes out as it is


def write_csv(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    """Write a row a detection, in the order of images and best first; the header alone where there is none.

    Numbers are the shortest that read back as the same float32.
    """
    with atomic_file(path) as temporary, temporary.open("w", newline="", **_TEXT) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for result in results:
            found = result.detections
            for box, score, index in zip(found.boxes_xyxy, found.scores, found.class_indices, strict=True):
                writer.writerow([result.file_name, class_names[index], str(score), *map(str, box)])


def write_parquet(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    r"""Write the rows and columns of the CSV as Parquet, numbers as float32.

    Parquet has no text but UTF-8: of a file name that is none, the odd bytes are written as `\xe9`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    found = [result.detections for result in results]
    names = [_utf8_name(result.file_name) for result in results for _ in range(len(result.detections))]
    boxes_xyxy = np.concatenate([np.empty((0, 4), np.float32), *(part.boxes_xyxy for part in found)])  # (N, 4)
    scores = np.concatenate([np.empty(0, np.float32), *(part.scores for part in found)])  # (N,)
    classes = [class_names[index] for part in found for index in part.class_indices]
    arrays = [
        pa.array(names, pa.string()),
        pa.array(classes, pa.string()),
        pa.array(scores),
        *map(pa.array, boxes_xyxy.T),
    ]
    with atomic_file(path) as temporary:
        parquet.write_table(pa.Table.from_arrays(arrays, names=list(CSV_COLUMNS)), temporary)


def _utf8_name(file_name: str) -> str:
    return os.fsencode(file_name).decode("utf-8", errors="backslashreplace")


def write_coco(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    """Write one JSON object with `images`, `categories` and `annotations`, each of these with its `score`.

    Ids count from 1 as in COCO's own files. Images without a detection are listed too: they were looked at.
    """
    images, annotations = [], []
    for image_id, result in enumerate(results, start=1):
        width, height = result.image_wh
        images.append({"id": image_id, "file_name": result.file_name, "width": width, "height": height})
        for row in _coco_rows(result.detections):
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **row})
    categories = [{"id": index, "name": name} for index, name in enumerate(class_names, start=1)]
    record = {"images": images, "categories": categories, "annotations": annotations}
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n", **_TEXT)


def _coco_rows(found: Detections) -> list[dict]:
    boxes_xywh, areas = xyxy_to_xywh(found.boxes_xyxy), box_area(found.boxes_xyxy)
    rows = zip(found.class_indices, boxes_xywh, areas, shortest_floats(found.scores), strict=True)
    return [
        {
            "category_id": int(index) + 1,
            "bbox": shortest_floats(box),
            "area": shortest_floats([area])[0],
            "iscrowd": 0,
            "score": score,
        }
        for index, box, area, score in rows
    ]
