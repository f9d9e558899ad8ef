"""Two models on the same faces: who is right where the other is wrong, by face (McNemar) and by group."""

from dataclasses import dataclass

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

from maskdet.evaluation.hypotheses.by_group import (
    FaceGroups,
    GroupEstimate,
    Resampling,
    design_effect,
)
from maskdet.evaluation.hypotheses.group_tests import SignFlip, sign_flip_interval, sign_flip_test
from maskdet.evaluation.hypotheses.verdict import Assumption, Evidence, Row
from maskdet.evaluation.hypotheses.wording import interval_text, p_text

MCNEMAR = "McNemar's test, exact, over faces"
GROUP_SWAP = "permutation test that exchanges the two in whole groups"

_FEW_DISCORDANT = 10


@dataclass(frozen=True)
class PairedOutcomes:
    """How often a and b are right on the same N faces.

    Attributes:
        num_faces: N.
        rate_a: Share of faces on which a is right.
        rate_b: The same of b.
        only_a: Faces on which a alone is right.
        only_b: Faces on which b alone is right.
        difference: `rate_b - rate_a`, with the interval of what the exchange in whole groups does not reject.
        by_face: McNemar's test.
        by_group: The exchange in whole groups.
        design_effect: Of the difference; NaN where the two agree everywhere.
    """

    num_faces: int
    rate_a: float
    rate_b: float
    only_a: int
    only_b: int
    difference: GroupEstimate
    by_face: Evidence
    by_group: SignFlip
    design_effect: float

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
            f"only_{name_a}": self.only_a,
            f"only_{name_b}": self.only_b,
            **self.difference.columns("difference"),
            "p_value_by_face": self.by_face.p_value,
            "p_value_by_group": self.p_value,
            "design_effect": self.design_effect,
        }

    def discordant_assumption(self) -> Assumption:
        """Say whether the two differ on enough faces for either test to find anything."""
        num = self.only_a + self.only_b
        detail = f"{num:,} faces on which one alone is right; with fewer than {_FEW_DISCORDANT} no test has power"
        return Assumption("the two differ on some faces", num >= _FEW_DISCORDANT, detail)


def compare_outcomes(
    is_right_a: np.ndarray, is_right_b: np.ndarray, groups: FaceGroups, resampling: Resampling
) -> PairedOutcomes:
    """Compare two models that judged the same faces.

    McNemar's test looks only at the faces on which one alone is right, and asks whether that one is as often a as b.
    It takes faces as independent. The group-aware test exchanges the names a and b in whole groups: under the null the
    two are exchangeable there, however alike the faces of a group are.

    Args:
        is_right_a: (N,) bool.
        is_right_b: (N,) bool.
        groups: Of the faces.
        resampling: Flips, level.

    Returns:
        The comparison; `a` against itself has difference 0 and p = 1.

    Raises:
        ValueError: If the three do not have the same number of faces.

    Reference:
        McNemar (1947), Psychometrika 12 (2), 153-157; statsmodels' `mcnemar`.
    """
    if not len(is_right_a) == len(is_right_b) == len(groups.codes):
        raise ValueError(
            f"expected outcomes of the same faces, got {len(is_right_a)}, {len(is_right_b)} and {len(groups.codes)}"
        )
    gain = np.asarray(is_right_b, np.float64) - np.asarray(is_right_a, np.float64)  # (N,) in {-1, 0, 1}
    gain_of_group = groups.sums(gain)[:, 0]  # (G,)
    only_a, only_b = int((gain < 0).sum()), int((gain > 0).sum())
    exact = mcnemar([[0, only_a], [only_b, 0]], exact=True)
    return PairedOutcomes(
        num_faces=len(gain),
        rate_a=float(np.mean(is_right_a)),
        rate_b=float(np.mean(is_right_b)),
        only_a=only_a,
        only_b=only_b,
        difference=sign_flip_interval(gain_of_group, groups.sizes, resampling),
        by_face=Evidence(MCNEMAR, float(exact.statistic), float(exact.pvalue)),
        by_group=sign_flip_test(gain_of_group, GROUP_SWAP, resampling),
        design_effect=design_effect(gain, groups),
    )
