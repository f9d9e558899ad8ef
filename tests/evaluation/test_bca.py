"""BCa intervals and p-values against scipy's, and against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from maskdet.evaluation.bca import bca_interval, bca_test


def resampled_means(seed: int, shift: float = 0.0, num: int = 4000) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean of a skewed sample, its replicates, its jackknife, the sample."""
    rng = np.random.default_rng(seed)
    sample = rng.exponential(1, 30) - 1 + shift
    replicates = rng.choice(sample, (num, 30)).mean(axis=1)
    return sample.mean(), replicates, (sample.sum() - sample) / 29, sample


@pytest.mark.parametrize("seed", range(5))
def test_intervals_are_scipys(seed):
    value, replicates, jackknife, sample = resampled_means(seed)
    low, high = bca_interval(value, replicates, jackknife, 0.95)
    options = {"n_resamples": 4000, "method": "BCa", "rng": np.random.default_rng(seed)}
    expected = stats.bootstrap((sample,), np.mean, **options).confidence_interval
    assert (low, high) == pytest.approx(tuple(expected), abs=0.15 * (high - low))  # other draws
    assert (low, high) != pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])), abs=1e-3)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 50), st.floats(-1, 1), st.sampled_from([0.8, 0.9, 0.95]))
def test_an_interval_leaves_0_out_where_the_p_value_says_so(seed, shift, confidence):
    value, replicates, jackknife, _ = resampled_means(seed, shift, num=1000)
    low, high = bca_interval(value, replicates, jackknife, confidence)
    tested = bca_test(value, replicates, jackknife)
    p_value = tested.p_value
    assert 2 / 1001 <= tested.least_p_value <= p_value <= 1
    if abs(p_value - (1 - confidence)) > 0.01:  # the grain of 1,000 replicates
        assert (low <= 0 <= high) == (p_value > 1 - confidence)


def test_the_p_value_has_two_sides():
    value, replicates, jackknife, _ = resampled_means(0, 0.3)
    mirrored, tested = bca_test(-value, -replicates, -jackknife), bca_test(value, replicates, jackknife)
    assert list(vars(mirrored).values()) == pytest.approx(list(vars(tested).values()), abs=1e-9)


def test_without_a_replicate_beyond_the_null_the_p_value_is_the_least_of_all():
    value, replicates, jackknife, _ = resampled_means(1, shift=3.0, num=1000)
    beyond = bca_test(value, replicates, jackknife, null=replicates.min() - 1)
    assert beyond.p_value == beyond.least_p_value
    further = bca_test(value, replicates, jackknife, null=replicates.min() - 50)
    assert further == beyond  # how far is not known
    inside = bca_test(value, replicates, jackknife, null=np.sort(replicates)[30])
    assert inside.p_value > inside.least_p_value


def test_the_least_p_value_is_what_the_transformation_makes_of_no_replicate_beyond_the_null():
    """Of a skewed statistic the replicates show less of the side on which its influence stretches them."""
    value, replicates, jackknife, _ = resampled_means(2, num=1000)
    sides = [bca_test(value, replicates, jackknife, null=null) for null in (replicates.min() - 1, replicates.max() + 1)]
    assert max(side.least_p_value for side in sides) > 2.5 * 2 / 1001
    assert min(side.least_p_value for side in sides) == pytest.approx(2 / 1001)
    symmetric = np.random.default_rng(0).normal(size=1001)
    found = bca_test(float(np.median(symmetric)), symmetric, np.array([1.0, -1, 1, -1]), null=9.0)
    assert found.least_p_value == pytest.approx(2 / 1002)  # no bias, no acceleration
    assert found.percentile_p_value == pytest.approx(2 / 1002)


def test_the_percentile_p_value_counts_the_replicates_beyond_the_null():
    value, replicates, jackknife, _ = resampled_means(3, shift=0.4, num=1000)
    share = (replicates < 0).mean()
    tested = bca_test(value, replicates, jackknife)
    assert tested.percentile_p_value == pytest.approx(2 * min(share, 1 - share), abs=2e-3)
    without_skew = bca_test(value, replicates, np.zeros(30))
    bias_only = stats.norm.cdf(stats.norm.ppf(share) - 2 * stats.norm.ppf((replicates < value).mean()))
    assert without_skew.p_value == pytest.approx(2 * min(bias_only, 1 - bias_only), abs=5e-3)


def test_constant_and_undefined_replicates():
    same = np.full(50, 0.25)
    assert bca_interval(0.25, same, same, 0.95) == (0.25, 0.25)
    assert bca_test(0.0, np.zeros(50), np.zeros(20)).p_value == pytest.approx(1)
    one_defined = np.append(np.full(49, np.nan), 0.5)
    assert np.isnan(bca_interval(0.5, one_defined, same, 0.95)).all()
    assert np.isnan(list(vars(bca_test(float("nan"), same, same)).values())).all()
    assert np.isfinite(bca_interval(0.5, np.append(same, 0.5), np.full(20, np.nan), 0.95)).all()


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_impossible_confidence_is_named(confidence):
    with pytest.raises(ValueError, match=f"expected 0 < confidence < 1, got {confidence}"):
        bca_interval(0.5, np.ones(3), np.ones(3), confidence)
