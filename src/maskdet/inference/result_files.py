"""Write detections: a CSV table, a COCO JSON, annotated pictures."""

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskdet.atomic import atomic_file
from maskdet.boxes import box_area, xyxy_to_xywh
from maskdet.inference.suppression import Detections

CSV_COLUMNS = ("file_name", "class_name", "score", "x_min", "y_min", "x_max", "y_max")
"""The table `predictions` of `maskdet.schema`, which loads pandas, without the fold."""

_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}  # a file name that is no UTF-8 comes out as it is
_PNG, _JPEG_QUALITY = ".png", [cv2.IMWRITE_JPEG_QUALITY, 95]
_SMALL_SIDE_PX = 640


@dataclass(frozen=True)
class ImageResult:
    """What was found in an image file.

    Attributes:
        file_name: As in `SourceImage`.
        image_wh: Width and height of the image in pixels.
        detections: In pixels of the image.
    """

    file_name: str
    image_wh: tuple[int, int]
    detections: Detections


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
    return [
        {"category_id": int(index) + 1, "bbox": _short(box), "area": _short([area])[0], "iscrowd": 0, "score": score}
        for index, box, area, score in zip(found.class_indices, boxes_xywh, areas, _short(found.scores), strict=True)
    ]


def _short(values: Sequence[np.float32]) -> list[float]:
    """Return float32 numbers as the floats with the fewest digits that are the same float32.

    >>> _short(np.array([0.1, 2], np.float32))
    [0.1, 2.0]
    """
    return [float(str(np.float32(value))) for value in values]


@dataclass(frozen=True)
class ResultFormat:
    """A file of results.

    Attributes:
        file_name: In the output folder.
        write: `write(results, class_names, path)`.
    """

    file_name: str
    write: Callable[[Sequence[ImageResult], Sequence[str], Path], None]


FORMATS = {
    "csv": ResultFormat("predictions.csv", write_csv),
    "coco": ResultFormat("predictions.coco.json", write_coco),
}
"""What `--format` knows."""


def parse_formats(text: str) -> list[str]:
    """Return the keys of `FORMATS` that a comma-separated list names, each once.

    Raises:
        ValueError: If a name is unknown, or there is none.

    >>> parse_formats("coco, csv,coco")
    ['coco', 'csv']
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise ValueError(f"expected formats out of {', '.join(FORMATS)}, got {', '.join(map(repr, unknown))}")
    return names


def write_picture(image: np.ndarray, result: ImageResult, class_names: Sequence[str], folder: Path) -> Path:
    """Write an image with its detections drawn on it.

    Small images are doubled, so that labels fit on faces of twenty pixels. The picture has the image's name and
    format, so that no two pictures meet; what is neither PNG nor JPEG becomes PNG, its name longer by `.png`.

    Args:
        image: (H, W, 3) uint8, RGB.
        result: Its detections.
        class_names: In the order of class indices.
        folder: Written to; `file_name` may name folders below it.

    Returns:
        The path of the picture.
    """
    from maskdet.reporting.drawing import draw_boxes, fit_for_display  # loads pandas: only who wants pictures waits

    found, longest = result.detections, max(result.image_wh)
    side_px = 2 * longest if longest <= _SMALL_SIDE_PX else longest
    shown, boxes_xyxy = fit_for_display(image, found.boxes_xyxy, side_px)
    drawn = draw_boxes(shown, boxes_xyxy, [class_names[index] for index in found.class_indices], list(found.scores))
    path = folder / result.file_name
    suffix = path.suffix.lower()
    if suffix not in (_PNG, ".jpg", ".jpeg"):
        path, suffix = path.with_name(path.name + _PNG), _PNG
    encoded = cv2.imencode(suffix, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [] if suffix == _PNG else _JPEG_QUALITY)[1]
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path
