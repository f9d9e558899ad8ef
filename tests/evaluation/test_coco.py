"""COCO metrics against pycocotools, the reference implementation, within 1e-6."""

import contextlib
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from committed_run import committed_folds_and_predictions, committed_images_and_faces
from maskdet.evaluation.coco import MAX_DETECTIONS, coco_metrics
from maskdet.evaluation.pooling import pool_folds
from maskdet.evaluation.sizes import size_tertiles
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, PREDICTIONS
from simulated_sets import GRID_ROW, grid_tables

TOLERANCE = 1e-6
SIZES = ("all", "small", "medium", "large", "tertile_1", "tertile_2", "tertile_3")


def reference_rows(table: pd.DataFrame, ids: dict[str, int]) -> list[dict]:
    """Return COCO records, computed apart from the code under test."""
    rows = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        x, y, x_max, y_max = (float(row[c]) for c in BOX_COLUMNS)
        record = {"id": number, "image_id": ids[row["file_name"]], "category_id": CLASS_NAMES.index(row["class_name"])}
        record |= {"bbox": [x, y, x_max - x, y_max - y], "area": (x_max - x) * (y_max - y), "iscrowd": 0}
        rows.append(record | {"score": float(row.get("score", 0))})
    return rows


def reference_metrics(
    images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame, size_bounds_px: tuple[float, float]
) -> dict[str, float]:
    """Return the same keys from pycocotools; NaN for its -1."""
    ids = {name: i for i, name in enumerate(sorted(images["file_name"]))}
    coco = {"images": [{"id": i} for i in ids.values()], "categories": [{"id": k, "name": str(k)} for k in range(3)]}
    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for table in (annotations, predictions):
            side = COCO()
            side.dataset = {**coco, "annotations": reference_rows(table, ids)}
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, iouType="bbox")
        evaluation.params.maxDets = list(MAX_DETECTIONS)
        lower, upper = (bound**2 for bound in size_bounds_px)
        evaluation.params.areaRng += [[0, lower], [lower, upper], [upper, 1e10]]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"][..., 2], evaluation.eval["recall"]
    selected = {"map": precision[..., 0], "map_50": precision[0, ..., 0], "map_75": precision[5, ..., 0]}
    selected |= {f"map_{size}": precision[..., i] for i, size in enumerate(SIZES) if i}
    selected |= {f"ar_{n}": recall[..., 0, i] for i, n in enumerate(MAX_DETECTIONS)}
    for k, name in enumerate(CLASS_NAMES):
        selected |= {f"ap/{name}": precision[:, :, k, 0], f"ap_50/{name}": precision[0, :, k, 0]}
    return {key: np.mean(v[v > -1]) if (v > -1).any() else np.nan for key, v in selected.items()}


def assert_like_reference(images: pd.DataFrame, annotations: pd.DataFrame, predictions: pd.DataFrame) -> None:
    bounds = size_tertiles(annotations)
    expected = reference_metrics(images, annotations, predictions, bounds)
    metrics = coco_metrics(images, annotations, predictions, size_bounds_px=bounds)
    assert metrics == pytest.approx(expected, abs=TOLERANCE, rel=0, nan_ok=True)
    without_thirds = {key: value for key, value in expected.items() if "tertile" not in key}
    assert coco_metrics(images, annotations, predictions) == pytest.approx(without_thirds, abs=TOLERANCE, nan_ok=True)


EMPTY_ANNOTATIONS = pd.DataFrame(columns=list(ANNOTATIONS.columns)).astype(dict.fromkeys(BOX_COLUMNS, "float32"))
EMPTY_PREDICTIONS = pd.DataFrame(columns=list(PREDICTIONS.columns)).astype(dict.fromkeys(BOX_COLUMNS, "float32"))


@pytest.mark.parametrize("num_images", [0, 3])
def test_without_faces_every_metric_is_undefined(num_images, random_tables):
    images, _, predictions = random_tables(0, num_images=3)
    predictions = predictions if num_images else EMPTY_PREDICTIONS
    assert np.isnan(list(coco_metrics(images[:num_images], EMPTY_ANNOTATIONS, predictions).values())).all()


def test_without_detections_defined_metrics_are_zero(random_tables):
    images, annotations, _ = random_tables(0)
    metrics = coco_metrics(images, annotations, EMPTY_PREDICTIONS)
    assert set(metrics.values()) == {0.0}
    assert_like_reference(images, annotations, EMPTY_PREDICTIONS)


@pytest.mark.parametrize("seed", range(20))
def test_random_tables(seed, random_tables):
    absent = CLASS_NAMES[seed % 4 : seed % 4 + 1]  # one class in three of four cases
    classes = tuple(name for name in CLASS_NAMES if name not in absent)
    tables = random_tables(seed, num_images=6 + seed, classes=classes)
    assert not tables[0]["file_name"].isin(tables[1]["file_name"]).all()  # images without a face
    assert_like_reference(*tables)


