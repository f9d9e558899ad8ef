"""Face detectors against each other: recalls by the tests of the hypotheses, the rest by draws of groups."""

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.face_comparison import MeasuredFinder, measure_finder, metric_rows, paired_rows
from maskdet.evaluation.face_finding import FaceFindingMetrics, FaceTables, is_found
from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.group_tests import share_against
from maskdet.evaluation.hypotheses.paired_outcomes import compare_subsets
from maskdet.evaluation.sizes import size_tertiles
from maskdet.schema import FACES
from simulated_sets import draw_set

THRESHOLD, IOUS = 0.3, (0.5, 0.4)
RESAMPLING = Resampling(200, 499)


def face_tables(images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame) -> FaceTables:
    faces = predictions[list(FACES.columns)].reset_index(drop=True)
    return FaceTables(images, annotations.reset_index(drop=True), faces, size_tertiles(annotations))


def measured(tables: FaceTables, groups: dict[str, int], num_replicates: int = 100) -> MeasuredFinder:
    return measure_finder(FaceFindingMetrics(tables, groups, THRESHOLD, IOUS), num_replicates, seed=0)


@pytest.fixture(scope="module")
def rivals() -> tuple[FaceTables, FaceTables, dict[str, int]]:
    """Return what misses every second face of a detector, the detector, and the groups; one has no true face."""
    drawn, groups = draw_set(1, num_groups=40)
    images = pd.concat([drawn.images, pd.DataFrame({"file_name": ["nobody.png"]})], ignore_index=True)
    groups = {**groups, "nobody.png": 7000}
    full = face_tables(images, drawn.annotations, drawn.predictions)
    half = FaceTables(full.images, full.annotations, full.faces.iloc[::2].reset_index(drop=True), full.size_bounds_px)
    return half, full, groups


def test_every_metric_lies_between_its_ends_and_a_detector_equals_itself():
    drawn, groups = draw_set(0, num_groups=20)
    finder = measured(face_tables(drawn.images, drawn.annotations, drawn.predictions), groups)
    rows = metric_rows(finder, RESAMPLING).dropna()
    assert (rows["low"] <= rows["high"]).all()
    assert rows["value"].between(rows["low"] - 0.05, rows["high"] + 0.05).all()
    assert rows.set_index("metric")["value"].to_dict() == pytest.approx(
        {name: finder.resampled.values[name] for name in rows["metric"]}
    )
    pairs = paired_rows(finder, finder, ["ap_50/all", "recall_40/small"], RESAMPLING)
    assert pairs["metric"].tolist() == ["ap_50/all", "recall_40/small"]
    assert pairs[["difference", "low", "high"]].to_numpy() == pytest.approx(np.zeros((2, 3)), abs=1e-6)
    assert (pairs["p_value"] == 1).all()


def test_a_detector_that_misses_half_of_the_faces_is_worse(rivals):
    half, full, groups = rivals
    rows = paired_rows(measured(half, groups), measured(full, groups), ["recall_50/all", "ap_50/all"], RESAMPLING)
    assert rows["difference"].to_numpy() == pytest.approx((rows["b"] - rows["a"]).to_numpy())
    assert (rows[["difference", "low"]] > 0).all(axis=None)
    assert (rows["p_value"] < 0.05).all()
    assert (rows["p_value"] >= rows["least_p_value"]).all()
    assert rows["least_p_value"].iloc[0] == pytest.approx(2 / 500)  # flips, beside draws
    assert rows["least_p_value"].iloc[1] >= 2 / 101


def test_recalls_are_judged_as_the_hypotheses_judge_them(rivals):
    """The same p-value, difference and interval, though images without a face are in these tables and not in those."""
    half, full, groups = rivals
    found = [is_found(tables.annotations, tables.faces, THRESHOLD, 0.5).to_numpy() for tables in (half, full)]
    truth = half.annotations
    labels = FaceGroups.of(truth["file_name"].map(groups))
    assert labels.num < len(set(groups.values()))
    states = {name: (truth["class_name"] == name).to_numpy() for name in truth["class_name"].unique()}
    subsets = {"all": np.ones(len(truth), bool)} | states
    rows = paired_rows(
        measured(half, groups), measured(full, groups), [f"recall_50/{name}" for name in subsets], RESAMPLING
    )
    expected = compare_subsets(*found, subsets, labels, RESAMPLING)
    for row, compared in zip(rows.to_dict("records"), expected.values(), strict=True):
        assert (row["a"], row["b"]) == pytest.approx((compared.rate_a, compared.rate_b))
        assert (row["difference"], row["low"], row["high"]) == pytest.approx(compared.difference.interval, abs=1e-6)
        assert row["p_value"] == compared.p_value
    own = metric_rows(measured(full, groups), RESAMPLING).set_index("metric").loc["recall_50/all"]
    share, _ = share_against(found[1], labels, 0.5, RESAMPLING.alpha)
    assert tuple(own[["value", "low", "high"]]) == pytest.approx(share.interval)


def test_the_recall_of_a_state_without_faces_is_undefined(rivals):
    half, _, groups = rivals
    truth = half.annotations.assign(class_name="with_mask")
    finder = measured(FaceTables(half.images, truth, half.faces, half.size_bounds_px), groups)
    rows = paired_rows(finder, finder, ["recall_50/without_mask", "recall_50/with_mask"], RESAMPLING)
    assert rows[["a", "difference", "p_value"]].isna().all(axis=1).tolist() == [True, False]
    alone = metric_rows(finder, RESAMPLING).set_index("metric").loc["recall_50/without_mask"]
    assert alone.isna().all()
