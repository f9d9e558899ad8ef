"""`maskdet export`: files of every kind that agree with torch, carry what is known, and load where they should.

The graph of full precision is that of the shared release: tracing takes half a minute, and is tested by itself.
"""

import json
import re
import shutil

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from typer.testing import CliRunner

from exported_model import SCORE_THRESHOLDS, SIZE, released, scene_images
from maskdet.cli import app
from maskdet.commands.export import files as export_files
from maskdet.commands.export import inputs as export_inputs
from maskdet.commands.export.command import ExportReport, parse_names, run_export
from maskdet.commands.export.inputs import calibration_images, check_images
from maskdet.commands.export.source import open_source, precision_details
from maskdet.data.provenance import training_facts
from maskdet.inference.metadata import METADATA_KEY, ModelMetadata
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtimes.onnx import OnnxFile
from maskdet.models.export.onnx_file import save_graph
from maskdet.schema import FOLDS, PREDICTIONS, read_table, write_table
from training_world import annotations_table, folds_table, images_table, write_world


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    def copy_graph(detector, path, image_size, properties):
        assert image_size == SIZE
        save_graph(onnx.load(released().onnx_path), path, properties)

    monkeypatch.setattr(export_files, "export_onnx", copy_graph)
    monkeypatch.setattr(export_inputs, "MAX_CALIBRATION_IMAGES", 2)


@pytest.fixture
def root(tmp_path):
    """Return a project with photos, tables and the model of fold 0."""
    write_world(tmp_path)
    folder = tmp_path / "build/train/0"
    shutil.copytree(released().folder / "train", folder)
    facts = training_facts(images_table(), annotations_table(), folds_table())
    settings = json.loads((folder / "model.json").read_text()) | {"fold": 0, "data": facts}
    (folder / "model.json").write_text(json.dumps(settings))
    return tmp_path


def metadata_of(path) -> ModelMetadata:
    return ModelMetadata.from_json(OnnxFile(path).properties[METADATA_KEY])


def test_every_kind_of_file_is_written_compared_and_scored(root, capsys):
    output = root / "exports"
    report = run_export(
        root / "build/train/0",
        output,
        formats="openvino,onnx",
        precisions="int8, fp32",
        has_suppression=True,
        is_evaluated=True,
        images=[root / "build/raw/images"],
        scoring_folder=root / "scoring",
        root=root,
    )
    stem = f"tf_efficientdet_lite0-fold0-{SIZE}"
    names = [f"{stem}-{kind}" for kind in ("fp32.onnx", "fp32-nms.onnx", "int8.onnx", "int8-nms.onnx")]
    names += [f"{stem}-{kind}.xml" for kind in ("fp32", "int8")]
    assert [file.path.name for file in report.files] == names
    weights = [f"{stem}-{kind}.bin" for kind in ("fp32", "int8")]
    tables = [f"{name}.fold0.parquet" for name in names if "nms" not in name]
    assert sorted(path.name for path in output.iterdir()) == sorted([*names, *weights, *tables, "export.json"])

    full = report.agreement[names[0]]
    assert full.num_expected > 50
    assert (full.share, full.box_px < 0.01, full.score < 1e-4) == (1.0, True, True)
    assert report.agreement[names[2]].share < 1
    assert all(report.agreement[name].is_close for name in names if "nms" in name or "fp32" in name)

    record = json.loads((output / "export.json").read_text())["files"]
    assert [entry["file"] for entry in record] == names
    assert set(record[0]["held_out_metrics"]) == {"map_50", "map"}
    assert read_table(output / tables[0], PREDICTIONS)["fold"].eq(0).all()
    text = capsys.readouterr().out
    assert "compared with torch on 6 drawn scenes, 8 images" in text
    assert re.search(rf"{stem}-int8\.onnx: map_50 \d\.\d{{4}} \([+-]\d\.\d{{4}}\)", text)
    assert (root / "scoring/score.py").is_file()

    known = metadata_of(output / names[2])
    assert known.details["export"]["calibrated_on"] == "2 images of all folds but 0"
    assert (known.details["export"]["precision"], known.size) == ("int8", SIZE)
    assert known.details["data"]["num_images"] == 8
    assert re.fullmatch("[0-9a-f]{16}", known.details["data"]["fingerprint"])
    assert known.details["licence"] == "Apache-2.0"
    assert "detections (M, 7)" in metadata_of(output / names[1]).details["export"]["output"]
    image = scene_images(1)[0]
    ours, theirs = (Predictor(output / name).detect(image, 0.2) for name in (names[0], names[4]))
    np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, atol=0.01)


