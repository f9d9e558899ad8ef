"""Choose detections among the boxes of all anchors: the numpy twin of `EfficientDetector.detect`."""

from dataclasses import dataclass, replace

import numpy as np

from maskdet.inference.metadata import DetectOptions
from maskdet.nms import MIN_VOTER_SHARE, suppress, vote

SAME_FACE_IOU = 0.5
"""Boxes that overlap by more are of one face, whatever their classes: of the 3,320 annotated faces two do."""


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the network's input, or of the image where `Predictor` returns it.
        scores: (N,) float32 in [0, 1], descending.
        class_indices: (N,) int64, 0-based.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    class_indices: np.ndarray

    def __post_init__(self) -> None:
        shapes = [array.shape for array in (self.boxes_xyxy, self.scores, self.class_indices)]
        if shapes != [(len(self.scores), 4), (len(self.scores),), (len(self.scores),)]:
            raise ValueError(f"expected arrays of shape (N, 4), (N,), (N,), got {shapes}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> "Detections":
        """Return the detections of these rows, a mask or indices."""
        return Detections(self.boxes_xyxy[rows], self.scores[rows], self.class_indices[rows])


def select(boxes_xyxy: np.ndarray, scores: np.ndarray, options: DetectOptions) -> Detections:
    """Return what is left of one image's boxes after thresholding, suppression and box voting within each class.

    Args:
        boxes_xyxy: (A, 4) float32, a box an anchor.
        scores: (A, C) float32 in [0, 1]; a box may be detected once a class.
        options: Thresholds and limits.

    Returns:
        At most `max_detections`, best first. Raising the score threshold only drops detections from the end.

    Reference:
        `EfficientDetector.detect` with `torchvision.ops.batched_nms`; boxes are equal, in the same order, but where
        scores or overlaps differ by less than a rounding error.
    """
    flat = scores.ravel()  # (A * C,)
    has_votes = options.box_voting_iou < 1
    places = np.flatnonzero(flat >= options.score_threshold * (MIN_VOTER_SHARE if has_votes else 1))
    if len(places) > options.max_candidates:
        places = places[np.argpartition(-flat[places], options.max_candidates - 1)[: options.max_candidates]]
    places = places[np.argsort(-flat[places], kind="stable")]  # (K,), best first
    anchor_index, class_indices = np.divmod(places, scores.shape[1])
    found = Detections(boxes_xyxy[anchor_index], flat[places], class_indices)
    kept, voted = [np.empty(0, np.int64)], found.boxes_xyxy.copy()
    for class_index in np.unique(class_indices):
        rows = np.flatnonzero(class_indices == class_index)
        boxes, likely = found.boxes_xyxy[rows], found.scores[rows] >= options.score_threshold  # a prefix
        chosen = suppress(boxes[likely], options.nms_iou_threshold, options.max_detections)
        voted[rows[chosen]] = vote(boxes, found.scores[rows], chosen, options.box_voting_iou)
        kept.append(rows[chosen])
    return replace(found, boxes_xyxy=voted)[np.sort(np.concatenate(kept))[: options.max_detections]]


def one_class_per_face(found: Detections) -> Detections:
    """Return the likeliest detection of each face: what people count and see, as nobody has two classes.

    Average precision wants each class's detections instead, see `select`.

    Args:
        found: Best first; any classes.
    """
    return found[suppress(found.boxes_xyxy, SAME_FACE_IOU, max(len(found), 1))]
