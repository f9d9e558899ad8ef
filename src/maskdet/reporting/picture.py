"""One image of a gallery: its pixels, its true boxes, its detections, and which of them are right."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.evaluation.matching import match_detections
from maskdet.reporting.drawing import draw_boxes, fit_for_display, side_by_side
from maskdet.schema import BOX_COLUMNS


@dataclass(frozen=True)
class JudgedTables:
    """True boxes and detections with a verdict on each.

    Attributes:
        faces: Columns as `schema.ANNOTATIONS`, plus `is_found` (bool).
        detections: Columns as `schema.PREDICTIONS` without those below the score threshold, plus `is_tp` (bool).
    """

    faces: pd.DataFrame
    detections: pd.DataFrame

    def of_file(self, file_name: str) -> "JudgedTables":
        """Return the rows of one image."""
        return JudgedTables(
            self.faces[self.faces["file_name"] == file_name],
            self.detections[self.detections["file_name"] == file_name],
        )


@dataclass(frozen=True)
class GalleryPicture:
    """An image with its verdicts.

    Attributes:
        file_name: Of the image, as in the tables.
        fold: The fold that held it out; −1 for none.
        image: (H, W, 3) uint8, RGB, in its own size.
        judged: The rows of this image.
    """

    file_name: str
    fold: int
    image: np.ndarray
    judged: JudgedTables

    @property
    def counts(self) -> dict[str, int]:
        """Return `num_faces, hits, misses, false_alarms`; hits + misses = faces."""
        hits = int(self.judged.faces["is_found"].sum())
        num_faces = len(self.judged.faces)
        false_alarms = int((~self.judged.detections["is_tp"]).sum())
        return {"num_faces": num_faces, "hits": hits, "misses": num_faces - hits, "false_alarms": false_alarms}

    @property
    def captions(self) -> tuple[str, str]:
        """Return one line on the true boxes and one on the detections."""
        counts = self.counts
        outcomes = [("hits", "hit"), ("misses", "miss"), ("false_alarms", "false alarm")]
        prediction = ", ".join(_plural(counts[key], noun) for key, noun in outcomes)
        return f"Truth: {_plural(counts['num_faces'], 'face')}", f"Prediction: {prediction}"

    def panels(self, max_side_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the true boxes on one copy and the detections on another; misses and false alarms are dashed.

        Args:
            max_side_px: Longer side of a panel; a small image is enlarged to at most twice its size.

        Returns:
            Two (H', W', 3) uint8 of one shape: truth, prediction.
        """
        faces, detections = self.judged.faces, self.judged.detections
        image, true_boxes = fit_for_display(self.image, faces[BOX_COLUMNS].to_numpy(), max_side_px)
        _, boxes = fit_for_display(self.image, detections[BOX_COLUMNS].to_numpy(), max_side_px)
        truth = draw_boxes(image, true_boxes, list(faces["class_name"]), is_dashed=list(~faces["is_found"]))
        prediction = draw_boxes(
            image, boxes, list(detections["class_name"]), list(detections["score"]), list(~detections["is_tp"])
        )
        return truth, prediction

    def side_by_side(self, max_side_px: int) -> np.ndarray:
        """Return both panels under their captions in one picture, (H', W', 3) uint8."""
        return side_by_side(self.panels(max_side_px), self.captions)


def judge_tables(
    annotations: pd.DataFrame, predictions: pd.DataFrame, score_threshold: float, iou_threshold: float = 0.5
) -> JudgedTables:
    """Say of every true box whether it is found and of every shown detection whether it is right.

    A detection is right where it hits a true box of its class; a face found under a wrong class is a miss and a false
    alarm.

    Args:
        annotations: Columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Columns as `schema.PREDICTIONS`.
        score_threshold: Detections below it are left out.
        iou_threshold: In (0, 1].

    Returns:
        The rows of `annotations`, and those of `predictions` that are shown, in their order.

    Raises:
        ValueError: If `iou_threshold` lies outside (0, 1].
    """
    shown = predictions[predictions["score"] >= score_threshold]
    matches = match_detections(annotations, shown, iou_threshold)
    is_found = annotations.index.isin(matches.loc[matches["is_tp"], "annotation"])  # (M,)
    return JudgedTables(annotations.assign(is_found=is_found), matches.drop(columns=["annotation", "iou"]))


def _plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> _plural(1, "miss"), _plural(2, "miss"), _plural(0, "hit")
    ('1 miss', '2 misses', '0 hits')
    """
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{ending}"
