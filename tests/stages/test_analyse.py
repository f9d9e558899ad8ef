"""The stage `analyse` on tiny tables: what it writes, that it writes the same again, what it refuses."""

import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf

from maskdet.evaluation.anchor_fit import AnchorSettings, anchor_fit
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, FOLDS, IMAGES, PREDICTIONS, QUALITY, read_table, write_table
from maskdet.stages.analyse import run
from maskdet.stages.anchor_advice import best_at_no_more_cost
from tiny_run import CONF, FACES, FILES, config, detections, face, report_bytes, write_predictions, write_tiny_run

STAGE = yaml.safe_load((CONF.parent / "dvc.yaml").read_text())["stages"]["analyse"]
OUTPUTS = sorted(name.removeprefix("reports/") for entry in STAGE["outs"] for name in entry)


@pytest.fixture
def workspace(tmp_path):
    return write_tiny_run(tmp_path)


def table(workspace, name):
    return pd.read_csv(workspace.output(f"reports/analysis/{name}.csv"))


def annotations(workspace):
    return read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)


def test_errors_by_hand(workspace):
    found = detections(0).assign(class_name="without_mask", score=0.8)  # each is of the class with_mask
    write_table(found, workspace.input("build/predictions/0.parquet"), PREDICTIONS)
    run(config([0, 1]), workspace)
    errors = table(workspace, "errors").set_index(["error", "class_name"])
    assert errors.loc[("classification", "without_mask"), "count"] == 3
    assert errors.loc[("background", "with_mask"), "count"] == 1  # the false alarm of fold 1
    assert errors.loc[("classification", "all"), "ap_gain"] > 0
    worst = table(workspace, "confident_errors")
    assert worst["error"].tolist() == ["background"] + 3 * ["classification"]
    assert worst["true_class"].tolist()[1:] == 3 * ["with_mask"]
    suspects = table(workspace, "label_errors")
    assert suspects["kind"].value_counts().to_dict() == {"wrong_class": 3, "missing_label": 1}
    assert suspects["decision"].isna().all()


def test_subgroups_by_hand(workspace):
    run(config([0, 1]), workspace)
    rows = table(workspace, "subgroups").set_index(["property", "subgroup"])
    assert rows.loc[("all", "all"), ["num_faces", "num_missed", "recall"]].tolist() == [5, 0, 1]
    assert {"size", "crowding", "truncation", "sharpness", "brightness"} <= set(rows.index.get_level_values(0))
    assert rows.loc["brightness", "num_faces"].sum() == 5
    assert rows.loc[("truncation", "at the border"), "num_faces"] == 5  # y_min is 0


def test_rows_are_numbered_as_in_the_table_of_annotations(workspace):
    write_table(detections(1)[:0], workspace.input("build/predictions/1.parquet"), PREDICTIONS)
    found = detections(1).assign(class_name="mask_weared_incorrect")
    write_table(found, workspace.input("build/predictions/1.parquet"), PREDICTIONS)
    run(config([1]), workspace)
    suspects = table(workspace, "label_errors").query("kind == 'wrong_class'")
    assert len(suspects) == 2
    for row in suspects.itertuples():
        assert annotations(workspace).loc[row.annotation, "file_name"] == row.file_name


def test_anchors_in_use_and_better_ones(workspace):
    cfg = config([0])
    run(cfg, workspace)
    fitted = table(workspace, "anchor_fit")
    in_use = fitted[fitted["is_in_use"]]
    assert len(in_use) == 1
    assert len(fitted["yaml"].unique()) == len(fitted)
    settings = AnchorSettings(3, 3, (1.0, 2.0, 0.5))
    images = read_table(workspace.input("build/table/images.parquet"), IMAGES)
    expected = anchor_fit(annotations(workspace), images, cfg.predict.framing.size, settings, "letterbox")
    assert in_use[["covered", "mean_best_iou"]].iloc[0].tolist() == pytest.approx(
        [expected.covered, expected.mean_best_iou], abs=1e-6
    )
    text = workspace.output("reports/analysis/anchors.yaml").read_text()
    best = best_at_no_more_cost(fitted)
    assert text.endswith(best["yaml"])
    assert set(OmegaConf.create(text).model.anchors) == {"scale", "num_scales", "aspect_ratios"}
    assert best["covered"] >= in_use["covered"].iloc[0]
    assert best["num_per_cell"] <= 9
    assert table(workspace, "anchor_sizes").groupby("anchors")["num_faces"].sum().to_dict() == {"in use": 5, "best": 5}


