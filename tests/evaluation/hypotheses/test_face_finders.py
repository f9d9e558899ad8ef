"""H2 on simulated finders: the recalls, thirds by size and verdicts are those that were put in."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
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
    assert verdict.by_group == expected.by_group.evidence
    assert verdict.named == expected.by_face
    assert (verdict.effect.value, verdict.effect.low, verdict.effect.high) == expected.difference.interval


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
    discordant = (is_found[0] & ~is_found[1]).sum(), (is_found[1] & ~is_found[0]).sum()
    assert verdict.named.p_value == pytest.approx(stats.binomtest(int(discordant[0]), int(sum(discordant))).pvalue)
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
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert verdict.sentence.startswith("No difference in faces found is shown")
    assert [row["faces"] for row in rows[1:]] == pytest.approx([len(annotations) / 3] * 3, abs=1)
    assert rows[1]["difference"] > 0.2 > -0.2 > rows[3]["difference"]
    assert max(rows[1]["p_value_holm"], rows[3]["p_value_holm"]) < 0.05
    expected = multipletests([row["p_value_by_group"] for row in rows[1:]], method="holm")[1]
    assert [row["p_value_holm"] for row in rows[1:]] == pytest.approx(expected)


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
