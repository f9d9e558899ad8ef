"""Holm's correction against statsmodels, and which corrected p-values are bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.holm import holm, is_bound


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(st.lists(st.sampled_from([0.0, 1e-9, 0.001, 0.01, 0.02, 0.3, 0.9, 1.0]), min_size=1, max_size=7))
def test_corrected_p_values_are_statsmodels(p_values):
    corrected, least = holm(np.array(p_values))
    assert corrected == pytest.approx(multipletests(p_values, method="holm")[1])
    assert (least == 0).all()


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=7))
def test_a_corrected_p_value_that_is_no_bound_stays_when_bounds_fall_but_keep_their_rank(rows):
    p_values, bounded = np.array([p for p, _ in rows]), np.array([is_floor for _, is_floor in rows])
    corrected, least = holm(p_values, np.where(bounded, p_values, 0.0))
    is_least = is_bound(corrected, least)
    assert ((least == 0) | is_least).all()
    order = np.argsort(p_values, kind="stable")
    lower = p_values.copy()
    for place, row in enumerate(order):  # as low as the rank allows
        before = p_values[order[place - 1]] if place else 0.0
        lower[row] = (before + 1e-9) if bounded[row] else p_values[row]
    again, _ = holm(np.minimum(lower, p_values))
    assert again[~is_least] == pytest.approx(corrected[~is_least], abs=1e-6)


def test_undefined_p_values_do_not_count():
    corrected, least = holm(np.array([0.01, np.nan, 0.04]), np.array([0.01, np.nan, 0.01]))
    assert corrected == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert least == pytest.approx([0.02, np.nan, 0.0], nan_ok=True)
    assert np.isnan(holm(np.array([np.nan, np.nan]))[0]).all()
