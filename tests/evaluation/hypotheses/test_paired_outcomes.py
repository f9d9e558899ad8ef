"""Two models on the same faces: level and power of McNemar's test and of the exchange in whole groups."""

import numpy as np
import pytest
from scipy import special, stats

from evaluation.hypotheses.grouped_faces import FINE, check_p_values, draw_groups
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.paired_outcomes import compare_outcomes


def rivals(rng, groups, gain=0.0, alike=1.5):
    """Return outcomes of two models: faces of a group are hard for both, and suit one of the two more."""
    common = rng.normal(0, 1, groups.num)[groups.codes]
    own = rng.normal(0, alike, (2, groups.num))[:, groups.codes]
    return [
        rng.uniform(size=len(groups.codes)) < special.expit(1 + common + liking + bonus)
        for liking, bonus in zip(own, (0.0, gain), strict=True)
    ]


def test_equally_good_models_differ_at_the_level_by_groups_and_far_above_it_by_faces():
    rng, by_group, by_face = np.random.default_rng(0), [], []
    for _ in range(200):
        groups = draw_groups(rng, num_groups=60)
        compared = compare_outcomes(*rivals(rng, groups), groups, Resampling(2, 199))
        by_group.append(compared.p_value)
        by_face.append(compared.by_face.p_value)
    check_p_values(np.array(by_group))
    assert np.mean(np.array(by_face) < 0.05) > 0.15


def test_of_independent_faces_both_tests_say_the_same():
    rng, groups, p_values = np.random.default_rng(1), FaceGroups.of(np.arange(300)), []
    for _ in range(40):
        compared = compare_outcomes(*rivals(rng, groups, gain=0.2, alike=0.0), groups, Resampling(2, 499))
        p_values.append((compared.by_face.p_value, compared.p_value))
    by_face, by_group = np.transpose(p_values)
    assert by_group == pytest.approx(by_face, abs=0.08)  # of 499 flips


def test_a_better_model_is_found_and_the_difference_measured():
    rng, held = np.random.default_rng(2), []
    groups = draw_groups(rng, num_groups=20_000)
    truth = np.diff([outcome.mean() for outcome in rivals(rng, groups, gain=1.2, alike=0.3)])[0]
    for _ in range(40):
        groups = draw_groups(rng, num_groups=100)
        compared = compare_outcomes(*rivals(rng, groups, gain=1.2, alike=0.3), groups, Resampling(2, 399))
        assert compared.p_value < 0.05
        held.append(compared.difference.low <= truth <= compared.difference.high)
    assert np.mean(held) >= 0.85


def test_counts_by_hand():
    right_a = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)
    right_b = np.array([1, 0, 1, 1, 1, 1, 0, 1], bool)
    compared = compare_outcomes(right_a, right_b, FaceGroups.of(np.arange(8)), FINE)
    assert (compared.counts.only_a_right, compared.counts.only_b_right) == (1, 3)
    assert (compared.counts.both_right, compared.counts.both_wrong) == (3, 1)
    assert (compared.rate_a, compared.rate_b) == (4 / 8, 6 / 8)
    assert compared.difference.value == 0.25
    assert compared.by_face.p_value == pytest.approx(stats.binomtest(1, 4).pvalue)
    assert compared.p_value == pytest.approx(stats.binomtest(1, 4).pvalue)  # each face a group: the same test
    row = compared.row("grey", "colour")
    assert (row["grey"], row["colour"], row["only_grey"], row["only_colour"]) == (0.5, 0.75, 1, 3)
    assert not compared.discordant_assumption().holds


def test_a_model_against_itself():
    rng = np.random.default_rng(3)
    groups = draw_groups(rng)
    outcome, _ = rivals(rng, groups)
    compared = compare_outcomes(outcome, outcome, groups, FINE)
    assert compared.p_value == compared.by_face.p_value == 1
    assert compared.difference.interval == pytest.approx((0, 0, 0), abs=1e-6)
    assert np.isnan(compared.design_effect)


def test_exchanged_models_give_the_opposite():
    rng = np.random.default_rng(4)
    groups = draw_groups(rng)
    pair = rivals(rng, groups, gain=0.5)
    forth, back = compare_outcomes(*pair, groups, FINE), compare_outcomes(*pair[::-1], groups, FINE)
    assert forth.difference.interval == pytest.approx(
        [-end for end in (back.difference.value, back.difference.high, back.difference.low)], abs=1e-6
    )
    assert forth.p_value == pytest.approx(back.p_value, abs=0.02)
    assert forth.by_face.p_value == pytest.approx(back.by_face.p_value)


def test_other_numbers_of_faces_are_refused():
    with pytest.raises(ValueError, match="expected outcomes of the same faces, got 3, 2 and 3"):
        compare_outcomes(np.ones(3, bool), np.ones(2, bool), FaceGroups.of([0, 1, 2]), FINE)
