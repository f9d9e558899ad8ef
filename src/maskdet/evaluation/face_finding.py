"""How well a detector finds faces, whatever they wear: AP, recall, precision by size and mask state, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.evaluation.checks import check_tables
from maskdet.evaluation.curves import best_of_each_class, ranked_rows
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.rates import detection_rates, ratio
from maskdet.evaluation.sizes import area_ranges
from maskdet.evaluation.weighted import Ranking, count_groups, group_places
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

FACE = "face"
"""The one class of face finding: what the face wears is asked later."""

ALL = "all"


@dataclass(frozen=True)
class FaceTables:
    """What one evaluation counts.

    Attributes:
        images: Columns as `schema.IMAGES`; images without a face count, what is found there is wrong.
        annotations: True boxes of these images, columns as `schema.ANNOTATIONS`, a unique integer index; `class_name`
            is the mask state.
        faces: Found faces, columns as `schema.FACES`; may be empty.
        size_bounds_px: What parts the faces into thirds by size, see `size_tertiles`; None leaves the thirds out.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    faces: pd.DataFrame
    size_bounds_px: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Counted:
    """What counts for a size.

    Attributes:
        ranking: Of the found faces among the 100 best of their image, which AP counts.
        num_hits: (G,) float, hits at or above the operating point in each group.
        num_shown: (G,) float, found faces there.
        num_faces: (G,) float, true faces of the size.
    """

    ranking: Ranking
    num_hits: np.ndarray
    num_shown: np.ndarray
    num_faces: np.ndarray