def test_anchors_in_use_outside_of_the_grid_are_ranked_too(workspace):
    cfg = config([0])
    cfg.model.anchors = {**cfg.model.anchors, "scale": 20, "num_scales": 2, "aspect_ratios": [7.0]}
    results = run(cfg, workspace)
    in_use = results["anchor_fit"].query("is_in_use").iloc[0]
    assert (in_use["scale"], in_use["num_per_cell"], in_use["covered"]) == (20, 2, 0)
    assert not in_use["is_efficient"]


def test_faces_of_test_images_do_not_choose_anchors(workspace):
    folds = read_table(workspace.input("build/folds.parquet"), FOLDS)
    is_test = folds["file_name"] == FILES[4]
    folds.loc[is_test, ["split_role", "fold"]] = ["test", -1]
    write_table(folds, workspace.input("build/folds.parquet"), FOLDS)
    write_predictions(workspace, 0, detections(0).query("file_name != @FILES[4]"))
    results = run(config([0]), workspace)
    assert results["anchor_sizes"].groupby("anchors")["num_faces"].sum().to_dict() == {"in use": 4, "best": 4}


def test_a_second_run_writes_the_same_bytes(workspace):
    run(config([0, 1]), workspace)
    first = report_bytes(workspace)
    assert list(first) == OUTPUTS
    run(config([0, 1]), workspace)
    assert report_bytes(workspace) == first


def test_without_any_detection_every_face_is_missed(workspace):
    for fold in (0, 1):
        write_table(detections(fold)[:0], workspace.input(f"build/predictions/{fold}.parquet"), PREDICTIONS)
    results = run(config([0, 1]), workspace)
    assert list(report_bytes(workspace)) == OUTPUTS
    assert results["subgroups"]["recall"].eq(0).all()
    assert len(results["confident_errors"]) == 0
    missed = table(workspace, "errors").query("error == 'missed' and class_name == 'all'")
    assert missed["count"].item() == 5


def test_printed_tables_fit_into_80_columns(workspace, capsys):
    run(config([0, 1]), workspace)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "likely label errors: 1 missing_label" in printed


def test_a_set_without_faces_is_refused(workspace):
    write_table(annotations(workspace)[:0], workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    quality = read_table(workspace.input("build/quality.parquet"), QUALITY)
    write_table(quality[:0], workspace.input("build/quality.parquet"), QUALITY)
    with pytest.raises(ValueError, match="expected at least one face to fit anchors to, got none"):
        run(config([0, 1]), workspace)
    assert not workspace.output("reports").exists()


def test_quality_of_other_faces_is_refused(workspace):
    moved = pd.DataFrame([*FACES[:4], face(FILES[4], "with_mask", 41)]).assign(sharpness=0.0, brightness=0.0)
    write_table(moved[list(QUALITY.columns)], workspace.input("build/quality.parquet"), QUALITY)
    assert BOX_COLUMNS[0] in moved
    with pytest.raises(ValueError, match=r"quality\.parquet: expected the 5 faces .* run the stage quality again"):
        run(config([0, 1]), workspace)


@pytest.mark.parametrize("name", ["quality.parquet", "predictions/1.parquet", "folds.parquet"])
def test_a_missing_table_is_named(workspace, name):
    workspace.input(f"build/{name}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: expected the table"):
        run(config([0, 1]), workspace)
    assert not workspace.output("reports").exists()


def test_a_framing_that_cannot_be_undone_is_refused(workspace):
    cfg = config([0])
    cfg.predict.framing._target_ = "maskdet.data.framing.RandomCrop"
    with pytest.raises(ValueError, match=r"framing: expected 'stretch' or 'letterbox', got 'randomcrop'"):
        run(cfg, workspace)
