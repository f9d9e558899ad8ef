"""Bias-corrected and accelerated (BCa) intervals and p-values from replicates of a statistic and its jackknife."""

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


def bca_p_value(value: float, replicates: np.ndarray, jackknife: np.ndarray, null: float = 0.0) -> float:
    """Return the two-sided p-value of "the statistic truly is `null`": 1 − the confidence at which `null` is an end.

    So the 95 % interval leaves `null` out exactly where p < 0.05, up to the replicates' grain: R of them say
    nothing of what happens more rarely than once in R, so that no p-value is below 2 / (R + 1).

    Args:
        value: See `bca_interval`.
        replicates: See `bca_interval`.
        jackknife: See `bca_interval`.
        null: The value to test against.

    Returns:
        In (0, 1]; NaN where the interval is.

    Reference:
        Efron (1987), as above, solved for the level; Davison and Hinkley (1997), Bootstrap Methods and their
        Application, section 5.3, for p-values from intervals.
    """
    defined = replicates[~np.isnan(replicates)]
    if np.isnan(value) or len(defined) < 2:
        return float("nan")
    bias, acceleration = ndtri(_share_below(defined, value)), _acceleration(jackknife)
    distance = ndtri(_share_below(defined, null)) - bias
    one_sided = ndtr(distance / _stretch(1 + acceleration * distance) - bias)
    return float(max(2 * min(one_sided, 1 - one_sided), 2 / (len(defined) + 1)))


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
