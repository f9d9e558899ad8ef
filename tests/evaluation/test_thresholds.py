"""Thresholds by hand, and against `operating_point` at every score that occurs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.curves import ALL_CLASSES, operating_point
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.thresholds import GOALS, choose_thresholds, threshold_curves, thresholds_of
from maskdet.schema import CLASS_NAMES

COUNTED = ["tp", "fp", "fn", "precision", "recall", "f1"]
FACES = [(x, 0, x + 10, 10) for x in (0, 100, 200, 300)]
FAR = (500, 500, 510, 510)
UNFOUND = "mask_weared_incorrect"


def scored(hits_and_scores: list[tuple[bool, float]], num_missed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return matches and annotations of one class; only the columns that thresholds look at."""
    is_tp, scores = [h for h, _ in hits_and_scores], [s for _, s in hits_and_scores]
    matches = pd.DataFrame({"class_name": "with_mask", "score": np.float32(scores), "is_tp": np.array(is_tp, bool)})
    return matches, pd.DataFrame({"class_name": ["with_mask"] * (sum(is_tp) + num_missed)})


def test_by_hand(table):
    annotations = table(*[("a.png", "with_mask", box) for box in FACES], scored=False)
    predictions = table(
        ("a.png", "with_mask", FACES[0], 0.9),
        ("a.png", "with_mask", FACES[1], 0.8),
        ("a.png", "with_mask", FAR, 0.6),
        ("a.png", "with_mask", FACES[2], 0.4),
        ("a.png", "with_mask", FAR, 0.2),
    )
    chosen = choose_thresholds(match_detections(annotations, predictions), annotations, 0.7, 0.5)
    rows = chosen[chosen["class_name"] == "with_mask"].set_index("goal")
    assert rows.loc["best_f1", ["tp", "fp", "fn"]].tolist() == [3, 1, 1]
    assert rows.loc["best_f1", "f1"] == pytest.approx(3 / 4)
    assert rows.loc["best_f1", "score_threshold"] == pytest.approx(0.3)  # half-way between 0.4 and 0.2
    assert rows.loc["min_precision", ["tp", "fp", "fn"]].tolist() == [3, 1, 1]  # 3/4, more recall than 2/2
    assert rows.loc["min_recall", ["precision", "recall"]].tolist() == [1, 0.5]
    assert rows.loc["min_recall", "score_threshold"] == pytest.approx(0.7)


def test_goals_out_of_reach_are_not_a_number(table):
    annotations = table(("a.png", "with_mask", FACES[0]), ("a.png", "without_mask", FACES[1]), scored=False)
    predictions = table(("a.png", "with_mask", FAR, 0.9), ("a.png", UNFOUND, FAR, 0.8))
    for found in (predictions, table()):
        chosen = choose_thresholds(match_detections(annotations, found), annotations, 0.9, 0.9)
        assert chosen["score_threshold"].isna().all()
        assert chosen[COUNTED].isna().all(axis=None)
        assert len(confusion_pairs(annotations, found, thresholds_of(chosen, "best_f1"))) == 2  # both faces missed
    assert chosen["class_name"].tolist() == np.repeat([*CLASS_NAMES, ALL_CLASSES], len(GOALS)).tolist()


@pytest.mark.parametrize("seed", range(3))
def test_curves_equal_the_operating_point_at_each_threshold(seed, random_tables):
    _, annotations, predictions = random_tables(seed, classes=CLASS_NAMES[:2])
    matches = match_detections(annotations, predictions)
    curves = threshold_curves(matches, annotations)
    assert len(curves) == 101 * 4
    for threshold in (0.0, 0.1, 0.3, 0.7, 0.9, 1.0):  # the random tables hold scores of one decimal: ties with these
        expected = operating_point(matches, annotations, threshold)
        at = curves[np.isclose(curves["score_threshold"], threshold)]
        pd.testing.assert_frame_equal(at[["class_name", *COUNTED]].reset_index(drop=True), expected, check_dtype=False)


@pytest.mark.parametrize("goal", GOALS)
def test_thresholds_give_the_stated_counts_for_each_class(goal, random_tables):
    _, annotations, predictions = random_tables(4, num_images=40)
    matches = match_detections(annotations, predictions)
    chosen = choose_thresholds(matches, annotations, 0.1, 0.3)
    thresholds = thresholds_of(chosen, goal)
    assert list(thresholds) == list(CLASS_NAMES)
    stated = chosen[(chosen["goal"] == goal) & (chosen["class_name"] != ALL_CLASSES)][["class_name", *COUNTED]]
    at = operating_point(matches, annotations, thresholds).iloc[:3]
    pd.testing.assert_frame_equal(stated.reset_index(drop=True), at, check_dtype=False)
    num_counted = at[["tp", "fp", "fn"]].to_numpy().sum()
    pairs = confusion_pairs(annotations, predictions, thresholds)
    assert len(pairs) <= num_counted  # a wrong class is one pair, but a false alarm and a miss


SCORES = st.one_of(st.sampled_from([0.25, 0.5, 0.75]), st.floats(0, 1, width=32))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.booleans(), SCORES), max_size=25), st.integers(0, 3), st.sampled_from([0.3, 0.6, 1.0]))
def test_no_score_that_occurs_is_a_better_threshold(hits_and_scores, num_missed, wanted):
    matches, annotations = scored(hits_and_scores, num_missed)
    chosen = choose_thresholds(matches, annotations, wanted, wanted).set_index(["class_name", "goal"]).loc["with_mask"]
    points = [operating_point(matches, annotations, s).iloc[0] for s in np.unique(matches["score"])]
    for goal, wanted_of, best_of in (("min_precision", "precision", "recall"), ("min_recall", "recall", "precision")):
        reachable = [p[best_of] for p in points if p[wanted_of] >= wanted]
        assert np.isnan(chosen.loc[goal, "score_threshold"]) == (not reachable)
        if reachable:
            at = operating_point(matches, annotations, chosen.loc[goal, "score_threshold"]).iloc[0]
            assert at[wanted_of] >= wanted
            assert at[best_of] == max(reachable) == chosen.loc[goal, best_of]
    f1s = [p["f1"] for p in points if p["f1"] > 0]
    assert chosen["f1"]["best_f1"] == pytest.approx(max(f1s, default=np.nan), nan_ok=True)


@pytest.mark.parametrize("wanted", [(0, 0.5), (0.5, 1.1)])
def test_wanted_shares_are_checked(wanted, table):
    with pytest.raises(ValueError, match=r"min_(precision|recall): expected a share in \(0, 1\], got"):
        choose_thresholds(match_detections(table(scored=False), table()), table(scored=False), *wanted)


def test_unknown_goal_is_named(table):
    chosen = choose_thresholds(match_detections(table(scored=False), table()), table(scored=False), 0.5, 0.5)
    with pytest.raises(ValueError, match=r"goal: expected one of \['best_f1', .*\], got 'f2'"):
        thresholds_of(chosen, "f2")


def test_a_score_that_is_no_number_is_named():
    matches, annotations = scored([(True, 0.5), (False, float("nan"))], 0)
    with pytest.raises(ValueError, match=r"matches: expected scores in \[0, 1\], got NaN in row 1"):
        threshold_curves(matches, annotations)
