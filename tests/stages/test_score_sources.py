"""The stage `score_sources`: one split or the parts of a study, two classes of the three, what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.pooling import pool_folds
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, write_table
from maskdet.stages import evaluate
from maskdet.stages.entry import Study, Workspace
from maskdet.stages.score_sources import run
from tiny_run import config as tiny_config
from tiny_run import face

FILES = [f"{source}__{i:02d}.png" for source in ("drawn", "web") for i in range(12)]


def config(splits=None, train_folds=(0, 1)):
    cfg = tiny_config(list(train_folds))
    cfg.split.strategy = "stratified_group_kfold"
    cfg.score_sources = {"splits": splits}
    return cfg


def write_split(workspace, folder: str, fold_of_file: dict[str, int], faces: pd.DataFrame) -> None:
    """Write folds and detections: those of `web` lie off, half of them beyond use."""
    folds = pd.DataFrame({"file_name": FILES, "group": range(len(FILES)), "split_role": "fold"})
    write_table(folds.assign(fold=fold_of_file.values()), workspace.input(f"{folder}/folds.parquet"), FOLDS)
    found = faces.drop(columns="is_difficult").assign(fold=faces["file_name"].map(fold_of_file))
    found["score"] = np.linspace(0.9, 0.3, len(found))
    off = np.where(found["file_name"].str.startswith("web"), 3.0 + 17.0 * (np.arange(len(found)) % 2), 0.0)
    found[["x_min", "x_max"]] = found[["x_min", "x_max"]].add(off, axis=0)
    for fold in (0, 1):
        path = workspace.input(f"{folder}/predictions/{fold}.parquet")
        write_table(found[found["fold"] == fold], path, PREDICTIONS)


@pytest.fixture
def workspace(tmp_path):
    """A composite of two sources and two classes, split once in `build/`, and twice more in the parts of a study."""
    place = Workspace(tmp_path, tmp_path)
    rows = [face(name, ("with_mask", "without_mask")[i % 2], 20 * i) for i, name in enumerate(FILES)]
    faces = pd.DataFrame(rows).assign(is_difficult=False)
    source = [name.partition("__")[0] for name in FILES]
    size = {"width": 600, "height": 100, "num_faces": 1, "sha256": "0" * 64}
    images = pd.DataFrame({"file_name": FILES, "source": source, **size})
    for top in (place, Workspace(tmp_path, tmp_path, Study("mixed"))):
        write_table(images[list(IMAGES.columns)], top.input("build/table/images.parquet"), IMAGES)
        write_table(faces, top.input("build/table/annotations.parquet"), ANNOTATIONS)
    alternating, by_source = (
        {name: i % 2 for i, name in enumerate(FILES)},
        {name: int(i > 11) for i, name in enumerate(FILES)},
    )
    write_split(place, "build", alternating, faces)
    write_split(place, "build/mixed/by_group", alternating, faces)
    write_split(place, "build/mixed/by_source", by_source, faces)
    return place


def test_one_split(workspace, capsys):
    summary = run(config(), workspace)
    assert json.loads(workspace.output("reports/sources.json").read_text()).keys() == summary.keys()
    split = summary["splits"]["stratified_group_kfold"]
    assert split["train_folds"] == [0, 1]
    drawn, web, together = (split["sources"][name] for name in ("drawn", "web", "all"))
    assert (drawn["num_images"], web["num_images"], together["num_images"]) == (12, 12, 24)
    assert drawn["map"]["value"] == drawn["precision"]["value"] == 1
    assert web["recall"]["value"] == pytest.approx(0.5, abs=0.1)
    assert web["map"]["value"] < web["map_50"]["value"] < 1
    assert together["ap_50"]["with_mask"]["num_faces"] == 12
    assert np.isnan(together["ap_50"]["mask_weared_incorrect"]["value"])  # a class that the set does not have
    printed = capsys.readouterr().out
    assert "incorrect" not in printed
    assert "mAP50 0.94" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_parts_of_a_study_stand_side_by_side(workspace):
    study = Workspace(workspace.root, workspace.root, Study("mixed", None, ("build/table",)))
    summary = run(config({"by_group": [0], "by_source": [0, 1]}), study)
    written = workspace.root / "reports/mixed/sources.json"
    assert json.loads(written.read_text())["splits"].keys() == {"by_group", "by_source"}
    by_group, by_source = (summary["splits"][name]["sources"] for name in ("by_group", "by_source"))
    assert (by_group["all"]["num_images"], by_source["all"]["num_images"]) == (12, 24)
    rows = pd.read_csv(workspace.root / "reports/mixed/sources.csv").set_index(["split", "source", "metric"])
    assert rows.loc[("by_source", "web", "map_50"), "value"] == pytest.approx(by_source["web"]["map_50"]["value"])
    assert rows.loc[("by_group", "all", "map"), "num_images"] == 12
    before = written.read_bytes()
    run(config({"by_group": [0], "by_source": [0, 1]}), study)
    assert written.read_bytes() == before


def test_a_missing_fold_is_named(workspace):
    workspace.input("build/predictions/1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions/1\.parquet: expected the table 'predictions'"):
        run(config(), workspace)
    run(config(train_folds=[0]), workspace)


def test_the_main_road_evaluates_two_classes(workspace):
    """What the third class would say is null in every file, never 0, and in no mean."""
    summary = evaluate.run(config(), workspace)
    values = summary["val"]
    assert np.isnan(values["ap"]["mask_weared_incorrect"])
    known = [values["ap"][name] for name in ("with_mask", "without_mask")]
    assert values["map"] == pytest.approx(np.mean(known))
    assert summary["val_low"]["map"] <= values["map"] <= summary["val_high"]["map"]
    written = json.loads(workspace.output("reports/metrics.json").read_text())
    assert written["val"]["ap"]["mask_weared_incorrect"] is None
    thresholds = json.loads(workspace.output("reports/thresholds.json").read_text())
    assert thresholds["mask_weared_incorrect"]["best_f1"]["score_threshold"] is None


def test_images_in_no_fold_count_nowhere(workspace):
    cfg = config()
    folds = pd.read_parquet(workspace.input("build/folds.parquet"))
    left_out = FILES[3]
    folds.loc[folds["file_name"] == left_out, ["split_role", "fold"]] = ["test", -1]
    write_table(folds, workspace.input("build/folds.parquet"), FOLDS)
    found = {k: pd.read_parquet(workspace.input(f"build/predictions/{k}.parquet")) for k in (0, 1)}
    with pytest.raises(ValueError, match=rf"images held out in fold 1 only, got '{left_out}'"):
        run(cfg, workspace)
    kept = found[1][found[1]["file_name"] != left_out]
    write_table(kept, workspace.input("build/predictions/1.parquet"), PREDICTIONS)
    summary = run(cfg, workspace)
    assert summary["splits"]["stratified_group_kfold"]["sources"]["drawn"]["num_images"] == 11
    images = pd.read_parquet(workspace.input("build/table/images.parquet"))
    annotations = pd.read_parquet(workspace.input("build/table/annotations.parquet"))
    pooled = pool_folds(images, annotations, folds, {0: found[0], 1: kept}, [0, 1])
    assert left_out not in set(pooled.annotations["file_name"])
