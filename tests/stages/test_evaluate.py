"""The stage `evaluate` on tiny tables: what it writes, that it writes the same again, what it refuses."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml

from maskdet.evaluation.bootstrap import bootstrap_metrics
from maskdet.evaluation.calibration import fit_calibrator
from maskdet.evaluation.confusion import confusion_pairs
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import pool_folds
from maskdet.evaluation.summary import flatten_metrics
from maskdet.inference.calibration import Calibration
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, read_table, write_table
from maskdet.stages.evaluate import run
from tiny_run import CONF, FILES, config, detections, face, report_bytes, write_predictions, write_tiny_run

STAGE = yaml.safe_load((CONF.parent / "dvc.yaml").read_text())["stages"]["evaluate"]
OUTPUTS = sorted(name.removeprefix("reports/") for entry in STAGE["outs"] + STAGE["metrics"] for name in entry)
NUM_IMAGES = 24


@pytest.fixture
def workspace(tmp_path):
    return write_tiny_run(tmp_path)


@pytest.fixture
def noisy(workspace):
    """Return a workspace of 24 images in two folds: half of the 96 detections are hits, with higher scores."""
    rng = np.random.default_rng(0)
    files = [f"{i:02d}.png" for i in range(NUM_IMAGES)]
    size = {"source": "test", "width": 400, "height": 100, "sha256": "0" * 64}
    write_table(
        pd.DataFrame({"file_name": files, "num_faces": 2, **size}),
        workspace.input("build/table/images.parquet"),
        IMAGES,
    )
    faces = [face(name, CLASS_NAMES[(i + k) % 3], 100 * k) for i, name in enumerate(files) for k in range(2)]
    annotations = pd.DataFrame(faces).assign(is_difficult=False)
    write_table(annotations, workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    fold = {name: i % 2 for i, name in enumerate(files)}
    folds = pd.DataFrame({"file_name": files, "group": range(NUM_IMAGES), "split_role": "fold", "fold": fold.values()})
    write_table(folds, workspace.input("build/folds.parquet"), FOLDS)
    wrong = [{**row, "x_min": row["x_min"] + 200, "x_max": row["x_max"] + 200} for row in faces]
    found = pd.DataFrame([*faces, *wrong])
    found["score"] = rng.uniform(0, 1, len(found)) ** np.repeat([0.5, 1.5], len(faces))
    found["fold"] = found["file_name"].map(fold)
    for k in (0, 1):
        write_table(found[found["fold"] == k], workspace.input(f"build/predictions/{k}.parquet"), PREDICTIONS)
    return workspace


def written(workspace, name):
    return json.loads(workspace.output(f"reports/{name}.json").read_text())


def plot(workspace, name):
    return pd.read_csv(workspace.output(f"reports/plots/{name}.csv"))


def pooled_tables(workspace, train_folds=(0, 1)):
    read = {name: workspace.input(f"build/{name}.parquet") for name in ("table/images", "table/annotations", "folds")}
    tables = [
        read_table(path, schema) for path, schema in zip(read.values(), (IMAGES, ANNOTATIONS, FOLDS), strict=True)
    ]
    found = {k: read_table(workspace.input(f"build/predictions/{k}.parquet"), PREDICTIONS) for k in train_folds}
    return pool_folds(*tables, found, train_folds), tables[2].set_index("file_name")["group"].to_dict()


def test_without_any_detection_everything_is_written(workspace):
    for fold in (0, 1):
        write_table(detections(fold)[:0], workspace.input(f"build/predictions/{fold}.parquet"), PREDICTIONS)
    run(config([0, 1]), workspace)
    assert list(report_bytes(workspace)) == OUTPUTS
    metrics = written(workspace, "metrics")["val"]
    assert (metrics["map"], metrics["recall"], metrics["precision"], metrics["num_detections"]) == (0, 0, None, 0)
    assert set(flatten_metrics(written(workspace, "thresholds")["with_mask"]["best_f1"]).values()) == {None}
    assert set(flatten_metrics(written(workspace, "metrics")["calibration"]["raw"]).values()) == {None}


def test_without_any_true_box_everything_is_written_and_undefined(workspace):
    empty = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)[:0]
    write_table(empty, workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    run(config([0, 1]), workspace)
    assert list(report_bytes(workspace)) == OUTPUTS
    metrics = written(workspace, "metrics")
    assert (metrics["val"]["map"], metrics["val"]["recall"], metrics["val"]["precision"]) == (None, None, 0)
    assert metrics["val_low"]["map"] is None


def test_numbers_by_hand(workspace):
    run(config([0, 1]), workspace)
    metrics = written(workspace, "metrics")
    assert sorted(metrics) == ["calibration", "fold", "fold_mean", "fold_sd", "val", "val_high", "val_low"]
    assert metrics["val"]["ap_50"] == {"with_mask": 0.75, "without_mask": 1, "mask_weared_incorrect": None}
    assert (metrics["val"]["precision"], metrics["val"]["recall"]) == (round(5 / 6, 6), 1)
    assert (metrics["val"]["num_images"], metrics["val"]["num_faces"], metrics["val"]["num_detections"]) == (6, 5, 6)
    assert metrics["fold"]["0"]["ap"] == {"with_mask": 1, "without_mask": None, "mask_weared_incorrect": None}
    assert metrics["calibration"]["num_detections"] == {
        "with_mask": 4,
        "without_mask": 2,
        "mask_weared_incorrect": 0,
        "all": 6,
    }
    gap = (0.9 + 0.7 + 0.5 - 3 + 0.95) / 4  # one bin holds all of them
    cfg = config([0, 1])
    cfg.evaluate.calibration.num_bins = 1
    assert run(cfg, workspace)["calibration"]["raw"]["d_ece"]["with_mask"] == pytest.approx(abs(gap), abs=1e-6)


def test_thresholds_by_hand(workspace):
    run(config([0, 1]), workspace)
    thresholds = written(workspace, "thresholds")
    assert list(thresholds) == sorted([*CLASS_NAMES, "all"])
    without_mask = thresholds["without_mask"]["best_f1"]  # scores 0.8 and 0.6, both hits
    assert without_mask == {
        "score_threshold": 0.6, "tp": 2, "fp": 0, "fn": 0, "precision": 1, "recall": 1, "f1": 1,
    }  # fmt: skip
    assert thresholds["with_mask"]["min_precision"]["score_threshold"] is None  # the false alarm stands at the top
    assert thresholds["with_mask"]["min_precision"]["wanted"] == 0.9
    assert thresholds["with_mask"]["min_recall"]["precision"] == 0.75
    assert thresholds["mask_weared_incorrect"]["best_f1"]["f1"] is None


def test_plots_by_hand(workspace):
    run(config([0, 1]), workspace)
    assert plot(workspace, "confusion").value_counts().to_dict() == {
        ("with_mask", "with_mask"): 3,
        ("without_mask", "without_mask"): 2,
        ("background", "with_mask"): 1,
    }
    assert plot(workspace, "folds")["fold"].tolist() == [0, 1]
    assert {"map", "map_50", "map_75", "ap_50/with_mask"} <= set(plot(workspace, "folds"))
    assert list(plot(workspace, "pr_curves")) == ["class_name", "recall", "precision", "score"]
    assert set(plot(workspace, "pr_curves")["class_name"]) == {"with_mask", "without_mask"}
    curve = plot(workspace, "f1_at_threshold").set_index("score_threshold")
    assert curve.loc[[0.0, 0.7], "without_mask"].tolist() == [1, round(2 / 3, 6)]
    assert curve["mask_weared_incorrect"].isna().all()


def test_intervals_and_confusion_are_those_of_the_functions(noisy):
    cfg = config([0, 1])
    run(cfg, noisy)
    pooled, group_of_file = pooled_tables(noisy)
    expected = bootstrap_metrics(pooled, group_of_file, 0.3, 0.5, 20, 0).set_index("metric")
    for end in ("low", "high"):
        ends = pd.Series(flatten_metrics(written(noisy, "metrics")[f"val_{end}"]), dtype=float)  # null becomes NaN
        assert ends.to_dict() == pytest.approx(expected[end].to_dict(), abs=1e-6, nan_ok=True)
    metrics = written(noisy, "metrics")
    assert metrics["val_low"]["map_50"] < metrics["val"]["map_50"] < metrics["val_high"]["map_50"]
    thresholds = {name: written(noisy, "thresholds")[name]["best_f1"]["score_threshold"] for name in CLASS_NAMES}
    pairs = confusion_pairs(pooled.annotations, pooled.predictions, thresholds, 0.5)
    pd.testing.assert_frame_equal(plot(noisy, "confusion"), pairs)


@pytest.mark.parametrize("train_folds", [[0, 1], [1]])
def test_calibration_is_cross_fitted_and_reliable(noisy, train_folds):
    run(config(train_folds), noisy)
    calibration = written(noisy, "metrics")["calibration"]
    assert calibration["cross_fitted"]["d_ece"]["all"] not in (None, calibration["raw"]["d_ece"]["all"])
    bins = plot(noisy, "reliability")
    assert bins.groupby("scores")["num_detections"].sum().nunique() == 1  # the same detections are judged
    everything = bins[bins["class_name"] == "all"]
    gaps = (everything["mean_score"] - everything["hit_rate"]).abs() * everything["num_detections"]
    ece = gaps.groupby(everything["scores"]).sum() / calibration["num_detections"]["all"]
    assert ece.to_dict() == pytest.approx({kind: calibration[kind]["d_ece"]["all"] for kind in ece.index}, abs=1e-5)
    lines = plot(noisy, "hit_rate_at_score")
    assert list(lines) == ["score", "raw", "cross_fitted", "ideal"]
    assert len(lines) > 0
    assert lines.notna().all(axis=None)  # an empty field would be drawn as 0


@pytest.mark.parametrize("kind", ["logistic", "isotonic"])
def test_the_calibrator_can_be_read_back(noisy, kind):
    cfg = config([0, 1])
    cfg.evaluate.calibration.kind = kind
    run(cfg, noisy)
    pooled, _ = pooled_tables(noisy)
    matches = match_detections(pooled.annotations, pooled.predictions, 0.5)
    names, scores = matches["class_name"].to_numpy(), matches["score"].to_numpy()
    expected = fit_calibrator(matches, kind).apply(scores, names)
    class_indices = np.array([CLASS_NAMES.index(name) for name in names])
    again = Calibration(written(noisy, "calibrator"), CLASS_NAMES).apply(scores, class_indices)
    np.testing.assert_allclose(again, expected, atol=1e-5)


def test_a_second_run_writes_the_same_bytes(noisy):
    run(config([0, 1]), noisy)
    first = report_bytes(noisy)
    assert list(first) == OUTPUTS
    run(config([0, 1]), noisy)
    assert report_bytes(noisy) == first


def test_one_fold_has_null_for_spread(workspace):
    run(config([0]), workspace)
    metrics = written(workspace, "metrics")
    assert metrics["fold_sd"]["map"] is None
    assert list(metrics["fold"]) == ["0"]


def test_a_single_group_has_null_for_intervals_and_calibrated_scores(workspace):
    folds = read_table(workspace.input("build/folds.parquet"), FOLDS)
    write_table(folds.assign(group=0), workspace.input("build/folds.parquet"), FOLDS)
    run(config([0]), workspace)
    metrics = written(workspace, "metrics")
    assert set(flatten_metrics(metrics["val_low"]).values()) == {None}
    assert set(flatten_metrics(metrics["calibration"]["cross_fitted"]).values()) == {None}
    assert metrics["calibration"]["raw"]["d_ece"]["all"] is not None
    assert plot(workspace, "hit_rate_at_score")["cross_fitted"].isna().all()


def test_printed_tables_fit_into_80_columns(noisy, capsys):
    summary = run(config([0, 1]), noisy)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    low, high = (f"{summary[key]['map_50']:.2f}" for key in ("val_low", "val_high"))
    assert re.search(rf"map_50 +{summary['val']['map_50']:.3f} \[{low}, {high}\] ", printed)


def test_a_class_without_faces_is_printed_as_undefined(workspace, capsys):
    run(config([0, 1]), workspace)
    assert re.search(r"mask_weared_incorrect +0 +- +- +- ± -", capsys.readouterr().out)


def test_a_missing_fold_is_named(workspace):
    workspace.input("build/predictions/1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions.1\.parquet: expected the table 'predictions'"):
        run(config([0, 1]), workspace)
    assert not workspace.output("reports").exists()


def test_images_of_another_fold_are_named(workspace):
    write_table(detections(1), workspace.input("build/predictions/0.parquet"), PREDICTIONS)
    with pytest.raises(ValueError, match=r"predictions of fold 0: expected .* got 'image_\d\.png', held out in 1"):
        run(config([0, 1]), workspace)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_name": "other.png"}, r"expected images held out in fold 0 only, got 'other\.png', held out in no fold"),
        ({"class_name": "hat"}, r"0\.parquet: expected a table of 'predictions', got class_name: .* got 'hat'"),
        ({"score": float("nan")}, r"0\.parquet: expected a table of 'predictions', got score: not_nullable"),
        ({"score": 1.5}, r"got score: in_range\(0, 1\), got 1\.5"),
        ({"x_max": 0.0, "x_min": 9.0}, r"expected x_min < x_max and y_min < y_max"),
    ],
)
def test_predictions_that_cannot_be_counted_are_named(workspace, changes, message):
    write_predictions(workspace, 0, detections(0).assign(**changes))
    with pytest.raises(ValueError, match=message):
        run(config([0, 1]), workspace)
    assert not workspace.output("reports").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("min_precision", 0, r"min_precision: expected a share in \(0, 1\], got 0"),
        ("bootstrap.num_replicates", 1, "num_replicates: expected 2 or more, got 1"),
        ("calibration.kind", "beta", r"kind: expected one of \['isotonic', 'logistic'\], got 'beta'"),
    ],
)
def test_settings_out_of_range_are_named(workspace, key, value, message):
    cfg = config([0, 1])
    group, _, name = key.rpartition(".")
    (cfg.evaluate[group] if group else cfg.evaluate)[name] = value
    with pytest.raises(ValueError, match=message):
        run(cfg, workspace)
    assert not workspace.output("reports").exists()


def test_a_repeated_fold_is_refused(workspace):
    with pytest.raises(ValueError, match=r"train_folds: expected one or more different folds, got \[0, 0\]"):
        run(config([0, 0]), workspace)


def test_the_files_of_the_tiny_run_are_held_out_once(workspace):
    pooled, group_of_file = pooled_tables(workspace)
    assert sorted(pooled.images["file_name"]) == FILES == sorted(group_of_file)
