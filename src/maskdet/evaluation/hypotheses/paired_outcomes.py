"""Two models on the same faces: who is right where the other is wrong, by face (McNemar) and by group."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.contingency_tables import mcnemar

from maskdet.evaluation.hypotheses.by_group import (
    FaceGroups,
    GroupEstimate,
    Resampling,
    design_effect,
)
from maskdet.evaluation.hypotheses.group_tests import SignFlip, sign_flips
from maskdet.evaluation.hypotheses.verdict import Assumption, Evidence, Row
from maskdet.evaluation.hypotheses.wording import interval_text, p_text
from maskdet.schema import CLASS_NAMES

MCNEMAR = "McNemar's test, exact, over faces"
GROUP_SWAP = "permutation test that exchanges the two in whole groups"

BALANCED = "balanced_accuracy"
"""Of `class_weights`: the mean of the recalls."""

_FEW_DISCORDANT = 10


@dataclass(frozen=True)
class Crosstab:
    """How often two models are right on the same faces.

    Attributes:
        both_right: Faces on which both are.
        only_a_right: Faces on which a alone is.
        only_b_right: Faces on which b alone is.
        both_wrong: Faces on which neither is.
        evidence: McNemar's test of "of the faces that one alone has right, each has half", p = 1 where there is none.
    """

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    evidence: Evidence


@dataclass(frozen=True)
class PairedOutcomes:
    """How often a and b are right on the same N faces.

    Attributes:
        num_faces: N.
        rate_a: Share of faces on which a is right.
        rate_b: The same of b.
        counts: On how many faces one, both, neither is right, with McNemar's test.
        by_group: The exchange in whole groups, with `rate_b - rate_a` and the values that it does not reject.
        design_effect: Of the difference; NaN where the two agree everywhere.
    """

    num_faces: int
    rate_a: float
    rate_b: float
    counts: Crosstab
    by_group: SignFlip
    design_effect: float

    @property
    def difference(self) -> GroupEstimate:
        """Return `rate_b - rate_a` with its interval."""
        return self.by_group.estimate

    @property
    def by_face(self) -> Evidence:
        """Return McNemar's test."""
        return self.counts.evidence

    @property
    def p_value(self) -> float:
        """Return the group-aware p-value."""
        return self.by_group.evidence.p_value

    def text(self, unit: str = "difference") -> str:
        """Return difference, interval and p-values for a sentence."""
        evidence = self.by_group.evidence
        return (
            f"{unit} {interval_text(*self.difference.interval, '+')}, "
            f"{p_text(evidence.p_value, evidence.least_p_value)} by groups, {p_text(self.by_face.p_value)} by faces"
        )

    def row(self, name_a: str, name_b: str) -> Row:
        """Return the figures for a table."""
        return {
            "faces": self.num_faces,
            name_a: self.rate_a,
            name_b: self.rate_b,
            f"only_{name_a}": self.counts.only_a_right,
            f"only_{name_b}": self.counts.only_b_right,
            **self.difference.columns("difference"),
            "p_value_by_face": self.by_face.p_value,
            **self.by_group.evidence.p_columns("by_group"),
            "design_effect": self.design_effect,
        }

    def discordant_assumption(self) -> Assumption:
        """Say whether the two differ on enough faces for either test to find anything."""
        num = self.counts.only_a_right + self.counts.only_b_right
        detail = f"{num:,} faces on which one alone is right; with fewer than {_FEW_DISCORDANT} no test has power"
        return Assumption("the two differ on some faces", num >= _FEW_DISCORDANT, detail)


def mcnemar_test(is_right_a: np.ndarray, is_right_b: np.ndarray) -> Crosstab:
    """Count who is right where, and test it by McNemar's exact test.

    It takes every face for an independent one, which faces of one photo are not: where it and a test by groups differ,
    the one by groups is right.

    Args:
        is_right_a: (N,) bool.
        is_right_b: (N,) bool, of the same faces.

    Reference:
        McNemar (1947), Psychometrika 12 (2), 153-157; statsmodels' `mcnemar`.
    """
    right = [np.asarray(is_right, bool) for is_right in (is_right_a, is_right_b)]
    table = np.array([[int(np.sum((right[0] == a) & (right[1] == b))) for b in (True, False)] for a in (True, False)])
    (both, only_a), (only_b, neither) = table.tolist()
    exact = mcnemar(table, exact=True)
    return Crosstab(both, only_a, only_b, neither, Evidence(MCNEMAR, float(exact.statistic), float(exact.pvalue)))


