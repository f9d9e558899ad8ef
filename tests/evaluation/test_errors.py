"""TIDE's errors by hand and against tidecv, the authors' code, within 1e-6."""

import importlib
import sys
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation import curves
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.evaluation.errors import ERROR_KINDS, HIT, ORACLES, classify_errors, error_costs, most_confident_errors
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

FACE, FAR = (0, 0, 10, 10), (500, 500, 510, 510)
NEAR = (0, 0, 10, 30)  # IoU 1/3 with FACE
TIDE_NAMES = dict(zip(("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss", "FalsePos", "FalseNeg"), ORACLES, strict=True))


@pytest.fixture(scope="module")
def tidecv():
    """Import tidecv without its plots: seaborn alone takes seconds, and no picture is drawn here."""
    plots = ModuleType("tidecv.plotting")
    plots.Plotter = lambda *_: None
    sys.modules[plots.__name__] = plots
    try:
        return importlib.import_module("tidecv")
    finally:
        del sys.modules[plots.__name__]


@pytest.fixture
def tide_recalls(monkeypatch):
    """Use tidecv's recall points, i / 100. COCO's 0.01 * i differ in the last bit, and where a recall is exactly so
    large, the two take the precision of different detections."""
    monkeypatch.setattr(curves, "RECALL_POINTS", np.array([i / 100 for i in range(101)]))


def with_distinct_scores(predictions: pd.DataFrame, seed: int) -> pd.DataFrame:
    scores = np.random.default_rng(seed).permutation(len(predictions)) + 1.0
    return predictions.assign(score=(scores / (len(scores) + 1)).astype(np.float32))


def reference(tidecv, annotations: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return tidecv's AP gains and counts by the names of `ORACLES`."""
    truth, found = tidecv.Data("truth", max_dets=10_000), tidecv.Data("found")
    names = {name: i for i, name in enumerate(sorted(set(annotations["file_name"]) | set(predictions["file_name"])))}
    for number in names.values():
        truth.add_image(number, str(number))
    for table, data in ((annotations, truth), (predictions, found)):
        for row in table.to_dict("records"):
            x, y, x_max, y_max = (float(row[c]) for c in BOX_COLUMNS)
            image, class_id = names[row["file_name"]], CLASS_NAMES.index(row["class_name"])
            box = [x, y, x_max - x, y_max - y]
            if "score" in row:
                data.add_detection(image, class_id, float(row["score"]), box)
            else:
                data.add_ground_truth(image, class_id, box)
    tide = tidecv.TIDE()
    run = tide.evaluate(truth, found, mode=tidecv.TIDE.BOX, name="run")
    gains = tide.get_main_errors()["run"] | tide.get_special_errors()["run"]
    counts = {kind.short_name: len(found_errors) for kind, found_errors in run.error_dict.items()}
    table = pd.DataFrame({"ap_gain": gains, "count": counts}).rename(index=TIDE_NAMES)
    table["ap_gain"] /= 100
    table.loc["base", "ap_gain"] = run.ap / 100
    return table


def images_of(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"file_name": sorted({name for table in tables for name in table["file_name"]})})


def own(annotations: pd.DataFrame, predictions: pd.DataFrame, **options) -> pd.DataFrame:
    costs = error_costs(classify_errors(images_of(annotations, predictions), annotations, predictions, **options))
    return costs[costs["class_name"] == ALL_CLASSES].set_index("error")


def assert_like_tidecv(tidecv, annotations: pd.DataFrame, predictions: pd.DataFrame) -> None:
    expected = reference(tidecv, annotations, predictions)
    costs = own(annotations, predictions, max_detections=10_000)
    for kind in ERROR_KINDS:
        assert costs.loc[kind, "count"] == expected.loc[kind, "count"], kind
    for oracle in ORACLES:
        assert costs.loc[oracle, "ap_gain"] == pytest.approx(expected.loc[oracle, "ap_gain"], abs=1e-6), oracle


@pytest.mark.parametrize(
    ("class_name", "box", "error"),
    [
        ("with_mask", (0, 0, 10, 9), HIT),
        ("with_mask", NEAR, "localisation"),
        ("without_mask", (0, 0, 10, 9), "classification"),
        ("without_mask", NEAR, "both"),
        ("with_mask", FAR, "background"),
        ("without_mask", FAR, "background"),
    ],
)
def test_one_detection_by_hand(class_name, box, error, table):
    annotations, predictions = table(("a.png", "with_mask", FACE), scored=False), table(("a.png", class_name, box, 0.9))
    errors = classify_errors(images_of(annotations), annotations, predictions)
    assert list(errors.detections["error"]) == [error]
    concerned = error not in (HIT, "background")
    assert list(errors.detections["cause"]) == [0 if concerned else -1]
    assert list(errors.detections["is_repair"]) == [error in ("localisation", "classification")]
    assert list(errors.faces["is_found"]) == [error == HIT]
    assert list(errors.faces["is_missed"]) == [error in ("both", "background")]


