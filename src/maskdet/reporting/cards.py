"""The cards of the page's gallery: whole images and single errors, each with what the filters know of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.data.image import read_image
from maskdet.evaluation.errors import HIT, MISSED, DetectionErrors, classify_errors
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.reporting.gallery import outcomes_by_image
from maskdet.reporting.overlay import FONT_UNITS, overlay_svg, view_wh
from maskdet.reporting.picture import GalleryPicture, JudgedTables
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

IMAGE, ERROR = "image", "error"


@dataclass(frozen=True)
class BoxFact:
    """What the filters know of one face or detection.

    Attributes:
        class_indices: Of the label and of the detection, whichever there are.
        kind: `hit` or one of `evaluation.errors.ERROR_KINDS`.
        third: 1, 2 or 3, of the set's faces by size; 0 where unknown.
        score: None for a missed face.
        size_px: Root of its area in the original image.
    """

    class_indices: tuple[int, ...]
    kind: str
    third: int
    score: float | None
    size_px: float


@dataclass(frozen=True)
class Panel:
    """One view of a card's photo.

    Attributes:
        alt: What a reader who does not see it is told.
        overlay: SVG elements, trusted.
    """

    alt: str
    overlay: str


@dataclass(frozen=True)
class GalleryCard:
    """A photo, or a part of one, as truth beside prediction.

    Attributes:
        form: `image` or `error`.
        groups: Why it was chosen, e.g. `worst` or `label`; the first filter's values.
        file_name: Of the image.
        fold: The fold that held it out; −1 for none.
        f1: Of the whole image at the display threshold; None where undefined.
        photo: (H, W, 3) uint8, RGB.
        panels: Truth, prediction.
        lines: What is written below; the first is the heading.
        boxes: What the filters look at.
    """

    form: str
    groups: tuple[str, ...]
    file_name: str
    fold: int
    f1: float | None
    photo: np.ndarray = field(repr=False)
    panels: tuple[Panel, Panel]
    lines: tuple[str, ...]
    boxes: tuple[BoxFact, ...]

    @property
    def view_wh(self) -> tuple[int, int]:
        """Return width and height of its SVG views."""
        height, width = self.photo.shape[:2]
        return view_wh((width, height))

    @property
    def boxes_json(self) -> str:
        """Return the facts as the page's script reads them: `[[classes, kind, third, score, size], …]`."""
        rows = [
            [b.class_indices, b.kind, b.third, None if b.score is None else round(b.score, 3), round(b.size_px, 1)]
            for b in self.boxes
        ]
        return json.dumps(rows, separators=(",", ":"))


@dataclass(frozen=True)
class CardSource:
    """Verdicts from which cards are made, at the display threshold.

    Attributes:
        tables: Of the pooled folds.
        judged: What `judge_tables` returns for them.
        fold_of_file: The fold that held an image out.
        iou_threshold: A detection is right from this IoU on.
        image_dir: Where the images lie.
    """

    tables: EvaluationTables
    judged: JudgedTables
    fold_of_file: Mapping[str, int]
    image_dir: Path
    iou_threshold: float = 0.5

    @cached_property
    def errors(self) -> DetectionErrors:
        """Return the kind of each shown detection and the faces that none comes near."""
        shown = self.judged.detections.drop(columns="is_tp")
        return classify_errors(self.tables.images, self.tables.annotations, shown, self.iou_threshold)

    @cached_property
    def _outcomes(self) -> pd.DataFrame:
        return outcomes_by_image(self.tables.images["file_name"], self.judged)

    def read(self, file_name: str) -> np.ndarray:
        """Return the pixels of an image, (H, W, 3) uint8, RGB."""
        return read_image(self.image_dir / file_name)

    def f1(self, file_name: str) -> float | None:
        """Return the F1 of an image; None where undefined."""
        value = self._outcomes["f1"].get(file_name, np.nan)
        return None if np.isnan(value) else float(value)

    def third(self, size_px: float) -> int:
        """Return which third of the set's faces a size belongs to, from 1; 0 where the set's sizes are unknown."""
        bounds = self.tables.size_bounds_px
        if bounds is None or np.isnan(bounds).any():
            return 0
        return int(np.searchsorted(bounds, size_px)) + 1


