"""Sign flips and shares against a value: exact where it can be counted out, right in simulated sets."""

import itertools

import numpy as np
import pytest
from scipy import stats

from evaluation.hypotheses.grouped_faces import FINE, QUICK, check_p_values, draw_groups, draw_outcomes
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.group_tests import share_against, sign_flip_interval, sign_flip_test


def test_few_groups_are_flipped_in_every_way():
    contributions = np.array([3.0, -1, 2, 2, 0.5])
    sums = [abs(np.dot(signs, contributions)) for signs in itertools.product((-1, 1), repeat=5)]
    expected = np.mean(np.array(sums) >= contributions.sum() - 1e-12)
    found = sign_flip_test(contributions, "test", FINE)
    assert found.evidence.p_value == pytest.approx(expected)
    assert found.evidence.statistic == contributions.sum()
    assert found.evidence.least_p_value == 2 / 2**5
    assert found.largest_share == pytest.approx(9 / (contributions**2).sum())


def test_nothing_to_flip_is_no_evidence():
    found = sign_flip_test(np.zeros(40), "test", QUICK)
    assert found.evidence.p_value == 1
    assert found.largest_share == 0


def test_the_least_p_value_is_reached():
    found = sign_flip_test(np.ones(60), "test", QUICK)
    assert found.evidence.p_value == found.evidence.least_p_value == 2 / 100


def test_sign_flips_of_unequal_groups_reject_at_their_level():
    rng = np.random.default_rng(0)
    scales = np.append(np.ones(30), [20, 30, 50])  # a few groups bring nearly all of the variance
    p_values = [sign_flip_test(rng.normal(size=33) * scales, "test", QUICK).evidence.p_value for _ in range(300)]
    check_p_values(np.array(p_values))


def test_intervals_hold_the_truth_and_agree_with_the_test():
    rng, truth, held, agree = np.random.default_rng(1), 0.2, [], []
    for _ in range(150):
        groups = draw_groups(rng, num_groups=40)
        first, second = (draw_outcomes(rng, groups, rate, 0.15) for rate in (0.5, 0.7))
        sums = groups.sums(second.astype(float) - first)[:, 0]
        found = sign_flip_interval(sums, groups.sizes, Resampling(2, 499))
        held.append(found.low <= truth <= found.high)
        p_value = sign_flip_test(sums, "test", Resampling(2, 499)).evidence.p_value
        agree.append((found.low <= 0 <= found.high) == (p_value > 0.05) or 0.03 < p_value < 0.07)  # other draws
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert found.value == pytest.approx(second.mean() - first.mean())
    assert 0.9 <= np.mean(held) <= 1
    assert all(agree)


def test_too_few_groups_exclude_nothing():
    found = sign_flip_interval(np.array([2.0, 2, 2]), np.array([2, 2, 2]), FINE)
    assert (found.low, found.high) == (-1, 1)


def test_two_models_that_never_differ_have_no_difference():
    found = sign_flip_interval(np.zeros(50), np.full(50, 3), FINE)
    assert found.interval == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize("icc", [0.02, 0.1])
def test_a_true_share_is_rejected_at_the_level_and_held_by_the_interval(icc):
    rng, p_values, held, by_face = np.random.default_rng(2), [], [], []
    for _ in range(400):
        groups = draw_groups(rng, num_groups=80)
        is_right = draw_outcomes(rng, groups, 0.9, icc)
        share, evidence = share_against(is_right, groups, 0.9, 0.05)
        p_values.append(evidence.p_value)
        held.append(share.low <= 0.9 <= share.high)
        by_face.append(stats.binomtest(int(is_right.sum()), len(is_right), 0.9).pvalue)
        assert (share.low <= 0.9 <= share.high) == (evidence.p_value >= 0.05)
        assert 0 < share.low < share.value < share.high < 1
    check_p_values(np.array(p_values))
    assert np.mean(held) >= 0.91
    if icc == 0.1:
        assert np.mean(np.array(by_face) < 0.05) > 0.1  # what counting faces one by one comes to


def test_of_single_faces_it_is_the_interval_of_a_proportion():
    is_right = np.arange(2000) < 1850
    share, evidence = share_against(is_right, FaceGroups.of(np.arange(2000)), 0.9, 0.05)
    expected = stats.binomtest(1850, 2000, 0.9).proportion_ci(0.95, method="wilson")
    assert share.interval[1:] == pytest.approx((expected.low, expected.high), abs=5e-4)
    assert evidence.p_value == pytest.approx(stats.binomtest(1850, 2000, 0.9).pvalue, abs=2e-4)
    assert evidence.statistic > 0


@pytest.mark.parametrize("value", [False, True])
def test_a_share_without_variance_counts_groups(value):
    groups = FaceGroups.of(np.repeat(np.arange(30), 4))
    share, evidence = share_against(np.full(120, value), groups, 0.9, 0.05)
    assert share.value == value
    expected = stats.binomtest(30 * value, 30, 0.9)
    assert evidence.p_value == pytest.approx(expected.pvalue)
    interval = expected.proportion_ci(0.95, method="exact")
    assert share.interval[1:] == pytest.approx((interval.low, interval.high))
