"""Bias-corrected and accelerated (BCa) intervals and p-values from replicates of a statistic and its jackknife."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri


def bca_interval(value: float, replicates: np.ndarray, jackknife: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the ends of the BCa interval.

    It takes the percentiles of the replicates, shifted by how far their median lies from the value, and stretched on
    the side on which single groups pull harder.

    Args:
        value: The statistic of the sample.
        replicates: (R,) of its resamples; NaN where undefined, such replicates are left out.
        jackknife: (G,) with one group left out each; NaN where undefined.
        confidence: Of the two-sided interval, in (0, 1).

    Returns:
        Low and high; NaN where the value or all replicates but one are undefined.

    Raises:
        ValueError: If `confidence` lies outside (0, 1).

    Reference:
        Efron (1987), Better Bootstrap Confidence Intervals, JASA 82 (397), section 3.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"expected 0 < confidence < 1, got {confidence}")
    defined = replicates[~np.isnan(replicates)]  # (R',)
    if np.isnan(value) or len(defined) < 2:
        return float("nan"), float("nan")
    bias, acceleration = ndtri(_share_below(defined, value)), _acceleration(jackknife)
    shifted = bias + ndtri([(1 - confidence) / 2, (1 + confidence) / 2])  # (2,)
    low, high = np.quantile(defined, ndtr(bias + shifted / _stretch(1 - acceleration * shifted)))
    return float(low), float(high)


@dataclass(frozen=True)
class BcaTest:
    """A test of "the statistic truly is this value".

    Attributes:
        p_value: Two-sided, in (0, 1]: 1 − the confidence at which the value is an end of the BCa interval.
        least_p_value: What it cannot fall below: a p-value that equals it is a bound.
        percentile_p_value: The same of the percentile interval: twice the share of replicates beyond the value.
    """

    p_value: float
    least_p_value: float
    percentile_p_value: float


def bca_test(value: float, replicates: np.ndarray, jackknife: np.ndarray, null: float = 0.0) -> BcaTest:
    """Test "the statistic truly is `null`".

    The 95 % interval leaves `null` out exactly where p < 0.05, up to the replicates' grain: R of them say nothing of
    what happens more rarely than once in R. So no p-value is below 2 / (R + 1), nor below what the transformation
    makes of not one replicate beyond `null`: on the side of the shorter tail that may be many times as much.

    Where acceleration and bias are large, the transformation reads far more, or far less, out of the tail than the
    share of replicates beyond `null` says, on the word of a few groups: the percentile's p-value stands beside it to
    show that.

    Args:
        value: See `bca_interval`.
        replicates: See `bca_interval`.
        jackknife: See `bca_interval`.
        null: The value to test against.

    Returns:
        The p-values; NaN where the interval is.

    Reference:
        Efron (1987), as above, solved for the level; Davison and Hinkley (1997), Bootstrap Methods and their
        Application, section 5.3, for p-values from intervals.
    """
    defined = replicates[~np.isnan(replicates)]
    if np.isnan(value) or len(defined) < 2:
        return BcaTest(*[float("nan")] * 3)
    bias, acceleration = ndtri(_share_below(defined, value)), _acceleration(jackknife)

    def transformed(share: float) -> float:
        distance = ndtri(share) - bias
        return _two_sided(float(ndtr(distance / _stretch(1 + acceleration * distance) - bias)))

    share, grain = _share_below(defined, null), 0.5 / (len(defined) + 1)
    least = max(transformed(grain if null < value else 1 - grain), 4 * grain)
    return BcaTest(max(transformed(share), least), least, max(_two_sided(share), 4 * grain))


def _two_sided(share: float) -> float:
    return 2 * min(share, 1 - share)


def _share_below(replicates: np.ndarray, value: float) -> float:
    """Return the share of replicates below a value, equal ones counted half, kept off 0 and 1."""
    num_below = (replicates < value).sum() + (replicates == value).sum() / 2
    return float((num_below + 0.5) / (len(replicates) + 1))


def _acceleration(jackknife: np.ndarray) -> float:
    """Return a sixth of the skewness of the groups' influence; 0 where no group has any."""
    defined = jackknife[~np.isnan(jackknife)]
    influence = defined.mean() - defined if len(defined) else np.zeros(1)
    scale = (influence**2).sum() ** 1.5
    return float((influence**3).sum() / (6 * scale)) if scale > 0 else 0.0


def _stretch(factor: np.ndarray) -> np.ndarray:
    """Keep a factor positive: beyond that the formula turns back, which only few, very unequal groups bring about."""
    return np.maximum(factor, 0.05)
