"""COCO's metrics as functions of how often each group of images is counted: one matching serves every replicate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from maskdet.evaluation.coco import AP_MAX_DETECTIONS, IOU_THRESHOLDS, MAX_DETECTIONS
from maskdet.evaluation.curves import RECALL_POINTS
from maskdet.evaluation.matching import ScoreThreshold, above_threshold, match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.rates import detection_rates, mean_defined, ratio
from maskdet.evaluation.verdicts import CocoVerdicts, coco_verdicts
from maskdet.schema import CLASS_NAMES


@dataclass(frozen=True)
class Ranking:
    """The J hits among the detections that AP counts of one class, from the highest score down.

    Precision matters at hits only: between two of them it falls, and COCO's envelope never sees that.

    Attributes:
        group_of_hit: (J,) int.
        counted: (J, G), how many detections of each group count after the hit before, up to this hit.
    """

    group_of_hit: np.ndarray
    counted: sparse.csr_matrix

    @classmethod
    def of(cls, is_hit: np.ndarray, groups: np.ndarray, num_groups: int) -> "Ranking":
        """Reduce detections to their hits; what comes after the last hit changes no AP.

        Args:
            is_hit: (N,) bool, of the detections that count, from the highest score down.
            groups: (N,) int, place of the group of each.
            num_groups: G.
        """
        hits = np.flatnonzero(is_hit)  # (J,)
        row_starts = np.append(0, hits + 1)  # (J + 1,) a row ends with its hit
        columns = groups[: row_starts[-1]]
        cells = (np.ones(len(columns)), columns, row_starts)
        return cls(groups[hits], sparse.csr_matrix(cells, shape=(len(hits), num_groups)))

    def average_precision(self, num_faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return COCO's 101-point AP for R ways to weigh the groups.

        The recall points are shared out among the hits: each point belongs to the hit that reaches it.

        Args:
            num_faces: (R,) float, true boxes so weighted.
            weights: (G, R) float, how often each group counts.

        Returns:
            (R,) float in [0, 1]; NaN without a true box.
        """
        hits = np.cumsum(weights[self.group_of_hit], axis=0)  # (J, R)
        counted = np.cumsum(self.counted @ weights, axis=0)  # (J, R)
        precision = hits / np.where(counted > 0, counted, 1)  # 0 before the first detection that is drawn
        envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]  # (J, R)
        recall = hits / np.where(num_faces > 0, num_faces, 1)  # (J, R)
        num_reached = np.searchsorted(RECALL_POINTS, recall, side="right")  # (J, R), the first hit reaches recall 0
        num_new = np.diff(num_reached, axis=0, prepend=0)  # (J, R)
        mean = np.einsum("jr,jr->r", envelope, num_new) / len(RECALL_POINTS)
        return np.where(num_faces > 0, mean, np.nan)


