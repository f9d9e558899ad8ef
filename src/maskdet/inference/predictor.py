"""Detections of one image in its own pixels."""

from dataclasses import replace

import numpy as np

from maskdet.boxes import clip_boxes
from maskdet.inference.runtime import Runtime
from maskdet.inference.suppression import Detections, select


class Predictor:
    """A model with its thresholds: from pixels to detections.

    Args:
        runtime: The model.
        score_threshold: One for all classes; None: those of the model's metadata, a class each.
    """

    def __init__(self, runtime: Runtime, score_threshold: float | None = None) -> None:
        metadata = runtime.metadata
        self.class_names = metadata.class_names
        self._runtime, self._framing = runtime, metadata.framing
        self._thresholds = np.array(
            [
                metadata.score_thresholds[name] if score_threshold is None else score_threshold
                for name in self.class_names
            ],
            np.float32,
        )  # (C,)
        # A box never drops a better one, so what lies below every threshold need not enter the suppression.
        self._options = replace(metadata.detect, score_threshold=float(self._thresholds.min()))

    def predict(self, image: np.ndarray) -> Detections:
        """Return the faces of an image.

        Args:
            image: (H, W, 3) uint8, RGB, of any size, as `maskdet.data.image.read_image` returns it.

        Returns:
            Boxes in pixels of the image, clipped to it, each with an area; best first; none below its class's
            threshold.
        """
        image_wh = image.shape[1], image.shape[0]
        frame = self._framing.frame(image_wh)
        pixels = np.ascontiguousarray(frame.apply(image).transpose(2, 0, 1)[None])  # (1, 3, S, S)
        boxes_xyxy, scores = self._runtime.run(pixels)  # (1, A, 4), (1, A, C)
        found = select(boxes_xyxy[0], scores[0], self._options)
        boxes = clip_boxes(frame.to_image(found.boxes_xyxy), image_wh).astype(np.float32)
        found = replace(found, boxes_xyxy=boxes)
        has_area = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # padding may hold boxes
        return found[has_area & (found.scores >= self._thresholds[found.class_indices])]
