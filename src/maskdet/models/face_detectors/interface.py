"""What every face detector does alike: scale, group into batches, bring boxes back to the image, suppress, drop."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from maskdet.boxes import clip_boxes
from maskdet.nms import suppress

_LEAST_SIDE_PX = 32


@dataclass(frozen=True)
class FoundFaces:
    """The faces of one image; N may be 0: an image without a face is a result.

    Attributes:
        boxes_xyxy: (N, 4) float32. As `FaceDetector.detect` returns them: pixels of the image, clipped to it, every
            box with an area.
        scores: (N,) float32 in [0, 1], descending.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        shapes = [self.boxes_xyxy.shape, self.scores.shape]
        if shapes != [(len(self.scores), 4), (len(self.scores),)]:
            raise ValueError(f"expected boxes and scores of shape (N, 4), (N,), got {shapes}")

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray) -> "FoundFaces":
        """Return the faces of these rows, a mask or indices."""
        return FoundFaces(self.boxes_xyxy[rows], self.scores[rows])


@dataclass(frozen=True)
class FinderOptions:
    """What is set of every detector.

    Attributes:
        name: What tables and reports call it.
        long_side_px: Each image is scaled so that its longer side has so many pixels, up or down. The networks were
            trained on larger faces than those of a crowd: a larger input finds smaller faces and takes longer, as its
            area grows.
        min_face_px: Boxes whose longer side is shorter, in pixels of the image, are dropped.
        min_score: Boxes below it are dropped. Far below the operating point: average precision needs the tail.
        score_threshold: The operating point, from which a box counts as a face where one must decide. `detect` does
            not apply it.
        nms_iou_threshold: Of two boxes with a larger IoU the one of lower score is dropped.
        batch_size: Images of one size that the network sees at once; no result depends on it.
        box_scale_wh: Width and height of a box relative to those of the network's; see `fit_boxes`.
        box_shift_xy: How far the centre of a box is moved, in widths and heights of the network's box.
    """

    name: str
    long_side_px: int
    min_face_px: float
    min_score: float
    score_threshold: float
    nms_iou_threshold: float
    batch_size: int
    box_scale_wh: tuple[float, float] = (1.0, 1.0)
    box_shift_xy: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for key in ("min_score", "score_threshold", "nms_iou_threshold"):
            if not 0 < getattr(self, key) <= 1:
                raise ValueError(f"face_detector.{key}: expected a number in (0, 1], got {getattr(self, key)}")
        if self.score_threshold < self.min_score:
            raise ValueError(
                f"face_detector.score_threshold: expected min_score ({self.min_score}) or more, "
                f"got {self.score_threshold}"
            )
        for key in ("long_side_px", "min_face_px", "batch_size"):
            if not getattr(self, key) > 0:
                raise ValueError(f"face_detector.{key}: expected a positive number, got {getattr(self, key)}")
        for key in ("box_scale_wh", "box_shift_xy"):
            pair = list(getattr(self, key))
            if len(pair) != 2 or (key == "box_scale_wh" and min(pair) <= 0):
                raise ValueError(f"face_detector.{key}: expected two numbers, those of a scale above 0, got {pair}")