def image_cards(names_of_section: Mapping[str, Sequence[str]], source: CardSource) -> list[GalleryCard]:
    """Return a card an image; one that several sections chose comes once, where it came first.

    Args:
        names_of_section: What `select_images` returns.
        source: Verdicts and pixels.
    """
    groups: dict[str, list[str]] = {}
    for section, names in names_of_section.items():
        for name in names:
            groups.setdefault(name, []).append(section)
    facts = _facts_by_file(source)
    return [_image_card(name, tuple(of), facts.get(name, []), source) for name, of in groups.items()]


def _image_card(name: str, groups: tuple[str, ...], facts: list[BoxFact], source: CardSource) -> GalleryCard:
    fold = int(source.fold_of_file.get(name, -1))
    picture = GalleryPicture(name, fold, source.read(name), source.judged.of_file(name))
    image_wh = (picture.image.shape[1], picture.image.shape[0])
    panels = truth_and_prediction(picture.judged, image_wh, f"{name}. ", picture.captions)
    f1 = source.f1(name)
    lines = (name, *picture.captions, "F1 undefined: nothing labelled, nothing shown" if f1 is None else f"F1 {f1:.2f}")
    return GalleryCard(IMAGE, groups, name, fold, f1, picture.image, panels, lines, tuple(facts))


def truth_and_prediction(
    judged: JudgedTables,
    image_wh: tuple[int, int],
    prefix: str,
    captions: tuple[str, str],
    font_units: float = FONT_UNITS,
) -> tuple[Panel, Panel]:
    """Return both views of one photo.

    Args:
        judged: Rows of this photo, boxes in its pixels.
        image_wh: Its width and height.
        prefix: Put before both texts.
        captions: What each view shows.
        font_units: Size of the labels in units of the view.
    """
    faces, found = judged.faces, judged.detections
    boxes = [table[BOX_COLUMNS].to_numpy() for table in (faces, found)]
    names, scores = [list(table["class_name"]) for table in (faces, found)], list(found["score"])
    truth = overlay_svg(boxes[0], names[0], None, list(~faces["is_found"]), image_wh, font_units)
    prediction = overlay_svg(boxes[1], names[1], scores, list(~found["is_tp"]), image_wh, font_units)
    return Panel(prefix + captions[0], truth), Panel(prefix + captions[1], prediction)


def root_areas(rows: pd.DataFrame) -> np.ndarray:
    """Return (N,) float, the roots of the areas of N boxes in pixels."""
    return np.sqrt(box_area(rows[BOX_COLUMNS].to_numpy(np.float64)))


def _facts_by_file(source: CardSource) -> dict[str, list[BoxFact]]:
    """Return what the filters know of every shown detection and every missed face, by image."""
    facts: dict[str, list[BoxFact]] = {}
    detections, faces = source.errors.detections, source.errors.faces
    true_class = detections["cause"].map(faces["class_name"])
    rows = zip(detections["file_name"], detections["class_name"], true_class, strict=True)
    numbers = zip(detections["error"], detections["score"], root_areas(detections), strict=True)
    for (name, predicted, labelled), (kind, score, size) in zip(rows, numbers, strict=True):
        classes = class_indices(labelled, predicted) if kind != HIT else class_indices(predicted)
        fact = BoxFact(classes, kind, source.third(size), float(score), float(size))
        facts.setdefault(name, []).append(fact)
    missed = faces[faces["is_missed"]]
    for name, labelled, size in zip(missed["file_name"], missed["class_name"], root_areas(missed), strict=True):
        fact = BoxFact(class_indices(labelled), MISSED, source.third(size), None, float(size))
        facts.setdefault(name, []).append(fact)
    return facts


def class_indices(*names: str | float) -> tuple[int, ...]:
    """Return the indices of names, once each; a missing value (NaN) and an unknown name have none.

    >>> class_indices("without_mask", float("nan"), "without_mask")
    (1,)
    """
    return tuple(dict.fromkeys(CLASS_NAMES.index(name) for name in names if name in CLASS_NAMES))