def test_the_committed_run():
    folds, predictions = committed_folds_and_predictions()
    tables = pool_folds(*committed_images_and_faces(), folds, predictions, sorted(predictions))
    assert len(tables.predictions) > 10_000
    assert_like_reference(tables.images, tables.annotations, tables.predictions)


@pytest.mark.parametrize("num_faces", [101, 140])
def test_a_crowd_of_more_than_100_faces_of_a_class(num_faces, table):
    rng = np.random.default_rng(num_faces)
    corners = np.stack(np.divmod(np.arange(num_faces), 12), axis=1) * 40.0  # (M, 2)
    boxes = np.hstack([corners, corners + rng.uniform(10, 35, (num_faces, 2))])  # (M, 4)
    faces = table(*(("crowd.png", "with_mask", box) for box in boxes), scored=False)
    near = (boxes + rng.normal(0, 1, boxes.shape)).clip(0)
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    found = table(
        *(("crowd.png", "with_mask", box, score) for box, score in zip(near, rng.uniform(0, 1, num_faces), strict=True))
    )
    assert coco_metrics(pd.DataFrame({"file_name": ["crowd.png"]}), faces, found)["ar_300"] > 0
    assert_like_reference(pd.DataFrame({"file_name": ["crowd.png", "empty.png"]}), faces, found)


@pytest.mark.parametrize("classes", [("without_mask",), ("with_mask", "mask_weared_incorrect")])
def test_classes_without_a_true_box_are_undefined_and_left_out_of_means(classes, random_tables):
    images, annotations, predictions = random_tables(1, classes=classes)
    metrics = coco_metrics(images, annotations, predictions)
    aps = [metrics[f"ap/{name}"] for name in CLASS_NAMES]
    assert [np.isnan(ap) for ap in aps] == [name not in classes for name in CLASS_NAMES]
    assert metrics["map"] == pytest.approx(np.nanmean(aps))
    assert_like_reference(images, annotations, predictions)


def test_more_than_300_detections_of_a_class(random_tables):
    images, annotations, predictions = random_tables(2, num_images=4, max_detections=1500)
    assert predictions.groupby(["file_name", "class_name"]).size().max() > max(MAX_DETECTIONS)
    assert_like_reference(images, annotations, predictions)


def test_ap_looks_at_100_detections_and_ar_300_at_300(table):
    images = pd.DataFrame({"file_name": ["a.png"]})
    annotations = table(("a.png", "with_mask", (0, 0, 10, 10)), scored=False)
    misses = [("a.png", "with_mask", (500, 500, 510, 510), 0.9)] * 100
    metrics = coco_metrics(images, annotations, table(*misses, ("a.png", "with_mask", (0, 0, 10, 10), 0.5)))
    assert (metrics["ap/with_mask"], metrics["ar_100"], metrics["ar_300"]) == (0, 0, 1)


def test_a_detection_in_an_image_without_faces_lowers_the_ap(table):
    images = pd.DataFrame({"file_name": ["a.png", "empty.png"]})
    annotations = table(("a.png", "with_mask", (0, 0, 10, 10)), scored=False)
    hit, false_alarm = (("a.png", "with_mask", (0, 0, 10, 10), 0.5), ("empty.png", "with_mask", (0, 0, 10, 10), 0.9))
    assert coco_metrics(images, annotations, table(hit))["map"] == pytest.approx(1)
    assert coco_metrics(images, annotations, table(hit, false_alarm))["map"] == pytest.approx(0.5)


def test_row_order_of_images_does_not_matter(random_tables):
    images, annotations, predictions = random_tables(3)
    expected = coco_metrics(images, annotations, predictions)
    assert coco_metrics(images[::-1], annotations, predictions) == pytest.approx(expected, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("place", [1, 2])
def test_unknown_file_is_named(place, random_tables):
    tables = list(random_tables(0))
    tables[place] = tables[place].assign(file_name="elsewhere.png")
    with pytest.raises(ValueError, match=r"expected files of the images table, got 'elsewhere\.png'"):
        coco_metrics(*tables)


def test_unknown_class_is_named(random_tables):
    images, annotations, predictions = random_tables(0)
    with pytest.raises(ValueError, match=r"expected classes among \['with_mask', .*\], got 'face'"):
        coco_metrics(images, annotations, predictions.assign(class_name="face"))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(GRID_ROW, max_size=8), st.lists(GRID_ROW, max_size=20))
def test_ties_and_areas_on_the_border_of_a_size(true_rows, found_rows):
    assert_like_reference(*grid_tables(true_rows, found_rows))
