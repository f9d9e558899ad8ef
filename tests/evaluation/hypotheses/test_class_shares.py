"""H1 on simulated faces: level where the classes are uniform, however alike groups are; power and effect where not."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.gof import chisquare_effectsize

from evaluation.hypotheses.grouped_faces import FINE, check_p_values, draw_classes, draw_groups
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.class_shares import (
    class_indicators,
    generalized_design_effects,
    judge_class_shares,
    rao_scott_test,
)
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.schema import CLASS_NAMES

UNIFORM = np.full(3, 1 / 3)


def counts_of(class_names, groups):
    return groups.sums(class_indicators(class_names))


def test_uniform_classes_are_rejected_at_the_level_by_groups_and_far_above_it_by_faces():
    rng, by_group, by_face = np.random.default_rng(0), [], []
    for _ in range(400):
        groups = draw_groups(rng, num_groups=80)
        counts = counts_of(draw_classes(rng, groups, (1 / 3, 1 / 3, 1 / 3), icc=0.25), groups)
        by_group.append(rao_scott_test(counts, UNIFORM).p_value)
        by_face.append(stats.chisquare(counts.sum(axis=0)).pvalue)
    check_p_values(np.array(by_group))
    assert np.mean(np.array(by_face) < 0.05) > 0.3


def test_of_independent_faces_it_is_the_chi_square_test():
    rng = np.random.default_rng(1)
    groups = FaceGroups.of(np.arange(3000))
    counts = counts_of(draw_classes(rng, groups, (0.35, 0.34, 0.31), icc=1e-6), groups)
    plain = stats.chisquare(counts.sum(axis=0))
    found = rao_scott_test(counts, UNIFORM)
    assert found.statistic == pytest.approx(plain.statistic / 2, rel=0.05)
    assert found.p_value == pytest.approx(plain.pvalue, rel=0.2)
    assert generalized_design_effects(counts, counts.sum(axis=0) / 3000) == pytest.approx([1, 1], rel=1e-3)


def test_copies_of_faces_are_no_evidence():
    rng = np.random.default_rng(2)
    one = counts_of(
        draw_classes(rng, FaceGroups.of(np.arange(200)), (0.4, 0.3, 0.3), icc=1e-6), FaceGroups.of(range(200))
    )
    once, often = rao_scott_test(one, UNIFORM), rao_scott_test(5 * one, UNIFORM)
    assert often.statistic == pytest.approx(once.statistic)
    assert often.p_value == pytest.approx(once.p_value)


def test_unequal_classes_are_found_and_measured():
    rng, shares, held = np.random.default_rng(3), np.array([0.8, 0.16, 0.04]), []
    truth = np.sqrt(((shares - 1 / 3) ** 2 * 3).sum())
    for _ in range(60):
        groups = draw_groups(rng, num_groups=120)
        verdict = judge_class_shares(draw_classes(rng, groups, tuple(shares), icc=0.1), groups, Resampling(100, 99))
        assert verdict.conclusion is Conclusion.REFUTED
        assert verdict.rejected
        rows = verdict.details["classes"]
        held.append(
            [verdict.effect.low <= truth <= verdict.effect.high]
            + [row["low"] <= share <= row["high"] for row, share in zip(rows, shares, strict=True)]
        )
    assert (np.mean(held, axis=0) >= 0.8).all()  # 7 of 60 misses above the 5 % that the intervals promise


def test_the_record_holds_what_was_found():
    rng = np.random.default_rng(4)
    groups = draw_groups(rng, num_groups=200)
    verdict = judge_class_shares(draw_classes(rng, groups, (0.8, 0.16, 0.04), icc=0.3), groups, FINE, num_images=250)
    observed = [row["share"] for row in verdict.details["classes"]]
    assert verdict.effect.value == pytest.approx(chisquare_effectsize(UNIFORM, observed))
    assert verdict.named.statistic == pytest.approx(len(groups.codes) * verdict.effect.value**2)
    assert verdict.design_effect > 1.5
    assert not verdict.assumptions[0].holds
    assert verdict.counts == {"faces": len(groups.codes), "images": 250, "groups": 200}
    assert f"{observed[0]:.1%}" in verdict.sentence
    assert (
        f"overstates this: faces of a group are alike (design effect {verdict.design_effect:.2f})" in verdict.sentence
    )


def test_faces_that_are_not_alike_in_groups_overstate_nothing():
    groups = FaceGroups.of(np.repeat(np.arange(60), 10))
    mixed = [0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2]  # each group has nearly the shares of all
    mixed += [0, 0, 0, 0, 0, 0, 1, 1, 1, 2]
    verdict = judge_class_shares(pd.Series(np.tile(np.array(CLASS_NAMES, object)[mixed], 20)), groups, FINE)
    assert verdict.design_effect < 1
    assert "does not overstate this" in verdict.sentence


def test_equal_classes_are_not_called_equal():
    class_names = pd.Series(np.tile(np.array(CLASS_NAMES, object), 40))
    verdict = judge_class_shares(class_names, FaceGroups.of(np.arange(120)), FINE)
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert not verdict.rejected
    assert verdict.sentence.startswith("The data do not show unequal frequencies")


def test_a_class_without_faces_counts_as_0():
    rng = np.random.default_rng(4)
    class_names = pd.Series(rng.choice(np.array(CLASS_NAMES[:2], object), 100))
    verdict = judge_class_shares(class_names, FaceGroups.of(np.arange(100)), FINE)
    assert verdict.rejected
    assert [row["faces"] for row in verdict.details["classes"]][2] == 0
    assert verdict.record()["effect"]["low"] is not None


def test_one_class_is_refused():
    with pytest.raises(ValueError, match=r"expected faces of two or more classes, got \['with_mask'\]"):
        judge_class_shares(pd.Series(["with_mask"] * 4, dtype=object), FaceGroups.of(range(4)), FINE)
