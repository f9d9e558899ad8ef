"""The project's tables of a foreign set: its images, its true boxes, and what a model found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import clip_boxes
from maskdet.data.audit.boxes_of_image import Box, check_boxes_of_image
from maskdet.data.audit.looks import Look
from maskdet.data.audit.options import AuditOptions
from maskdet.data.labelled_set import LabelledImage
from maskdet.inference.results import ImageResult
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, IMAGES, PREDICTIONS, validate

NO_FOLD = -1


@dataclass(frozen=True)
class SetTables:
    """The labelled images of a set.

    Attributes:
        images: Columns as `schema.IMAGES`.
        annotations: Columns as `schema.ANNOTATIONS`.
        num_clipped: Boxes that were cut at the border of their image, or put in order.
        num_dropped: Boxes that are in no table: without area inside the image, or a repetition of another.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    num_clipped: int
    num_dropped: int

    @property
    def num_difficult(self) -> int:
        """Return how many boxes are marked difficult, crowds among them."""
        return int(self.annotations["is_difficult"].sum())


def label_tables(images: Sequence[LabelledImage], looks: Mapping[str, Look], source: str) -> SetTables:
    """Return the tables of labelled images, their boxes put right as a repair by `maskdet audit` would.

    Args:
        images: In the classes of `schema.CLASS_NAMES`.
        looks: Of these files.
        source: The value of the column `source`.
    """
    rows, faces, num_clipped, num_dropped = [], [], 0, 0
    options = AuditOptions()
    for image in images:
        look = looks[image.file_name]
        repaired = check_boxes_of_image(image.boxes, look.image_wh, options).repaired
        taken = [(box, _stored(right, look.image_wh)) for box, right in zip(image.boxes, repaired, strict=True)]
        pairs = [(box, stored) for box, stored in taken if stored is not None]
        num_dropped += len(taken) - len(pairs)
        num_clipped += sum(bool((np.float32(box.box_xyxy) != stored).any()) for box, stored in pairs)
        faces += [(image.file_name, box.class_name, *stored, box.is_difficult) for box, stored in pairs]
        rows.append((image.file_name, source, *look.image_wh, len(pairs), look.sha256))
    annotations = _typed(pd.DataFrame(faces, columns=list(ANNOTATIONS.columns))).astype({"is_difficult": bool})
    return SetTables(
        validate(pd.DataFrame(rows, columns=list(IMAGES.columns)), IMAGES, "images"),
        validate(annotations, ANNOTATIONS, "annotations"),
        num_clipped,
        num_dropped,
    )


def _stored(box: Box | None, image_wh: tuple[int, int]) -> np.ndarray | None:
    """Return a repaired box as the table holds it, (4,) float32; None where there is none, or no area is left of it."""
    if box is None:
        return None
    stored = clip_boxes(np.array([box]), image_wh)[0].astype(np.float32)
    return stored if (stored[2:] > stored[:2]).all() else None


def prediction_table(results: Sequence[ImageResult], class_names: Sequence[str]) -> pd.DataFrame:
    """Return detections as `schema.PREDICTIONS` has them, in the order of images and best first, in no fold.

    Args:
        results: An image each.
        class_names: Of the model.
    """
    columns: dict[str, list] = {name: [] for name in PREDICTIONS.columns}
    for result in results:
        found = result.detections
        columns["file_name"] += [result.file_name] * len(found)
        columns["fold"] += [NO_FOLD] * len(found)
        columns["class_name"] += [class_names[index] for index in found.class_indices]
        columns["score"] += found.scores.tolist()
        for position, name in enumerate(BOX_COLUMNS):
            columns[name] += found.boxes_xyxy[:, position].tolist()
    return validate(_typed(pd.DataFrame(columns)), PREDICTIONS, "predictions")


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give an empty table the types that a full one has."""
    return table.astype({"file_name": "str", "class_name": "str", **dict.fromkeys(BOX_COLUMNS, "float32")})
