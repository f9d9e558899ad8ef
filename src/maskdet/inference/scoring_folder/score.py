"""Find faces and say who wears a mask: `python score.py photo.jpg … --output predictions.csv`; needs no maskdet."""

import argparse
import csv
import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: some builds report home
import onnxruntime
from PIL import Image, ImageOps

SAME_FACE_IOU = 0.5  # boxes that overlap by more are of one face
MIN_VOTER_SHARE = 0.2  # of a kept box's score: candidates with less do not move it


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


def read(path: Path) -> np.ndarray:
    """Return the (H, W, 3) uint8 pixels of a photo as it is shown; of 16 bits the high byte."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):  # Pillow's own conversion cuts 16 bits of grey at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


def overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each box with one."""
    sides = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared, areas = sides.clip(0).prod(axis=1), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    union = areas + (box[2:] - box[:2]).prod() - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def suppress(boxes: np.ndarray, kinds: np.ndarray, limit: float) -> list[int]:
    """Return the rows that overlap no better one of their kind by more than the limit; the best come first."""
    kept = []
    for row in range(len(boxes)):
        better = [other for other in kept if kinds[other] == kinds[row]]
        if not (overlaps(boxes[better], boxes[row]) > limit).any():
            kept.append(row)
    return kept


def vote(boxes: np.ndarray, scores: np.ndarray, kinds: np.ndarray, row: int, limit: float) -> np.ndarray:
    """Return a kept box as the mean of the boxes of its kind that overlap it, weighted by squares of scores."""
    if limit >= 1:
        return boxes[row]
    voters = (overlaps(boxes, boxes[row]) >= limit) & (kinds == kinds[row]) & (scores >= MIN_VOTER_SHARE * scores[row])
    voters[row] = True
    return np.average(boxes[voters], axis=0, weights=scores[voters].astype(float) ** 2)


def detect(session: onnxruntime.InferenceSession, model: dict, path: Path) -> list[tuple]:
    """Return (class name, score, x_min, y_min, x_max, y_max) of each face, best first, in pixels of the image."""
    image, size, limits = read(path), model["framing"]["size"], model["detect"]
    image_wh = np.array(image.shape[1::-1])
    scale = size / (image_wh if model["framing"]["kind"] == "stretch" else np.full(2, image_wh.max()))
    width, height = np.maximum(1, np.rint(image_wh * scale)).astype(int).tolist()
    pixels = np.full((size, size, 3), 114, np.uint8)
    pixels[:height, :width] = resize(image, width, height)
    boxes, scores = session.run(["boxes_xyxy", "scores"], {"images": pixels.transpose(2, 0, 1)[None].copy()})
    thresholds = np.array([model["score_thresholds"][name] for name in model["class_names"]], np.float32)
    best = np.argsort(-scores[0], axis=None, kind="stable")[: limits["max_candidates"]]
    places, classes = np.divmod(best, len(thresholds))
    boxes, scores = boxes[0, places], scores[0, places, classes]
    faces = np.flatnonzero(scores >= thresholds[classes])
    faces = faces[suppress(boxes[faces], classes[faces], limits["nms_iou_threshold"])[: limits["max_detections"]]]
    voted = np.array([vote(boxes, scores, classes, row, limits["box_voting_iou"]) for row in faces]).reshape(-1, 4)
    found = (voted / np.tile(scale, 2)).clip(0, np.tile(image_wh, 2)).astype(np.float32)
    rows = np.flatnonzero((found[:, 2:] > found[:, :2]).all(axis=1))
    rows = rows[suppress(found[rows], np.zeros(len(rows)), SAME_FACE_IOU)]  # nobody has two classes
    return [(model["class_names"][classes[faces[row]]], scores[faces[row]], *found[row]) for row in rows]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, default=Path("predictions.csv"))
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"))
    model = json.loads(session.get_modelmeta().custom_metadata_map["maskdet"])
    partial, num_failed = options.output.with_name(f".{options.output.name}.partial"), 0
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file_name", "class_name", "score", "x_min", "y_min", "x_max", "y_max"])
        for path in options.images:
            try:
                writer.writerows([path.as_posix(), *face] for face in detect(session, model, path))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # as Pillow raises
                num_failed += 1
                print(f"{path}: expected an image, got {error}", file=sys.stderr)
    partial.replace(options.output)
    sys.exit(num_failed > 0)