def group_places(files: Sequence[str], group_of_file: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """Return the place of every file's group among the sorted groups of these files, and how many groups there are.

    Raises:
        ValueError: If a file has no group.
    """
    lost = [name for name in files if name not in group_of_file]
    if lost:
        raise ValueError(f"expected a group of every evaluated image, got none of {lost[0]!r}")
    groups, places = np.unique([group_of_file[name] for name in files], return_inverse=True)
    return dict(zip(files, places.tolist(), strict=True)), len(groups)


def count_groups(places: pd.Series | np.ndarray, num_groups: int) -> np.ndarray:
    """Return how often each of G groups occurs among (N,) places, (G,) float."""
    return np.bincount(np.asarray(places, np.int64), minlength=num_groups).astype(np.float64)


class WeightedMetrics:
    """The metrics of one run on any resample of its groups.

    `num_groups` is G; `num_hits` is the length of the longest ranking, which decides what memory a call takes.

    Args:
        tables: The images, true boxes and detections to count.
        group_of_file: Group of every file of `tables.images`; others are ignored.
        score_threshold: Of precision, recall and F1; one, or one for each class.
        iou_threshold: Of the same three.
        metrics: Which to count, e.g. `("map_50",)`, which takes a fiftieth of the time; None: all.

    Raises:
        ValueError: See `coco_metrics`; also if a file has no group, or a metric is unknown.
    """

    def __init__(
        self,
        tables: EvaluationTables,
        group_of_file: Mapping[str, int],
        score_threshold: ScoreThreshold,
        iou_threshold: float = 0.5,
        metrics: Sequence[str] | None = None,
    ) -> None:
        verdicts = coco_verdicts(tables.images, tables.annotations, tables.predictions, tables.size_bounds_px)
        place, self.num_groups = group_places(verdicts.files, group_of_file)
        group_of_image = np.array([place[name] for name in verdicts.files], np.int64)  # (I,)
        self._size_names = verdicts.size_names
        cells = _cells(verdicts.size_names)
        self._wanted = _known(cells if metrics is None else metrics, cells)
        needed = np.zeros((len(verdicts.size_names), len(IOU_THRESHOLDS)), bool)  # (A, T)
        for name in self._wanted:
            needed[cells[name]] = True
        self._num_faces = _face_counts(verdicts, group_of_image, self.num_groups)  # (K, A, G)
        self._num_found = _found_counts(verdicts, group_of_image, self.num_groups)  # (K, C, T, G)
        self._rankings = _rankings(verdicts, group_of_image, self.num_groups, needed)  # [K][A][T]
        rankings = (ranking for sizes in self._rankings for of_size in sizes for ranking in of_size)
        self.num_hits = max((len(ranking.group_of_hit) for ranking in rankings if ranking is not None), default=0)
        shown = match_detections(
            tables.annotations, above_threshold(tables.predictions, score_threshold), iou_threshold
        )
        rows = (shown.loc[shown["is_tp"], "file_name"], shown["file_name"], tables.annotations["file_name"])
        self._outcomes = np.stack(
            [count_groups(row.map(place), self.num_groups) for row in rows]
        )  # (3, G) hits, shown, faces

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return every metric of `coco_metrics` and precision, recall, F1 for R ways to weigh the groups.

        Args:
            weights: (G, R) float, how often each group counts, in the order of the sorted groups; 0 leaves it out.

        Returns:
            Metric → (R,) float in [0, 1]; NaN where a replicate holds no true box of the class or size. A column of
            ones gives what `evaluate_tables` returns.
        """
        num_faces = self._num_faces @ weights  # (K, A, R)
        ap = np.stack([self._average_precisions(k, num_faces[k], weights) for k in range(len(CLASS_NAMES))])
        metrics = {"map": _mean_of_classes(ap[:, 0]), "map_50": _mean_of_classes(ap[:, 0, :1])}
        metrics["map_75"] = _mean_of_classes(ap[:, 0, 5:6])
        metrics |= {f"map_{name}": _mean_of_classes(ap[:, a]) for a, name in enumerate(self._size_names) if a}
        if any(name.startswith("ar_") for name in self._wanted):
            recall = ratio(self._num_found @ weights, num_faces[:, 0, None, None])  # (K, C, T, R)
            metrics |= {f"ar_{n}": _mean_of_classes(recall[:, c]) for c, n in enumerate(MAX_DETECTIONS)}
        metrics |= {f"ap/{name}": ap[k, 0].mean(axis=0) for k, name in enumerate(CLASS_NAMES)}
        metrics |= {f"ap_50/{name}": ap[k, 0, 0] for k, name in enumerate(CLASS_NAMES)}
        hits, shown, faces = self._outcomes @ weights  # (R,) each
        metrics |= detection_rates(hits, shown, faces)
        return {name: metrics[name] for name in self._wanted}

    def _average_precisions(self, class_index: int, num_faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return one class's AP, (A, T, R), from its (A, R) numbers of true boxes; NaN where no metric wants it."""
        rankings = self._rankings[class_index]
        ap = np.full((len(rankings), len(IOU_THRESHOLDS), weights.shape[1]), np.nan)
        for a, t in np.ndindex(ap.shape[:2]):
            if (ranking := rankings[a][t]) is not None:
                ap[a, t] = ranking.average_precision(num_faces[a], weights)
        return ap


def _cells(size_names: Sequence[str]) -> dict[str, tuple]:
    """Return which sizes and IoU thresholds each metric needs rankings of, metrics in the order of the results."""
    every, none = slice(None), slice(0)
    cells = {"map": (0, every), "map_50": (0, 0), "map_75": (0, 5)}
    cells |= {f"map_{name}": (a, every) for a, name in enumerate(size_names) if a}
    cells |= {f"ar_{n}": (none, none) for n in MAX_DETECTIONS}
    cells |= {f"ap/{name}": (0, every) for name in CLASS_NAMES} | {f"ap_50/{name}": (0, 0) for name in CLASS_NAMES}
    return cells | dict.fromkeys(detection_rates(0.0, 0.0, 0.0), (none, none))


def _known(metrics: Iterable[str], cells: Mapping[str, tuple]) -> list[str]:
    """Return the metrics in the order of the results."""
    chosen = set(metrics)
    if strange := sorted(chosen - set(cells)):
        raise ValueError(f"metrics: expected names among {list(cells)}, got {strange[0]!r}")
    return [name for name in cells if name in chosen]


def _face_counts(verdicts: CocoVerdicts, group_of_image: np.ndarray, num_groups: int) -> np.ndarray:
    """Return the number of true boxes of each class and size in each group, (K, A, G)."""
    groups = group_of_image[verdicts.image_of_face]  # (M,)
    return np.stack(
        [
            [
                count_groups(groups[is_counted & (verdicts.class_of_face == k)], num_groups)
                for is_counted in verdicts.is_face_counted
            ]
            for k in range(len(CLASS_NAMES))
        ]
    )


def _found_counts(verdicts: CocoVerdicts, group_of_image: np.ndarray, num_groups: int) -> np.ndarray:
    """Return the hits of each class, ceiling of `MAX_DETECTIONS` and threshold in each group, (K, C, T, G)."""
    groups = group_of_image[verdicts.image_of_detection]  # (N,)
    counts = np.zeros((len(CLASS_NAMES), len(MAX_DETECTIONS), len(IOU_THRESHOLDS), num_groups))
    for k, c, t in np.ndindex(counts.shape[:3]):
        is_in = (verdicts.class_of_detection == k) & (verdicts.rank < MAX_DETECTIONS[c]) & verdicts.is_hit[0, t]
        counts[k, c, t] = count_groups(groups[is_in], num_groups)
    return counts


def _rankings(
    verdicts: CocoVerdicts, group_of_image: np.ndarray, num_groups: int, needed: np.ndarray
) -> list[list[list[Ranking | None]]]:
    """Return the ranking of every class, size and threshold, [K][A][T]; None where (A, T) `needed` is False."""
    groups = group_of_image[verdicts.image_of_detection]  # (N,)
    classes = []
    for k in range(len(CLASS_NAMES)):
        rows = np.flatnonzero((verdicts.class_of_detection == k) & (verdicts.rank < AP_MAX_DETECTIONS))
        is_hit, is_counted, of_class = verdicts.is_hit[..., rows], verdicts.is_counted[..., rows], groups[rows]
        classes.append(
            [
                [
                    Ranking.of(is_hit[a, t, counts], of_class[counts], num_groups) if is_needed else None
                    for t, (is_needed, counts) in enumerate(zip(of_size, is_counted[a], strict=True))
                ]
                for a, of_size in enumerate(needed)
            ]
        )
    return classes


def _mean_of_classes(values: np.ndarray) -> np.ndarray:
    """Return the mean of (K, T, R) over classes and thresholds, undefined classes left out, (R,)."""
    return mean_defined(values.mean(axis=1))
