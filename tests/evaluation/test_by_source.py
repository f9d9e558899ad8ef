"""Metrics of each source: the common threshold, the means of classes, and agreement with the metrics of the set."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.bootstrap import drawn_weights
from maskdet.evaluation.by_source import ALL_SOURCES, SourceMetrics, best_common_threshold, metrics_by_source
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.curves import operating_point
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.schema import CLASS_NAMES
from simulated_sets import GRID_ROW, draw_set, grid_tables

NUM_REPLICATES = 40


def two_sources(num_groups: int = 24) -> tuple[EvaluationTables, dict[str, int]]:
    """Return a simulated set whose images of even groups come from `a`, the others from `b`."""
    tables, groups = draw_set(3, num_groups)
    source = tables.images["file_name"].map(groups).mod(2).map({0: "a", 1: "b"})
    return EvaluationTables(tables.images.assign(source=source), tables.annotations, tables.predictions), groups


def threshold_of(tables: EvaluationTables) -> float:
    return best_common_threshold(match_detections(tables.annotations, tables.predictions), tables.annotations)


def mean_f1(tables: EvaluationTables, threshold: float) -> float:
    """Return what the threshold is chosen by, from one count at one threshold."""
    matches = match_detections(tables.annotations, tables.predictions)
    points = operating_point(matches, tables.annotations, threshold).set_index("class_name")
    return float(points.loc[sorted(set(tables.annotations["class_name"])), "f1"].mean())


def test_a_threshold_by_hand(table):
    faces = table(("a.png", "with_mask", (0, 0, 9, 9)), ("a.png", "without_mask", (20, 0, 29, 9)), scored=False)
    found = table(
        ("a.png", "with_mask", (0, 0, 9, 9), 0.9),
        ("a.png", "without_mask", (50, 0, 59, 9), 0.8),
        ("a.png", "without_mask", (20, 0, 29, 9), 0.5),
        ("a.png", "with_mask", (70, 0, 79, 9), 0.25),
        ("a.png", "mask_weared_incorrect", (0, 0, 9, 9), 0.125),
    )
    matches = match_detections(faces, found)
    assert best_common_threshold(matches, faces) == 0.375  # F1 of 1 and 2/3 there; below it 2/3 and 2/3
    assert np.isnan(best_common_threshold(matches[matches["class_name"] == "mask_weared_incorrect"], faces))
    assert np.isnan(best_common_threshold(matches[:0], faces))
    assert np.isnan(best_common_threshold(matches, faces[:0]))


def test_classes_weigh_alike_in_the_means(table):
    faces = table(*[(f"{i}.png", "with_mask", (0, 0, 9, 9)) for i in range(8)],
                  ("0.png", "without_mask", (20, 0, 29, 9)), scored=False)  # fmt: skip
    found = table(
        *[(f"{i}.png", "with_mask", (0, 0, 9, 9), 0.9) for i in range(6)],
        *[("7.png", "with_mask", (x, 50, x + 9, 59), 0.9) for x in (0, 20)],
        ("0.png", "mask_weared_incorrect", (0, 0, 9, 9), 0.9),  # a class that does not occur is in no mean
    )
    images = pd.DataFrame({"file_name": [f"{i}.png" for i in range(8)]})
    metrics = SourceMetrics(EvaluationTables(images, faces, found), {f"{i}.png": i for i in range(8)}, 0.5)
    values = {name: float(value[0]) for name, value in metrics(np.ones((8, 1))).items()}
    assert values["precision"] == 6 / 8  # of the bare face nothing is shown: no precision
    assert values["recall"] == (6 / 8 + 0) / 2
    assert values["f1"] == (6 / 8 + 0) / 2
    assert np.isnan(values["ap_50/mask_weared_incorrect"])
    assert values["map_50"] == pytest.approx((values["ap_50/with_mask"] + 0) / 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(GRID_ROW, min_size=1, max_size=8), st.lists(GRID_ROW, max_size=12))
def test_no_other_threshold_is_better(true_rows, found_rows):
    tables = EvaluationTables(*grid_tables(true_rows, found_rows))
    chosen = threshold_of(tables)
    others = [mean_f1(tables, score) for score in (0.05, 0.3, 0.7)]  # between the scores of the grid
    assert max(others) == pytest.approx(0 if np.isnan(chosen) else mean_f1(tables, chosen))


@settings(max_examples=15, deadline=None)
@given(st.lists(GRID_ROW, min_size=1, max_size=8), st.lists(GRID_ROW, max_size=12), st.integers(0, 9))
def test_weights_count_images_several_times(true_rows, found_rows, seed):
    """A drawn replicate equals the same images copied under new names."""
    images, faces, found = grid_tables(true_rows, found_rows)
    groups = {name: i for i, name in enumerate(images["file_name"])}
    weights = next(drawn_weights(3, 1, seed, 1))  # (3, 1)
    metrics = SourceMetrics(EvaluationTables(images, faces, found), groups, 0.3)
    copies = [(name, f"{k}{name}") for name, i in groups.items() for k in range(int(weights[i, 0]))]
    drawn = [
        pd.concat([table[table["file_name"] == old].assign(file_name=new) for old, new in copies], ignore_index=True)
        for table in (images, faces, found)
    ]
    copied = SourceMetrics(EvaluationTables(*drawn), {new: i for i, (_, new) in enumerate(copies)}, 0.3)
    expected = copied(np.ones((len(copies), 1)))
    for name, values in metrics(weights).items():
        if name in ("precision", "recall", "f1"):
            np.testing.assert_allclose(values, expected[name], err_msg=name)


def test_a_source_is_judged_on_its_own_images():
    tables, groups = two_sources()
    threshold = threshold_of(tables)
    rows = metrics_by_source(tables, groups, threshold, NUM_REPLICATES, 0)
    assert rows["source"].drop_duplicates().tolist() == ["a", "b", ALL_SOURCES]
    for source in ("a", "b", ALL_SOURCES):
        names = tables.images["file_name"][
            tables.images["source"].isin(["a", "b"] if source == ALL_SOURCES else [source])
        ]
        parts = [
            table[table["file_name"].isin(names)] for table in (tables.images, tables.annotations, tables.predictions)
        ]
        expected = coco_metrics(*parts)
        matches = match_detections(parts[1], parts[2])
        points = operating_point(matches, parts[1], threshold).set_index("class_name").loc[list(CLASS_NAMES)]
        expected |= {rate: points[rate].mean() for rate in ("precision", "recall", "f1")}
        found = rows[rows["source"] == source].set_index("metric")
        assert found["value"].to_dict() == pytest.approx({name: expected[name] for name in found.index})
        assert set(found["num_images"]) == {len(names)}
        assert found.loc["map", "num_faces"] == len(parts[1])
        of_class = (parts[1]["class_name"] == "with_mask").sum()
        assert found.loc["ap_50/with_mask", "num_faces"] == of_class
        assert (found["low"] <= found["value"]).all()
        assert (found["value"] <= found["high"]).all()
        assert (found["low"] < found["high"]).all()


def test_a_source_of_one_group_has_no_interval():
    tables, groups = two_sources(8)
    one_group = {name: 0 if group % 2 else group + 1 for name, group in groups.items()}
    rows = metrics_by_source(tables, one_group, 0.5, NUM_REPLICATES, 0)
    alone = rows[rows["source"] == "b"]
    assert alone["value"].notna().all()
    assert alone[["low", "high"]].isna().all(axis=None)


def test_equal_seeds_give_equal_rows():
    tables, groups = two_sources(10)
    first, second = (metrics_by_source(tables, groups, 0.4, NUM_REPLICATES, 5) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