def compare_means(
    is_right_a: np.ndarray,
    is_right_b: np.ndarray,
    weights: Mapping[str, np.ndarray],
    groups: FaceGroups,
    resampling: Resampling,
) -> dict[str, SignFlip]:
    """Compare weighted means of two models' right answers by exchanging the two in whole groups.

    Under the null the two are exchangeable in each group, however alike its faces are. This is the one procedure for
    accuracy (weights of 1), recall (1 for the faces of a class or size, else 0) and balanced accuracy, in the
    hypotheses as in the tables of pairs.

    Args:
        is_right_a: (N,) bool.
        is_right_b: (N,) bool.
        weights: Mean → (N,) what each face counts, 0 or more, some above 0; must not depend on the answers.
        groups: Of the faces.
        resampling: Flips, seed, level.

    Returns:
        Mean → its test, difference (b − a) and interval. Equal for a mean whatever other means are compared with it.

    Raises:
        ValueError: If the arrays do not have the same number of faces.
    """
    if not len(is_right_a) == len(is_right_b) == len(groups.codes):
        raise ValueError(
            f"expected outcomes of the same faces, got {len(is_right_a)}, {len(is_right_b)} and {len(groups.codes)}"
        )
    gain = np.asarray(is_right_b, np.float64) - np.asarray(is_right_a, np.float64)  # (N,) in {-1, 0, 1}
    counted = np.column_stack([np.asarray(each, np.float64) for each in weights.values()])  # (N, C)
    flips = sign_flips(groups.sums(counted * gain[:, None]).T, groups.sums(counted).T, GROUP_SWAP, resampling)
    return dict(zip(weights, flips, strict=True))


def class_weights(class_names: pd.Series) -> dict[str, np.ndarray]:
    """Return what each face counts in the recall of each class that occurs, and in `BALANCED`, (N,) each.

    Args:
        class_names: (N,) the true classes, one face or more.
    """
    is_class = {name: (class_names == name).to_numpy(np.float64) for name in CLASS_NAMES if (class_names == name).any()}
    balanced = sum(weight / weight.sum() for weight in is_class.values()) / len(is_class)
    return is_class | {BALANCED: balanced}


def compare_outcomes(
    is_right_a: np.ndarray, is_right_b: np.ndarray, groups: FaceGroups, resampling: Resampling
) -> PairedOutcomes:
    """Compare two models that judged the same faces, on all of them; see `compare_subsets`."""
    return compare_subsets(is_right_a, is_right_b, {"all": np.ones(len(groups.codes), bool)}, groups, resampling)["all"]


def compare_subsets(
    is_right_a: np.ndarray,
    is_right_b: np.ndarray,
    subsets: Mapping[str, np.ndarray],
    groups: FaceGroups,
    resampling: Resampling,
) -> dict[str, PairedOutcomes]:
    """Compare two models that judged the same faces, on some of them.

    McNemar's test looks only at the faces on which one alone is right, and asks whether that one is as often a as b.
    It takes faces as independent; `compare_means` does not.

    Args:
        is_right_a: (N,) bool.
        is_right_b: (N,) bool.
        subsets: Name → (N,) bool, faces of two or more groups.
        groups: Of the faces.
        resampling: Flips, level.

    Returns:
        Name → the comparison; `a` against itself has difference 0 and p = 1.

    Raises:
        ValueError: If the arrays do not have the same number of faces.
    """
    by_group = compare_means(is_right_a, is_right_b, subsets, groups, resampling)
    return {
        name: _paired(is_right_a[is_in], is_right_b[is_in], FaceGroups.of(groups.codes[is_in]), by_group[name])
        for name, is_in in subsets.items()
    }


def _paired(is_right_a: np.ndarray, is_right_b: np.ndarray, groups: FaceGroups, by_group: SignFlip) -> PairedOutcomes:
    gain = is_right_b.astype(np.float64) - is_right_a  # (N,)
    return PairedOutcomes(
        num_faces=len(gain),
        rate_a=float(np.mean(is_right_a)),
        rate_b=float(np.mean(is_right_b)),
        counts=mcnemar_test(is_right_a, is_right_b),
        by_group=by_group,
        design_effect=design_effect(gain, groups),
    )
