"""Which faces are missed: recall by size, crowding, truncation, class, image, and by blur and brightness if known."""

from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from maskdet.boxes import box_area
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.matching import ScoreThreshold, above_threshold, match_detections
from maskdet.evaluation.sizes import COCO_SIZES, area_ranges
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

QUALITY_COLUMNS = ("sharpness", "brightness")
"""What `maskdet.data.quality.face_quality` measures on the pixels of each face."""

BORDER_PX = 1.0
"""A box that comes so near the image's border is cut off there, as far as anyone can tell."""

SHARPNESS_GROUPS = ("blurred for its size", "usual", "sharp for its size")

_FACES_OF_A_SIZE = 30  # fewer would rank sharpness by chance
_CROWD_EDGES = (1, 2, 5, 10, 20)
_ALL = "all"


def face_outcomes(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    score_threshold: ScoreThreshold,
    iou_threshold: float = 0.5,
    quality: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Say of every true box whether it was found, and what may have made it hard.

    Args:
        images: Columns `file_name, width, height`.
        annotations: True boxes, columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Detections, columns as `schema.PREDICTIONS`; may be empty.
        score_threshold: Detections with `score >= score_threshold` are counted; one number, or one for each class.
        iou_threshold: In (0, 1].
        quality: Columns `sharpness, brightness` with the index of `annotations`; NaN where not measured.

    Returns:
        The annotations with their index, plus `is_found` (a detection of the right class hits it), `is_located` (a
        detection of any class does), `size_px` (root of the area), `faces_in_image` (itself included), `is_truncated`,
        `image_wh` (str, e.g. "400 x 267"), `orientation` ("landscape", "portrait" or "square"), and the columns of
        `quality`.

    Raises:
        ValueError: See `check_tables`; or if `quality` has another index than the annotations.
    """
    check_tables(images, annotations, predictions, CLASS_NAMES)
    kept = above_threshold(predictions, score_threshold)
    right, any_class = (match_detections(annotations, kept, iou_threshold, by_class) for by_class in (True, False))
    boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (M, 4)
    image_wh = images.set_index("file_name").loc[annotations["file_name"], ["width", "height"]].to_numpy()  # (M, 2)
    touches = (boxes[:, :2] < BORDER_PX).any(axis=1) | (boxes[:, 2:] > image_wh - BORDER_PX).any(axis=1)  # (M,)
    width, height = image_wh.T  # (M,), (M,)
    outcomes = annotations.assign(
        is_found=annotations.index.isin(right["annotation"]),
        # A face found may lose its detection to a neighbour when classes do not part them: it is located all the same.
        is_located=annotations.index.isin(np.append(right["annotation"], any_class["annotation"])),
        size_px=np.sqrt(box_area(boxes)),
        faces_in_image=annotations.groupby("file_name")["file_name"].transform("size"),
        is_truncated=touches,
        image_wh=[f"{w} x {h}" for w, h in image_wh],
        orientation=np.select([width > height, width < height], ["landscape", "portrait"], "square"),
    )
    if quality is None:
        return outcomes
    if not quality.index.equals(annotations.index):
        raise ValueError(f"quality: expected the index of the {len(annotations)} annotations, got {len(quality)} rows")
    return outcomes.join(quality[list(QUALITY_COLUMNS)])


def recall_by_subgroup(outcomes: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return the recall of each group of faces, with an interval.

    Faces of one image share light, focus and people, so that the truth lies outside of these intervals more often than
    they say; a bootstrap over images has the right width.

    Args:
        outcomes: What `face_outcomes` returns.
        confidence: Of the intervals, in (0, 1).

    Returns:
        Columns `property` (what parts the faces: "all", "class", "size", "size_coco", "crowding", "truncation",
        "orientation", "image_size", and if measured "sharpness", among faces of about one size, and "brightness"),
        `subgroup` (in its natural order), `num_faces, num_missed` (no detection of the right class), `num_misnamed`
        (those of the missed that a detection of another class hits), `recall, low, high` (Wilson's interval). The
        faces of a property's groups are all faces, except those not measured; groups without faces are left out.

    Raises:
        ValueError: If the confidence lies outside (0, 1).

    Reference:
        Wilson (1927), https://doi.org/10.2307/2276774; scipy's `proportion_ci`.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a share in (0, 1), got {confidence}")
    rows = []
    for name, groups in _groupings(outcomes).items():
        for subgroup, faces in outcomes.groupby(groups, observed=True, sort=True):
            found, num = int(faces["is_found"].sum()), len(faces)
            misnamed = int((faces["is_located"] & ~faces["is_found"]).sum())
            interval = binomtest(found, num).proportion_ci(confidence, method="wilson")
            rows.append((name, str(subgroup), num, num - found, misnamed, found / num, interval.low, interval.high))
    columns = ["property", "subgroup", "num_faces", "num_missed", "num_misnamed", "recall", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _groupings(outcomes: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the label of each face, by property; labels are ordered categories where their order means something."""
    areas = outcomes["size_px"] ** 2
    coco_edges = [area_ranges()[size][0] for size in COCO_SIZES]
    truncation = outcomes["is_truncated"].map({False: "whole", True: "at the border"})
    common = outcomes["image_wh"].value_counts().index[:4]
    groups = {
        _ALL: pd.Series(_ALL, index=outcomes.index),
        "class": outcomes["class_name"],
        "size": _thirds(outcomes["size_px"], " px"),
        "size_coco": pd.cut(areas, [*coco_edges, np.inf], right=False, labels=list(COCO_SIZES)),
        "crowding": pd.cut(outcomes["faces_in_image"], [*_CROWD_EDGES, np.inf], right=False, labels=_crowd_labels()),
        "truncation": truncation,
        "orientation": outcomes["orientation"],
        "image_size": outcomes["image_wh"].where(outcomes["image_wh"].isin(common), "other"),
    }
    if "sharpness" in outcomes:
        groups["sharpness"] = _sharpness_for_size(outcomes)
    if "brightness" in outcomes:
        groups["brightness"] = _thirds(outcomes["brightness"], "")
    return groups


def _sharpness_for_size(outcomes: pd.DataFrame) -> pd.Series:
    """Return the third of each face's sharpness among faces of about its size; NaN where not measured.

    Small faces are blurred faces: without regard to size, sharpness would only repeat what size says.
    """
    measured = outcomes.loc[outcomes["sharpness"].notna(), ["size_px", "sharpness"]]
    num_groups = np.clip(len(measured) // _FACES_OF_A_SIZE, 1, 10)
    group = np.ceil(measured["size_px"].rank(pct=True, method="first") * num_groups)
    share = measured["sharpness"].groupby(group).rank(pct=True)
    return pd.cut(share, [0, 1 / 3, 2 / 3, 1], labels=SHARPNESS_GROUPS).reindex(outcomes.index)


def _crowd_labels() -> list[str]:
    labels = [str(low) if high - low == 1 else f"{low} to {high - 1}" for low, high in pairwise(_CROWD_EDGES)]
    return [f"{label} faces" if label != "1" else "1 face" for label in [*labels, f"{_CROWD_EDGES[-1]} or more"]]


def _thirds(values: pd.Series, unit: str) -> pd.Series:
    """Return the third of each value, named by its bounds; fewer groups where many values are equal."""
    known = values.dropna()
    low, *between = np.unique(np.quantile(known, [1 / 3, 2 / 3])) if len(known) else [0.0]
    edges = [-np.inf, low, *between, np.inf]
    middle = [f"{low:.3g} to {high:.3g}{unit}" for high in between]
    labels = [f"up to {low:.3g}{unit}", *middle, f"over {edges[-2]:.3g}{unit}"]
    return pd.cut(values, edges, labels=labels)
