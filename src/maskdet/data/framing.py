"""Framings: how an image of any size becomes a network input of one size, and how boxes come back.

A framing is a scale and a shift, the same for pixels and boxes. Training may use `RandomCrop`; prediction uses
`Letterbox` or `Stretch`, which can be undone.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from maskdet.boxes import box_area, check_boxes, clip_boxes

PAD_VALUE = 114  # a grey that is near the mean of photographs


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the network's input.

    Attributes:
        scale_xy: Input pixels per image pixel, in x and in y.
        shift_xy: Where the image's top left corner lies in the input, in input pixels; negative if cut off.
        size: Side of the square input in pixels.
    """

    scale_xy: tuple[float, float]
    shift_xy: tuple[float, float]
    size: int

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return the (size, size, 3) uint8 input; what the image does not cover is grey."""
        region, resized_wh, (left, top) = self._visible(image)
        shrinks = resized_wh[0] < region.shape[1]
        resized = cv2.resize(region, resized_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        canvas = np.full((self.size, self.size, 3), PAD_VALUE, np.uint8)
        x, y = max(0, left), max(0, top)
        part = resized[y - top :, x - left :][: self.size - y, : self.size - x]
        canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
        return canvas

    def _visible(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Return the part of the image that is seen, its size in the input (w, h), its top left corner there.

        The part begins and ends with whole pixels of the image, so that it may stand out of the input.
        """
        starts, stops, sizes, corners = [], [], [], []
        for length, scale, shift in zip(image.shape[1::-1], self.scale_xy, self.shift_xy, strict=True):
            start = max(0, int(np.floor(-shift / scale)))
            stop = min(length, int(np.ceil((self.size - shift) / scale)))
            corner = round(start * scale + shift)
            starts.append(start)
            stops.append(stop)
            corners.append(corner)
            sizes.append(max(1, round(stop * scale + shift) - corner))
        region = image[starts[1] : stops[1], starts[0] : stops[0]]
        return region, (sizes[0], sizes[1]), (corners[0], corners[1])

    def to_input(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Map (N, 4) boxes from image pixels to input pixels; not clipped."""
        return (check_boxes(boxes_xyxy) * self._scale() + self._shift()).astype(np.float32)

    def to_image(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Map (N, 4) boxes from input pixels back to image pixels; not clipped."""
        return ((check_boxes(boxes_xyxy) - self._shift()) / self._scale()).astype(np.float32)

    def _scale(self) -> np.ndarray:
        return np.tile(np.asarray(self.scale_xy, np.float64), 2)  # (4,)

    def _shift(self) -> np.ndarray:
        return np.tile(np.asarray(self.shift_xy, np.float64), 2)  # (4,)


def visible_boxes(boxes_input: np.ndarray, size: int, min_visible: float) -> tuple[np.ndarray, np.ndarray]:
    """Clip boxes to the input and drop those of which too little is left.

    Args:
        boxes_input: (N, 4) xyxy in input pixels.
        size: Side of the input in pixels.
        min_visible: Share of a box's area in [0, 1] that must lie inside; one pixel each way is always needed.

    Returns:
        (M, 4) clipped boxes and (N,) bool, which of the boxes they are.
    """
    clipped = clip_boxes(boxes_input, (size, size))
    big_enough = ((clipped[:, 2:] - clipped[:, :2]) >= 1).all(axis=1)
    keep = big_enough & (box_area(clipped) >= min_visible * box_area(boxes_input))
    return clipped[keep], keep


@dataclass(frozen=True)
class Stretch:
    """Resize to a square whatever the aspect ratio, as Hydrogen Torch does.

    Attributes:
        size: Side of the input in pixels.
    """

    size: int

    def frame(self, image_wh: tuple[int, int], *_: object) -> Frame:
        """Return the frame of an image of this width and height."""
        return Frame((self.size / image_wh[0], self.size / image_wh[1]), (0.0, 0.0), self.size)


@dataclass(frozen=True)
class Letterbox:
    """Resize keeping the aspect ratio, pad right and below.

    Attributes:
        size: Side of the input in pixels; the image's longer side fills it.
    """

    size: int

    def frame(self, image_wh: tuple[int, int], *_: object) -> Frame:
        """Return the frame of an image of this width and height."""
        scale = self.size / max(image_wh)
        return Frame((scale, scale), (0.0, 0.0), self.size)


@dataclass(frozen=True)
class RandomCrop:
    """Scale an image at random and cut a square out of it, mostly around a face.

    Attributes:
        size: Side of the crop in pixels.
        long_side_range: The image's longer side after scaling lies between these, in pixels, uniform in its logarithm.
        face_probability: How often the crop is laid so that a chosen face lies wholly inside (if it fits).
    """

    size: int
    long_side_range: tuple[float, float]
    face_probability: float

    def frame(
        self, image_wh: tuple[int, int], boxes_xyxy: np.ndarray, face_weights: np.ndarray, rng: np.random.Generator
    ) -> Frame:
        """Draw a frame.

        Args:
            image_wh: Width and height of the image in pixels.
            boxes_xyxy: (N, 4) faces in image pixels; N may be 0.
            face_weights: (N,) positive, how likely each face is to be chosen.
            rng: Source of all randomness.
        """
        low, high = np.log(self.long_side_range)
        scale = float(np.exp(rng.uniform(low, high))) / max(image_wh)
        face = None
        if len(boxes_xyxy) and rng.random() < self.face_probability:
            face = boxes_xyxy[rng.choice(len(boxes_xyxy), p=face_weights / face_weights.sum())] * scale
        shift = [self._shift(image_wh[axis] * scale, face, axis, rng) for axis in (0, 1)]
        return Frame((scale, scale), (shift[0], shift[1]), self.size)

    def _shift(self, length: float, face: np.ndarray | None, axis: int, rng: np.random.Generator) -> float:
        """Draw the shift along one axis: the crop stays inside the image, or the image inside the crop."""
        low, high = sorted((0.0, self.size - length))
        if face is not None and face[axis + 2] - face[axis] < self.size:
            low, high = max(low, -face[axis]), min(high, self.size - face[axis + 2])
        return float(rng.uniform(low, high)) if low < high else float(low)
