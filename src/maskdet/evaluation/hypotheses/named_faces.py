"""Faces with their true class and the class that a model names, whether it found them first or was handed crops."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.evaluation.hypotheses.by_group import FaceGroups
from maskdet.evaluation.matching import NO_ANNOTATION, above_threshold, match_detections
from maskdet.schema import CLASS_NAMES, PROBABILITY_COLUMNS

FACE_KEYS = ["file_name", "face"]
"""Columns that tell faces apart: `face` is the place among the file's annotations."""

NOT_FOUND = "not found"
"""The answer for a face that no detection hits: it is right for no class."""


@dataclass(frozen=True)
class NamedFaces:
    """N faces, each judged once by a model that did not train on it.

    Attributes:
        faces: Columns `file_name`, `face` (its place among the file's annotations), `class_name` (the true class) and
            `answer` (a class or `NOT_FOUND`), sorted by the first two.
        groups: Of the faces, in the order of the rows.
    """

    faces: pd.DataFrame
    groups: FaceGroups

    @property
    def is_right(self) -> np.ndarray:
        """Return (N,) bool: the answer is the true class."""
        return (self.faces["answer"] == self.faces["class_name"]).to_numpy()

    def answered(self) -> "NamedFaces":
        """Return the faces that got an answer.

        Raises:
            ValueError: If they come from fewer than two groups.
        """
        return self.only((self.faces["answer"] != NOT_FOUND).to_numpy())

    def only(self, is_in: np.ndarray) -> "NamedFaces":
        """Return some of the faces.

        Args:
            is_in: (N,) bool.

        Raises:
            ValueError: If they come from fewer than two groups.
        """
        return NamedFaces(self.faces[is_in].reset_index(drop=True), FaceGroups.of(self.groups.codes[is_in]))

    @property
    def num_images(self) -> int:
        """Return the number of images with a judged face."""
        return self.faces["file_name"].nunique()

    @property
    def counts(self) -> dict[str, int]:
        """Return what was judged, for the record."""
        return {"faces": len(self.faces), "images": self.num_images, "groups": self.groups.num}


def from_detections(
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    group_of_file: Mapping[str, int],
    score_threshold: float,
    iou_threshold: float = 0.5,
) -> NamedFaces:
    """Return what a detector calls each true box: the class of the detection that hits it, whatever that class is.

    Args:
        annotations: True boxes of the images judged, columns as `schema.ANNOTATIONS`.
        predictions: Detections, columns as `schema.PREDICTIONS`.
        group_of_file: Group of every file.
        score_threshold: Detections with `score >= score_threshold` count.
        iou_threshold: In (0, 1].

    Raises:
        ValueError: If `iou_threshold` lies outside (0, 1], a file has no group, or there are fewer than two groups.
    """
    annotations = annotations.reset_index(drop=True)
    kept = above_threshold(predictions, score_threshold)
    matches = match_detections(annotations, kept, iou_threshold, by_class=False)
    hits = matches[matches["annotation"] != NO_ANNOTATION].set_index("annotation")["class_name"]
    answers = hits.reindex(annotations.index).fillna(NOT_FOUND)
    numbered = annotations.assign(face=annotations.groupby("file_name").cumcount(), answer=answers)
    return _named(numbered, group_of_file)


def from_crop_predictions(predictions: pd.DataFrame, group_of_file: Mapping[str, int]) -> NamedFaces:
    """Return what a classifier calls each face: the class of the largest probability.

    Args:
        predictions: Columns as `schema.CROP_PREDICTIONS`.
        group_of_file: Group of every file.

    Raises:
        ValueError: If a file has no group, or there are fewer than two groups.
    """
    best = predictions[PROBABILITY_COLUMNS].to_numpy().argmax(axis=1)  # (N,)
    return _named(predictions.assign(answer=np.array(CLASS_NAMES, object)[best]), group_of_file)


def _named(faces: pd.DataFrame, group_of_file: Mapping[str, int]) -> NamedFaces:
    rows = faces[[*FACE_KEYS, "class_name", "answer"]].astype(
        {"file_name": object, "class_name": object, "answer": object}
    )
    rows = rows.sort_values(FACE_KEYS, ignore_index=True)
    return NamedFaces(rows, groups_of_files(rows["file_name"], group_of_file))


def groups_of_files(file_names: pd.Series, group_of_file: Mapping[str, int]) -> FaceGroups:
    """Return the groups of faces from the names of their files.

    Raises:
        ValueError: If a file has no group, or there are fewer than two groups.
    """
    labels = file_names.map(dict(group_of_file))
    if labels.isna().any():
        raise ValueError(f"expected a group of every image, got none of {file_names[labels.isna()].iloc[0]!r}")
    return FaceGroups.of(labels.to_numpy(np.int64))


def check_same_faces(faces_a: pd.DataFrame, faces_b: pd.DataFrame, names: str) -> None:
    """Refuse tables that do not judge the same faces with the same true classes.

    Args:
        faces_a: Columns `file_name, face, class_name`, any order; more are ignored.
        faces_b: The same columns.
        names: What the message calls the two.

    Raises:
        ValueError: If they do not; the message names the first face that tells them apart.
    """
    columns = [*FACE_KEYS, "class_name"]
    rows = pd.concat([faces_a[columns], faces_b[columns]])
    unequal = rows[~rows.duplicated(keep=False)]
    if len(unequal):
        first = unequal.sort_values(columns).iloc[0]
        raise ValueError(
            f"{names}: expected the same faces with the same classes, got {len(faces_a)} and {len(faces_b)} faces; "
            f"only one table has face {first['face']} of {first['file_name']!r} as {first['class_name']}"
        )
