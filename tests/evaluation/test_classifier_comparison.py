"""Classifiers against each other: error rate where there is no difference, power where there is one, other tests."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from judged_faces import draw_faces
from maskdet.evaluation.classification import HEADLINES, mean_weights, predicted_classes
from maskdet.evaluation.classifier_comparison import (
    compare_classifiers,
    compare_faces,
    protocol_inflation,
    right_answers,
)
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.named_faces import check_same_faces
from maskdet.evaluation.hypotheses.paired_outcomes import compare_means, compare_outcomes, mcnemar_test
from maskdet.schema import CLASS_NAMES


def accuracy_of(faces: pd.DataFrame) -> float:
    return (np.array(CLASS_NAMES)[predicted_classes(faces)] == faces["class_name"]).mean()


def test_equally_good_classifiers_differ_significantly_about_as_rarely_as_the_level_says():
    """In 250 such sets p was below 0.05 in 5 to 8 %, in as many of 200 groups in 4 to 7 %."""
    p_values = np.array(
        [
            compare_faces(*(draw_faces(seed, 60, noise=noise) for noise in (1, 2)), Resampling(200, 199))
            .set_index("metric")
            .loc[[*HEADLINES], "p_value"]
            for seed in range(1000, 1060)
        ]
    )  # (sets, metrics)
    assert ((p_values < 0.05).mean(axis=0) <= 0.15).all()  # 9 of 60
    assert (p_values < 0.05).mean() <= 0.10
    assert ((p_values < 0.5).mean(axis=0) > 0.25).all()  # some are counts, which tie


def test_a_better_classifier_is_found_out_by_both_tests():
    faces_of = {"weak": draw_faces(0, 150, skill=0.3, noise=2), "strong": draw_faces(0, 150, skill=1.2)}
    rows = compare_classifiers(faces_of, Resampling(300, 999)).set_index("metric")
    assert (rows.loc[[*HEADLINES], "p_value"] < 0.02).all()
    assert (rows.loc[[*HEADLINES], "low"] > 0).all()
    tested = mcnemar_test(*right_answers(*faces_of.values()))
    assert tested.evidence.p_value < 0.001
    accuracy = {name: accuracy_of(faces) for name, faces in faces_of.items()}
    gain = (tested.only_b_right - tested.only_a_right) / len(faces_of["weak"])
    assert gain == pytest.approx(accuracy["strong"] - accuracy["weak"])
    assert rows.loc["accuracy", "difference"] == pytest.approx(gain)


def test_mcnemar_is_that_of_statsmodels_whatever_the_order_of_faces():
    a, b = draw_faces(5, 60, noise=1), draw_faces(5, 60, noise=2)
    found = mcnemar_test(*right_answers(a, b.sample(frac=1, random_state=0)))
    right = [np.array(CLASS_NAMES)[predicted_classes(faces)] == faces["class_name"] for faces in (a, b)]
    table = pd.crosstab(*right).reindex(index=[True, False], columns=[True, False], fill_value=0)
    assert found.evidence.p_value == mcnemar(table, exact=True).pvalue
    names = ("both_right", "only_a_right", "only_b_right", "both_wrong")
    assert [getattr(found, name) for name in names] == table.to_numpy().ravel().tolist()
    assert mcnemar_test(*right_answers(a, a)).evidence.p_value == 1


def test_the_table_of_pairs_says_what_the_hypotheses_say():
    """One procedure for means of right answers, whatever the order of faces and however many figures are compared."""
    a, b = draw_faces(5, 60, noise=1), draw_faces(5, 60, skill=1.3, noise=2)
    resampling = Resampling(30, 499)
    rows = compare_faces(a, b.sample(frac=1, random_state=1), resampling).set_index("metric")
    groups, right = FaceGroups.of(a.sort_values(["file_name", "face"])["group"]), right_answers(a, b)
    overall = compare_outcomes(*right, groups, resampling)
    assert tuple(rows.loc["accuracy", ["difference", "low", "high"]]) == overall.difference.interval
    assert rows.loc["accuracy", "p_value"] == overall.p_value
    weights = mean_weights(a.sort_values(["file_name", "face"])["class_name"])
    for name, found in compare_means(*right, weights, groups, resampling).items():
        assert rows.loc[name, [*found.columns()]].tolist() == [*found.columns().values()]
        assert found.estimate.value == pytest.approx(rows.loc[name, "b"] - rows.loc[name, "a"])
        assert (found.estimate.low <= 0 <= found.estimate.high) == (found.evidence.p_value >= 0.05)
    assert rows.loc["macro_ap", "least_p_value"] >= 2 / 31  # BCa of 30 draws, beside 2 / 500 of 499 flips


def test_p_values_of_pairs_are_corrected_within_each_metric():
    faces_of = {str(noise): draw_faces(7, 50, noise=noise) for noise in (1, 2, 3)}
    rows = compare_classifiers(faces_of, Resampling(60, 99))
    assert rows[["classifier_a", "classifier_b"]].drop_duplicates().to_numpy().tolist() == [
        ["1", "2"],
        ["1", "3"],
        ["2", "3"],
    ]
    p_values = rows[rows["metric"] == "accuracy"].sort_values("p_value")
    expected = multipletests(p_values["p_value"], method="holm")[1]
    assert p_values["p_value_holm"].to_numpy() == pytest.approx(expected)
    alone = compare_classifiers({"1": faces_of["1"]}, Resampling(60, 99))
    assert alone.empty
    assert list(alone) == list(rows)


def test_what_is_corrected_from_a_bound_is_one():
    faces_of = {"weak": draw_faces(0, 150, skill=0.1), "strong": draw_faces(0, 150, skill=1.5)}
    faces_of["strong_too"] = draw_faces(0, 150, skill=1.5, noise=3)
    rows = compare_classifiers(faces_of, Resampling(40, 99))
    accuracy = rows[rows["metric"] == "accuracy"]
    is_clear = (accuracy["classifier_a"] == "weak").to_numpy()
    assert (accuracy["p_value"] == accuracy["least_p_value"]).tolist() == is_clear.tolist()
    assert accuracy["least_p_value_holm"].tolist() == pytest.approx((0.06 * is_clear).tolist())  # three times 2 / 100


def test_inflation_compares_the_faces_that_both_protocols_judged():
    grouped = draw_faces(8, 80, skill=0.7)
    leaky = draw_faces(8, 80, skill=1.5)
    some = leaky.sample(frac=0.3, random_state=0)
    rows = protocol_inflation(grouped, some, Resampling(100, 499)).set_index("metric")
    shared = grouped[grouped["face"].isin(some["face"])]
    assert (rows["num_faces"] == len(some)).all()
    assert rows.loc["accuracy", "a"] == accuracy_of(shared)
    assert rows.loc["accuracy", "b"] == accuracy_of(some)
    assert rows.loc["accuracy", "low"] > 0
    with pytest.raises(ValueError, match="expected faces that both protocols judged, got none"):
        protocol_inflation(grouped, some.assign(file_name="other.png"), Resampling(2, 2))


def test_other_faces_and_other_truths_are_refused():
    faces = draw_faces(1, 10)
    with pytest.raises(
        ValueError, match=r"a and b: expected the same faces .* got \d+ and \d+ faces; .*'photo_0\.png'"
    ):
        check_same_faces(faces, faces[1:], "a and b")
    renamed = faces.assign(class_name=["without_mask", *faces["class_name"][1:]])
    if renamed["class_name"].equals(faces["class_name"]):
        renamed = faces.assign(class_name=["with_mask", *faces["class_name"][1:]])
    with pytest.raises(ValueError, match=r"x and y: .* as with"):
        compare_classifiers({"x": faces, "y": renamed}, Resampling(10, 10))