def test_a_face_found_twice_and_only_the_best_repair_of_a_face(table):
    annotations = table(("a.png", "with_mask", FACE), ("b.png", "with_mask", FACE), scored=False)
    predictions = table(
        ("a.png", "with_mask", (0, 0, 10, 9), 0.9),
        ("a.png", "with_mask", (0, 0, 10, 8), 0.8),
        ("b.png", "with_mask", NEAR, 0.6),
        ("b.png", "without_mask", (0, 0, 10, 9), 0.7),
    )
    errors = classify_errors(images_of(annotations), annotations, predictions)
    assert list(errors.detections["error"]) == [HIT, "duplicate", "localisation", "classification"]
    assert list(errors.detections["is_repair"]) == [False, False, False, True]
    costs = own(annotations, predictions)["ap_gain"]
    assert costs["localisation"] == pytest.approx(0)  # its face is the other one's to repair
    # Two faces, half the recall found at precision 1 (51 of 101 points); repaired, the second hit is third in rank.
    assert costs["classification"] == pytest.approx(50 * (2 / 3) / 101)
    top = most_confident_errors(errors, 2)
    assert top[["error", "true_class", "score"]].to_numpy().tolist() == [
        ["duplicate", "with_mask", pytest.approx(0.8)],
        ["classification", "with_mask", pytest.approx(0.7)],
    ]


def test_fixed_case_agrees_with_tidecv(tidecv, tide_recalls, random_tables):
    _, annotations, predictions = random_tables(0, num_images=30)
    predictions = with_distinct_scores(predictions, 0)
    assert own(annotations, predictions).loc[list(ERROR_KINDS), "count"].min() > 0  # every kind occurs
    assert_like_tidecv(tidecv, annotations, predictions)


@pytest.mark.parametrize("seed", range(1, 7))
def test_random_cases_agree_with_tidecv(seed, tidecv, tide_recalls, random_tables):
    _, annotations, predictions = random_tables(seed, num_images=10 + seed, max_detections=10 * seed)
    assert_like_tidecv(tidecv, annotations, with_distinct_scores(predictions, seed))


def test_without_detections_everything_is_missed(table):
    annotations = table(("a.png", "with_mask", FACE), ("a.png", "without_mask", FAR), scored=False)
    errors = classify_errors(images_of(annotations), annotations, table())
    assert len(errors.detections) == 0
    assert errors.faces["is_missed"].all()
    costs = error_costs(errors)
    assert costs.loc[costs["count"] > 0, "error"].unique().tolist() == ["missed", "false_negative"]
    defined = costs["class_name"] != "mask_weared_incorrect"
    assert (costs.loc[defined, "ap_gain"] == 0).all()  # no detection can rise
    assert costs.loc[~defined, "ap_gain"].isna().all()  # no faces of this class: undefined, not zero


def test_without_faces_no_cost_is_defined(table):
    predictions = table(("a.png", "with_mask", FAR, 0.9))
    costs = error_costs(classify_errors(images_of(predictions), table(scored=False), predictions))
    assert costs["ap_gain"].isna().all()
    assert costs.set_index(["error", "class_name"]).loc[("background", "with_mask"), "count"] == 1


def test_a_class_without_true_boxes_leaves_the_mean_alone(tidecv, tide_recalls, random_tables):
    _, annotations, predictions = random_tables(3, classes=CLASS_NAMES[:2])
    predictions = with_distinct_scores(predictions, 3)
    costs, expected = own(annotations, predictions), reference(tidecv, annotations, predictions)
    for kind in ERROR_KINDS:  # tidecv divides by three, the class that only detections have included
        assert costs.loc[kind, "ap_gain"] == pytest.approx(expected.loc[kind, "ap_gain"] * 3 / 2, abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_gains_start_from_map_50_and_counts_add_up(seed, random_tables):
    images, annotations, predictions = random_tables(seed, num_images=8, max_detections=450)
    errors = classify_errors(images, annotations, predictions)
    metrics = coco_metrics(images, annotations, predictions)
    costs = error_costs(errors).set_index(["error", "class_name"])
    for name in CLASS_NAMES:
        reached = (costs.loc[("false_positive", name), "ap_gain"] + metrics[f"ap_50/{name}"]) * 101
        faces = errors.faces[errors.faces["class_name"] == name]
        recalls = np.searchsorted([faces["is_found"].mean()], curves.RECALL_POINTS)  # 0 where reached
        assert reached == pytest.approx((recalls == 0).sum())  # without false alarms the precision is 1
    kinds = costs.xs(ALL_CLASSES, level="class_name")["count"]
    assert kinds[list(ERROR_KINDS[:5])].sum() == kinds["false_positive"] == (~errors.detections["is_tp"]).sum()
    assert kinds["missed"] + errors.detections["is_repair"].sum() == kinds["false_negative"]
    assert errors.detections.groupby(["file_name", "class_name"]).size().max() <= 100


@pytest.mark.parametrize("background_iou", [0, 0.6])
def test_background_threshold_is_checked(background_iou, table):
    nothing = table(scored=False)
    with pytest.raises(ValueError, match=r"expected 0 < background_iou <= iou_threshold \(0\.5\), got"):
        classify_errors(images_of(), nothing, table(), background_iou=background_iou)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("file_name", "b.png", r"predictions: expected files of the images table, got 'b\.png'"),
        ("class_name", "cat", r"predictions: expected classes among .*, got 'cat'"),
        ("score", np.nan, r"predictions: expected scores in \[0, 1\], got nan in 'a\.png'"),
        ("x_max", -5, r"predictions: expected finite boxes with .*, got \[0\.0, 0\.0, -5\.0, 10\.0\] in 'a\.png'"),
    ],
)
def test_bad_rows_are_named(column, value, message, table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    predictions = table(("a.png", "with_mask", FACE, 0.9)).assign(**{column: value})
    with pytest.raises(ValueError, match=message):
        classify_errors(images_of(annotations), annotations, predictions)
