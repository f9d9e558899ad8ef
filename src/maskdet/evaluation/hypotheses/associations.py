"""How traits of faces go with the mask state: tests by face and by group, and sizes of effects."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pandas as pd
from scipy import stats

from maskdet.evaluation.hypotheses.by_group import GroupEstimate, Resampling, estimate, estimate_from_sums
from maskdet.evaluation.hypotheses.dealt_states import DealtStates
from maskdet.evaluation.hypotheses.rank_effects import RankEpsilon, weighted_midranks
from maskdet.evaluation.hypotheses.traits import Trait
from maskdet.evaluation.hypotheses.verdict import Evidence
from maskdet.evaluation.rates import ratio
from maskdet.schema import CLASS_NAMES

GROUP_TEST = "states dealt out anew to equally alike groups"


@dataclass(frozen=True)
class Association:
    """One trait and the mask state.

    Attributes:
        trait: The trait.
        by_face: Chi-square for levels, Kruskal-Wallis for an ordered trait.
        p_by_group: How often states dealt out anew to equally alike groups go with the trait as much as they do.
        effect: Cramér's V for levels, epsilon squared for an ordered trait, groups weighed by what they say.
        effect_by_face: The same with all faces counted alike.
        least_expected: The least expected count of the table of levels; NaN for an ordered trait.
        typical: Class → median, or the share of the second level, of its faces, groups weighed.
    """

    trait: Trait
    by_face: Evidence
    p_by_group: float
    effect: GroupEstimate
    effect_by_face: float
    least_expected: float
    typical: dict[str, float]

    @property
    def effect_name(self) -> str:
        """Return the name of the measure."""
        return "epsilon squared" if self.trait.is_ordered else "Cramér's V"

    @property
    def typical_name(self) -> str:
        """Return what `typical` holds."""
        return "median" if self.trait.is_ordered else f"share {self.trait.levels[1]}"


def associations(
    class_names: pd.Series, traits: list[Trait], states: DealtStates, resampling: Resampling
) -> list[Association]:
    """Test each trait against the mask state, by face and by group, and measure how far the two go together.

    By group: the statistic is the squared effect, in which a group counts by what it says, and its distribution is
    that of states dealt out anew to the same groups, as alike inside as the true ones (see `DealtStates`). Neither
    faces nor groups are permuted, since groups of 1 and of 198 faces cannot change places. Of simulated sets with this
    set's groups .02 to .07 are rejected at .05, also where the states are not drawn as the model has it, where
    Kruskal-Wallis rejects in more than half of them.
    """
    weights = states.weights[states.groups.codes]  # (N,)
    squared = SquaredEffects(traits, weights)
    p_values = states.p_values(squared, resampling)
    return [
        _associate(class_names, trait, p_value, states, resampling)
        for trait, p_value in zip(traits, p_values.tolist(), strict=True)
    ]


def _associate(
    class_names: pd.Series, trait: Trait, p_by_group: float, states: DealtStates, resampling: Resampling
) -> Association:
    groups, is_state, of_group = states.groups, states.is_state, states.weights[:, None]
    if trait.is_ordered:
        by_face, least = _kruskal_wallis(trait.values, is_state), float("nan")
        epsilon = RankEpsilon(trait.values, is_state, groups.codes)
        effect = estimate(lambda draws: epsilon(draws * of_group), groups.num, resampling)
        effect_by_face = epsilon(np.ones((groups.num, 1)))
    else:
        is_level = trait.values[:, None] == np.array(trait.levels)  # (N, L)
        by_face, least = _chi_square(is_level, is_state)
        cells = groups.sums((is_level[:, :, None] & is_state[:, None]).reshape(len(is_level), -1))  # (G, L K)
        shape = (is_level.shape[1], is_state.shape[1])
        effect = estimate_from_sums(cells * of_group, lambda totals: cramers_v(totals, shape), resampling)
        effect_by_face = cramers_v(cells.sum(axis=0)[:, None], shape)
    typical = _typical(class_names, trait, states.weights[groups.codes])
    return Association(trait, by_face, p_by_group, effect, float(effect_by_face[0]), least, typical)


class SquaredEffects:
    """The squared effects of all traits at once: of Cramér's V but for a factor, or epsilon squared.

    Args:
        traits: S traits of N faces.
        weights: (N,) what each face counts.
    """

    def __init__(self, traits: list[Trait], weights: np.ndarray) -> None:
        scaled = [_scaled_scores(trait, weights) for trait in traits]
        self._scores = np.hstack(scaled) * weights[:, None]  # (N, sum of L)
        self._starts = [0, *accumulate(columns.shape[1] for columns in scaled[:-1])]
        self._weights = weights

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """Return (R, S) of (R, N) int states."""
        squares = np.zeros((len(states), self._scores.shape[1]))
        for state in np.unique(states):
            is_state = (states == state).astype(np.float64)  # (R, N)
            squares += ratio_or_zero((is_state @ self._scores) ** 2, (is_state @ self._weights)[:, None])
        return np.add.reduceat(squares, self._starts, axis=1)


def _scaled_scores(trait: Trait, weights: np.ndarray) -> np.ndarray:
    """Return (N, L) scores of mean 0: ranks over their spread, or levels over the root of their weight."""
    if trait.is_ordered:
        ranks = weighted_midranks(trait.values, weights)[:, None] - 0.5  # (N, 1)
        return ranks / np.sqrt((weights[:, None] * ranks**2).sum())
    is_level = (trait.values[:, None] == np.array(trait.levels)).astype(np.float64)  # (N, L)
    of_level = weights @ is_level  # (L,)
    return (is_level - of_level / weights.sum()) / np.sqrt(of_level)


def ratio_or_zero(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the quotients, 0 where the whole is 0: a state that no face has adds nothing."""
    return np.nan_to_num(ratio(part, whole), nan=0.0)


