"""Face finding against pycocotools and on replicates written out; rates, states and box habits by hand."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskdet.boxes import xyxy_to_xywh
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.face_finding import (
    FACE,
    FaceFindingMetrics,
    FaceTables,
    box_habit,
    is_found,
    metric_name,
)
from maskdet.evaluation.rates import ratio
from maskdet.evaluation.sizes import area_ranges, size_tertiles
from maskdet.models.face_detectors.interface import fit_boxes
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, FACES
from simulated_sets import GRID_ROW, draw_set, grid_tables

THRESHOLD = 0.3
IOUS = (0.5, 0.4)


def face_tables(images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame) -> FaceTables:
    faces = predictions[list(FACES.columns)].reset_index(drop=True)
    return FaceTables(images, annotations.reset_index(drop=True), faces, size_tertiles(annotations))


def own_groups(tables: FaceTables) -> dict[str, int]:
    return {name: number for number, name in enumerate(sorted(tables.images["file_name"]))}


def at_weight_one(tables: FaceTables, score_threshold: float = THRESHOLD) -> dict[str, float]:
    metrics = FaceFindingMetrics(tables, own_groups(tables), score_threshold, IOUS)
    return {name: float(values[0]) for name, values in metrics(np.ones((metrics.num_groups, 1))).items()}


def reference_aps(tables: FaceTables) -> dict[str, float]:
    """Return pycocotools' AP of the one class, of every size at both thresholds."""
    ids = {name: i for i, name in enumerate(sorted(tables.images["file_name"]))}
    sides = []
    for table in (tables.annotations, tables.faces):
        side, boxes_xywh = COCO(), xyxy_to_xywh(table[BOX_COLUMNS].to_numpy(np.float64))
        scores = table["score"] if "score" in table else np.zeros(len(table))
        rows = [
            {"id": n, "image_id": ids[name], "category_id": 1, "bbox": box.tolist(), "area": float(box[2] * box[3])}
            | {"iscrowd": 0, "score": float(score)}
            for n, (name, box, score) in enumerate(zip(table["file_name"], boxes_xywh, scores, strict=True), start=1)
        ]
        categories = [{"id": 1, "name": FACE}]
        side.dataset = {"images": [{"id": i} for i in ids.values()], "categories": categories, "annotations": rows}
        side.createIndex()
        sides.append(side)
    ranges = area_ranges(tables.size_bounds_px)
    evaluation = COCOeval(*sides, iouType="bbox")
    evaluation.params.iouThrs = np.array(IOUS)
    evaluation.params.maxDets = [100]
    evaluation.params.areaRng = [list(limits) for limits in ranges.values()]
    evaluation.params.areaRngLbl = list(ranges)
    evaluation.evaluate()
    evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, :, 0]  # (T, R, A)
    return {
        metric_name("ap", iou, size): precision[t, :, a].mean() if precision[t, 0, a] > -1 else np.nan
        for t, iou in enumerate(IOUS)
        for a, size in enumerate(ranges)
    }


def assert_like_reference(tables: FaceTables) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        expected = reference_aps(tables)
    ours = at_weight_one(tables)
    assert {name: ours[name] for name in expected} == pytest.approx(expected, abs=1e-6, rel=0, nan_ok=True)


@pytest.mark.parametrize("seed", range(6))
def test_ap_is_that_of_pycocotools(seed, random_tables):
    assert_like_reference(face_tables(*random_tables(seed, num_images=9 + seed)))


def test_ap_counts_a_hundred_faces_an_image(random_tables):
    assert_like_reference(face_tables(*random_tables(2, num_images=4, max_detections=1500)))


@settings(max_examples=10, deadline=None, derandomize=True, database=None)
@given(st.lists(GRID_ROW, max_size=8), st.lists(GRID_ROW, max_size=20))
def test_ties_and_areas_on_the_border_of_a_size(true_rows, found_rows):
    images, truth, found = grid_tables(true_rows, found_rows)
    assert_like_reference(FaceTables(images, truth, found.drop(columns="class_name"), (32.0, 96.0)))


def test_ap_at_half_overlap_is_the_projects_own(random_tables):
    tables = face_tables(*random_tables(4))
    one_class = (table.assign(class_name=CLASS_NAMES[0]) for table in (tables.annotations, tables.faces))
    expected = coco_metrics(tables.images, *one_class)  # classes without a face are in no mean
    assert at_weight_one(tables)["ap_50/all"] == pytest.approx(expected["map_50"], abs=1e-9)


def written_out(tables: FaceTables, times: dict[str, int]) -> FaceTables:
    """Return the set with every image as often as `times` says, copies under names next to the original's."""
    parts = []
    for table in (tables.images, tables.annotations, tables.faces):
        counts = table["file_name"].map(times)
        copies = [
            table[counts > i].assign(file_name=table["file_name"] + f"#{i:02d}") for i in range(max(times.values()))
        ]
        parts.append(pd.concat(copies, ignore_index=True))
    return FaceTables(*parts, tables.size_bounds_px)


@pytest.mark.parametrize("seed", range(3))
def test_weights_equal_replicates_written_out(seed):
    drawn, groups = draw_set(seed, num_groups=12)
    tables = face_tables(drawn.images, drawn.annotations, drawn.predictions)
    metrics = FaceFindingMetrics(tables, groups, THRESHOLD, IOUS)
    draws = np.random.default_rng(seed).integers(0, 4, (12, 3))  # (G, R)
    found = metrics(draws.astype(float))
    for replicate, counts in enumerate(draws.T):
        expected = at_weight_one(written_out(tables, {name: int(counts[group]) for name, group in groups.items()}))
        ours = {name: values[replicate] for name, values in found.items()}
        assert ours == pytest.approx(expected, abs=1e-9, nan_ok=True)


