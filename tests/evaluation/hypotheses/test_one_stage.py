"""H7 on simulated detectors: ahead of all rivals, behind one of them, and neither."""

from dataclasses import replace

import pytest

from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.one_stage import judge_one_stage
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.evaluation.paired import paired_bootstrap
from simulated_sets import detect, draw_set

NUM_REPLICATES = 100
SETTINGS = Resampling(NUM_REPLICATES, 2, seed=3)


def judged(one_stage_skill, **skills):
    """Return the verdict on a detector of one skill and rivals of others, on the same images."""
    tables, groups = draw_set(seed=0, num_groups=60)
    one_stage = replace(
        tables, predictions=detect(tables.annotations, groups, 0, one_stage_skill, noise=2), size_bounds_px=None
    )
    rivals = {
        name: replace(one_stage, predictions=detect(tables.annotations, groups, 0, skill, noise=3 + place))
        for place, (name, skill) in enumerate(skills.items())
    }
    return judge_one_stage(one_stage, rivals, groups, SETTINGS), one_stage, rivals, groups


def test_a_detector_ahead_of_all_beats_them_and_the_figures_are_the_paired_bootstraps():
    verdict, one_stage, rivals, groups = judged(2.0, poor=0.25, worse=0.35)
    assert verdict.conclusion is Conclusion.SUPPORTED
    rows = [row for row in verdict.details["rivals"] if row["metric"] == "map_50"]
    best = max(rows, key=lambda row: row["two_phase"])
    assert verdict.effect.name.endswith(best["face_detector"])
    assert verdict.by_group.p_value == max(row["p_value_by_group"] for row in rows)
    expected = (
        paired_bootstrap(rivals[best["face_detector"]], one_stage, groups, 0.5, num_replicates=NUM_REPLICATES, seed=3)
        .set_index("metric")
        .loc["map_50"]
    )
    assert (verdict.effect.value, verdict.effect.low, verdict.effect.high) == pytest.approx(
        tuple(expected[["difference", "low", "high"]])
    )
    assert verdict.sentence.startswith("One stage beats two phases")
    assert {row["metric"] for row in verdict.details["rivals"]} >= {"map_50", "map", "ap_50/with_mask"}
    assert best["p_value_of_percentiles"] == expected["percentile_p_value"]
    assert (
        verdict.by_group.least_p_value == max(rows, key=lambda row: row["p_value_by_group"])["least_p_value_by_group"]
    )
    assert "≤" in verdict.sentence or verdict.by_group.p_value > verdict.by_group.least_p_value
    assert not verdict.assumptions[0].holds  # groups of several images


def test_one_better_rival_refutes():
    verdict, *_ = judged(0.3, poor=0.25, good=2.0)
    assert verdict.conclusion is Conclusion.REFUTED
    assert verdict.effect.high < 0
    assert "it is behind" in verdict.sentence


def test_an_equal_rival_decides_nothing():
    verdict, *_ = judged(1.0, equal=1.0)
    assert verdict.conclusion is Conclusion.UNDECIDED
    assert verdict.effect.low < 0 < verdict.effect.high
    assert not verdict.rejected


def test_a_rival_on_other_images_is_refused():
    _, one_stage, rivals, groups = judged(1.0, equal=1.0)
    fewer = replace(rivals["equal"], images=one_stage.images[1:])
    with pytest.raises(ValueError, match="expected two runs on the same images"):
        judge_one_stage(one_stage, {"equal": fewer}, groups, SETTINGS)


def test_no_rival_is_refused():
    with pytest.raises(ValueError, match="expected one or more two-phase detectors, got none"):
        judged(1.0)
