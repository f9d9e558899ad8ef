"""Find faces and say who wears a mask: `python score.py photo.jpg … --output predictions.csv`; needs no maskdet."""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def shrink(rows: np.ndarray, length: int) -> np.ndarray:
    """Return means of the rows that each of `length` rows covers, parts of rows counted as parts."""
    sums, at = np.concatenate([np.zeros_like(rows[:1]), rows.cumsum(axis=0)]), np.linspace(0, len(rows), length + 1)
    row = np.minimum(at.astype(int), len(rows) - 1)
    return np.diff(sums[row] + (at - row)[:, None, None] * rows[row], axis=0) * (length / len(rows))


def neighbours(num: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of the two pixels that each of `length` lies between, and the weight of the second in 1/2048."""
    at = ((np.arange(length) + 0.5) * (num / length) - 0.5).clip(0, num - 1)
    first = np.minimum(at.astype(int), num - 2)
    return first, np.rint((at - first) * 2048).astype(int)[:, None]


def resize(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return (height, width, 3) uint8 pixels as OpenCV does: area means, or linear in short integers."""
    if width < image.shape[1]:
        rows = shrink(image.astype(np.float64), height).swapaxes(0, 1)
        return np.rint(shrink(rows, width).swapaxes(0, 1)).astype(np.uint8)
    (x, part_x), (y, part_y) = neighbours(image.shape[1], width), neighbours(image.shape[0], height)
    wide = (image[:, x] * (2048 - part_x) + image[:, x + 1] * part_x) >> 4
    upper, lower = wide[y] * (2048 - part_y)[:, None] >> 16, wide[y + 1] * part_y[:, None] >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def detect(session: onnxruntime.InferenceSession, model: dict, path: Path) -> list[tuple]:
    """Return (class name, score, x_min, y_min, x_max, y_max) of each face, best first, in pixels of the image."""
    image, size = ImageOps.exif_transpose(Image.open(path)).convert("RGB"), model["framing"]["size"]
    image_wh, limits = np.array(image.size), model["detect"]
    scale = size / (image_wh if model["framing"]["kind"] == "stretch" else np.full(2, image_wh.max()))
    width, height = np.maximum(1, np.rint(image_wh * scale)).astype(int).tolist()
    pixels = np.full((size, size, 3), 114, np.uint8)
    pixels[:height, :width] = resize(np.asarray(image), width, height)
    boxes, scores = session.run(["boxes_xyxy", "scores"], {"images": pixels.transpose(2, 0, 1)[None].copy()})
    thresholds = np.array([model["score_thresholds"][name] for name in model["class_names"]], np.float32)
    places, classes = np.nonzero(scores[0] >= thresholds)
    boxes, scores = boxes[0, places], scores[0, places, classes]
    areas, kept = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1), []
    for row in np.argsort(-scores, kind="stable")[: limits["max_candidates"]]:
        better = [other for other in kept if classes[other] == classes[row]]
        sides = np.minimum(boxes[better, 2:], boxes[row, 2:]) - np.maximum(boxes[better, :2], boxes[row, :2])
        shared = sides.clip(0).prod(axis=1)
        if not (shared > limits["nms_iou_threshold"] * (areas[better] + areas[row] - shared)).any():
            kept.append(row)
    kept = kept[: limits["max_detections"]]
    found = (boxes[kept] / np.tile(scale, 2)).clip(0, np.tile(image_wh, 2)).astype(np.float32)
    names = [model["class_names"][index] for index in classes[kept]]
    has_area = (found[:, 2:] > found[:, :2]).all(axis=1)
    return [
        row for row, is_face in zip(zip(names, scores[kept], *found.T, strict=True), has_area, strict=True) if is_face
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions.csv"))
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
    model = json.loads(session.get_modelmeta().custom_metadata_map["maskdet"])
    with options.output.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file_name", "class_name", "score", "x_min", "y_min", "x_max", "y_max"])
        for path in options.images:
            writer.writerows([path.as_posix(), *face] for face in detect(session, model, path))
