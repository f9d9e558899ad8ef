"""Face detectors with intervals over groups, and one against another; see `face_finding` for what is counted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.evaluation.bootstrap import Resampled, interval_columns, resample
from maskdet.evaluation.face_finding import FaceFindingMetrics
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.group_tests import share_interval, sign_flips
from maskdet.evaluation.hypotheses.paired_outcomes import GROUP_SWAP
from maskdet.evaluation.paired import DIFFERENCE_COLUMNS, difference_rows


@dataclass(frozen=True)
class MeasuredFinder:
    """What one detector comes to.

    Attributes:
        resampled: Its metrics on the groups, on draws of them and without each.
        found: Metric of recall → (2, G) float, faces found and all faces in each group; of groups with a face.
    """

    resampled: Resampled
    found: Mapping[str, np.ndarray]


def measure_finder(metrics: FaceFindingMetrics, num_replicates: int, seed: int) -> MeasuredFinder:
    """Return what a detector comes to; detectors on the same images get the same draws from the same seed.

    Raises:
        ValueError: See `bootstrap.resample`.
    """
    return MeasuredFinder(resample(metrics, num_replicates, seed), metrics.recall_counts())


def metric_rows(finder: MeasuredFinder, resampling: Resampling) -> pd.DataFrame:
    """Return a row a metric: `metric, value, low, high`, the ends over groups.

    Args:
        finder: What was measured.
        resampling: Level. Recalls are shares of faces and have the interval of `share_interval`, the others BCa's.
    """
    return pd.DataFrame(
        [
            {"metric": name, **share_interval(*finder.found[name], resampling.alpha).columns("value")}
            if name in finder.found
            else {"metric": name, "value": value, **interval_columns(finder.resampled, name, resampling.confidence)}
            for name, value in finder.resampled.values.items()
        ]
    )


def paired_rows(a: MeasuredFinder, b: MeasuredFinder, metrics: Sequence[str], resampling: Resampling) -> pd.DataFrame:
    """Return how much more detector b finds than detector a on the same images.

    Args:
        a: The baseline.
        b: The other, measured on the same images and groups with the same replicates and seed.
        metrics: Which of them to compare, one or more.
        resampling: Flips, seed, level.

    Returns:
        A row a metric: `metric, a, b, difference` (b − a), `low, high` (of the difference), `p_value` (two-sided, of
        no difference), `least_p_value` (what it cannot fall below). Recalls are compared by exchanging the two in
        whole groups, as in the hypotheses, the others by BCa over the same draws of groups for both.
    """
    rows = (
        difference_rows(a.resampled, b.resampled, resampling.confidence)[DIFFERENCE_COLUMNS]
        .set_index("metric")
        .loc[[*metrics]]
    )
    recalls = [name for name in metrics if name in a.found and a.found[name][1].any()]
    if recalls:
        gains = np.stack([b.found[name][0] - a.found[name][0] for name in recalls])  # (C, G)
        sizes = np.stack([a.found[name][1] for name in recalls])  # (C, G)
        for name, found in zip(recalls, sign_flips(gains, sizes, GROUP_SWAP, resampling), strict=True):
            rows.loc[name, [*found.columns()]] = [*found.columns().values()]
    return rows.reset_index()
