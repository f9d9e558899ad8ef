"""Classifiers against each other: error rate where there is no difference, power where there is one, other tests."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from judged_faces import draw_faces
from maskdet.evaluation.classification import HEADLINES, predicted_classes, resample_faces
from maskdet.evaluation.classifier_comparison import (
    check_same_faces,
    compare_classifiers,
    difference_rows,
    mcnemar_test,
    protocol_inflation,
)
from maskdet.schema import CLASS_NAMES


def accuracy_of(faces: pd.DataFrame) -> float:
    return (np.array(CLASS_NAMES)[predicted_classes(faces)] == faces["class_name"]).mean()


def test_equally_good_classifiers_differ_significantly_about_as_rarely_as_the_level_says():
    """In 250 such sets p was below 0.05 in 5 to 8 %, in as many of 200 groups in 4 to 7 %."""
    p_values = np.array(
        [
            difference_rows(*(resample_faces(draw_faces(seed, 60, noise=noise), 200) for noise in (1, 2)))
            .set_index("metric")
            .loc[[*HEADLINES], "p_value"]
            for seed in range(1000, 1060)
        ]
    )  # (sets, metrics)
    assert ((p_values < 0.05).mean(axis=0) <= 0.15).all()  # 9 of 60
    assert (p_values < 0.05).mean() <= 0.10
    assert ((p_values < 0.5).mean(axis=0) > 0.3).all()


def test_a_better_classifier_is_found_out_by_both_tests():
    faces_of = {"weak": draw_faces(0, 150, skill=0.3, noise=2), "strong": draw_faces(0, 150, skill=1.2)}
    rows = compare_classifiers(faces_of, 300).set_index("metric")
    assert (rows.loc[[*HEADLINES], "p_value"] < 0.02).all()
    assert (rows.loc[[*HEADLINES], "low"] > 0).all()
    tested = mcnemar_test(*faces_of.values())
    assert tested["p_value"] < 0.001
    accuracy = {name: accuracy_of(faces) for name, faces in faces_of.items()}
    gain = (tested["only_b_right"] - tested["only_a_right"]) / tested["num_faces"]
    assert gain == pytest.approx(accuracy["strong"] - accuracy["weak"])
    assert rows.loc["accuracy", "difference"] == pytest.approx(gain)


def test_mcnemar_is_that_of_statsmodels_whatever_the_order_of_faces():
    a, b = draw_faces(5, 60, noise=1), draw_faces(5, 60, noise=2)
    found = mcnemar_test(a, b.sample(frac=1, random_state=0))
    right = [np.array(CLASS_NAMES)[predicted_classes(faces)] == faces["class_name"] for faces in (a, b)]
    table = pd.crosstab(*right).reindex(index=[True, False], columns=[True, False], fill_value=0)
    assert found["p_value"] == mcnemar(table, exact=True).pvalue
    names = ("both_right", "only_a_right", "only_b_right", "both_wrong")
    assert [found[name] for name in names] == table.to_numpy().ravel().tolist()
    assert mcnemar_test(a, a)["p_value"] == 1


def test_p_values_of_pairs_are_corrected_within_each_metric():
    faces_of = {str(noise): draw_faces(7, 50, noise=noise) for noise in (1, 2, 3)}
    rows = compare_classifiers(faces_of, 60)
    assert rows[["classifier_a", "classifier_b"]].drop_duplicates().to_numpy().tolist() == [
        ["1", "2"],
        ["1", "3"],
        ["2", "3"],
    ]
    p_values = rows[rows["metric"] == "accuracy"].sort_values("p_value")
    expected = multipletests(p_values["p_value"], method="holm")[1]
    assert p_values["p_value_holm"].to_numpy() == pytest.approx(expected)
    alone = compare_classifiers({"1": faces_of["1"]}, 60)
    assert alone.empty
    assert list(alone) == list(rows)


def test_inflation_compares_the_faces_that_both_protocols_judged():
    grouped = draw_faces(8, 80, skill=0.7)
    leaky = draw_faces(8, 80, skill=1.5)
    some = leaky.sample(frac=0.3, random_state=0)
    rows = protocol_inflation(grouped, some, 100).set_index("metric")
    shared = grouped[grouped["face"].isin(some["face"])]
    assert (rows["num_faces"] == len(some)).all()
    assert rows.loc["accuracy", "a"] == accuracy_of(shared)
    assert rows.loc["accuracy", "b"] == accuracy_of(some)
    assert rows.loc["accuracy", "low"] > 0
    with pytest.raises(ValueError, match="expected faces that both protocols judged, got none"):
        protocol_inflation(grouped, some.assign(file_name="other.png"))


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
        compare_classifiers({"x": faces, "y": renamed}, 10)
