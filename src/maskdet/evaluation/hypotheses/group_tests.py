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
    """A sign-flip test of one mean over faces, and what it leaves possible.

    Attributes:
        evidence: The sum of the contributions, and the two-sided p-value of "they add up to 0 but for chance".
        estimate: The mean, and the ends of the values that the test does not reject: p < alpha exactly where the
            interval leaves 0 out.
        largest_share: Of the sum's variance, what comes from the one group with the most of it, in [0, 1].
    """

    evidence: Evidence
    estimate: GroupEstimate
    largest_share: float

    def columns(self) -> dict[str, float]:
        """Return `difference, low, high, p_value, least_p_value` for a row of a table."""
        p_values = {"p_value": self.evidence.p_value, "least_p_value": self.evidence.least_p_value}
        return {**self.estimate.columns("difference"), **p_values}


def sign_flips(contributions: np.ndarray, sizes: np.ndarray, test: str, resampling: Resampling) -> list[SignFlip]:
    """Test whether what groups contribute adds up to 0 but for chance, for several means of the same groups at once.

    Under the null a group's contribution is as likely as its opposite, so the signs of whole groups are flipped at
    random. Of outcomes of two models that is the exchange of their names in whole groups, which needs neither many
    groups nor equal ones. Another value than 0 is tested by flipping what the groups have beyond it.

    The one procedure for differences of accuracy, recall and balanced accuracy: of simulated pairs of equally good
    classifiers on the groups of the masks set it rejects .04 to .05 at .05, where BCa intervals leave 0 out in .07.

    Args:
        contributions: (C, G) float: of each mean, the sum of differences in [-1, 1] over the faces of each group.
        sizes: (C, G) float, none negative: the faces of each group, or what they count.
        test: What the outcome calls the test.
        resampling: Number of flips, seed, level; where there are fewer ways to flip, each is taken once.

    Returns:
        An outcome a mean; p = 1 where no group contributes. The ends of an interval lie in [-1, 1], which they reach
        where groups are too few to reject anything.

    Reference:
        Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2: intervals from tests.
    """
    columns = np.concatenate([contributions, sizes]).T.astype(np.float64)  # (G, 2 C)
    flipped = stats.permutation_test(
        (np.ones(len(columns)),),
        lambda signs, axis: signs @ columns,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resampling.num_permutations,
        batch=_CHUNK,
        axis=-1,
        rng=np.random.default_rng(resampling.seed),
    )
    sums, of_sizes = np.split(flipped.null_distribution, 2, axis=1)  # (R, C) each
    least = [_least_p_value(each, resampling.num_permutations) for each in contributions]
    return [
        SignFlip(
            Evidence(
                test,
                float(flipped.statistic[c]),
                max(float(flipped.pvalue[c]), least[c]),  # drawn among few ways to flip it scatters about the least
                least_p_value=least[c],
            ),
            _not_rejected(_Flips(contributions[c], sizes[c], sums[:, c], of_sizes[:, c]), resampling.alpha),
            _largest_share(contributions[c]),
        )
        for c in range(len(contributions))
    ]


def _least_p_value(contributions: np.ndarray, num_permutations: int) -> float:
    """Return what no p-value can fall below; a group that contributes nothing is no further way to flip."""
    num_ways = 2.0 ** np.count_nonzero(contributions)
    return min(1.0, 2 / min(num_ways, num_permutations + 1))


def _largest_share(contributions: np.ndarray) -> float:
    squares = contributions.astype(np.float64) ** 2
    return float(squares.max() / squares.sum()) if squares.any() else 0.0


@dataclass(frozen=True)
class _Flips:
    """One mean: what (G,) groups contribute and count, and the sums of both in (R,) flips."""

    contributions: np.ndarray
    sizes: np.ndarray
    flipped_sums: np.ndarray
    flipped_sizes: np.ndarray

    def p_value(self, mean: float) -> float:
        """Return the two-sided p-value of a mean, counted as scipy's `permutation_test` does."""
        null = self.flipped_sums - mean * self.flipped_sizes  # (R,)
        observed = float(self.contributions.sum() - mean * self.sizes.sum())
        slack = 1e-9 * abs(observed)
        beyond = min((null <= observed + slack).sum(), (null >= observed - slack).sum())
        every_way = len(null) == 2 ** min(len(self.sizes), 60)  # the flips as they are among them
        return float(2 * (beyond + (not every_way)) / (len(null) + (not every_way)))


def _not_rejected(flips: _Flips, alpha: float) -> GroupEstimate:
    """Return the mean with the ends of the values of which the test says p >= alpha."""
    mean = float(flips.contributions.sum() / flips.sizes.sum())

    def is_rejected(value: float) -> bool:
        return flips.p_value(value) < alpha

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
    interval, test = share_interval(held, faces, alpha), f"jackknife over groups of the logit against {null:g}"
    if interval.value in (0.0, 1.0):
        alike = stats.binomtest(round(interval.value * groups.num), groups.num, null)
        return interval, Evidence(test, interval.value, float(alike.pvalue))
    centre, error = _logit_and_error(held, faces)
    statistic, df = (centre - float(special.logit(null))) / error, float(groups.num - 1)
    return interval, Evidence(test, statistic, float(2 * stats.t.sf(abs(statistic), df)), df)


def share_interval(held: np.ndarray, faces: np.ndarray, alpha: float) -> GroupEstimate:
    """Return a share of faces with its interval over groups, the one of `share_against`.

    Args:
        held: (G,) faces of each group for which something holds.
        faces: (G,) faces of each group; groups without any are left out.
        alpha: The interval has confidence 1 - alpha.

    Returns:
        The share; NaN without faces, ends NaN with those of one group only.
    """
    held, faces = held[faces > 0], faces[faces > 0]
    if len(faces) < 2:
        share = float(held.sum() / faces.sum()) if len(faces) else float("nan")
        return GroupEstimate(share, float("nan"), float("nan"))
    share = float(held.sum() / faces.sum())
    if share in (0.0, 1.0):
        ends = stats.binomtest(round(share * len(faces)), len(faces)).proportion_ci(1 - alpha, method="exact")
        return GroupEstimate(share, ends.low, ends.high)
    centre, error = _logit_and_error(held, faces)
    reach = stats.t.ppf(1 - alpha / 2, len(faces) - 1) * error
    low, high = special.expit([centre - reach, centre + reach]).tolist()
    return GroupEstimate(share, min(low, share), max(high, share))  # the half faces may move a narrow one off its share


def _logit_and_error(held: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Return the log odds of a share and their standard error, from leaving each group out in turn."""
    without = _logit(held.sum() - held, faces.sum() - faces)  # (G,)
    variance = (len(faces) - 1) / len(faces) * ((without - without.mean()) ** 2).sum()
    return float(_logit(held.sum(), faces.sum())), float(np.sqrt(variance))


def _logit(held: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the log odds of counts, half a face added on both sides, so that no group left out makes them infinite."""
    return np.log((held + 0.5) / (faces - held + 0.5))
