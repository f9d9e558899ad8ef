"""States dealt out anew: as alike as asked for, and the correlation found again in what was dealt."""

import numpy as np
import pytest
from scipy import stats

from evaluation.hypotheses.grouped_faces import QUICK, check_p_values, draw_classes, draw_groups
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.dealt_states import DealtStates, intraclass_correlation, pair_correlation

SHARES = (0.7, 0.2, 0.1)


@pytest.mark.parametrize("icc", [0.05, 0.3, 0.7])
def test_the_correlation_of_a_population_is_found(icc):
    rng = np.random.default_rng(0)
    groups = draw_groups(rng, num_groups=4000)
    is_state = class_indicators(draw_classes(rng, groups, SHARES, icc))
    assert intraclass_correlation(is_state, groups) == pytest.approx(icc, abs=0.03)
    assert pair_correlation(is_state, groups, np.array(SHARES)) == pytest.approx(icc, abs=0.03)


def test_correlations_at_their_ends():
    pairs = FaceGroups.of(np.repeat(np.arange(50), 2))
    same = np.repeat(np.arange(50) % 2 == 0, 2)
    mixed = np.tile([True, False], 50)
    for values, expected in ((same, 1), (mixed, -1)):
        is_state = np.stack([values, ~values], axis=1)
        assert intraclass_correlation(is_state, pairs) == pytest.approx(expected, abs=0.03)
        assert pair_correlation(is_state, pairs, np.array([0.5, 0.5])) == pytest.approx(expected)
    alone = FaceGroups.of(np.arange(100))
    assert intraclass_correlation(is_state, alone) == 0
    assert np.isnan(pair_correlation(is_state, alone, np.array([0.5, 0.5])))


def test_deals_have_the_shares_and_the_correlation_of_the_faces():
    rng = np.random.default_rng(1)
    groups = draw_groups(rng, num_groups=100)
    states = DealtStates.fit(class_indicators(draw_classes(rng, groups, SHARES, 0.3)), groups)
    dealt = np.concatenate(list(states.deals(Resampling(2, 450))))
    assert dealt.shape == (450, len(groups.codes))
    shares = [(dealt == k).mean() for k in range(3)]
    assert shares == pytest.approx(states.is_state.mean(axis=0), abs=0.02)
    again = [intraclass_correlation(np.eye(3, dtype=bool)[row], groups) for row in dealt[:200]]
    assert np.mean(again) == pytest.approx(states.icc, abs=0.03)


def test_equal_seeds_deal_equal_states():
    rng = np.random.default_rng(2)
    groups = draw_groups(rng, num_groups=20)
    states = DealtStates.fit(class_indicators(draw_classes(rng, groups, SHARES, 0.3)), groups)
    first, second = (np.concatenate(list(states.deals(QUICK))) for _ in range(2))
    other = np.concatenate(list(states.deals(Resampling(2, 99, seed=1))))
    assert (first == second).all()
    assert (first != other).any()


def test_weights_count_a_group_as_what_it_says():
    groups = FaceGroups.of(np.repeat([0, 1, 2], [1, 3, 6]))
    states = DealtStates(np.eye(2, dtype=bool)[groups.codes % 2], groups, icc=0.5)
    assert states.weights == pytest.approx([1, 1 / 2, 1 / 3.5])
    assert states.effective_num_faces == pytest.approx(1 + 3 / 2 + 6 / 3.5)


def test_p_values_of_a_statistic_that_grows_with_one_state():
    rng, p_values = np.random.default_rng(3), []
    for _ in range(200):
        groups = draw_groups(rng, num_groups=40)
        states = DealtStates.fit(class_indicators(draw_classes(rng, groups, SHARES, 0.2)), groups)
        trait = rng.normal(size=groups.num)[groups.codes]
        trait -= trait.mean()
        p_values.append(states.p_values(lambda dealt, t=trait: np.abs((dealt == 0) @ t)[:, None], QUICK)[0])
    check_p_values(np.array(p_values))


def test_p_values_lie_above_their_least():
    groups = FaceGroups.of(np.arange(40))
    states = DealtStates.fit(np.eye(2, dtype=bool)[np.arange(40) % 2], groups)
    pattern = np.where(np.arange(40) % 2 == 0, -1.0, 1.0)
    found = states.p_values(lambda dealt: np.stack([(2 * dealt - 1) @ pattern, np.zeros(len(dealt))], axis=1), QUICK)
    assert found.tolist() == [1 / 100, 1]


def test_states_that_do_not_occur_are_dropped_and_one_alone_is_refused():
    groups = FaceGroups.of(np.arange(6))
    is_state = np.eye(3, dtype=bool)[[0, 2, 0, 2, 0, 2]]
    assert DealtStates.fit(is_state, groups).is_state.shape == (6, 2)
    with pytest.raises(ValueError, match="expected faces of two or more classes, got 1"):
        DealtStates.fit(is_state[[0, 0]], FaceGroups.of([0, 1]))


def test_large_groups_that_are_more_alike_than_the_others_are_reported_and_make_the_model_cautious():
    rng = np.random.default_rng(5)
    groups = FaceGroups.of(np.concatenate([np.repeat(np.arange(300), 4), np.repeat(np.arange(300, 306), 60)]))
    is_large = groups.codes >= 300
    state = np.where(
        is_large, stats.bernoulli(0.5).rvs(306, random_state=1)[groups.codes], rng.integers(0, 2, len(is_large))
    )
    states = DealtStates.fit(np.eye(2, dtype=bool)[state], groups)
    assert states.icc > 0.5  # groups alone say about 0
    assert "more than 12 faces" in states.assumption().detail
    few = DealtStates(states.is_state, groups, icc=0.1).assumption()
    assert not few.holds