def world(table) -> FaceTables:
    """Return three images: faces of 20, 40 and 100 px and none; what was found of them; an alarm of 10 px."""
    names = ["a.png", "b.png", "none.png"]
    annotations = table(
        ("a.png", "with_mask", (10, 10, 30, 30)),
        ("a.png", "without_mask", (100, 100, 140, 140)),
        ("b.png", "with_mask", (0, 0, 100, 100)),
        scored=False,
    )
    faces = table(
        ("a.png", "with_mask", (10, 10, 30, 30), 0.9),
        ("a.png", "with_mask", (100, 122, 140, 162), 0.8),  # IoU 18 / 62 = .29
        ("b.png", "with_mask", (0, 0, 100, 45), 0.7),  # IoU .45
        ("none.png", "with_mask", (0, 0, 10, 10), 0.6),
        ("b.png", "with_mask", (0, 0, 100, 100), 0.1),
    )
    return FaceTables(pd.DataFrame({"file_name": names}), annotations, faces[list(FACES.columns)])


def test_rates_by_hand(table):
    metrics = at_weight_one(world(table))
    expected = {
        "precision_50/all": 1 / 4,
        "recall_50/all": 1 / 3,
        "f1_50/all": 2 / 7,
        "precision_40/all": 2 / 4,
        "recall_40/all": 2 / 3,
        "recall_50/small": 1.0,
        "precision_50/small": 1 / 2,  # the small alarm; the 40 px that lie beside a face have no size but their own
        "precision_50/medium": 0.0,  # the box beside the face, and the flat one of 67 px
        "recall_40/large": 1.0,
        "precision_40/large": 1.0,  # of medium size itself, but it lies on a large face
        "recall_50/with_mask": 1 / 2,
        "recall_40/with_mask": 1.0,
        "recall_50/without_mask": 0.0,
        "recall_50/mask_weared_incorrect": np.nan,
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, nan_ok=True)
    assert not [name for name in metrics if name.endswith("_mask") and not name.startswith("recall")]


def test_recalls_are_the_counts_of_groups_with_a_face():
    drawn, groups = draw_set(0, num_groups=20)
    tables = face_tables(drawn.images, drawn.annotations, drawn.predictions)
    metrics = FaceFindingMetrics(tables, groups, THRESHOLD, IOUS)
    values = {name: float(value[0]) for name, value in metrics(np.ones((metrics.num_groups, 1))).items()}
    counts = metrics.recall_counts()
    assert set(counts) == {name for name in values if name.startswith("recall")}
    shares = {name: float(ratio(found.sum(), faces.sum())) for name, (found, faces) in counts.items()}
    assert shares == pytest.approx({name: values[name] for name in counts}, nan_ok=True)
    assert counts["recall_50/all"].shape[1] == tables.annotations["file_name"].map(groups).nunique()


def test_without_faces_or_finds(table):
    tables = world(table)
    blind = at_weight_one(FaceTables(tables.images, tables.annotations, tables.faces[:0]))
    assert (blind["ap_50/all"], blind["recall_50/all"], blind["f1_50/all"]) == (0, 0, 0)
    assert np.isnan(blind["precision_50/all"])
    empty = at_weight_one(FaceTables(tables.images, tables.annotations[:0], tables.faces))
    assert np.isnan([empty["ap_50/all"], empty["recall_50/all"], empty["recall_50/with_mask"]]).all()
    assert empty["precision_50/all"] == 0


def test_an_image_without_a_group_is_named(table):
    with pytest.raises(ValueError, match=r"expected a group of every evaluated image, got none of 'b\.png'"):
        FaceFindingMetrics(world(table), {"a.png": 0, "none.png": 1}, THRESHOLD, IOUS)


def test_faces_in_unknown_files_are_refused(table):
    tables = world(table)
    stray = tables.faces.assign(file_name="other.png")
    with pytest.raises(ValueError, match=r"expected files of the images table, got 'other\.png'"):
        at_weight_one(FaceTables(tables.images, tables.annotations, stray))


def test_found_faces_keep_the_index_of_the_true_ones(table):
    tables = world(table)
    annotations = tables.annotations.set_index(pd.Index([7, 5, 3]))
    found = is_found(annotations, tables.faces, THRESHOLD, 0.4)
    assert found.to_dict() == {7: True, 5: False, 3: True}
    assert not is_found(annotations, tables.faces[:0], THRESHOLD, 0.4).any()


SHIFT, SCALE = st.floats(-0.15, 0.15), st.floats(0.9, 1.2)


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(st.tuples(SCALE, SCALE), st.tuples(SHIFT, SHIFT))
def test_a_habit_is_what_turns_the_found_boxes_into_the_true_ones(scale_wh, shift_xy):
    corners = np.random.default_rng(0).uniform(50, 300, (30, 2))
    found = np.hstack([corners, corners + np.random.default_rng(1).uniform(20, 60, (30, 2))])
    names = [f"{i}.png" for i in range(30)]
    true = pd.DataFrame(fit_boxes(found, scale_wh, shift_xy), columns=BOX_COLUMNS).assign(file_name=names)
    faces = pd.DataFrame(found, columns=BOX_COLUMNS).assign(file_name=names, score=0.9)
    habit = box_habit(true, faces, 0.2)
    assert list(habit.values()) == pytest.approx([*scale_wh, *shift_xy], abs=1e-9)


def test_without_hits_no_habit_is_known(table):
    tables = world(table)
    assert np.isnan(list(box_habit(tables.annotations, tables.faces[:0], 0.4).values())).all()
