"""Ways to deal: what each keeps whole, on random decks, and the shares of a holdout."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskdet.data.dealing import LEFT_OUT, STRATEGIES, TRAINING_FOLD, VALIDATION_FOLD, Deck, deal_holdout, deal_sources

SHARES = {"val": 0.1, "test": 0.05}


def deck(groups, sources=None, **changes) -> Deck:
    options = {"keys": np.zeros(len(groups), int), "num_folds": 2, "seed": 0}
    names = np.array(sources if sources is not None else ["web"] * len(groups))
    return Deck(groups=np.array(groups), sources=names, **(options | changes))


IMAGES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abc")), min_size=2, max_size=40)


@settings(max_examples=60, deadline=None)
@given(IMAGES)
def test_a_source_is_a_fold_without_what_looks_like_another_one(images):
    groups, sources = (np.array(column) for column in zip(*images, strict=True))
    folds = deal_sources(deck(groups, sources))
    names = sorted(set(sources))
    kept = folds != LEFT_OUT
    assert [names[fold] for fold in folds[kept]] == sources[kept].tolist()
    for group in set(groups):  # it lives in one source: the one with most of its images, of equal ones the first
        counts = {name: ((groups == group) & (sources == name)).sum() for name in names}
        home = max(names, key=lambda name: counts[name])
        assert folds[groups == group].tolist() == [
            names.index(name) if name == home else LEFT_OUT for name in sources[groups == group]
        ]


def test_of_a_crossing_group_the_larger_part_stays():
    folds = deal_sources(deck([0, 0, 0, 1, 1, 2], ["b", "b", "a", "b", "a", "a"]))
    assert folds.tolist() == [1, 1, LEFT_OUT, LEFT_OUT, 0, 0]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=60, max_size=120), st.integers(0, 3))
def test_a_holdout_keeps_groups_whole(groups, seed):
    groups = np.array(groups)
    assume(len(np.unique(groups)) >= 20)
    folds = deal_holdout(deck(groups, seed=seed, shares=SHARES))
    assert set(folds.tolist()) <= {LEFT_OUT, VALIDATION_FOLD, TRAINING_FOLD}
    for group in np.unique(groups):
        assert len(set(folds[groups == group])) == 1


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [(SHARES, [10, 20, 170]), ({"val": 0.2, "test": 0.2}, [40, 40, 120]), ({"val": 0.02, "test": 0.02}, [4, 4, 192])],
)
def test_the_shares_of_a_holdout(shares, sizes):
    folds = deal_holdout(deck(range(200), shares=shares))
    assert [(folds == part).sum() for part in (LEFT_OUT, VALIDATION_FOLD, TRAINING_FOLD)] == sizes


def test_a_large_group_is_trained_on():
    folds = deal_holdout(deck([0] * 80 + list(range(1, 121)), shares=SHARES))
    assert set(folds[:80]) == {TRAINING_FOLD}
    assert (folds == VALIDATION_FOLD).sum() == pytest.approx(20, abs=8)


@pytest.mark.parametrize("shares", [None, {}, {"val": 0.1}, {"val": 0.1, "test": 0.0}, {"val": 0.5, "test": 0.5},
                                    {"val": -0.1, "test": 0.1}, {"val": 0.333, "test": 0.1}])  # fmt: skip
def test_shares_that_are_refused(shares):
    with pytest.raises(ValueError, match=r"split\.shares: expected val and test, positive whole percents"):
        deal_holdout(deck(range(200), shares=shares))


def test_too_few_groups_for_the_shares():
    with pytest.raises(ValueError, match=r"shares that 7 groups can be dealt into, got .*takes 20 equal parts"):
        deal_holdout(deck(range(7), shares=SHARES))


def test_how_many_folds_a_deck_allows():
    of_three = deck([0, 0, 1, 2], ["a", "b", "b", "c"])
    counts = {name: strategy.count_of(of_three)[:2] for name, strategy in STRATEGIES.items()}
    assert counts == {
        "stratified_group_kfold": (2, 3),
        "kfold": (2, 4),
        "leave_one_source_out": (3, 3),
        "holdout": (2, 2),
    }
    with pytest.raises(ValueError, match=r"expected images of several sources, got \['web'\]"):
        STRATEGIES["leave_one_source_out"].count_of(deck([0, 1]))