def _kruskal_wallis(values: np.ndarray, is_class: np.ndarray) -> Evidence:
    outcome = stats.kruskal(*(values[column] for column in is_class.T))
    return Evidence("Kruskal-Wallis", float(outcome.statistic), float(outcome.pvalue), float(is_class.shape[1] - 1))


def _chi_square(is_level: np.ndarray, is_class: np.ndarray) -> tuple[Evidence, float]:
    table = is_level.T.astype(np.int64) @ is_class  # (L, K)
    outcome = stats.chi2_contingency(table, correction=False)
    evidence = Evidence("chi-square", float(outcome.statistic), float(outcome.pvalue), float(outcome.dof))
    return evidence, float(outcome.expected_freq.min())


def cramers_v(totals: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return Cramér's V of R tables at once, as scipy's `association` has it.

    Args:
        totals: (L K, R) float, the cells of each table, row after row.
        shape: L and K.

    Returns:
        (R,) in [0, 1].
    """
    shares = ratio(totals, totals.sum(axis=0)).reshape(*shape, -1)  # (L, K, R)
    expected = shares.sum(axis=1, keepdims=True) * shares.sum(axis=0, keepdims=True)  # (L, K, R)
    return np.sqrt(ratio_or_zero((shares - expected) ** 2, expected).sum(axis=(0, 1)) / (min(shape) - 1))


def _typical(class_names: pd.Series, trait: Trait, weights: np.ndarray) -> dict[str, float]:
    return {name: _middle(trait, (class_names == name).to_numpy(), weights) for name in CLASS_NAMES}


def _middle(trait: Trait, is_in: np.ndarray, weights: np.ndarray) -> float:
    if not is_in.any():
        return float("nan")
    if trait.is_ordered:
        return float(np.quantile(trait.values[is_in], 0.5, weights=weights[is_in], method="inverted_cdf"))
    return float(np.average(trait.values[is_in] == trait.levels[1], weights=weights[is_in]))
