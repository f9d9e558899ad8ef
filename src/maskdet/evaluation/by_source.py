"""How good detections are on each source of a composite set, and on all of them together.

Precision, recall and F1 are stated as detectors of the YOLO family report theirs: at the one score threshold where the
mean F1 of the classes is best, as means over the classes. A rare class weighs as much there as a frequent one.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from maskdet.evaluation.bootstrap import CONFIDENCE, Resampled, interval_columns, resample
from maskdet.evaluation.matching import above_threshold, match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.rates import detection_rates, mean_defined
from maskdet.evaluation.thresholds import threshold_curves
from maskdet.evaluation.weighted import WeightedMetrics, count_groups, group_places
from maskdet.schema import CLASS_NAMES

ALL_SOURCES = "all"
"""Name of the rows that count the images of every source."""

RATES = ("precision", "recall", "f1")
_COCO = ("map", "map_50", *(f"ap_50/{name}" for name in CLASS_NAMES))


def best_common_threshold(matches: pd.DataFrame, annotations: pd.DataFrame) -> float:
    """Return the score threshold, one for every class, at which the mean F1 of the classes with a true box is best.

    It lies half-way between the last score that it keeps and the next one. It was chosen on the detections that it is
    judged by: on other images expect a little less.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count.
        annotations: The true boxes that were matched.

    Returns:
        In [0, 1], of equally good ones the highest; NaN if no detection of such a class is a hit.
    """
    scores = np.unique(matches["score"].to_numpy())[::-1]  # (T,) falling
    is_known = np.isin(CLASS_NAMES, annotations["class_name"].unique())  # (K,)
    if not len(scores) or not is_known.any():
        return float("nan")
    curves = threshold_curves(matches, annotations, scores)
    f1_of_class = curves["f1"].to_numpy().reshape(-1, len(scores))[: len(CLASS_NAMES)]  # (K, T)
    mean_f1 = f1_of_class[is_known].mean(axis=0)  # (T,)
    best = int(mean_f1.argmax())
    if not mean_f1[best]:
        return float("nan")
    lower = scores[min(best + 1, len(scores) - 1)]
    between = (scores[best] + lower) / 2  # in the scores' own float32, in which it will be compared
    return float(between if between > lower else scores[best])


class SourceMetrics:
    """mAP, AP50 of each class, and the classes' mean precision, recall and F1, on any resample of the groups.

    `num_groups` is G; `num_hits` decides what memory a call takes, see `WeightedMetrics`.

    Args:
        tables: The images, true boxes and detections to count.
        group_of_file: Group of every file of `tables.images`.
        score_threshold: Of precision, recall and F1; NaN keeps no detection.
        iou_threshold: Of the same three.

    Raises:
        ValueError: See `WeightedMetrics`.
    """

    def __init__(
        self,
        tables: EvaluationTables,
        group_of_file: Mapping[str, int],
        score_threshold: float,
        iou_threshold: float = 0.5,
    ) -> None:
        self._weighted = WeightedMetrics(tables, group_of_file, score_threshold, iou_threshold)
        self.num_groups, self.num_hits = self._weighted.num_groups, self._weighted.num_hits
        shown = match_detections(
            tables.annotations, above_threshold(tables.predictions, score_threshold), iou_threshold
        )
        place, _ = group_places(tables.images["file_name"].tolist(), group_of_file)
        self._outcomes = np.stack(
            [
                _counts(rows, place, self.num_groups)
                for rows in (shown[shown["is_tp"]], shown, tables.annotations)  # hits, shown, faces
            ]
        )  # (3, K, G)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return every metric for R ways to weigh the groups.

        Args:
            weights: (G, R) float, how often each group counts, in the order of the sorted groups.

        Returns:
            `map, map_50, ap_50/<class>, precision, recall, f1` → (R,) float in [0, 1]; NaN where undefined. Classes
            without a true box are in no mean, and one of which no detection is shown is not in that of the precision.
        """
        found = self._weighted(weights)
        hits, shown, faces = self._outcomes @ weights  # (K, R) each
        rates = detection_rates(hits, shown, faces)
        return {name: found[name] for name in _COCO} | {
            name: mean_defined(np.where(faces > 0, rates[name], np.nan)) for name in RATES
        }


def _counts(rows: pd.DataFrame, place: Mapping[str, int], num_groups: int) -> np.ndarray:
    """Return the number of rows of each class in each group, (K, G) float."""
    files_of = [rows.loc[rows["class_name"] == name, "file_name"] for name in CLASS_NAMES]
    return np.stack([count_groups(files.map(place), num_groups) for files in files_of])


def metrics_by_source(
    tables: EvaluationTables,
    group_of_file: Mapping[str, int],
    score_threshold: float,
    num_replicates: int,
    seed: int,
    iou_threshold: float = 0.5,
) -> pd.DataFrame:
    """Return every metric of each source and of all of them, with its BCa interval over resampled groups.

    Args:
        tables: The held-out images, whose column `source` parts them, their true boxes and detections.
        group_of_file: Group of every file of `tables.images`.
        score_threshold: Of precision, recall and F1, the same for all sources, see `best_common_threshold`.
        num_replicates: At least 2.
        seed: Of the draws.
        iou_threshold: Of precision, recall and F1.

    Returns:
        Columns `source` (sorted, `ALL_SOURCES` last), `num_images` and `num_faces` (what the metric counts: of one
        class its faces), `metric` (those of `SourceMetrics`), `value, low, high`. Ends are NaN where undefined, so of
        a source with a single group. AP of a source ranks its own detections alone.

    Raises:
        ValueError: See `resample` and `WeightedMetrics`.
    """
    rows = []
    for source in [*sorted(set(tables.images["source"])), ALL_SOURCES]:
        part = tables if source == ALL_SOURCES else _of_source(tables, source)
        metrics = SourceMetrics(part, group_of_file, score_threshold, iou_threshold)
        faces = part.annotations["class_name"].value_counts()
        for name, interval in _with_intervals(metrics, num_replicates, seed).items():
            num_faces = faces.get(name.partition("/")[2], 0) if "/" in name else len(part.annotations)
            counts = {"num_images": len(part.images), "num_faces": int(num_faces)}
            rows.append({"source": source, **counts, "metric": name, **interval})
    return pd.DataFrame(rows)


def _of_source(tables: EvaluationTables, source: str) -> EvaluationTables:
    images = tables.images[tables.images["source"] == source].reset_index(drop=True)
    others = (tables.annotations, tables.predictions)
    return EvaluationTables(
        images, *(table[table["file_name"].isin(images["file_name"])].reset_index(drop=True) for table in others)
    )


def _with_intervals(metrics: SourceMetrics, num_replicates: int, seed: int) -> dict[str, dict[str, float]]:
    if metrics.num_groups < 2:
        values = {name: float(value[0]) for name, value in metrics(np.ones((metrics.num_groups, 1))).items()}
        return {name: {"value": value, "low": float("nan"), "high": float("nan")} for name, value in values.items()}
    resampled: Resampled = resample(metrics, num_replicates, seed)
    return {
        name: {"value": value, **interval_columns(resampled, name, CONFIDENCE)}
        for name, value in resampled.values.items()
    }
