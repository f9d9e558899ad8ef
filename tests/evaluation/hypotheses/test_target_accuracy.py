"""H5 on simulated classifiers: the target is reached where it is, not by luck of the best of many, not by leakage."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evaluation.hypotheses.grouped_faces import QUICK, answers_of, draw_classes, draw_groups, draw_outcomes, named
from maskdet.evaluation.hypotheses.by_group import FaceGroups
from maskdet.evaluation.hypotheses.chosen import ChosenOn
from maskdet.evaluation.hypotheses.target_accuracy import JudgedClassifier, judge_target_accuracy
from maskdet.evaluation.hypotheses.verdict import Conclusion


def classifiers(rng, rates, inflation=0.0, num_groups=120, icc=0.05):
    """Return classifiers of these true accuracies on the same faces; the split by face adds to them."""
    groups = draw_groups(rng, num_groups)
    class_names = draw_classes(rng, groups, (0.8, 0.15, 0.05), icc=0.2)
    judged = []
    for place, rate in enumerate(rates):
        both = (draw_outcomes(rng, groups, accuracy, icc) for accuracy in (rate, min(rate + inflation, 0.999)))
        judged.append(
            JudgedClassifier(
                f"net_{place}", *(named(class_names, answers_of(rng, class_names, r), groups) for r in both)
            )
        )
    return judged


def test_a_target_that_is_passed_is_reached():
    verdict = judge_target_accuracy(classifiers(np.random.default_rng(0), (0.8, 0.96)), 0.9, QUICK)
    assert verdict.conclusion is Conclusion.SUPPORTED
    assert verdict.effect.name == "accuracy of net_1, grouped"
    assert verdict.effect.low > 0.9
    assert verdict.sentence.startswith("An accuracy above 0.9 is reached: net_1 comes to")


def test_the_best_of_several_must_pass_by_more_than_one_alone():
    rng, groups = np.random.default_rng(1), FaceGroups.of(np.arange(1000))
    class_names = draw_classes(rng, groups, (0.8, 0.15, 0.05), icc=1e-6)

    def with_right(name, num):
        judged = named(class_names, answers_of(rng, class_names, np.arange(1000) < num), groups)
        return JudgedClassifier(name, judged, judged)

    best, others = with_right("best", 920), [with_right(f"net_{i}", 900) for i in range(3)]
    alone, chosen = (judge_target_accuracy(each, 0.9, QUICK) for each in ([best], [best, *others]))
    assert 0.0125 < alone.by_group.p_value < 0.05
    assert alone.conclusion is Conclusion.SUPPORTED
    assert chosen.by_group.p_value == pytest.approx(4 * alone.by_group.p_value)
    assert chosen.conclusion is Conclusion.UNDECIDED
    assert [a.holds for a in (alone.assumptions[-1], chosen.assumptions[-1])] == [True, False]


def test_what_the_split_by_face_adds_is_measured_and_decides_nothing():
    verdict = judge_target_accuracy(classifiers(np.random.default_rng(2), [0.87], inflation=0.1), 0.9, QUICK)
    assert verdict.conclusion is Conclusion.UNDECIDED
    by_face = next(row for row in verdict.details["classifiers"] if row["protocol"] == "by face")
    assert by_face["low"] > 0.9
    assert by_face["p_value_holm"] is None
    inflation = verdict.details["inflation"][0]
    assert inflation["low"] < 0.1 < inflation["high"]
    assert inflation["low"] > 0
    assert inflation["difference"] == pytest.approx(inflation["by_face"] - inflation["grouped"])


def test_the_folds_that_recipes_were_tried_on_are_left_out_once_more():
    judged = classifiers(np.random.default_rng(6), (0.8, 0.96))
    names = judged[1].grouped.faces["file_name"]
    chosen_on = ChosenOn.of([0], {name: int(name[:4]) % 3 for name in names})
    verdict = judge_target_accuracy(judged, 0.9, QUICK, chosen_on)
    rows = [row for row in verdict.details["classifiers"] if row["protocol"] == "grouped, other folds"]
    is_other = names.str[:4].astype(int) % 3 > 0
    right = judged[1].grouped.is_right[is_other]
    assert rows[1]["faces"] == len(right)
    assert rows[1]["accuracy"] == right.mean()
    assert rows[1]["p_value_holm"] is None
    assert verdict.notes[1].startswith("Recipes were tried out on fold 0, whose faces are judged here too")
    assert "Holm counts the 2 classifiers, not the recipes" in verdict.notes[1]
    assert f"net_1 comes to {right.mean():.3f} [" in verdict.notes[1]
    assert judge_target_accuracy(judged, 0.9, QUICK).sentence == verdict.sentence


def test_classifiers_below_the_target_refute_nothing():
    verdict = judge_target_accuracy(classifiers(np.random.default_rng(3), (0.6, 0.7)), 0.9, QUICK)
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert not verdict.rejected
    assert verdict.by_group.p_value < 0.05
    assert "that no other could reach it is not shown" in verdict.notes[-1]


def test_tests_are_scipys_and_holms():
    judged = classifiers(np.random.default_rng(4), (0.88, 0.9, 0.93))
    verdict = judge_target_accuracy(judged, 0.9, QUICK)
    rows = [row for row in verdict.details["classifiers"] if row["protocol"] == "grouped"]
    expected = multipletests([row["p_value_by_group"] for row in rows], method="holm")[1]
    assert [row["p_value_holm"] for row in rows] == pytest.approx(expected)
    for row, classifier in zip(rows, judged, strict=True):
        is_right = classifier.grouped.is_right
        assert row["accuracy"] == is_right.mean()
        assert row["p_value_by_face"] == stats.binomtest(int(is_right.sum()), len(is_right), 0.9).pvalue


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("none", "expected one or more classifiers, got none"),
        ("target", r"target: expected an accuracy in \(0, 1\), got 90"),
        ("faces", r"net_0 \(grouped\) and net_0 \(by face\): expected the same faces"),
    ],
)
def test_what_cannot_be_judged_is_named(change, message):
    rng = np.random.default_rng(5)
    judged = [] if change == "none" else classifiers(rng, [0.9])
    if change == "faces":
        judged = [JudgedClassifier("net_0", judged[0].grouped, classifiers(rng, [0.9])[0].grouped)]
    with pytest.raises(ValueError, match=message):
        judge_target_accuracy(judged, 90 if change == "target" else 0.9, QUICK)
