"""Weighted metrics against faster-coco-eval: as the set is, and on replicates written out image by image."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import size_tertiles
from maskdet.evaluation.summary import evaluate_tables
from maskdet.evaluation.weighted import WeightedMetrics
from simulated_sets import GRID_ROW, draw_set, grid_tables

SCORE_THRESHOLD = 0.3


def with_bounds(images, annotations, predictions) -> EvaluationTables:
    return EvaluationTables(images, annotations, predictions, size_tertiles(annotations))


def own_groups(tables: EvaluationTables) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(tables.images["file_name"]))}


def assert_equal_at_weight_one(tables: EvaluationTables, groups: dict[str, int]) -> None:
    metrics = WeightedMetrics(tables, groups, SCORE_THRESHOLD)
    found = {name: value[0] for name, value in metrics(np.ones((metrics.num_groups, 1))).items()}
    expected = evaluate_tables(tables, SCORE_THRESHOLD)
    left_out = {name for name in expected if name.startswith(("num_", "size_bound_px"))}
    assert set(found) == set(expected) - left_out
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-6, rel=0, nan_ok=True)


@pytest.mark.parametrize("seed", range(12))
def test_weights_of_one_give_the_metrics_of_the_set(seed, random_tables):
    tables = with_bounds(*random_tables(seed, num_images=9 + seed))
    assert_equal_at_weight_one(tables, {name: i // 2 for i, name in enumerate(tables.images["file_name"])})


@pytest.mark.parametrize(
    "metrics",
    [("map_50",), ("map", "map_75"), ("ap_50/with_mask", "map_small", "map_tertile_2"), ("ar_100", "f1"), ("recall",)],
)
def test_some_metrics_alone_are_what_they_are_among_all(metrics, random_tables):
    tables = with_bounds(*random_tables(3))
    groups = {name: i // 2 for i, name in enumerate(tables.images["file_name"])}
    every, some = (WeightedMetrics(tables, groups, SCORE_THRESHOLD, metrics=wanted) for wanted in (None, metrics))
    weights = np.random.default_rng(0).integers(0, 3, (every.num_groups, 5)).astype(float)
    expected, found = every(weights), some(weights)
    assert list(found) == [name for name in expected if name in metrics]
    for name in metrics:
        np.testing.assert_array_equal(found[name], expected[name])
    assert some.num_hits <= every.num_hits


def test_an_unknown_metric_is_named(random_tables):
    tables = with_bounds(*random_tables(3))
    with pytest.raises(ValueError, match=r"metrics: expected names among \['map', .*\], got 'map_51'"):
        WeightedMetrics(tables, own_groups(tables), SCORE_THRESHOLD, metrics=("map_50", "map_51"))


@pytest.mark.parametrize("classes", [("without_mask",), ("with_mask", "mask_weared_incorrect")])
def test_absent_classes_are_undefined(classes, random_tables):
    tables = with_bounds(*random_tables(1, classes=classes))
    assert_equal_at_weight_one(tables, own_groups(tables))


def test_crowds_and_ceilings_on_detections(random_tables):
    tables = with_bounds(*random_tables(2, num_images=4, max_detections=1500))
    assert_equal_at_weight_one(tables, own_groups(tables))


@pytest.mark.parametrize("empty", ["annotations", "predictions"])
def test_empty_tables(empty, random_tables):
    images, annotations, predictions = random_tables(0)
    kept = {"annotations": annotations, "predictions": predictions}
    kept[empty] = kept[empty][:0]
    tables = with_bounds(images, kept["annotations"], kept["predictions"])
    assert_equal_at_weight_one(tables, own_groups(tables))


def written_out(tables: EvaluationTables, times: dict[str, int]) -> EvaluationTables:
    """Return the set with every image as often as `times` says, copies under names next to the original's."""
    parts = []
    for table in (tables.images, tables.annotations, tables.predictions):
        counts = table["file_name"].map(times)
        copies = [
            table[counts > i].assign(file_name=table["file_name"] + f"#{i:02d}") for i in range(max(times.values()))
        ]
        parts.append(pd.concat(copies, ignore_index=True))
    return EvaluationTables(*parts, tables.size_bounds_px)


@pytest.mark.parametrize("seed", range(6))
def test_weights_equal_replicates_written_out(seed):
    tables, groups = draw_set(seed, num_groups=12)
    metrics = WeightedMetrics(tables, groups, SCORE_THRESHOLD)
    draws = np.random.default_rng(seed).multinomial(12, np.full(12, 1 / 12), size=3).T  # (G, R)
    found = metrics(draws.astype(float))
    for replicate, counts in enumerate(draws.T):
        copies = written_out(tables, {name: int(counts[group]) for name, group in groups.items()})
        expected = evaluate_tables(copies, SCORE_THRESHOLD)
        ours = {name: values[replicate] for name, values in found.items()}
        assert ours == pytest.approx({name: expected[name] for name in ours}, abs=1e-6, rel=0, nan_ok=True)


def test_metrics_do_not_depend_on_the_order_of_rows(random_tables):
    images, annotations, predictions = random_tables(3)
    predictions = predictions.drop_duplicates("score")  # equal scores are ordered by row, as COCO does
    weights = np.random.default_rng(0).integers(0, 3, (len(images), 5)).astype(float)
    first, second = (
        WeightedMetrics(with_bounds(images, annotations.iloc[::step], predictions.iloc[::step]), groups, 0.3)(weights)
        for step in (1, -1)
        for groups in [own_groups(with_bounds(images, annotations, predictions))]
    )
    for name, values in first.items():
        np.testing.assert_allclose(second[name], values, rtol=0, atol=1e-12)


def test_an_image_without_a_group_is_named(random_tables):
    tables = with_bounds(*random_tables(0))
    with pytest.raises(ValueError, match=r"expected a group of every evaluated image, got none of 'image_000\.png'"):
        WeightedMetrics(tables, {name: 0 for name in tables.images["file_name"] if name != "image_000.png"}, 0.3)


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.lists(GRID_ROW, max_size=8), st.lists(GRID_ROW, max_size=20))
def test_ties_and_areas_on_the_border_of_a_size(true_rows, found_rows):
    images, truth, found = grid_tables(true_rows, found_rows)
    tables = EvaluationTables(images, truth, found, (32.0, 96.0))  # bounds that are sizes: closed ranges overlap there
    metrics = WeightedMetrics(tables, own_groups(tables), SCORE_THRESHOLD)(np.ones((3, 1)))
    expected = coco_metrics(images, truth, found, size_bounds_px=(32.0, 96.0))
    ours = {name: metrics[name][0] for name in expected}
    assert ours == pytest.approx(expected, abs=1e-6, rel=0, nan_ok=True)
