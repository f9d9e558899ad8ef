"""The stage `evaluate` on tiny tables: what it writes, that it writes the same again, what it refuses."""

import json
import re

import pandas as pd
import pytest
from omegaconf import OmegaConf

from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, write_table
from maskdet.stages.entry import Workspace
from maskdet.stages.evaluate import run

FILES = [f"image_{i}.png" for i in range(6)]
FOLD_OF_FILE = {name: i % 2 for i, name in enumerate(FILES)}
OUTPUTS = ["metrics.json", "plots/confusion.csv", "plots/folds.csv", "plots/pr_curves.csv"]
OUTPUTS += ["plots/precision_at_recall.csv", "plots/training.csv"]


def face(file_name: str, class_name: str, x: int) -> dict:
    box = dict(zip(BOX_COLUMNS, (x, 0, x + 20, 20), strict=True))
    return {"file_name": file_name, "class_name": class_name, **box}


FACES = [face(name, CLASS_NAMES[i % 2], 10 * i) for i, name in enumerate(FILES[:5])]  # no third class, one empty image


def config(train_folds: list[int]):
    thresholds = {"score_threshold": 0.3, "iou_threshold": 0.5}
    return OmegaConf.create({"split": {"train_folds": train_folds}, "evaluate": thresholds})


def detections(fold: int) -> pd.DataFrame:
    rows = [{**row, "fold": fold, "score": 0.9 - 0.1 * i} for i, row in enumerate(FACES)]
    rows += [{**face(FILES[5], "with_mask", 50), "fold": fold, "score": 0.95}]
    rows = [row for row in rows if FOLD_OF_FILE[row["file_name"]] == fold]
    return pd.DataFrame(rows, columns=list(PREDICTIONS.columns))


@pytest.fixture
def workspace(tmp_path):
    """Return a workspace with two folds: fold 0 is found without fault, fold 1 has a false alarm at the top."""
    build = tmp_path / "build"
    num_faces = [1, 1, 1, 1, 1, 0]
    size = {"source": "test", "width": 200, "height": 100, "sha256": "0" * 64}
    write_table(
        pd.DataFrame({"file_name": FILES, "num_faces": num_faces, **size}), build / "table/images.parquet", IMAGES
    )
    write_table(pd.DataFrame(FACES).assign(is_difficult=False), build / "table/annotations.parquet", ANNOTATIONS)
    folds = pd.DataFrame({"file_name": FILES, "group": range(6), "split_role": "fold", "fold": FOLD_OF_FILE.values()})
    write_table(folds, build / "folds.parquet", FOLDS)
    for fold in (0, 1):
        write_table(detections(fold), build / f"predictions/{fold}.parquet", PREDICTIONS)
    return Workspace(tmp_path, tmp_path)


def report_bytes(workspace: Workspace) -> dict[str, bytes]:
    folder = workspace.output("reports")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_without_any_detection_everything_is_written(workspace):
    for fold in (0, 1):
        write_table(detections(fold)[:0], workspace.input(f"build/predictions/{fold}.parquet"), PREDICTIONS)
    run(config([0, 1]), workspace)
    metrics = json.loads(report_bytes(workspace)["metrics.json"])["val"]
    assert (metrics["map"], metrics["recall"], metrics["precision"], metrics["num_detections"]) == (0, 0, None, 0)


def test_numbers_by_hand(workspace):
    run(config([0, 1]), workspace)
    metrics = json.loads(workspace.output("reports/metrics.json").read_text())
    assert sorted(metrics) == ["fold", "fold_mean", "fold_sd", "val"]
    assert metrics["val"]["ap_50"] == {"with_mask": 0.75, "without_mask": 1, "mask_weared_incorrect": None}
    assert (metrics["val"]["precision"], metrics["val"]["recall"]) == (round(5 / 6, 6), 1)
    assert (metrics["val"]["num_images"], metrics["val"]["num_faces"], metrics["val"]["num_detections"]) == (6, 5, 6)
    assert metrics["fold"]["0"]["ap"] == {"with_mask": 1, "without_mask": None, "mask_weared_incorrect": None}


def test_plots_by_hand(workspace):
    run(config([0, 1]), workspace)
    plots = {name: pd.read_csv(workspace.output(f"reports/plots/{name}.csv")) for name in ("confusion", "folds")}
    assert plots["confusion"].value_counts().to_dict() == {
        ("with_mask", "with_mask"): 3,
        ("without_mask", "without_mask"): 2,
        ("background", "with_mask"): 1,
    }
    assert plots["folds"]["fold"].tolist() == [0, 1]
    assert {"map", "map_50", "map_75", "ap_50/with_mask"} <= set(plots["folds"])
    curves = pd.read_csv(workspace.output("reports/plots/pr_curves.csv"))
    assert list(curves) == ["class_name", "recall", "precision", "score"]
    assert set(curves["class_name"]) == {"with_mask", "without_mask"}


def test_a_second_run_writes_the_same_bytes(workspace):
    run(config([0, 1]), workspace)
    first = report_bytes(workspace)
    assert list(first) == OUTPUTS
    run(config([0, 1]), workspace)
    assert report_bytes(workspace) == first


def test_one_fold_has_null_for_spread(workspace):
    run(config([0]), workspace)
    metrics = json.loads(workspace.output("reports/metrics.json").read_text())
    assert metrics["fold_sd"]["map"] is None
    assert list(metrics["fold"]) == ["0"]


def test_printed_tables_fit_into_80_columns(workspace, capsys):
    summary = run(config([0, 1]), workspace)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(rf"map_50 +{summary['val']['map_50']:.3f} ", printed)
    assert re.search(r"mask_weared_incorrect +0 ", printed)


def test_a_missing_fold_is_named(workspace):
    workspace.input("build/predictions/1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions.1\.parquet: expected the table 'predictions'"):
        run(config([0, 1]), workspace)
    assert not workspace.output("reports").exists()


def test_images_of_another_fold_are_named(workspace):
    write_table(detections(1), workspace.input("build/predictions/0.parquet"), PREDICTIONS)
    with pytest.raises(ValueError, match=r"predictions of fold 0: expected .* got 'image_\d\.png', held out in 1"):
        run(config([0, 1]), workspace)
