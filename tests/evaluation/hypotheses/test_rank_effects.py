"""Epsilon squared by weights against scipy's ranks and Kruskal-Wallis."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from maskdet.evaluation.hypotheses.rank_effects import RankEpsilon, weighted_midranks

FACES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3)), min_size=6, max_size=30)
"""(value, class, weight): few values, so that ties abound."""


def epsilon_of(values, classes, weights):
    """Return it with every face its own group."""
    is_class = np.eye(3, dtype=bool)[classes]
    return RankEpsilon(np.array(values, float), is_class, np.arange(len(values)))(np.array(weights, float)[:, None])[0]


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(FACES)
def test_weights_count_faces_several_times_and_the_effect_is_kruskal_wallis(faces):
    values, classes, weights = map(np.array, zip(*faces, strict=True))
    rows = np.repeat(np.arange(len(values)), weights)
    found = epsilon_of(values, classes, weights)
    if len(np.unique(values[rows])) < 2:
        assert np.isnan(found)
        return
    samples = [values[rows][classes[rows] == k] for k in np.unique(classes[rows])]
    expected = stats.kruskal(*samples).statistic / (len(rows) - 1) if len(samples) > 1 else 0.0
    assert found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_midranks_are_scipys(values):
    found = weighted_midranks(np.array(values, float), np.full(len(values), 2.5))
    assert found * len(values) + 0.5 == pytest.approx(stats.rankdata(values))


def test_classes_that_do_not_overlap_differ_most():
    assert epsilon_of([1, 1, 2, 2], [0, 0, 1, 1], [1, 1, 1, 1]) == pytest.approx(1)
    assert epsilon_of([1, 2, 1, 2], [0, 0, 1, 1], [1, 1, 1, 1]) == pytest.approx(0)
