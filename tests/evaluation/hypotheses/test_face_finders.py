"""H2 on simulated finders: the recalls, thirds by size and verdicts are those that were put in."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.chosen import ChosenOn
from maskdet.evaluation.hypotheses.face_finders import FaceFinder, judge_face_finders
from maskdet.evaluation.hypotheses.paired_outcomes import compare_outcomes
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.schema import BOX_COLUMNS, FACES, validate
from table_rows import face_rows

SETTINGS = Resampling(50, 399)


def draw_truth(rng, num_groups=40):
    """Return faces in a row on each image, two images a group, and the groups."""
    rows, groups = [], {}
    for image in range(2 * num_groups):
        name = f"{image:04d}.png"
        groups[name] = image // 2
        for slot in range(rng.integers(0, 6)):
            side = rng.uniform(10, 90)
            rows.append((name, "with_mask", 100 * slot, 0, 100 * slot + side, side))
    return face_rows(rows), groups


def found_faces(annotations, is_found, num_false_alarms=0):
    """Return the found faces, boxes a little off, and false alarms far below all faces."""
    rows = annotations.loc[is_found, ["file_name", *BOX_COLUMNS]].assign(score=0.9)
    rows["x_max"] += 2
    alarms = annotations[["file_name", *BOX_COLUMNS]].head(num_false_alarms).assign(score=0.6)
    alarms[["y_min", "y_max"]] += 1000
    table = pd.concat([rows, alarms], ignore_index=True)
    return validate(table[list(FACES.columns)], FACES, "test")


def finders(annotations, is_found_a, is_found_b, alarms=(0, 0)):
    return [
        FaceFinder(name, found_faces(annotations, is_found, num), 0.5)
        for name, is_found, num in (("old", is_found_a, alarms[0]), ("new", is_found_b, alarms[1]))
    ]


def test_finders_are_compared_as_any_two_models_on_the_same_faces():
    rng = np.random.default_rng(0)
    annotations, groups = draw_truth(rng)
    is_found = rng.uniform(size=(2, len(annotations))) < 0.7
    verdict = judge_face_finders(annotations, *finders(annotations, *is_found), groups, SETTINGS)
    expected = compare_outcomes(*is_found, FaceGroups.of(annotations["file_name"].map(groups)), SETTINGS)
    row = verdict.details["sizes"][0]
    assert (row["difference"], row["low"], row["high"]) == expected.difference.interval
    assert (row["p_value_by_group"], row["p_value_by_face"]) == (expected.p_value, expected.by_face.p_value)
    assert verdict.by_group.p_value == min(row["p_value_holm"] for row in verdict.details["sizes"])
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert verdict.sentence.startswith("No difference in faces found is shown")


def test_finders_that_differ_nowhere_are_refuted_at_the_level_of_one_test():
    """Four comparisons, one level: Holm is over all faces and the three sizes."""
    rng, rejected = np.random.default_rng(5), []
    for _ in range(40):
        annotations, groups = draw_truth(rng, num_groups=30)
        hard = rng.normal(0, 0.15, 60 + len(groups))[annotations["file_name"].map(groups)]  # alike in groups
        pair = finders(annotations, *(rng.uniform(size=(2, len(annotations))) < 0.7 + hard))
        rejected.append(judge_face_finders(annotations, *pair, groups, Resampling(2, 299)).rejected)
    assert np.mean(rejected) <= 0.15  # 6 of 40


def test_a_better_finder_is_found_and_its_recall_measured():
    rng = np.random.default_rng(1)
    annotations, groups = draw_truth(rng, num_groups=80)
    is_found = rng.uniform(size=(2, len(annotations))) < np.array([[0.5], [0.8]])
    verdict = judge_face_finders(annotations, *finders(annotations, *is_found, alarms=(5, 10)), groups, SETTINGS)
    assert verdict.conclusion is Conclusion.REFUTED
    assert verdict.sentence.startswith("new finds more faces than old")
    recalls = is_found.mean(axis=1)
    assert verdict.effect.value == pytest.approx(recalls[1] - recalls[0])
    assert verdict.effect.low < 0.3 < verdict.effect.high
    assert verdict.effect.name == "recall of new - recall of old, all faces"
    discordant = (is_found[0] & ~is_found[1]).sum(), (is_found[1] & ~is_found[0]).sum()
    by_face = stats.binomtest(int(discordant[0]), int(sum(discordant))).pvalue
    assert verdict.details["sizes"][0]["p_value_by_face"] == pytest.approx(by_face)
    assert verdict.named.p_value == pytest.approx(4 * by_face)  # the smallest of four
    assert "all faces: smallest p, Holm over all faces and 3 thirds" in verdict.named.test
    assert verdict.by_group.p_value == verdict.by_group.least_p_value == pytest.approx(4 * 2 / 400)
    old, new = verdict.details["detectors"]
    assert (old["recall"], new["recall"]) == pytest.approx(tuple(recalls))
    assert old["precision"] == pytest.approx(is_found[0].sum() / (is_found[0].sum() + 5))
    assert new["false_alarms_per_image"] == pytest.approx(10 / len(groups))


def test_a_difference_that_cancels_over_all_faces_shows_by_size():
    rng = np.random.default_rng(2)
    annotations, groups = draw_truth(rng, num_groups=80)
    size = (annotations["x_max"] - annotations["x_min"]).rank(pct=True).to_numpy()
    chance = np.stack([0.3 + 0.6 * size, 0.9 - 0.6 * size])
    pair = finders(annotations, *(rng.uniform(size=chance.shape) < chance))
    verdict = judge_face_finders(annotations, *pair, groups, SETTINGS)
    rows = verdict.details["sizes"]
    assert rows[0]["p_value_by_group"] > 0.05
    assert verdict.conclusion is Conclusion.REFUTED
    assert verdict.sentence.startswith("Equal in total is not rejected, unequal by size is shown: new finds")
    assert all(f"{row['difference']:+.3f} ({row['size']}, p " in verdict.sentence for row in rows)
    assert verdict.effect.name.endswith(verdict.by_group.test.split(", ")[1].split(":")[0])  # both of one third
    strongest = next(row for row in rows if verdict.effect.name.endswith(row["size"]))
    assert (verdict.effect.value, verdict.by_group.p_value) == (strongest["difference"], strongest["p_value_holm"])
    assert [row["faces"] for row in rows[1:]] == pytest.approx([len(annotations) / 3] * 3, abs=1)
    assert rows[1]["difference"] > 0.2 > -0.2 > rows[3]["difference"]
    assert max(rows[1]["p_value_holm"], rows[3]["p_value_holm"]) < 0.05
    expected = multipletests([row["p_value_by_group"] for row in rows], method="holm")[1]
    assert [row["p_value_holm"] for row in rows] == pytest.approx(expected)


def test_what_the_thresholds_were_chosen_on_is_left_out_once_more():
    rng = np.random.default_rng(6)
    annotations, groups = draw_truth(rng, num_groups=40)
    is_found = rng.uniform(size=(2, len(annotations))) < 0.7
    fold_of_file = {name: group % 4 for name, group in groups.items()}
    chosen_on = ChosenOn.of([1, 9], fold_of_file)
    verdict = judge_face_finders(annotations, *finders(annotations, *is_found), groups, SETTINGS, chosen_on=chosen_on)
    is_other = (annotations["file_name"].map(fold_of_file) != 1).to_numpy()
    row = verdict.details["sizes"][-1]
    assert row["size"] == "all faces of the other folds"
    assert row["faces"] == is_other.sum()
    assert row["new"] == pytest.approx(is_found[1][is_other].mean())
    assert row["p_value_holm"] is None
    assert verdict.notes[1].startswith("The score thresholds were chosen on fold 1, whose faces are judged here too.")
    without = judge_face_finders(annotations, *finders(annotations, *is_found), groups, SETTINGS)
    assert without.sentence == verdict.sentence
    assert len(without.notes) == 1
    everywhere = ChosenOn.of([0, 1, 2, 3], fold_of_file)
    same = judge_face_finders(annotations, *finders(annotations, *is_found), groups, SETTINGS, chosen_on=everywhere)
    assert same.notes == without.notes
    assert ChosenOn.of([], fold_of_file) is ChosenOn.of([9], fold_of_file) is None


def test_faint_and_misplaced_faces_are_not_found():
    annotations, groups = draw_truth(np.random.default_rng(3))
    everything = found_faces(annotations, np.ones(len(annotations), bool))
    faint = FaceFinder("old", everything.assign(score=0.4), 0.5)
    moved = everything.assign(**{column: everything[column] + 50 for column in ("y_min", "y_max")})
    verdict = judge_face_finders(annotations, faint, FaceFinder("new", moved, 0.5), groups, SETTINGS, iou_threshold=0.7)
    assert [row["recall"] for row in verdict.details["detectors"]] == [0, 0]
    assert verdict.record()["details"]["detectors"][0]["precision"] is None
    assert verdict.by_group.p_value == 1


def test_a_face_in_an_unknown_image_is_refused():
    annotations, groups = draw_truth(np.random.default_rng(4))
    pair = finders(annotations, *np.ones((2, len(annotations)), bool))
    strange = pair[0].found.assign(file_name="other.png")
    with pytest.raises(ValueError, match=r"old: expected faces in known images, got one in 'other\.png'"):
        judge_face_finders(annotations, FaceFinder("old", strange, 0.5), pair[1], groups, SETTINGS)