def test_the_model_of_a_scoring_folder_is_compared_and_other_files_stay_on_record(root, capsys):
    """Neither the files nor the report of one fold go for those of another."""
    output, scoring = root / "exports", root / "exports/scoring"
    output.mkdir()
    (output / "other.onnx").write_text("of another fold")
    earlier = [{"file": name, "format": "onnx"} for name in ("other.onnx", "gone.onnx")]
    (output / "export.json").write_text(json.dumps({"files": earlier}))
    run_export(root / "build/train/0", output, formats="openvino", scoring_folder=scoring, root=root)
    stem = f"tf_efficientdet_lite0-fold0-{SIZE}-fp32"
    assert f"{stem}.onnx: same as torch" in capsys.readouterr().out
    assert metadata_of(scoring / "model.onnx").details["export"]["precision"] == "fp32"
    record = json.loads((output / "export.json").read_text())["files"]
    assert [entry["file"] for entry in record] == ["other.onnx", f"{stem}.xml"]
    assert not (output / f"{stem}.onnx").exists()


def test_a_scoring_folder_whose_model_differs_is_not_written(tmp_path, monkeypatch):
    write_file = export_files.FileWriter.write_file

    def write_without_classes(writer, file_format, precision):
        file = write_file(writer, file_format, precision)
        if file_format == "onnx":
            distort_scores(file.path)
        return file

    monkeypatch.setattr(export_files.FileWriter, "write_file", write_without_classes)
    with pytest.raises(ValueError, match=r"fp32\.onnx: expected 99\.5% of the detections to be those of torch"):
        run_export(released().folder / "train", tmp_path, formats="openvino", scoring_folder=tmp_path / "scoring")
    assert not list(tmp_path.iterdir())


def distort_scores(path) -> None:
    """Move every score of an ONNX file."""
    model = onnx.load(path)
    entries = model.graph.initializer
    bias = next(entry for entry in entries if "class_net.predict" in entry.name and "bias" in entry.name)
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.1), bias.name))
    save_graph(model, path, {entry.key: entry.value for entry in model.metadata_props})


def test_another_size_is_on_file_beside_the_metrics():
    own, other = (open_source(released().folder / "train", size) for size in (None, 2 * SIZE))
    assert "metrics_at_size" not in precision_details(own, "onnx", "fp32").details["export"]
    assert precision_details(other, "onnx", "fp32").details["export"]["metrics_at_size"] == SIZE


def test_a_program_of_torch_carries_the_details_of_the_release(tmp_path, capsys):
    run_export(released().folder / "train", tmp_path, formats="torch_export", precisions="fp32,int8")
    assert "note: there is no torch_export in int8: left out" in capsys.readouterr().out
    extra = {METADATA_KEY: ""}
    torch.export.load(tmp_path / f"tf_efficientdet_lite0-{SIZE}-fp32.pt2", extra_files=extra)
    metadata = ModelMetadata.from_json(extra[METADATA_KEY])
    assert metadata.score_thresholds == SCORE_THRESHOLDS  # details.json lies beside the folder
    assert metadata.details["metrics"]["map_50"]["value"] == 0.5


