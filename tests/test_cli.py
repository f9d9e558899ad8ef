"""The command `maskdet`: its exit codes, its messages, and what it does not import."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from typer.testing import CliRunner

from exported_model import released
from maskdet.cli import app
from maskdet.schema import PREDICTIONS, write_table
from raw_archive import noise_png
from training_world import CONF, annotations_table, folds_table, shrunk_config, write_params, write_world

ENVIRONMENT = os.environ | {"PYTHONPATH": str(CONF.parent / "src"), "OMP_NUM_THREADS": "1"}


def run_cli(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two images, one of them in a folder of its own."""
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/one.png").write_bytes(noise_png(0))
    (tmp_path / "in/deep/one.png").write_bytes(noise_png(1))
    return tmp_path / "in"


@pytest.fixture
def model():
    return released().onnx_path


def test_a_folder_becomes_tables_and_pictures(folder, model, tmp_path):
    out = tmp_path / "out"
    ended = run_cli(
        "predict", folder, "--model", model, "--output", out, "--format", "coco,csv", "--score-threshold", 0.05
    )
    assert ended.exit_code == 0, ended.output
    table, coco = pd.read_csv(out / "predictions.csv"), json.loads((out / "predictions.coco.json").read_text())
    assert len(table) == len(coco["annotations"]) > 0
    assert set(table["file_name"]) == {"one.png", "deep/one.png"} == {image["file_name"] for image in coco["images"]}
    assert table["score"].min() >= 0.05
    assert (out / "pictures/one.png").is_file()
    assert (out / "pictures/deep/one.png").is_file()
    assert ended.stdout.startswith("images: 2 in ")
    assert f"faces:  {len(table)} (with_mask {(table['class_name'] == 'with_mask').sum()}, " in ended.stdout
    assert f"wrote   {out / 'predictions.coco.json'}" in ended.stdout


def test_the_thresholds_of_the_model_are_the_default(folder, model, tmp_path):
    for name, words in (("own", []), ("low", ["--score-threshold", 0.05])):
        ended = run_cli("predict", folder, "--model", model, "--output", tmp_path / name, "--no-pictures", *words)
        assert ended.exit_code == 0, ended.output
        assert [path.name for path in (tmp_path / name).iterdir()] == ["predictions.csv"]
    own, low = (pd.read_csv(tmp_path / name / "predictions.csv") for name in ("own", "low"))
    assert len(own) < len(low)
    assert own["score"].min() >= 0.25  # the lowest of the classes' thresholds


def test_a_bad_image_is_reported_and_the_others_are_done(folder, model, tmp_path):
    (folder / "broken.png").write_bytes(b"no image")
    ended = run_cli("predict", folder, "--model", model, "--output", tmp_path / "out", "--no-pictures")
    assert ended.exit_code == 1
    assert ended.stdout.startswith("images: 2 in ")
    assert "failed: 1" in ended.stderr
    assert f"{folder / 'broken.png'}: expected an image, got 8 bytes that no decoder reads" in ended.stderr


def test_a_single_file_that_is_no_image_is_a_failure(tmp_path, model):
    (tmp_path / "notes.txt").write_text("hello")
    ended = run_cli("predict", tmp_path / "notes.txt", "--model", model, "--output", tmp_path / "out")
    assert ended.exit_code == 2  # nothing was done
    assert "notes.txt: expected an image" in ended.stderr
    assert "none was read" in ended.stdout


def test_thresholds_by_class_and_a_summary_for_machines(folder, model, tmp_path):
    (folder / "broken.png").write_bytes(b"no image")
    words = ["predict", folder, "--model", model, "--output", tmp_path / "out", "--no-pictures", "--json"]
    ended = run_cli(*words, "--score-threshold", "with_mask=0.6", "--score-threshold", "without_mask=0.7")
    assert ended.exit_code == 1
    record = json.loads(ended.stdout)
    assert record["model"]["score_thresholds"] == {
        "with_mask": 0.6,
        "without_mask": 0.7,
        "mask_weared_incorrect": 0.25,
    }
    assert (record["images"]["num_images"], list(record["failures"])) == (2, ["broken.png"])
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    assert (table["score"] >= table["class_name"].map(record["model"]["score_thresholds"])).all()
    assert record["images"]["num_faces"] == {
        name: int((table["class_name"] == name).sum()) for name in record["model"]["class_names"]
    }
    assert 0 < len(table) < len(_found_by_default(folder, model, tmp_path))
    assert "failed: 1" in ended.stderr


def _found_by_default(folder, model, tmp_path) -> pd.DataFrame:
    run_cli("predict", folder, "--model", model, "--output", tmp_path / "default", "--no-pictures")
    return pd.read_csv(tmp_path / "default/predictions.csv")


def test_a_pattern_and_other_formats(folder, model, tmp_path):
    out = tmp_path / "out"
    words = ["--format", "parquet,yolo,voc", "--no-pictures", "--no-exif", "--no-resume", "--threads", 1]
    ended = run_cli("predict", f"{folder}/**/*.png", "--model", model, "--output", out, *words)
    assert ended.exit_code == 0, ended.output
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()) == [
        "predictions.parquet",
        "voc/.maskdet",
        "voc/annotations/deep/one.xml",
        "voc/annotations/one.xml",
        "yolo/.maskdet",
        "yolo/data.yaml",
        "yolo/labels/deep/one.txt",
        "yolo/labels/one.txt",
    ]


