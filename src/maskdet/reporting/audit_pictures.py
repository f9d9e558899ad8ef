"""Pictures of an audit's findings: the photo with its box and the box from near, both pictures of a pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdet.data.audit.rules import AuditFinding, Twin
from maskdet.data.formats.pairing import pairing_key
from maskdet.data.image import read_image
from maskdet.data.labelled_set import Finding, LabelledBox, LabelledImage, LabelledSet
from maskdet.reporting.drawing import draw_boxes, fit_for_display
from maskdet.reporting.error_cards import cut_window

_SIDE_PX = 420
_MAX_MARGIN = 0.5  # of the picture's side, around it, where a box lies outside
_MARGIN_COLOR = 236
_NEVER_DECODED = ("image-huge", "image-unreadable")


@dataclass(frozen=True)
class Picture:
    """A picture with what it shows.

    Attributes:
        caption: In a line.
        pixels: (H, W, 3) uint8, RGB.
    """

    caption: str
    pixels: np.ndarray


class FindingPictures:
    """Reads and draws the pictures of findings, one at a time."""

    def __init__(self, labelled: LabelledSet) -> None:
        """Remember which image a label file is of.

        Args:
            labelled: The audited set.
        """
        self._root = labelled.root
        self._images: Mapping[str, LabelledImage] = {image.file_name: image for image in labelled.images}
        self._image_of_labels = {image.label_file: image.file_name for image in labelled.images if image.label_file}
        self._image_of_key = {pairing_key(name): name for name in self._images}  # labels that could not be read

    def of(self, finding: Finding) -> list[Picture]:
        """Return the pictures of a finding; none where there is nothing that can be decoded."""
        name = self._image_name(finding)
        image = self._images.get(name)
        if image is None or finding.rule in _NEVER_DECODED:
            return []
        pixels = _read(self._root / name)
        if pixels is None:
            return []
        if isinstance(finding, AuditFinding) and finding.twin is not None:
            return _pair(pixels, finding.twin)
        if isinstance(finding, AuditFinding) and finding.boxes:
            boxes = [image.boxes[position] for position in finding.boxes]
            return _whole_and_near(pixels, boxes)
        return [_drawn(pixels, image.boxes, "with its labels" if image.boxes else "the picture")]

    def _image_name(self, finding: Finding) -> str:
        """Return the picture that a finding is about; readers name label files."""
        if isinstance(finding, AuditFinding) or finding.file in self._images:
            return finding.file
        known = self._image_of_labels.get(finding.file)
        return known or self._image_of_key.get(pairing_key(finding.file), finding.file)


def _pair(pixels: np.ndarray, twin: Twin) -> list[Picture]:
    other = _read(twin.root / twin.file_name)
    pictures = [_drawn(pixels, (), "this picture")]
    return pictures if other is None else [*pictures, _drawn(other, (), "the other one")]


def _read(path: Path) -> np.ndarray | None:
    try:
        return read_image(path)
    except (ValueError, OSError):
        return None


def _drawn(pixels: np.ndarray, boxes: Sequence[LabelledBox], caption: str) -> Picture:
    ordered = _ordered(boxes)
    image, scaled = fit_for_display(pixels, ordered, _SIDE_PX)
    return Picture(caption, draw_boxes(image, scaled, [box.class_name for box in boxes]))


def _whole_and_near(pixels: np.ndarray, boxes: Sequence[LabelledBox]) -> list[Picture]:
    """Return the whole picture and, if it is less, the part around the boxes; with a margin where one reaches out."""
    names, ordered = [box.class_name for box in boxes], _ordered(boxes)
    framed, moved = _with_margin(pixels, ordered)
    left, top, right, bottom = cut_window(moved, (framed.shape[1], framed.shape[0]))
    near = np.ascontiguousarray(framed[top:bottom, left:right])
    pictures = []
    parts = {"whole": (framed, moved)}
    if near.shape != framed.shape:
        parts["from near"] = (near, moved - np.array([left, top, left, top]))
    for caption, (part, part_boxes) in parts.items():
        image, scaled = fit_for_display(part, part_boxes, _SIDE_PX)
        pictures.append(Picture(caption, draw_boxes(image, scaled, names)))
    return pictures


def _ordered(boxes: Sequence[LabelledBox]) -> np.ndarray:
    """Return boxes (N, 4) with minima before maxima, as drawing wants them."""
    corners = np.array([box.box_xyxy for box in boxes], np.float64).reshape(-1, 2, 2)  # (N, 2, 2)
    return np.sort(corners, axis=1).reshape(-1, 4)


def _with_margin(pixels: np.ndarray, boxes_xyxy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with a margin around it as far as boxes reach out of it, within bounds, and the boxes in it.

    Args:
        pixels: (H, W, 3) uint8.
        boxes_xyxy: (N, 4) float, N > 0, in its pixels.
    """
    height, width = pixels.shape[:2]
    low, high = boxes_xyxy[:, :2].min(axis=0), boxes_xyxy[:, 2:].max(axis=0)  # (2,), (2,)
    limit = np.array([width, height]) * _MAX_MARGIN
    before = np.ceil(np.clip(-low, 0, limit)).astype(int)  # (2,)
    after = np.ceil(np.clip(high - [width, height], 0, limit)).astype(int)  # (2,)
    edges = ((before[1], after[1]), (before[0], after[0]), (0, 0))
    framed = np.pad(pixels, edges, constant_values=_MARGIN_COLOR)
    moved = boxes_xyxy + np.tile(before, 2)
    return framed, moved.clip(0, np.tile([framed.shape[1], framed.shape[0]], 2))
