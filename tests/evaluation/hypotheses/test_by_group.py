"""Groups as units: sums, design effects, intervals, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.hypotheses.grouped_faces import FINE, draw_groups, draw_outcomes
from maskdet.evaluation.bca import bca_interval
from maskdet.evaluation.bootstrap import drawn_weights, left_out_weights
from maskdet.evaluation.hypotheses.by_group import (
    FaceGroups,
    Resampling,
    design_effect,
    estimate,
    estimate_from_sums,
    independence_of_faces,
    many_groups,
)
from maskdet.evaluation.rates import ratio


def mean_of(values, groups, resampling=FINE):
    sums = groups.sums(np.column_stack([values, np.ones(len(values))]))
    return estimate_from_sums(sums, lambda totals: ratio(totals[0], totals[1]), resampling)


def test_sums_by_hand():
    groups = FaceGroups.of([7, 3, 7])
    assert groups.num == 2
    assert groups.sizes.tolist() == [1, 2]
    assert groups.sums(np.array([1.0, 10, 100])).tolist() == [[10], [101]]
    assert groups.sums(np.array([[1.0, 0], [0, 1], [1, 1]])).tolist() == [[0, 1], [2, 1]]


@pytest.mark.parametrize("labels", [[], [4], [4, 4, 4]])
def test_one_group_is_refused(labels):
    with pytest.raises(ValueError, match=r"expected faces of two or more groups of images, got [01]"):
        FaceGroups.of(np.array(labels, int))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_replicates": 1}, "num_replicates: expected 2 or more, got 1"),
        ({"num_permutations": 0}, "num_permutations: expected 2 or more, got 0"),
        ({"alpha": 5}, r"alpha: expected a level in \(0, 1\), got 5"),
    ],
)
def test_impossible_resampling_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Resampling(**change)


def test_an_estimate_is_the_bca_interval_over_groups():
    rng = np.random.default_rng(0)
    groups = draw_groups(rng)
    values = rng.normal(size=len(groups.codes))
    sums, sizes = groups.sums(values)[:, 0], groups.sizes
    found = mean_of(values, groups)
    replicates, jackknife = (
        np.concatenate([(sums @ w) / (sizes @ w) for w in chunks])
        for chunks in (drawn_weights(groups.num, 400, 0, 400), left_out_weights(groups.num, 400))
    )
    assert found.value == pytest.approx(values.mean())
    expected = bca_interval(values.mean(), replicates, jackknife, 0.95)
    assert found.interval[1:] == pytest.approx(expected)
    assert found.columns("mean") == {"mean": found.value, "low": found.low, "high": found.high}


def test_a_wider_level_gives_a_narrower_interval():
    rng = np.random.default_rng(1)
    groups = draw_groups(rng)
    values = rng.normal(size=len(groups.codes))
    strict, lax = (mean_of(values, groups, Resampling(400, 99, alpha=alpha)) for alpha in (0.01, 0.2))
    assert strict.low < lax.low < lax.value < lax.high < strict.high


def test_an_undefined_statistic_is_nan():
    found = estimate(lambda weights: np.full(weights.shape[1], np.nan), 5, FINE)
    assert np.isnan(found.interval).all()


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.integers(2, 8), st.integers(0, 100))
def test_copies_of_a_face_multiply_the_variance_by_their_number(copies, seed):
    values = np.random.default_rng(seed).normal(size=40)
    groups = FaceGroups.of(np.repeat(np.arange(40), copies))
    expected = copies * (40 * copies - 1) / (40 * copies) * 40 / 39  # one has ddof 1 over faces, the other over groups
    assert design_effect(np.repeat(values, copies), groups) == pytest.approx(expected)


def test_design_effects_of_a_population():
    """Of equal groups of m faces it is 1 + (m - 1) times their intraclass correlation (Kish)."""
    rng = np.random.default_rng(2)
    groups = FaceGroups.of(np.repeat(np.arange(4000), 6))
    assert design_effect(draw_outcomes(rng, groups, 0.3, 0.2), groups) == pytest.approx(1 + 5 * 0.2, rel=0.06)
    assert design_effect(rng.uniform(size=24_000), groups) == pytest.approx(1, rel=0.06)
    assert np.isnan(design_effect(np.ones(24_000), groups))


def test_assumptions_say_what_they_found():
    groups = FaceGroups.of(np.repeat(np.arange(40), 2))
    alike = independence_of_faces(groups, 4.0, 50)
    assert not alike.holds
    assert "80 faces of 50 images in 40 groups" in alike.detail
    assert "0.50 times as wide" in alike.detail
    assert independence_of_faces(groups, 1.0).holds
    assert many_groups(groups).holds
    assert not many_groups(groups, largest_share=0.6).holds
    assert not many_groups(FaceGroups.of([0, 1, 2])).holds