REFUSED = {
    "missing source": (["nowhere"], "error: nowhere: expected a picture, a folder or a video, found none"),
    "no match": (["in/*.gif"], "error: in/*.gif: expected files that match, found none"),
    "empty folder": (["empty"], "error: empty: expected a folder with pictures (.png, .jpg, "),
    "missing model": (["in", "--model", "no.onnx"], "error: no.onnx: expected a model file (.onnx), found none"),
    "wrong model": (["in", "--model", "in/one.png"], "error: in/one.png: expected a model file (.onnx, .xml, "),
    "no ONNX": (["in", "--model", "text.onnx"], "error: text.onnx: expected an ONNX file, got "),
    "unfit runtime": (["in", "--runtime", "torch"], "expected a runtime that runs it (onnx, openvino), got 'torch'"),
    "no calibrator": (["in", "--calibrated"], "error: calibrated: expected a model with a calibrator in its metadata"),
    "unknown format": (["in", "--format", "xml"], "error: expected formats out of csv, parquet, coco, yolo, voc, got"),
    "output is a file": (["in", "--output", "in/one.png"], "error: "),
    "no source": ([], "Missing argument"),
    "threshold beyond 1": (["in", "--score-threshold", 2], "Invalid value for '--score-threshold'"),
    "threshold no number": (["in", "--score-threshold", "mask=high"], "expected a number in [0, 1] or CLASS=number"),
    "two thresholds": (["in", "--score-threshold", "mask=1", "--score-threshold", 0], "or some by class, got both"),
    "threshold of no class": (["in", "--score-threshold", "mask=1"], "expected classes out of with_mask, "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_begin_says_why_and_exits_with_2(case, folder, model, tmp_path, monkeypatch):
    words, message = REFUSED[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.onnx").write_text("no graph")
    monkeypatch.chdir(tmp_path)
    default = [] if "--model" in words else ["--model", model]
    ended = run_cli("predict", *words, *default)
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "in", "text.onnx"]


def loaded_modules(code: str, *words: object) -> set[str]:
    """Run code in a fresh interpreter with words as its arguments; return the top modules that it loaded."""
    program = f"import sys\n{code}\nprint('loaded', *{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split()[1:])


RUN = """
import maskdet.cli
try:
    maskdet.cli.main()
except SystemExit as ended:
    assert not ended.code, ended.code
"""


def test_help_loads_nothing_heavy():
    heavy = {"torch", "onnxruntime", "pandas", "cv2", "numpy", "PIL", "matplotlib"}
    assert not heavy & loaded_modules(RUN, "predict", "--help")


def test_prediction_loads_neither_torch_nor_pandas(folder, model, tmp_path):
    loaded = loaded_modules(RUN, "predict", folder, "--model", model, "--output", tmp_path / "out")
    assert "onnxruntime" in loaded
    heavy = {"torch", "torchvision", "effdet", "pytorch_lightning", "matplotlib", "pandas", "supervision", "openvino"}
    assert not heavy & loaded
    assert not {"av", "trackers"} & loaded  # videos alone


def test_control_c_leaves_whole_files_and_exits_with_130(folder, model, tmp_path):
    for index in range(2000):
        shutil.copy(folder / "one.png", folder / f"{index:04}.png")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "maskdet.cli", "predict", folder, "--model", model, "--output", out]
    with subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("pictures/*.png"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "interrupted: the results are those until then; the same command goes on from there" in stderr
    assert "Traceback" not in stderr
    done = len(list(out.glob("pictures/*.png")))
    assert 3 <= done < 2000
    assert stdout.startswith(f"images: {done} in ")
    assert (out / "predictions.csv").is_file()
    assert not list(out.rglob("*.partial"))


def test_a_killed_run_goes_on_and_ends_like_one_never_stopped(folder, model, tmp_path):
    for index in range(30):
        (folder / f"{index:04}.png").write_bytes(noise_png(index))
    words = ["predict", str(folder), "--model", str(model), "--format", "csv,coco", "--output"]
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-m", "maskdet.cli", *words, str(out)], env=ENVIRONMENT) as process:
        deadline = time.monotonic() + 60
        while len(list(out.glob("pictures/*.png"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    num_done = len(list(out.glob("pictures/**/*.png")))
    assert 3 <= num_done < 32
    resumed, whole = run_cli(*words, out), run_cli(*words, tmp_path / "whole")
    assert (resumed.exit_code, whole.exit_code) == (0, 0)
    assert " more were done by an earlier run" in resumed.stdout
    contents = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (out, tmp_path / "whole")
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 34


def test_compare_tells_the_difference_of_two_folders(tmp_path):
    runs = []
    for name, shift in (("one", 0), ("two", 6)):
        root = tmp_path / name
        write_world(root)
        write_params(shrunk_config(), root)
        faces = annotations_table()
        detections = faces.drop(columns="is_difficult").assign(score=0.9, fold=0)
        detections[["x_min", "x_max"]] += shift
        for fold in (0, 1):
            held_out = folds_table().query("fold == @fold")["file_name"]
            table = detections[detections["file_name"].isin(held_out)].assign(fold=fold)
            write_table(table[list(PREDICTIONS.columns)], root / f"build/predictions/{fold}.parquet", PREDICTIONS)
        runs.append(str(root))
    result = run_cli("compare", *runs, "--output", tmp_path / "out", "--replicates", 100)
    assert result.exit_code == 0, result.output
    assert "map_50" in result.output
    assert (tmp_path / "out/comparison.html").is_file()
    assert (tmp_path / "out/comparison.csv").is_file()


def test_compare_of_an_unknown_run_exits_with_2(tmp_path):
    result = run_cli("compare", "no-such-run", tmp_path)
    assert result.exit_code == 2
    assert "no-such-run" in result.output