def test_a_file_that_differs_from_torch_is_not_kept(tmp_path, monkeypatch):
    def distort(detector, path, image_size, properties):
        shutil.copy(released().onnx_path, path)
        distort_scores(path)

    monkeypatch.setattr(export_files, "export_onnx", distort)
    with pytest.raises(ValueError, match=r"fp32\.onnx: expected 99\.5% of the detections to be those of torch, got \d"):
        run_export(released().folder / "train", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": "tflite"}, "--to: expected names out of onnx, openvino, torch_export, got 'tflite'"),
        ({"precisions": ","}, "--precision: expected names out of fp32, fp16, int8, got ','"),
        ({"formats": "torch_export", "precisions": "int8"}, "expected one that a format can have, got torch_export in"),
        ({"image_size": 200}, "--size: expected a multiple of 128 pixels, got 200"),
        ({"is_evaluated": True, "precisions": "int8"}, "--evaluate: expected fp32 among the precisions"),
        ({"is_evaluated": True}, "--evaluate: expected the model of a fold, got one that has seen every image"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run_export(released().folder / "train", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inside", ["", "exports"])
def test_a_scoring_folder_that_would_hold_the_files_is_refused_before_anything_is_written(inside, tmp_path):
    scoring = tmp_path / "scoring"
    with pytest.raises(ValueError, match="--scoring-folder: expected a folder that does not hold the files, got"):
        run_export(released().folder / "train", scoring / inside, scoring_folder=scoring)
    assert not scoring.exists()


def test_a_file_of_something_else_does_not_give_way_to_the_report(tmp_path):
    (tmp_path / "export.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"export\.json: expected an earlier report, got"):
        run_export(released().folder / "train", tmp_path)
    assert (tmp_path / "export.json").read_text() == "[1]"


def test_videos_and_folds_without_images_are_refused(root):
    framing, film = open_source(root / "build/train/0").metadata.framing, root / "film.mp4"
    film.write_bytes(b"no film")
    with pytest.raises(ValueError, match=r"--calibration: expected pictures or folders of them, got the video .*film"):
        calibration_images(framing, 0, film, root)
    with pytest.raises(ValueError, match=r"--image: expected pictures or folders of them, got the video .*film"):
        check_images(framing, [root / "build/raw/images", film])
    write_table(folds_table().assign(fold=0), root / "build/folds.parquet", FOLDS)
    with pytest.raises(
        ValueError, match=r"folds\.parquet: expected images of all folds but 0 to calibrate on, got none"
    ):
        calibration_images(framing, 0, root=root)


def test_a_model_of_another_kind_and_a_missing_project_are_named(root, tmp_path):
    with pytest.raises(ValueError, match=r"reference\.onnx: expected a folder of `train` or a \.safetensors file"):
        open_source(released().onnx_path)
    with pytest.raises(FileNotFoundError, match=r"raw/images: expected what `dvc repro split` makes"):
        run_export(root / "build/train/0", tmp_path / "out", is_evaluated=True, root=tmp_path / "elsewhere")


def test_the_model_of_other_folds_is_not_scored(root):
    write_table(folds_table().assign(fold=1 - folds_table()["fold"]), root / "build/folds.parquet", FOLDS)
    with pytest.raises(ValueError, match=r"-fold0: expected a model trained on the folds of build/"):
        run_export(root / "build/train/0", root / "out", is_evaluated=True, root=root)
    assert not (root / "out").exists()


def test_names_are_taken_once_in_the_order_of_the_known():
    assert parse_names(" b,a,, b", ("a", "b", "c"), "--x") == ["a", "b"]


def test_calibration_never_sees_the_fold_that_is_scored(root, monkeypatch):
    monkeypatch.setattr(export_inputs, "MAX_CALIBRATION_IMAGES", 100)
    framing = open_source(root / "build/train/0").metadata.framing
    fold_of_file = folds_table().set_index("file_name")["fold"]
    names = [path.name for path in calibration_images(framing, 0, root=root).sources]
    assert set(fold_of_file[names]) == {1}
    assert len(calibration_images(framing, None, root=root)) == len(fold_of_file)
    named = calibration_images(framing, 0, root / "build/raw/images", root)
    assert named.description == "8 images of the folder images"
    assert named[3].shape == (1, 3, SIZE, SIZE)
    assert named[3].dtype == np.uint8


def test_without_photos_scenes_are_drawn_and_that_is_said_aloud(tmp_path, capsys):
    framing = open_source(released().folder / "train").metadata.framing
    found = calibration_images(framing, None, root=tmp_path)
    assert "NOTE: no photos at hand" in capsys.readouterr().out
    assert len(found) == 2
    assert found[0].shape == (1, 3, SIZE, SIZE)


def test_undefined_metrics_are_null():
    report = ExportReport(metrics={"a.onnx": {"map_50": float("nan")}})
    report.files = [export_files.ExportedFile(released().onnx_path.with_name("a.onnx"), "onnx", "fp32")]
    report.files[0].path.write_bytes(b"x" * 10_000)
    try:
        assert report.to_record()[0]["held_out_metrics"] == {"map_50": None}
        assert report.to_record()[0]["megabytes"] == 0.01
    finally:
        report.files[0].path.unlink()


def test_the_command_writes_files_or_says_why_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["export", str(released().folder / "train"), "--output", "out", "--nms"])
    assert ended.exit_code == 0, ended.output
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".onnx", ".json"}
    assert "NOTE" not in ended.stdout  # nothing is calibrated
    assert "largest difference" in ended.stdout
    (tmp_path / "model.onnx").write_text("no graph")
    wrong = {
        "expected a folder of `train` or a .safetensors file": ["model.onnx"],
        "absent: expected a folder of `train` or a .safetensors file, found none": ["absent"],
        "--to: expected names out of": ["--to", "tflite"],
    }
    for message, words in wrong.items():
        ended = CliRunner().invoke(app, ["export", "--output", "other", *words])
        assert (ended.exit_code, message in ended.stderr) == (2, True), ended.output
    assert not (tmp_path / "other").exists()
