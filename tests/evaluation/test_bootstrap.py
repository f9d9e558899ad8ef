"""Intervals of the metrics: whether they hold the truth as often as they say, and what they do on odd sets."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation import bootstrap
from maskdet.evaluation.bootstrap import bootstrap_metrics, drawn_weights, left_out_weights
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.summary import evaluate_tables
from simulated_sets import draw_set

SCORE_THRESHOLD = 0.5
NUM_SETS = 200
HEADLINES = ["map", "map_50", "map_75", "ar_100", "precision", "recall", "f1"]


def intervals_of(tables: EvaluationTables, groups: dict[str, int], **options) -> pd.DataFrame:
    return bootstrap_metrics(tables, groups, SCORE_THRESHOLD, **options).set_index("metric")


def test_95_percent_intervals_hold_the_truth_in_90_to_99_percent_of_simulated_sets():
    population, _ = draw_set(seed=10**6, num_groups=3000)
    truth = pd.Series(evaluate_tables(population, SCORE_THRESHOLD))[HEADLINES]
    held = []
    for seed in range(NUM_SETS):
        tables, groups = draw_set(seed, num_groups=60)
        tables = replace(tables, size_bounds_px=None)  # the thirds are those of each set: no one truth
        rows = intervals_of(tables, groups, num_replicates=200, seed=seed).loc[HEADLINES]
        held.append((rows["low"] <= truth) & (truth <= rows["high"]))
    coverage = pd.concat(held, axis=1).mean(axis=1)
    assert coverage.between(0.90, 0.99).all(), coverage.to_string()


def test_values_are_those_of_the_evaluation_and_lie_within_their_intervals():
    tables, groups = draw_set(seed=1, num_groups=40)
    rows = intervals_of(tables, groups)
    expected = evaluate_tables(tables, SCORE_THRESHOLD)
    assert rows["value"].to_dict() == pytest.approx(
        {name: expected[name] for name in rows.index}, abs=1e-6, nan_ok=True
    )
    defined = rows.dropna()
    assert defined["low"].le(defined["value"]).all()
    assert defined["high"].ge(defined["value"]).all()
    assert defined["se"].gt(0).all()


def test_groups_widen_intervals_that_images_alone_make_too_narrow():
    tables, groups = draw_set(seed=3, num_groups=60)
    copies = [
        table.assign(file_name="copy_" + table["file_name"])
        for table in (tables.images, tables.annotations, tables.predictions)
    ]
    doubled = EvaluationTables(
        *(
            pd.concat(pair, ignore_index=True)
            for pair in zip((tables.images, tables.annotations, tables.predictions), copies, strict=True)
        ),
        tables.size_bounds_px,
    )
    groups_of_both = groups | {f"copy_{name}": group for name, group in groups.items()}
    images = {name: number for number, name in enumerate(groups_of_both)}
    errors = {
        key: intervals_of(doubled, of, num_replicates=400).loc["recall", "se"]
        for key, of in (("group", groups_of_both), ("image", images))
    }
    assert errors["group"] == pytest.approx(
        intervals_of(tables, groups, num_replicates=400).loc["recall", "se"], rel=1e-6
    )
    assert errors["image"] < 0.8 * errors["group"]  # a copy tells nothing new, but counts as if it did


def test_equal_seeds_give_equal_figures_whatever_the_chunks(monkeypatch):
    tables, groups = draw_set(seed=2, num_groups=20)
    first = intervals_of(tables, groups, num_replicates=30, seed=5)
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 500)
    pd.testing.assert_frame_equal(first, intervals_of(tables, groups, num_replicates=30, seed=5), rtol=1e-12)
    assert not first["low"].equals(intervals_of(tables, groups, num_replicates=30, seed=6)["low"])


def test_a_class_without_faces_is_no_number_and_one_face_is_not_in_every_replicate():
    tables, groups = draw_set(seed=4, num_groups=20)
    rare = tables.annotations["class_name"] == "mask_weared_incorrect"
    one = tables.annotations[~rare | (rare.cumsum() == 1)].reset_index(drop=True)
    rows = intervals_of(replace(tables, annotations=one), groups, num_replicates=100)
    assert 0 < rows.loc["ap/mask_weared_incorrect", "num_replicates_defined"] < 100
    none = tables.annotations[~rare].reset_index(drop=True)
    rows = intervals_of(replace(tables, annotations=none), groups, num_replicates=20)
    assert rows.loc["ap/mask_weared_incorrect", ["value", "low", "high", "se"]].isna().all()
    assert rows.loc["ap/mask_weared_incorrect", "num_replicates_defined"] == 0
    assert rows.loc["map", ["low", "high"]].notna().all()


def test_without_detections_what_is_defined_is_zero():
    tables, groups = draw_set(seed=4, num_groups=20)
    rows = intervals_of(replace(tables, predictions=tables.predictions[:0]), groups, num_replicates=20)
    assert rows.loc[["map", "recall", "f1"], ["value", "low", "high"]].eq(0).all(axis=None)
    assert np.isnan(rows.loc["precision", "value"])


def test_weights_draw_as_many_groups_as_there_are_and_leave_each_out_once():
    drawn = np.hstack(list(drawn_weights(7, 25, seed=0, width=10)))
    assert drawn.shape == (7, 25)
    assert (drawn.sum(axis=0) == 7).all()
    left_out = np.hstack(list(left_out_weights(7, width=3)))
    np.testing.assert_array_equal(left_out, 1 - np.eye(7))


@pytest.mark.parametrize(
    ("groups", "options", "message"),
    [
        (1, {}, "expected images of two or more groups to resample, got 1"),
        (9, {"num_replicates": 1}, "num_replicates: expected 2 or more, got 1"),
        (9, {"confidence": 95}, "expected 0 < confidence < 1, got 95"),
    ],
)
def test_impossible_requests_are_named(groups, options, message):
    tables, group_of_file = draw_set(seed=0, num_groups=10)
    with pytest.raises(ValueError, match=message):
        intervals_of(
            tables, {name: min(g, groups - 1) for name, g in group_of_file.items()}, **{"num_replicates": 5, **options}
        )
