"""H3 on simulated answers: guesses pass at the level, a model that knows something is found out, effects are known."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from evaluation.hypotheses.grouped_faces import (
    FINE,
    QUICK,
    answers_of,
    check_p_values,
    draw_classes,
    draw_groups,
    draw_outcomes,
    named,
)
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.chance import compare_with_guesses, judge_against_chance
from maskdet.evaluation.hypotheses.named_faces import NOT_FOUND
from maskdet.evaluation.hypotheses.verdict import Conclusion

SHARES = (0.75, 0.2, 0.05)


def judged(seed, rate, num_groups=80, missed=0.0):
    """Return answers of which a share is right, and of which some are missing."""
    rng = np.random.default_rng(seed)
    groups = draw_groups(rng, num_groups)
    class_names = draw_classes(rng, groups, SHARES, icc=0.2)
    answers = answers_of(rng, class_names, draw_outcomes(rng, groups, rate, icc=0.1))
    return named(class_names, answers.mask(rng.uniform(size=len(answers)) < missed, NOT_FOUND), groups)


def test_answers_that_know_nothing_pass_at_the_level_by_groups_and_far_above_it_by_faces():
    rng, by_group, by_face = np.random.default_rng(0), [], []
    for _ in range(150):
        groups = draw_groups(rng, num_groups=40)
        guesses = [draw_classes(rng, groups, SHARES, icc=0.6) for _ in range(2)]  # alike in groups, each by itself
        found = compare_with_guesses(named(*guesses, groups), Resampling(2, 99))
        by_group.append(found.dealt.p_value)
        by_face.append(found.by_face.p_value)
    check_p_values(np.array(by_group))
    assert np.mean(np.array(by_face) < 0.05) > 0.15


def test_a_good_model_is_better_than_chance():
    verdict = judge_against_chance(judged(1, rate=0.95), "the model", FINE)
    assert verdict.conclusion is Conclusion.REFUTED
    assert verdict.rejected
    assert verdict.by_group.p_value < 0.01
    stratified, majority = verdict.details["guesses"]
    assert stratified["low"] > 0
    assert majority["low"] > 0
    assert "better than chance: the model names" in verdict.sentence
    assert "misses" not in verdict.sentence


def test_a_model_that_always_says_the_commonest_class_is_not_better():
    known = judged(2, rate=0.99)
    constant = pd.Series("with_mask", index=known.faces.index)
    verdict = judge_against_chance(named(known.faces["class_name"], constant, known.groups), "the model", FINE)
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert verdict.by_group.p_value == 1
    assert verdict.effect.value == 0
    assert "not shown to be better" in verdict.sentence


def test_a_model_that_knows_something_but_errs_more_than_the_commonest_class_is_not_better():
    verdict = judge_against_chance(judged(3, rate=0.55), "the model", FINE)
    stratified, majority = verdict.details["guesses"]
    assert stratified["p_value_by_group"] < 0.01  # it does know something
    assert majority["high"] < 0
    assert verdict.conclusion is Conclusion.SUPPORTED
    assert not verdict.rejected


def test_effects_are_sklearns():
    known = judged(4, rate=0.8, missed=0.2)
    answered, truth = known.answered(), known.answered().faces["class_name"].tolist()
    found = compare_with_guesses(answered, QUICK)
    answers = answered.faces["answer"].tolist()
    assert found.kappa.value == pytest.approx(cohen_kappa_score(truth, answers))
    assert found.balanced.value == pytest.approx(balanced_accuracy_score(truth, answers))
    everywhere = compare_with_guesses(known, QUICK)
    expected = cohen_kappa_score(known.faces["class_name"].tolist(), known.faces["answer"].tolist())
    assert everywhere.kappa.value == pytest.approx(expected)


def test_missed_faces_are_left_out_and_counted_beside():
    known = judged(5, rate=0.97, missed=0.3)
    verdict = judge_against_chance(known, "the detector", FINE)
    assert verdict.counts["faces"] + verdict.counts["faces_without_answer"] == len(known.faces)
    assert [row["faces"] for row in verdict.details["guesses"]] == ["with an answer"] * 2 + ["all"] * 2
    assert verdict.details["guesses"][3]["accuracy_model"] == pytest.approx(known.is_right.mean())
    assert not next(a for a in verdict.assumptions if "answers for every face" in a.name).holds
    assert f"of the {verdict.counts['faces']:,} faces that it finds" in verdict.sentence
    row, missed = verdict.details["guesses"][3], verdict.counts["faces_without_answer"]
    assert f"With the {missed:,} of {len(known.faces):,} faces that it misses counted as wrong" in verdict.sentence
    assert f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]" in verdict.sentence
    assert [key for key in row if key.startswith("least")] == ["least_p_value_by_face", "least_p_value_by_group"]


def test_kappa_of_a_population_lies_in_the_interval():
    large = judged(6, rate=0.85, num_groups=20_000)
    truth, held = cohen_kappa_score(large.faces["class_name"].tolist(), large.faces["answer"].tolist()), []
    for seed in range(40):
        found = compare_with_guesses(judged(100 + seed, rate=0.85), Resampling(100, 9))
        held.append(found.kappa.low <= truth <= found.kappa.high)
    assert np.mean(held) >= 0.8


def test_one_class_is_refused():
    known = judged(7, rate=0.9)
    same = named(pd.Series("with_mask", index=known.faces.index), known.faces["answer"], known.groups)
    with pytest.raises(ValueError, match="the model: expected answers for faces of two or more classes, got one class"):
        judge_against_chance(same, "the model", QUICK)
