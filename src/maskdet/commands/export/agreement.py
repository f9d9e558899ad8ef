"""Whether an exported file finds what torch finds: detections paired one to one, both ways."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from maskdet.boxes import box_iou
from maskdet.inference.metadata import DetectOptions
from maskdet.inference.suppression import Detections, select

SCORE_THRESHOLD = 0.05
"""Detections with at least this score are compared."""

MAX_BOX_PX, MAX_SCORE = 0.5, 1e-3
"""Two detections are the same where every coordinate and the score differ by less than this."""

LOWEST_SCORE = SCORE_THRESHOLD - MAX_SCORE
"""What a counterpart may have."""

MIN_SHARE = 0.995
"""What share of the detections of either side must be the same where files must not differ."""

_MIN_IOU = 0.5  # boxes that overlap less are of different faces, or of none
_MANY = 20  # of so many a single one may differ; 199 of 200 is the rule of larger numbers


@dataclass(frozen=True)
class Agreement:
    """How the detections of a file compare with those of torch.

    Attributes:
        num_expected: Detections of torch that were compared.
        num_found: Those of the file.
        num_expected_same: How many of torch's have a counterpart of the file that is the same.
        num_found_same: How many of the file's have one of torch.
        box_px: Largest difference of a coordinate between two detections of one face, in pixels of the input.
        score: Largest difference of their scores.
    """

    num_expected: int
    num_found: int
    num_expected_same: int
    num_found_same: int
    box_px: float
    score: float

    @property
    def share(self) -> float:
        """Return the share of same detections, of the side where it is smaller; 1 where nothing was found."""
        sides = ((self.num_expected_same, self.num_expected), (self.num_found_same, self.num_found))
        return min(same / num if num else 1.0 for same, num in sides)

    @property
    def is_close(self) -> bool:
        """Whether `share` reaches `MIN_SHARE`, or one of many differs: a box at the limit of the suppression."""
        differ = self.num_expected - self.num_expected_same, self.num_found - self.num_found_same
        has_many = min(self.num_expected, self.num_found) >= _MANY
        return self.share >= MIN_SHARE or (has_many and max(differ) <= 1)

    def to_text(self, other: str) -> str:
        """Return a line for people; `other` is what the file is compared with."""
        return (
            f"same as {other}: {self.num_expected_same} of {self.num_expected} detections, "
            f"{self.num_found_same} of its own {self.num_found}; "
            f"largest difference {self.box_px:.2g} px, {self.score:.2g} in score"
        )


def candidates(boxes_xyxy: np.ndarray, scores: np.ndarray, options: DetectOptions) -> Detections:
    """Return what of one image's boxes is compared: also scores just below the threshold, as counterparts.

    Boxes without an area, which lie beyond the border, are left out, as `Predictor` does.

    Args:
        boxes_xyxy: (A, 4) float32, a box an anchor.
        scores: (A, C) float32.
        options: Limits of the suppression.
    """
    return comparable(select(boxes_xyxy, scores, replace(options, score_threshold=LOWEST_SCORE)))


def comparable(found: Detections) -> Detections:
    """Return the detections with an area and at least the score that a counterpart may have."""
    has_area = (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all(axis=1)
    return found[has_area & (found.scores >= LOWEST_SCORE)]


def agreement(expected: Sequence[Detections], found: Sequence[Detections]) -> Agreement:
    """Compare the detections of images.

    Args:
        expected: Of each image, as `candidates` returns them.
        found: Of the same images in the same order.
    """
    counts = np.zeros(4, np.int64)  # as the first four attributes
    largest = np.zeros(2)
    for ours, theirs in zip(expected, found, strict=True):
        own, other = _pair(ours, theirs)  # (P,), (P,)
        box_px = np.abs(ours.boxes_xyxy[own] - theirs.boxes_xyxy[other]).max(axis=1, initial=0)  # (P,)
        score = np.abs(ours.scores[own] - theirs.scores[other])  # (P,)
        is_same = (box_px < MAX_BOX_PX) & (score < MAX_SCORE)
        counted, counted_other = ours.scores >= SCORE_THRESHOLD, theirs.scores >= SCORE_THRESHOLD  # (N,), (M,)
        same = counted[own[is_same]].sum(), counted_other[other[is_same]].sum()
        counts += [counted.sum(), counted_other.sum(), *same]
        matters = counted[own] | counted_other[other]
        worst = [values[matters].max(initial=0) for values in (box_px, score)]
        largest = np.maximum(largest, worst)
    return Agreement(*counts.tolist(), *largest.tolist())


def _pair(ours: Detections, theirs: Detections) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of both sides that are of one face and class: the pairs with the largest overlap in all."""
    ious = box_iou(ours.boxes_xyxy, theirs.boxes_xyxy)  # (N, M)
    ious[ours.class_indices[:, None] != theirs.class_indices] = 0
    own, other = linear_sum_assignment(ious, maximize=True)
    near = ious[own, other] >= _MIN_IOU
    return own[near], other[near]
