"""Detections of images that a model has not seen, as rows of the table `predictions`."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from maskdet.boxes import clip_boxes
from maskdet.data.datamodule import Batch
from maskdet.data.dataset import Example
from maskdet.models.efficientdet import Detections, EfficientDetector
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS


def predict_batches(
    detector: EfficientDetector, batches: Iterable[Batch], fold: int, mirrored: bool = False
) -> pd.DataFrame:
    """Detect faces in every image.

    Args:
        detector: In eval mode.
        batches: Evaluation batches, on any device.
        fold: Written into the column `fold`.
        mirrored: Show the network each input mirrored, left to right; boxes come back as of the original.

    Returns:
        Table `predictions`: boxes in pixels of the original images, clipped to them; best first within an image.
    """
    device = detector.mean.device
    tables = []
    for batch in batches:
        images = batch.images.to(device)
        found = (
            [_mirror(each, images) for each in detector.detect(images.flip(-1))]
            if mirrored
            else (detector.detect(images))
        )
        tables += [_rows(*pair, fold) for pair in zip(found, batch.examples, strict=True)]
    empty = pd.DataFrame(columns=list(PREDICTIONS.columns)).astype({"file_name": "str", "class_name": "str"})
    found_any = [table for table in tables if len(table)]
    return pd.concat(found_any, ignore_index=True) if found_any else empty


def _mirror(found: Detections, images: torch.Tensor) -> Detections:
    boxes_xyxy = found.boxes_xyxy.clone()  # (N, 4)
    boxes_xyxy[:, [0, 2]] = images.shape[-1] - found.boxes_xyxy[:, [2, 0]]
    return replace(found, boxes_xyxy=boxes_xyxy)


def _rows(found: Detections, example: Example, fold: int) -> pd.DataFrame:
    boxes, has_area = image_boxes(found.boxes_xyxy, example)
    classes = found.class_indices.cpu().numpy()
    table = pd.DataFrame(boxes, columns=BOX_COLUMNS)
    table.insert(0, "score", found.scores.cpu().numpy())
    table.insert(0, "class_name", np.array(CLASS_NAMES, dtype=object)[classes])
    table.insert(0, "fold", fold)
    table.insert(0, "file_name", example.file_name)
    return table[has_area]


def image_boxes(boxes_xyxy: torch.Tensor, example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Map boxes from the network's input to the original image, as every table has them.

    Args:
        boxes_xyxy: (N, 4) in pixels of the input.
        example: The input.

    Returns:
        (N, 4) float32 in pixels of the image, clipped to it; (N,) bool, which of them have an area there.
    """
    boxes = clip_boxes(example.frame.to_image(boxes_xyxy.cpu().numpy()), example.image_wh).astype(np.float32)
    return boxes, (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
