"""Tests whose units are groups of look-alike images: signs of whole groups flipped, and a share against a value."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from maskdet.evaluation.hypotheses.by_group import FaceGroups, GroupEstimate, Resampling
from maskdet.evaluation.hypotheses.verdict import Evidence

_CHUNK = 250
"""Flips held in memory at once."""

_PRECISION = 1e-7
"""Of the ends of intervals that are searched for."""


@dataclass(frozen=True)
class SignFlip:
    """A sign-flip test.

    Attributes:
        evidence: Statistic and p-value.
        largest_share: Of the sum's variance, what comes from the one group with the most of it, in [0, 1].
    """

    evidence: Evidence
    largest_share: float


def sign_flip_test(contributions: np.ndarray, test: str, resampling: Resampling) -> SignFlip:
    """Test whether what the groups contribute adds up to 0 but for chance.

    Under the null a group's contribution is as likely as its opposite, so the signs of whole groups are flipped at
    random. Of outcomes of two models that is the exchange of their names in whole groups, which needs neither many
    groups nor equal ones.

    Args:
        contributions: (G,) float.
        test: What the outcome calls the test.
        resampling: Number of flips and seed; where there are fewer ways to flip, each is taken once.

    Returns:
        The sum and its two-sided p-value; p = 1 where no group contributes.
    """
    outcome = stats.permutation_test(
        (contributions,),
        lambda flipped, axis: flipped.sum(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resampling.num_permutations,
        batch=_CHUNK,
        rng=np.random.default_rng(resampling.seed),
    )
    num_ways = 2.0 ** len(contributions)
    least = 2 / (num_ways if num_ways <= resampling.num_permutations else resampling.num_permutations + 1)
    squares = contributions**2
    share = float(squares.max() / squares.sum()) if squares.any() else 0.0
    return SignFlip(Evidence(test, float(outcome.statistic), float(outcome.pvalue), least_p_value=least), share)


def sign_flip_interval(sums: np.ndarray, sizes: np.ndarray, resampling: Resampling) -> GroupEstimate:
    """Return a mean difference over faces with the interval of the values that the sign-flip test does not reject.

    A value is tested by flipping what the groups have beyond it. So the interval leaves 0 out where the test of 0
    rejects, which no bootstrap interval promises.

    Args:
        sums: (G,) float, of differences in [-1, 1] over the faces of each group.
        sizes: (G,) positive, the faces of each group.
        resampling: Number of flips, seed, level.

    Returns:
        The mean, and the ends, in [-1, 1], which they reach where groups are too few to reject anything.

    Reference:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2: intervals from tests.
    """
    rng = np.random.default_rng(resampling.seed)
    flips = rng.integers(0, 2, (resampling.num_permutations, len(sums)), np.int8) * 2 - 1  # (R, G)
    flipped_sums, flipped_sizes = (flips @ np.stack([sums, sizes], axis=1)).T  # (R,), (R,)
    total, num_faces = float(sums.sum()), float(sizes.sum())

    def is_rejected(value: float) -> bool:
        reached = np.abs(flipped_sums - value * flipped_sizes) >= abs(total - value * num_faces) * (1 - 1e-9)
        return (1 + reached.sum()) / (1 + len(flips)) <= resampling.alpha

    mean = total / num_faces
    return GroupEstimate(mean, _border(is_rejected, mean, -1.0), _border(is_rejected, mean, 1.0))


def _border(is_rejected: Callable[[float], bool], inside: float, limit: float) -> float:
    """Return where, between a value that is not rejected and a limit, rejection begins; the limit if it does not."""
    if not is_rejected(limit):
        return limit
    outside = limit
    while abs(outside - inside) > _PRECISION:
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if is_rejected(middle) else (middle, outside)
    return outside


def share_against(values: np.ndarray, groups: FaceGroups, null: float, alpha: float) -> tuple[GroupEstimate, Evidence]:
    """Return the share of faces for which something holds, with its interval, and its test against a value.

    The logit of the share is compared with a t distribution, its variance from leaving each group out in turn. Of
    groups as unequal as those of the masks set (1 to 198 faces), and right answers as alike within groups as an
    intraclass correlation of .02 to .1 makes them, the test of a true .9 rejects in .054 to .065 of simulated sets at
    .05, where one from BCa intervals does so in .07 to .09. A share of 0 or 1 leaves no variance: the groups then count
    as so many binomial trials with one outcome.

    Args:
        values: (N,) bool.
        groups: Of the faces.
        null: The share to test against, in (0, 1).
        alpha: The interval has confidence 1 - alpha.

    Returns:
        The share, and the test, whose p-value is below alpha where the interval leaves `null` out.

    Reference:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 11, for the jackknife.
    """
    held, faces = groups.sums(np.column_stack([values, np.ones(len(values))])).T  # (G,), (G,)
    share, test = float(held.sum() / faces.sum()), f"jackknife over groups of the logit against {null:g}"
    if share in (0.0, 1.0):
        alike = stats.binomtest(round(share * groups.num), groups.num, null)
        interval = alike.proportion_ci(1 - alpha, method="exact")
        return GroupEstimate(share, interval.low, interval.high), Evidence(test, share, float(alike.pvalue))
    without = _logit(held.sum() - held, faces.sum() - faces)  # (G,)
    centre = float(_logit(held.sum(), faces.sum()))
    error = float(np.sqrt((groups.num - 1) / groups.num * ((without - without.mean()) ** 2).sum()))
    reach = stats.t.ppf(1 - alpha / 2, groups.num - 1) * error
    statistic, df = (centre - float(special.logit(null))) / error, float(groups.num - 1)
    interval = GroupEstimate(share, *special.expit([centre - reach, centre + reach]).tolist())
    return interval, Evidence(test, statistic, float(2 * stats.t.sf(abs(statistic), df)), df)


def _logit(held: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the log odds of counts, half a face added on both sides, so that no group left out makes them infinite."""
    return np.log((held + 0.5) / (faces - held + 0.5))