class FaceFindingMetrics:
    """The metrics of one detector as functions of how often each group of images counts, for `bootstrap.resample`.

    `num_groups` is G; `num_hits` is the length of the longest ranking, which decides what memory a call takes.

    AP is COCO's of a single class: 101 recall points, at most 100 faces an image. For a size, faces of other sizes
    are ignored, and so is whatever lies on them, or on none and has another size itself. Precision, recall and F1
    count in the same way what stands at the operating point, without a ceiling. A false alarm has no mask state, so
    that of a state there is only the recall.

    Args:
        tables: What is counted.
        group_of_file: Group of every file of `tables.images`; others are ignored.
        score_threshold: The operating point, in [0, 1].
        iou_thresholds: From which IoU on a found face is a hit, each in (0, 1].

    Raises:
        ValueError: See `check_tables`; also if a file has no group or a threshold is out of its range.
    """

    def __init__(
        self,
        tables: FaceTables,
        group_of_file: Mapping[str, int],
        score_threshold: float,
        iou_thresholds: Sequence[float],
    ) -> None:
        place, self.num_groups = group_places(tables.images["file_name"].tolist(), group_of_file)
        truth = tables.annotations.assign(class_name=FACE)
        check_tables(tables.images, truth, tables.faces.assign(class_name=FACE), (FACE,))
        faces = _ranked(tables.faces)
        self._sizes: dict[tuple[float, str], _Counted] = {}
        self._states: dict[tuple[float, str], np.ndarray] = {}  # (2, G) found, all
        for iou_threshold in iou_thresholds:
            for name, limits in area_ranges(tables.size_bounds_px).items():
                counted = _count_size(truth, faces, limits, iou_threshold)
                of_size = truth[_inside(truth, limits)]
                self._sizes[iou_threshold, name] = _grouped(counted, of_size, place, self.num_groups, score_threshold)
            found = is_found(tables.annotations, tables.faces, score_threshold, iou_threshold)
            for state in CLASS_NAMES:
                is_state = tables.annotations["class_name"] == state
                self._states[iou_threshold, state] = np.stack(
                    [
                        count_groups(truth.loc[rows, "file_name"].map(place), self.num_groups)
                        for rows in (found & is_state, is_state)
                    ]
                )
        self.num_hits = max((len(counted.ranking.group_of_hit) for counted in self._sizes.values()), default=0)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return every metric for R ways to weigh the groups.

        Args:
            weights: (G, R) float, how often each group counts, in the order of the sorted groups.

        Returns:
            Metric → (R,) float in [0, 1], NaN where undefined. `ap`, `precision`, `recall`, `f1` of each IoU threshold
            and size, `recall` of each mask state: see `metric_name`.
        """
        metrics = {}
        for (iou_threshold, name), counted in self._sizes.items():
            num_faces = counted.num_faces @ weights  # (R,)
            rates = detection_rates(counted.num_hits @ weights, counted.num_shown @ weights, num_faces)
            rates = {"ap": counted.ranking.average_precision(num_faces, weights), **rates}
            metrics |= {metric_name(rate, iou_threshold, name): values for rate, values in rates.items()}
        for (iou_threshold, name), (num_found, num_faces) in self._states.items():
            metrics[metric_name("recall", iou_threshold, name)] = ratio(num_found @ weights, num_faces @ weights)
        return metrics

    def recall_counts(self) -> dict[str, np.ndarray]:
        """Return the faces found and all faces of each group with a face: metric → (2, G') float, 0 without any."""
        recalls = {
            metric_name("recall", iou, name): np.stack([counted.num_hits, counted.num_faces])
            for (iou, name), counted in self._sizes.items()
        } | {metric_name("recall", iou, name): counts for (iou, name), counts in self._states.items()}
        has_faces = np.any([counts[1] > 0 for counts in recalls.values()], axis=0)  # (G,)
        return {name: counts[:, has_faces] for name, counts in recalls.items()}


def metric_name(rate: str, iou_threshold: float, subgroup: str = ALL) -> str:
    """Return the key of a metric.

    >>> metric_name("recall", 0.4, "small")
    'recall_40/small'
    """
    return f"{rate}_{round(100 * iou_threshold)}/{subgroup}"


def is_found(annotations: pd.DataFrame, faces: pd.DataFrame, score_threshold: float, iou_threshold: float) -> pd.Series:
    """Say of every true face whether a detector has found it.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`, a unique integer index.
        faces: Found faces, columns as `schema.FACES`.
        score_threshold: Only faces with `score >= score_threshold` count.
        iou_threshold: In (0, 1].

    Returns:
        (M,) bool with the index of `annotations`; a found face hits one true face at most.
    """
    shown = faces[faces["score"] >= score_threshold]
    matches = match_detections(annotations, shown, iou_threshold, by_class=False)
    return pd.Series(annotations.index.isin(matches.loc[matches["is_tp"], "annotation"]), annotations.index)


def box_habit(annotations: pd.DataFrame, faces: pd.DataFrame, iou_threshold: float) -> dict[str, float]:
    """Return how the annotators' boxes differ from those that a detector draws around the same faces.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`, a unique integer index.
        faces: Found faces, columns as `schema.FACES`; only hits count.
        iou_threshold: Of a hit; a low one, or the habit itself keeps faces out that show it.

    Returns:
        `scale_w, scale_h`: width and height of the true box over those of the found one; `shift_x, shift_y`: from the
        found centre to the true one, in found widths and heights. Medians over the hits; NaN without any.
    """
    hits = match_detections(annotations, faces, iou_threshold, by_class=False).query("is_tp")
    found = hits[BOX_COLUMNS].to_numpy(np.float64)  # (J, 4)
    true = annotations.loc[hits["annotation"], BOX_COLUMNS].to_numpy(np.float64)  # (J, 4)
    found_wh, true_wh = found[:, 2:] - found[:, :2], true[:, 2:] - true[:, :2]  # (J, 2)
    shift = (true[:, :2] + true_wh / 2 - found[:, :2] - found_wh / 2) / found_wh  # (J, 2)
    keys = ("scale_w", "scale_h", "shift_x", "shift_y")
    if not len(hits):
        return dict.fromkeys(keys, float("nan"))
    return dict(zip(keys, np.median(np.hstack([true_wh / found_wh, shift]), axis=0).tolist(), strict=True))


def _ranked(faces: pd.DataFrame) -> pd.DataFrame:
    """Return found faces from the highest score down, with `is_ranked`: AP counts them."""
    faces = faces.assign(class_name=FACE).iloc[ranked_rows(faces)].reset_index(drop=True)
    return faces.assign(is_ranked=faces.index.isin(best_of_each_class(faces).index))


def _count_size(
    truth: pd.DataFrame, faces: pd.DataFrame, limits: tuple[float, float], iou_threshold: float
) -> pd.DataFrame:
    """Return the found faces that count for a size, in their order, with `is_tp`.

    COCO lets a found face take a true one of the size where it can and another one only where it cannot: the same as
    matching with the faces of the size first, and what is left over with the others.
    """
    is_of_size = _inside(truth, limits)
    matches = match_detections(truth[is_of_size], faces, iou_threshold)
    is_left = ~matches["is_tp"].to_numpy()  # (N,)
    is_alarm = is_left & _inside(faces, limits)
    is_alarm[is_left] &= ~match_detections(truth[~is_of_size], faces[is_left], iou_threshold)["is_tp"].to_numpy()
    return matches[~is_left | is_alarm]


def _inside(table: pd.DataFrame, limits: tuple[float, float]) -> np.ndarray:
    areas = box_area(table[BOX_COLUMNS].to_numpy(np.float64))  # (N,)
    return (areas >= limits[0]) & (areas <= limits[1])


def _grouped(
    counted: pd.DataFrame, faces: pd.DataFrame, place: Mapping[str, int], num_groups: int, score_threshold: float
) -> _Counted:
    """Return by groups the found faces that `_count_size` returns and the true faces of the size."""
    is_ranked, is_shown = counted["is_ranked"], counted["score"] >= score_threshold
    ranked = counted[is_ranked]
    parts = (counted[is_shown & counted["is_tp"]], counted[is_shown], faces)
    return _Counted(
        Ranking.of(ranked["is_tp"].to_numpy(bool), ranked["file_name"].map(place).to_numpy(np.int64), num_groups),
        *(count_groups(part["file_name"].map(place), num_groups) for part in parts),
    )
