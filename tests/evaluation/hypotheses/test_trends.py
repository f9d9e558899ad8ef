"""H4 on simulated faces: no trend is found where there is none, and the right ones where there are some."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.stats.contingency import association
from statsmodels.stats.multitest import multipletests

from evaluation.hypotheses.grouped_faces import FINE, QUICK, check_p_values, draw_classes, draw_groups
from maskdet.evaluation.hypotheses.associations import SquaredEffects, associations, cramers_v
from maskdet.evaluation.hypotheses.by_group import FaceGroups
from maskdet.evaluation.hypotheses.class_shares import class_indicators
from maskdet.evaluation.hypotheses.dealt_states import DealtStates
from maskdet.evaluation.hypotheses.traits import Trait, face_traits
from maskdet.evaluation.hypotheses.trends import NO_DEMOGRAPHICS, judge_trends
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.schema import CLASS_NAMES
from table_rows import face_rows

SHARES = (0.7, 0.2, 0.1)


def unrelated_traits(rng, groups):
    """Return traits of photos and of faces that have nothing to do with masks; one is how large the group is."""
    of_group = rng.normal(size=groups.num)[groups.codes]
    kind = rng.choice(["a", "b", "c"], groups.num, p=[0.8, 0.12, 0.08])[groups.codes]
    return [
        Trait("kind of photo", kind, tuple(sorted(set(kind)))),
        Trait("of the photo", of_group),
        Trait("of the face", of_group + rng.normal(size=len(of_group))),
        Trait("crowd", groups.sizes[groups.codes].astype(float)),
    ]


def test_traits_without_a_trend_are_rejected_at_the_level_by_groups_and_far_above_it_by_faces():
    rng, by_group, by_face = np.random.default_rng(0), [], []
    for _ in range(200):
        groups = draw_groups(rng, num_groups=60)
        class_names = draw_classes(rng, groups, SHARES, icc=0.25)
        states = DealtStates.fit(class_indicators(class_names), groups)
        traits = unrelated_traits(rng, groups)
        by_group.append(states.p_values(SquaredEffects(traits, states.weights[groups.codes]), QUICK))
        samples = [[trait.values[is_in] for is_in in states.is_state.T] for trait in traits[1:]]
        by_face.append([stats.kruskal(*of_trait).pvalue for of_trait in samples])
    for p_values in np.transpose(by_group):
        check_p_values(p_values)
    assert (np.mean(np.array(by_face) < 0.05, axis=0) > 0.15).all()


def with_trend(rng, num_groups=150):
    """Return faces whose mask state goes with their light and the kind of photo, and not with their place."""
    groups = draw_groups(rng, num_groups, mean_size=3.0)
    class_names = draw_classes(rng, groups, SHARES, icc=0.2)
    is_bare = (class_names == "without_mask").to_numpy()
    of_photo = rng.normal(size=groups.num)[groups.codes]
    kind = np.where(rng.uniform(size=len(is_bare)) < np.where(is_bare, 0.7, 0.2), "portrait", "landscape")
    return (
        class_names,
        groups,
        [
            Trait("kind", kind, ("landscape", "portrait")),
            Trait("light", of_photo + rng.normal(size=len(is_bare)) - 1.5 * is_bare),
            Trait("place", of_photo + rng.normal(size=len(is_bare))),
        ],
    )


def test_trends_are_found_and_their_direction_told():
    class_names, groups, traits = with_trend(np.random.default_rng(1))
    verdict = judge_trends(class_names, traits, groups, FINE, num_images=150)
    kind, light, place = verdict.details["traits"]
    assert verdict.conclusion is Conclusion.SUPPORTED
    assert max(kind["p_value_holm"], light["p_value_holm"]) < 0.01
    assert place["p_value_holm"] > 0.05
    assert kind["without_mask"] > 2 * kind["with_mask"]  # share of portraits
    assert light["without_mask"] < light["with_mask"] - 1  # medians
    assert kind["typical"] == "share portrait"
    assert "not shown for place" in verdict.sentence
    assert "2 of 3 traits pass by groups" in verdict.sentence
    assert verdict.notes[0] == NO_DEMOGRAPHICS
    assert "Demographics are not in the data" in verdict.sentence
    assert all(row["low"] <= row["value"] <= row["high"] for row in verdict.details["traits"])


def test_corrections_are_statsmodels_over_all_traits():
    class_names, groups, traits = with_trend(np.random.default_rng(2), num_groups=60)
    verdict = judge_trends(class_names, traits, groups, QUICK, num_images=60)
    rows = pd.DataFrame(verdict.details["traits"])
    for column, method in (("p_value_holm", "holm"), ("p_value_benjamini_hochberg", "fdr_bh")):
        assert rows[column].tolist() == pytest.approx(multipletests(rows["p_value_by_group"], method=method)[1])
    assert verdict.by_group.p_value == rows["p_value_holm"].min()
    assert verdict.named.p_value == rows["p_value_by_face_holm"].min()


def test_statistic_effect_and_p_value_of_a_test_are_of_the_trait_that_it_names():
    class_names, groups, traits = with_trend(np.random.default_rng(2), num_groups=60)
    verdict = judge_trends(class_names, traits, groups, FINE, num_images=60)
    rows = {row["trait"]: row for row in verdict.details["traits"]}
    named = min(rows.values(), key=lambda row: row["p_value_by_face"])
    assert f"{named['test']} of {named['trait']} over faces: smallest p" in verdict.named.test
    assert (verdict.named.statistic, verdict.named.df) == (named["statistic"], named["df"])
    strongest = next(row for row in rows.values() if f"{row['effect']} of {row['trait']}:" in verdict.by_group.test)
    assert verdict.effect.name == f"{strongest['effect']} of {strongest['trait']}"
    assert verdict.by_group.statistic == verdict.effect.value == strongest["value"]
    assert verdict.by_group.p_value == strongest["p_value_holm"] == min(row["p_value_holm"] for row in rows.values())


def test_bounds_stay_bounds_when_corrected():
    class_names, groups, traits = with_trend(np.random.default_rng(1))
    kind, light, place = judge_trends(class_names, traits, groups, QUICK, num_images=150).details["traits"]
    for row in (kind, light):
        assert row["p_value_by_group"] == row["least_p_value_by_group"] == 1 / 100
        assert row["p_value_holm"] == row["least_p_value_holm"] == pytest.approx(3 / 100)
        assert row["least_p_value_benjamini_hochberg"] == row["p_value_benjamini_hochberg"]
    assert place["least_p_value_holm"] == place["least_p_value_benjamini_hochberg"] == 0


def test_without_any_trend_nothing_is_claimed():
    rng = np.random.default_rng(3)
    groups = draw_groups(rng, num_groups=80)
    class_names = draw_classes(rng, groups, SHARES, icc=0.3)
    verdict = judge_trends(class_names, unrelated_traits(rng, groups), groups, FINE, num_images=80)
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert verdict.sentence.startswith("No association of the mask state is shown")


def test_named_tests_and_effects_are_scipys():
    class_names, groups, traits = with_trend(np.random.default_rng(4), num_groups=50)
    states = DealtStates.fit(class_indicators(class_names), groups)
    kind, light, _ = associations(class_names, traits, states, QUICK)
    codes = pd.Categorical(class_names, CLASS_NAMES).codes
    table = pd.crosstab(traits[0].values, class_names).to_numpy()
    assert kind.by_face.statistic == pytest.approx(stats.chi2_contingency(table, correction=False).statistic)
    assert kind.effect_by_face == pytest.approx(association(table, method="cramer"))
    samples = [traits[1].values[codes == k] for k in range(3)]
    assert light.by_face.p_value == pytest.approx(stats.kruskal(*samples).pvalue)
    assert light.effect_by_face == pytest.approx(stats.kruskal(*samples).statistic / (len(codes) - 1))


def test_the_statistic_of_the_group_aware_test_is_the_squared_effect():
    class_names, groups, traits = with_trend(np.random.default_rng(5), num_groups=50)
    states = DealtStates.fit(class_indicators(class_names), groups)
    found = associations(class_names, traits, states, QUICK)
    squared = SquaredEffects(traits, states.weights[groups.codes])(states.is_state.argmax(axis=1)[None])[0]
    expected = [found[0].effect.value ** 2 * (min(2, 3) - 1), found[1].effect.value, found[2].effect.value]
    assert squared == pytest.approx(expected)


def test_cramers_v_of_tables_with_empty_cells():
    tables = np.array([[10, 0, 0, 10], [5, 5, 5, 5], [4, 0, 6, 0]], float).T  # (4, 3)
    assert cramers_v(tables, (2, 2)) == pytest.approx([1, 0, 0])


def test_traits_of_faces_by_hand():
    images = pd.DataFrame({"file_name": ["a.png", "b.png", "c.png"], "width": [200, 100, 50], "height": [100, 200, 50]})
    annotations = face_rows(
        [
            ("b.png", "with_mask", 40, 20, 60, 60),
            ("a.png", "with_mask", 0, 0, 20, 20),
            ("a.png", "without_mask", 180, 90, 200, 100),
        ]
    )
    traits = {t.name: t for t in face_traits(images, annotations, pd.DataFrame({"brightness": [1.0, 2, 3]}))}
    assert traits["image orientation"].values.tolist() == ["portrait", "landscape", "landscape"]
    assert traits["image orientation"].levels == ("landscape", "portrait")
    assert traits["face size (px)"].values == pytest.approx([800**0.5, 20, 200**0.5])
    assert traits["faces in the image"].values.tolist() == [1, 2, 2]
    assert traits["distance from the midline (share)"].values == pytest.approx([0, 0.9, 0.9])
    assert traits["distance from the top (share)"].values == pytest.approx([0.2, 0.1, 0.95])
    assert traits["brightness (0 to 255)"].values.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="quality: expected 3 faces, got 0"):
        face_traits(images, annotations, pd.DataFrame({"brightness": []}))


def test_a_trait_that_does_not_vary_is_left_out_and_none_is_refused():
    class_names, groups, traits = with_trend(np.random.default_rng(6), num_groups=30)
    same = Trait("same", np.ones(len(class_names)))
    verdict = judge_trends(class_names, [same, *traits], groups, QUICK, num_images=30)
    assert len(verdict.details["traits"]) == 3
    with pytest.raises(ValueError, match="expected a trait with two or more values, got none"):
        judge_trends(class_names, [same], groups, QUICK, num_images=30)
    with pytest.raises(ValueError, match="expected faces of two or more classes, got 1"):
        judge_trends(pd.Series(["with_mask"] * 4), [Trait("x", np.arange(4.0))], FaceGroups.of(range(4)), QUICK, 4)
