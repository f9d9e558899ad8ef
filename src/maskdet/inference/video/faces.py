"""A face on a frame, as it is drawn and written to tables."""

from dataclasses import dataclass

import numpy as np

from maskdet.inference.suppression import Detections


@dataclass(frozen=True)
class VideoFace:
    """A face.

    Attributes:
        box_xyxy: (4,) float32, pixels of the frame, as detected.
        class_index: The class shown; where people are tracked, smoothed over the frames of the person.
        score: Of the face's best detection.
        person: 1-based number of the person; None: not tracked, or not followed yet.
    """

    box_xyxy: np.ndarray
    class_index: int
    score: np.float32
    person: int | None = None


def faces_of(found: Detections) -> list[VideoFace]:
    """Return detections one by one, in their order, as nobody's faces."""
    rows = zip(found.boxes_xyxy, found.class_indices, found.scores, strict=True)
    return [VideoFace(box, int(index), score) for box, index, score in rows]
