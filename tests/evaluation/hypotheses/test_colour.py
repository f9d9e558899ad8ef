"""H6 on simulated pairs of classifiers: both directions, none, and the recalls behind them."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from evaluation.hypotheses.grouped_faces import FINE, answers_of, draw_classes, draw_groups, draw_outcomes, named
from maskdet.evaluation.hypotheses.colour import judge_colour
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.schema import CLASS_NAMES


def pair(seed, grey_rate, colour_rate):
    rng = np.random.default_rng(seed)
    groups = draw_groups(rng, num_groups=120)
    class_names = draw_classes(rng, groups, (0.75, 0.18, 0.07), icc=0.2)
    rates = (grey_rate, colour_rate)
    return [
        named(class_names, answers_of(rng, class_names, draw_outcomes(rng, groups, r, 0.05)), groups) for r in rates
    ]


@pytest.mark.parametrize(
    ("rates", "conclusion", "words"),
    [
        ((0.8, 0.93), Conclusion.SUPPORTED, "Colour beats grey"),
        ((0.93, 0.8), Conclusion.REFUTED, "Colour does worse than grey"),
        ((0.9, 0.9), Conclusion.UNDECIDED, "No difference between colour and grey is shown"),
    ],
)
def test_what_was_put_in_comes_out(rates, conclusion, words):
    verdict = judge_colour(*pair(0, *rates), FINE)
    assert verdict.conclusion is conclusion
    assert verdict.rejected == (conclusion is not Conclusion.UNDECIDED)
    assert verdict.sentence.startswith(words)
    assert verdict.effect.low <= rates[1] - rates[0] <= verdict.effect.high
    assert (verdict.effect.low <= 0 <= verdict.effect.high) == (not verdict.rejected)


def test_recalls_are_sklearns():
    grey, colour = pair(1, 0.8, 0.9)
    rows = judge_colour(grey, colour, FINE).details["classes"]
    for key, judged in (("grey", grey), ("colour", colour)):
        truth, answers = (judged.faces[column].tolist() for column in ("class_name", "answer"))
        expected = recall_score(truth, answers, average=None, labels=list(CLASS_NAMES)).tolist()
        assert [row[key] for row in rows] == pytest.approx([*expected, balanced_accuracy_score(truth, answers)])
    assert all(row["low"] <= row["difference"] <= row["high"] for row in rows)
    assert all(row["p_value_by_group"] >= row["least_p_value_by_group"] for row in rows)
    assert f"{rows[-1]['difference']:+.3f} [{rows[-1]['low']:+.3f}" in judge_colour(grey, colour, FINE).sentence


def test_other_faces_are_refused():
    with pytest.raises(ValueError, match="cnn_grey and cnn: expected the same faces"):
        judge_colour(pair(2, 0.9, 0.9)[0], pair(3, 0.9, 0.9)[1], FINE, ("cnn_grey", "cnn"))
