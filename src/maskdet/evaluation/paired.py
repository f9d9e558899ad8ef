"""Whether one run is better than another on the same images: differences with intervals and p-values."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from maskdet.evaluation.bca import bca_test
from maskdet.evaluation.bootstrap import CONFIDENCE, NUM_REPLICATES, Resampled, interval_columns, resample
from maskdet.evaluation.matching import ScoreThreshold
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.weighted import WeightedMetrics
from maskdet.schema import BOX_COLUMNS

DIFFERENCE_COLUMNS = ["metric", "a", "b", "difference", "low", "high", "p_value", "least_p_value"]
"""Of every table of differences: b − a with its interval, the p-value of no difference and its lower limit."""


def paired_bootstrap(
    tables_a: EvaluationTables,
    tables_b: EvaluationTables,
    group_of_file: Mapping[str, int],
    score_threshold: ScoreThreshold,
    iou_threshold: float = 0.5,
    num_replicates: int = NUM_REPLICATES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return how much better run b is than run a, metric by metric.

    Every replicate counts the same groups for both runs, so that what makes images hard for both falls out: two runs
    whose own intervals overlap widely may still differ beyond doubt. What it says holds for these trained models on
    other images, not for another training of the same settings. Of many metrics at 0.05 one in twenty is below it by
    chance, of those that rest on few faces up to one in ten (simulated with 60 groups: .05 to .06 for mAP and F1, .08
    to .09 for sizes and a rare class): decide beforehand which one counts.

    Args:
        tables_a: The baseline.
        tables_b: The run to compare; its images and true boxes are those of `tables_a`, in any order.
        group_of_file: Group of every file of the images.
        score_threshold: Of precision, recall and F1 of both; in [0, 1], one or one for each class.
        iou_threshold: Of the same three; in (0, 1].
        num_replicates: See `bootstrap_metrics`; no p-value is below 2 / (num_replicates + 1).
        seed: Of the draws.
        confidence: Of the intervals, in (0, 1).

    Returns:
        A row a metric of `bootstrap_metrics`: `metric, a, b, difference` (b − a), `low, high` (of the difference,
        BCa), `p_value` (two-sided, of no difference; below 0.05 where the 95 % interval leaves 0 out),
        `least_p_value` and `percentile_p_value` (see `bca.BcaTest`), `num_replicates_defined`. NaN where a metric is
        undefined. Two equal runs have difference 0 and p = 1.

    Raises:
        ValueError: If the runs were evaluated on different images, true boxes or size bounds; see also
            `bootstrap_metrics`.

    Reference:
        Efron (1987), see `bca`; Koehn (2004), Statistical Significance Tests for Machine Translation Evaluation, for
        pairing draws of the test set.
    """
    check_same_truth(tables_a, tables_b)
    runs = [
        resample(WeightedMetrics(tables, group_of_file, score_threshold, iou_threshold), num_replicates, seed)
        for tables in (tables_a, tables_b)
    ]
    return difference_rows(*runs, confidence)


def difference_rows(a: Resampled, b: Resampled, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return how much higher the metrics of b are than those of a, which was counted on the same draws.

    Args:
        a: The baseline.
        b: The other, from the same groups, number of replicates and seed.
        confidence: Of the intervals, in (0, 1).

    Returns:
        A row a metric of both, columns as `paired_bootstrap` has them.
    """
    gain = b.minus(a)
    return pd.DataFrame([_difference_row(name, a, b, gain, confidence) for name in gain.values])


def _difference_row(name: str, a: Resampled, b: Resampled, gain: Resampled, confidence: float) -> dict:
    tested = bca_test(gain.values[name], gain.replicates[name], gain.jackknife[name])
    return {
        "metric": name,
        "a": a.values[name],
        "b": b.values[name],
        "difference": gain.values[name],
        **interval_columns(gain, name, confidence),
        **vars(tested),
        "num_replicates_defined": int((~np.isnan(gain.replicates[name])).sum()),
    }


def check_same_truth(tables_a: EvaluationTables, tables_b: EvaluationTables) -> None:
    """Refuse runs that were not evaluated on the same images and true boxes.

    Raises:
        ValueError: If they were not; the message names the first image that tells them apart.
    """
    files_a, files_b = set(tables_a.images["file_name"]), set(tables_b.images["file_name"])
    if files_a != files_b:
        raise ValueError(
            f"expected two runs on the same images, got {len(files_a)} and {len(files_b)} images; "
            f"only one run has {min(files_a ^ files_b)!r}"
        )
    columns = ["file_name", "class_name", *BOX_COLUMNS]
    rows = pd.concat([_sorted_rows(tables.annotations, columns) for tables in (tables_a, tables_b)])
    unequal = rows[~rows.duplicated([*columns, "number"], keep=False)]
    if len(unequal):
        raise ValueError(
            f"expected two runs on the same true boxes, got different ones in {unequal['file_name'].min()!r}"
        )
    if not np.array_equal(_bounds(tables_a), _bounds(tables_b), equal_nan=True):
        raise ValueError(
            f"expected two runs with the same size bounds, got {tables_a.size_bounds_px} and {tables_b.size_bounds_px}"
        )


def _sorted_rows(annotations: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return the true boxes, equal ones of one table numbered so that they differ."""
    rows = annotations[columns]
    return rows.assign(number=rows.groupby(columns).cumcount())


def _bounds(tables: EvaluationTables) -> tuple[float, ...]:
    return tables.size_bounds_px or ()
