"""Sign flips and shares against a value: exact where it can be counted out, right in simulated sets."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluation.hypotheses.grouped_faces import FINE, QUICK, check_p_values, draw_groups, draw_outcomes
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.group_tests import SignFlip, share_against, share_interval, sign_flips


def flipped(sums, sizes=None, resampling: Resampling = QUICK) -> SignFlip:
    """Return the outcome of one mean; without sizes each group has a hundred faces."""
    sums = np.asarray(sums, float)
    return sign_flips(sums[None], np.full((1, len(sums)), 100.0) if sizes is None else sizes[None], "test", resampling)[
        0
    ]


def test_few_groups_are_flipped_in_every_way():
    contributions = np.array([3.0, -1, 2, 2, 0.5])
    sums = [abs(np.dot(signs, contributions)) for signs in itertools.product((-1, 1), repeat=5)]
    expected = np.mean(np.array(sums) >= contributions.sum() - 1e-12)
    found = flipped(contributions, resampling=FINE)
    assert found.evidence.p_value == pytest.approx(expected)
    assert found.evidence.statistic == contributions.sum()
    assert found.evidence.least_p_value == 2 / 2**5
    assert found.largest_share == pytest.approx(9 / (contributions**2).sum())


def test_nothing_to_flip_is_no_evidence():
    found = flipped(np.zeros(40))
    assert found.evidence.p_value == found.evidence.least_p_value == 1
    assert found.largest_share == 0


def test_the_least_p_value_is_reached():
    found = flipped(np.ones(60))
    assert found.evidence.p_value == found.evidence.least_p_value == 2 / 100
    few = [  # only four groups differ
        flipped(np.append(np.ones(4), np.zeros(50)), resampling=Resampling(2, 999, seed)).evidence for seed in range(20)
    ]
    assert {evidence.least_p_value for evidence in few} == {2 / 2**4}
    assert min(evidence.p_value for evidence in few) == 2 / 2**4
    assert max(evidence.p_value for evidence in few) == pytest.approx(2 / 2**4, abs=0.03)


def test_sign_flips_of_unequal_groups_reject_at_their_level():
    rng = np.random.default_rng(0)
    scales = np.append(np.ones(30), [20, 30, 50])  # a few groups bring nearly all of the variance
    p_values = [flipped(rng.normal(size=33) * scales).evidence.p_value for _ in range(300)]
    check_p_values(np.array(p_values))


def test_intervals_hold_the_truth_and_agree_with_the_test():
    rng, truth, held, agree = np.random.default_rng(1), 0.2, [], []
    for _ in range(150):
        groups = draw_groups(rng, num_groups=40)
        first, second = (draw_outcomes(rng, groups, rate, 0.15) for rate in (0.5, 0.7))
        sums = groups.sums(second.astype(float) - first)[:, 0]
        tested = flipped(sums, groups.sizes, Resampling(2, 499))
        found = tested.estimate
        held.append(found.low <= truth <= found.high)
        agree.append((found.low <= 0 <= found.high) == (tested.evidence.p_value >= 0.05))
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert found.value == pytest.approx(second.mean() - first.mean())
    assert 0.9 <= np.mean(held) <= 1
    assert all(agree)


def test_too_few_groups_exclude_nothing():
    found = flipped([2.0, 2, 2], np.array([2, 2, 2]), FINE).estimate
    assert (found.low, found.high) == (-1, 1)


def test_two_models_that_never_differ_have_no_difference():
    found = flipped(np.zeros(50), np.full(50, 3), FINE).estimate
    assert found.interval == pytest.approx((0, 0, 0), abs=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 10_000), st.floats(-0.4, 0.4), st.sampled_from([8, 25, 60]))
def test_p_is_below_the_level_exactly_where_the_interval_leaves_0_out(seed, shift, num_groups):
    rng = np.random.default_rng(seed)
    sizes = np.ceil(rng.exponential(3, num_groups) ** 1.5).astype(int)
    sums = np.array([rng.choice([-1, 0, 1], size, p=[0.3 - shift / 2, 0.4, 0.3 + shift / 2]).sum() for size in sizes])
    found = flipped(sums, sizes, Resampling(2, 299))
    assert (found.estimate.low <= 0 <= found.estimate.high) == (found.evidence.p_value >= 0.05)
    assert found.estimate.low <= found.estimate.value <= found.estimate.high


def test_several_means_at_once_are_each_what_they_are_alone_and_scipys():
    rng = np.random.default_rng(5)
    sums, sizes = rng.integers(-3, 4, (3, 40)), rng.integers(3, 9, (3, 40))
    together = sign_flips(sums, sizes, "test", FINE)
    for alone, among, contributions in zip(map(flipped, sums, sizes, [FINE] * 3), together, sums, strict=True):
        assert alone == among
        expected = stats.permutation_test(
            (contributions,),
            lambda signed, axis: signed.sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=9999,
            rng=np.random.default_rng(9),
        )
        assert among.evidence.p_value == pytest.approx(expected.pvalue, abs=0.05)  # other draws
        assert among.evidence.statistic == expected.statistic == contributions.sum()


def test_a_mean_that_weighs_faces_by_their_class_is_tested_at_its_level():
    """Balanced accuracy: the faces of a rare class count many times as much as others."""
    rng, p_values, held = np.random.default_rng(6), [], []
    for _ in range(150):
        groups = draw_groups(rng, num_groups=60)
        is_rare = rng.uniform(size=len(groups.codes)) < 0.1
        weights = np.where(is_rare, 0.5 / max(is_rare.sum(), 1), 0.5 / (~is_rare).sum())
        first, second = (draw_outcomes(rng, groups, 0.7, 0.15) for _ in range(2))
        sums = groups.sums((second.astype(float) - first) * weights)[:, 0]
        found = flipped(sums, groups.sums(weights)[:, 0], Resampling(2, 199))
        p_values.append(found.evidence.p_value)
        held.append(found.estimate.low <= 0 <= found.estimate.high)
    check_p_values(np.array(p_values))
    assert np.mean(held) >= 0.9


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


def test_a_share_is_of_the_groups_that_have_faces():
    held, faces = np.array([3.0, 0, 0, 5, 1]), np.array([4.0, 2, 0, 6, 3])
    with_empty, without = share_interval(held, faces, 0.05), share_interval(held[faces > 0], faces[faces > 0], 0.05)
    assert with_empty == without
    assert with_empty.value == 9 / 15
    assert np.isnan(share_interval(held[:0], faces[:0], 0.05).value)
    assert np.isnan(share_interval(held[:1], faces[:1], 0.05).low)


@pytest.mark.parametrize("value", [False, True])
def test_a_share_without_variance_counts_groups(value):
    groups = FaceGroups.of(np.repeat(np.arange(30), 4))
    share, evidence = share_against(np.full(120, value), groups, 0.9, 0.05)
    assert share.value == value
    expected = stats.binomtest(30 * value, 30, 0.9)
    assert evidence.p_value == pytest.approx(expected.pvalue)
    interval = expected.proportion_ci(0.95, method="exact")
    assert share.interval[1:] == pytest.approx((interval.low, interval.high))