class FaceDetector(ABC):
    """Finds faces, whatever they wear.

    A subclass says in `_find` what its network makes of a batch; everything else is here.

    Attributes:
        options: As given.
        side_multiple: Both sides of an input are multiples of it, the image is stretched by less than that.
    """

    side_multiple = 1

    def __init__(self, options: FinderOptions) -> None:
        self.options = options

    @property
    def name(self) -> str:
        """What tables and reports call the detector."""
        return self.options.name

    def detect(self, images_rgb: Sequence[np.ndarray]) -> list[FoundFaces]:
        """Find the faces of each image.

        Args:
            images_rgb: (H, W, 3) uint8 each, of any sizes.

        Returns:
            A `FoundFaces` an image, in their order, best first; boxes of at least `min_face_px` with at least
            `min_score`.

        Raises:
            ValueError: If an array is no RGB image.
        """
        for image in images_rgb:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
                raise ValueError(f"expected images of shape (H, W, 3) uint8, got {image.shape} {image.dtype}")
        found: dict[int, FoundFaces] = {}
        for rows in self._batches(images_rgb):
            input_wh = self.input_wh(images_rgb[rows[0]].shape[1::-1])
            inputs_rgb = np.stack([resize(images_rgb[row], input_wh) for row in rows])  # (B, H', W', 3)
            min_face_px = self.options.min_face_px * max(input_wh) / max(images_rgb[rows[0]].shape[:2])
            for row, faces in zip(rows, self._find(inputs_rgb, min_face_px), strict=True):
                found[row] = self._in_image(faces, input_wh, images_rgb[row].shape[1::-1])
        return [found[row] for row in range(len(images_rgb))]

    def input_wh(self, image_wh: tuple[int, int]) -> tuple[int, int]:
        """Return width and height of the network's input for an image of this width and height."""
        return scaled_wh(image_wh, self.options.long_side_px, self.side_multiple)

    @abstractmethod
    def _find(self, inputs_rgb: np.ndarray, min_face_px: float) -> list[FoundFaces]:
        """Return what the network finds in a batch.

        Args:
            inputs_rgb: (B, H, W, 3) uint8.
            min_face_px: Side of the smallest face that is wanted, in pixels of the input; smaller ones may be found.

        Returns:
            B results; boxes in pixels of the input, in any order, not clipped, overlapping ones among them.
        """

    def _batches(self, images_rgb: Sequence[np.ndarray]) -> Iterator[list[int]]:
        """Yield the rows of each batch: images of one size, since a batch has one size."""
        rows_of_size: dict[tuple[int, ...], list[int]] = {}
        for row, image in enumerate(images_rgb):
            rows_of_size.setdefault(image.shape, []).append(row)
        for rows in rows_of_size.values():
            for start in range(0, len(rows), self.options.batch_size):
                yield rows[start : start + self.options.batch_size]

    def _in_image(self, faces: FoundFaces, input_wh: tuple[int, int], image_wh: tuple[int, int]) -> FoundFaces:
        """Map boxes to the image, clip them, drop what is faint, small or a duplicate, and sort by score."""
        faces = faces[faces.scores >= self.options.min_score]
        scale_xyxy = np.tile(np.divide(image_wh, input_wh), 2)  # (4,) image pixels per input pixel
        fitted_xyxy = fit_boxes(faces.boxes_xyxy * scale_xyxy, self.options.box_scale_wh, self.options.box_shift_xy)
        boxes_xyxy = clip_boxes(fitted_xyxy, image_wh).astype(np.float32)  # (N, 4)
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]  # (N, 2)
        faces = replace(faces, boxes_xyxy=boxes_xyxy)[
            (sides.max(axis=1) >= self.options.min_face_px) & (sides.min(axis=1) > 0)
        ]
        faces = faces[np.argsort(-faces.scores, kind="stable")]  # best first
        return faces[suppress(faces.boxes_xyxy, self.options.nms_iou_threshold, max_kept=len(faces))]


def scaled_wh(image_wh: tuple[int, int], long_side_px: int, multiple: int = 1) -> tuple[int, int]:
    """Return width and height of an image whose longer side is scaled to a length.

    Args:
        image_wh: Width and height as they are.
        long_side_px: What the longer side shall have.
        multiple: Both sides are rounded to multiples of it.

    Returns:
        Sides of at least 32 px: of a thinner image the networks' coarse maps would have no cell.

    >>> scaled_wh((400, 300), 832, 32)
    (832, 640)
    """
    scale = long_side_px / max(image_wh) / multiple
    least = math.ceil(_LEAST_SIDE_PX / multiple)
    width, height = (max(round(side * scale), least) * multiple for side in image_wh)
    return width, height


def fit_boxes(boxes_xyxy: np.ndarray, scale_wh: Sequence[float], shift_xy: Sequence[float]) -> np.ndarray:
    """Move and stretch every box by shares of its own sides.

    Who annotates faces decides where a face ends: at the hair or at the brow, at the chin or at the mask's edge. A
    detector repeats the habit that it was trained on; this turns one habit into another.

    Args:
        boxes_xyxy: (N, 4) float.
        scale_wh: New width and height relative to the old ones.
        shift_xy: How far the centre moves, in old widths and heights; positive is right and down.

    Returns:
        (N, 4) float, not clipped.

    >>> fit_boxes(np.array([[0.0, 0, 10, 20]]), (1, 0.5), (0, 0.25)).tolist()
    [[0.0, 10.0, 10.0, 20.0]]
    """
    sides_wh = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]  # (N, 2)
    centres_xy = boxes_xyxy[:, :2] + sides_wh * (0.5 + np.asarray(shift_xy))  # (N, 2)
    half_wh = sides_wh * np.asarray(scale_wh) / 2  # (N, 2)
    return np.hstack([centres_xy - half_wh, centres_xy + half_wh])


def resize(image_rgb: np.ndarray, input_wh: tuple[int, int]) -> np.ndarray:
    """Return an image of (H, W, 3) uint8 at another size: averaged where it shrinks, interpolated where it grows."""
    shrinks = input_wh[0] < image_rgb.shape[1]
    return cv2.resize(image_rgb, input_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
