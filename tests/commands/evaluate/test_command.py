"""`maskdet evaluate`: labelled and unlabelled sets, what is left out, what is refused, exit codes, stops."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pandas as pd
import pytest
from typer.testing import CliRunner

from chromium import open_page, started_chromium
from damaged_set import encoded, oriented_jpeg, scene
from exported_model import released
from maskdet.cli import app
from maskdet.commands.evaluate.classes import ClassPlan, best_on_each_face
from maskdet.evaluation.coco import coco_metrics
from maskdet.inference.journal import JOURNAL_FILE
from maskdet.inference.predictor import Predictor
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, IMAGES, PREDICTIONS, read_table
from raw_archive import noise_png, voc_xml, write_folder, write_zip
from training_world import CONF

ENVIRONMENT = os.environ | {"PYTHONPATH": str(CONF.parent / "src"), "OMP_NUM_THREADS": "1"}
NUM_IMAGES = 5
WORDS = ["--class", "mask=with_mask", "--class", "bare=without_mask"]


def run_cli(*words: object, model: Path | None = None):
    path = released().onnx_path if model is None else model
    return CliRunner().invoke(app, ["evaluate", *map(str, words), "--model", str(path), "--threads", "1"])


def labels_of(name: str, image) -> list[str]:
    """Return rows of a CSV table: what the model itself finds best of two classes, under foreign names."""
    found = Predictor(released().onnx_path, score_threshold=0.001, num_threads=1).detect(image)
    rows = []
    for index, class_name in enumerate(("mask", "bare")):
        best = found[found.class_indices == index]
        rows.append(f"{name},{class_name}," + ",".join(str(value) for value in best.boxes_xyxy[0]))
    return rows


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    """Return a set of drawn pictures of two classes, and one without a face, whose labels the model agrees with."""
    images = {f"images/{i}.png": scene(i) for i in range(NUM_IMAGES)}
    rows = [row for name, image in images.items() for row in labels_of(name, image)]
    header = "file_name,class_name,x_min,y_min,x_max,y_max"
    files = {name: encoded(image) for name, image in images.items()} | {"images/empty.png": noise_png(0)}
    return files | {"labels.csv": "\n".join([header, *rows, "images/empty.png,,,,,"]).encode()}


@pytest.fixture(scope="module")
def run(members, tmp_path_factory):
    """Evaluate the set once; return (folder of the results, result)."""
    root = tmp_path_factory.mktemp("labelled")
    source = write_folder(root / "web", members)
    return root / "out", run_cli(source, "--output", root / "out", *WORDS)


def counted(out: Path) -> pd.DataFrame:
    predictions = read_table(out / "predictions.parquet", PREDICTIONS)
    return predictions[predictions["class_name"] != CLASS_NAMES[2]]


def test_the_figures_are_those_of_the_tables_beside_them(run):
    out, ended = run
    assert ended.exit_code == 0, ended.output
    images, annotations = (
        read_table(out / f"{name}.parquet", schema)
        for name, schema in (("images", IMAGES), ("annotations", ANNOTATIONS))
    )
    assert len(images) == NUM_IMAGES + 1
    assert annotations["class_name"].value_counts().to_dict() == {"with_mask": 5, "without_mask": 5}
    metrics = json.loads((out / "metrics.json").read_text())
    expected = coco_metrics(images, annotations, counted(out))
    for key in ("map", "map_50", "map_75", "ar_100"):
        assert metrics["test"][key] == pytest.approx(expected[key], abs=1e-6)
        assert metrics["test_low"][key] <= metrics["test"][key] <= metrics["test_high"][key]
    assert metrics["test"]["ap_50"]["mask_weared_incorrect"] is None
    assert metrics["test"]["num_detections"] == len(counted(out))
    assert metrics["intervals"]["num_groups"] == NUM_IMAGES + 1
    assert metrics["classes"]["class_map"] == {"mask": "with_mask", "bare": "without_mask"}
    assert metrics["known"] == {"num_trained_on": 0, "are_counted": False, "files": {}, "files_not_trained_on": {}}


def test_what_is_printed(run):
    out, ended = run
    assert ended.stdout.startswith("set      web: 6 images predicted, 6 counted with 10 labels\n")
    assert "note     The set has no label mask_weared_incorrect: " in ended.stdout
    assert re.search(r"map_50 +0\.\d{3} \[", ended.stdout)
    assert f"wrote    {out / 'evaluation.html'}" in ended.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "annotations.parquet",
        "evaluation.html",
        "images.parquet",
        "metrics.json",
        "predictions.parquet",
    ]


def test_an_archive_gives_the_figures_of_the_folder(run, members, tmp_path):
    ended = run_cli(write_zip(tmp_path / "web.zip", members), "--output", tmp_path / "out", *WORDS)
    assert ended.exit_code == 0, ended.output
    figures = [json.loads((folder / "metrics.json").read_text()) for folder in (run[0], tmp_path / "out")]
    assert figures[0]["test"] == figures[1]["test"]
    assert figures[1]["set"]["name"] == "web.zip"


def test_a_merged_class_is_counted_as_another(run, members, tmp_path):
    source = write_folder(tmp_path / "web", members)
    ended = run_cli(source, "--output", tmp_path / "out", *WORDS, "--merge", "mask_weared_incorrect=without_mask")
    assert ended.exit_code == 0, ended.output
    assert "Detections of mask_weared_incorrect count as without_mask (--merge)" in ended.stdout
    plain, merged = (json.loads((folder / "metrics.json").read_text()) for folder in (run[0], tmp_path / "out"))
    assert merged["test"]["ap"]["with_mask"] == plain["test"]["ap"]["with_mask"]
    tables = [read_table(folder / "predictions.parquet", PREDICTIONS) for folder in (run[0], tmp_path / "out")]
    assert tables[0].equals(tables[1])  # as the model found them
    plan = ClassPlan({}, CLASS_NAMES[:2], {"mask_weared_incorrect": "without_mask"}, ())
    assert merged["test"]["num_detections"] == len(plan.count(tables[1]))


def test_images_alone_get_counts_and_pictures(members, tmp_path):
    source = write_folder(tmp_path / "photos", {k: v for k, v in members.items() if k.endswith(".png")})
    (source / "broken.png").write_bytes(b"no image")
    ended = run_cli(source, "--output", tmp_path / "out")
    assert ended.exit_code == 1
    assert "failed: 1\n  broken.png: expected an image" in ended.stderr
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert "test" not in metrics
    predictions = read_table(tmp_path / "out/predictions.parquet", PREDICTIONS)
    shown = predictions[predictions["score"] >= predictions["class_name"].map(metrics["score_threshold"])]
    shown = best_on_each_face(shown)
    assert metrics["num_shown"] == {name: int((shown["class_name"] == name).sum()) for name in CLASS_NAMES}
    assert f"faces    {len(shown)} (with_mask " in ended.stdout
    page = (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")
    assert "mAP" not in page
    assert "Least confident" in page
    assert not (tmp_path / "out/annotations.parquet").exists()


def test_copies_of_training_images_are_counted_in_no_figure(members, tmp_path):
    source = write_folder(tmp_path / "web", members)
    seen = write_folder(tmp_path / "seen", {"a.png": members["images/0.png"], "b.png": encoded(scene(1)[:, ::-1])})
    ended = run_cli(source, "--output", tmp_path / "out", *WORDS, "--against", seen)
    assert ended.exit_code == 0, ended.output
    assert (
        "Images that were in the model's training, or may have been: 2. They are predicted, and counted" in ended.stdout
    )
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert list(metrics["known"]["files"]) == ["images/0.png", "images/1.png"]
    assert metrics["test"]["num_images"] == NUM_IMAGES - 1
    assert set(read_table(tmp_path / "out/predictions.parquet", PREDICTIONS)["file_name"]) >= {"images/0.png"}
    kept = run_cli(source, "--output", tmp_path / "kept", *WORDS, "--against", seen, "--keep-known")
    assert (
        "NOT OUT OF SAMPLE (--keep-known). Images that were in the model's training, or may have been: 2 of 6"
        in kept.stdout
    )
    assert "NOT OUT OF SAMPLE" in (tmp_path / "kept/evaluation.html").read_text(encoding="utf-8")
    only = run_cli(source, "--output", tmp_path / "only", *WORDS, "--against", source)
    assert only.exit_code == 2
    assert "expected images that the model was not trained on, got 6 that it was" in only.stderr
    assert not (tmp_path / "only").exists()


def test_sets_of_one_name_are_both_looked_through(members, tmp_path):
    source = write_folder(tmp_path / "web", members)
    seen = [write_folder(tmp_path / place / "images", {"x.png": encoded(scene(i))}) for i, place in enumerate("ab")]
    (seen[0] / "bad.png").write_bytes(b"no image")
    (seen[1] / "link.png").symlink_to(source / "images/2.png")
    ended = run_cli(source, "--output", tmp_path / "out", *WORDS, "--against", seen[0], "--against", seen[1])
    assert ended.exit_code == 0, ended.output
    metrics = json.loads((tmp_path / "out/metrics.json").read_text())
    assert list(metrics["known"]["files"]) == ["images/0.png", "images/1.png"]
    assert metrics["test"]["num_images"] == NUM_IMAGES - 1
    assert "are links or no readable pictures, so that copies of them are counted: 2." in ended.stdout


def test_crowds_and_thin_ground_are_told_everywhere(tmp_path):
    faces = [{"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 30, 30]} for i in range(2)]
    crowd = {"id": 2, "image_id": 0, "category_id": 1, "bbox": [0, 0, 100, 100], "iscrowd": 1}
    labels = {
        "images": [{"id": i, "file_name": f"{i}.png"} for i in range(2)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(CLASS_NAMES, start=1)],
        "annotations": [*faces, crowd],
    }
    files = {f"{i}.png": encoded(scene(i)) for i in range(2)} | {"a.json": json.dumps(labels).encode()}
    out = tmp_path / "out"
    ended = run_cli(write_folder(tmp_path / "web", files), "--output", out)
    assert ended.exit_code == 0, ended.output
    metrics = json.loads((out / "metrics.json").read_text())
    page = (out / "evaluation.html").read_text(encoding="utf-8")
    for words in (
        "Boxes that are marked difficult, or as a crowd: 1. Here they count as any face",
        "Only 2 groups of look-alike images",
        "No faces of the class without_mask",
        "Only 3 faces of the class with_mask",
    ):
        assert f"note     {words}" in ended.stdout
        assert any(note.startswith(words) for note in metrics["notes"])
        assert words in page
    assert metrics["labels"]["num_difficult"] == 1


def test_what_fails_after_the_prediction_is_gone_on_with_and_leaves_no_mixture(members, tmp_path, monkeypatch):
    source, out = write_folder(tmp_path / "web", members), tmp_path / "out"
    (out / "metrics.json").mkdir(parents=True)  # cannot be replaced
    words = [source, "--output", out, *WORDS]
    assert run_cli(*words).exit_code == 2
    assert _num_done(out) == NUM_IMAGES + 1
    assert not (out / "predictions.parquet").exists()
    (out / "metrics.json").rmdir()
    ended = run_cli(*words)
    assert ended.exit_code == 0, ended.output
    assert not (out / JOURNAL_FILE).exists()
    photos = write_folder(tmp_path / "photos", {"a.png": members["images/0.png"]})
    monkeypatch.chdir(photos)
    ended = run_cli(".", "--output", out)
    assert ended.exit_code == 0, ended.output
    assert json.loads((out / "metrics.json").read_text())["set"]["name"] == "photos"
    assert sorted(path.name for path in out.iterdir()) == ["evaluation.html", "metrics.json", "predictions.parquet"]


def test_bad_pictures_and_turned_labels_are_left_out(members, tmp_path):
    wide, turned = scene(20), voc_xml(("mask", 10, 20, 50, 150), width=120, height=160)
    files = {f"images/{i}.png": encoded(scene(i)) for i in range(3)}
    files |= {f"annotations/{i}.xml": voc_xml(("mask", 10, 10, 60, 60), width=160, height=120) for i in range(4)}
    files |= {"images/3.png": b"no image", "images/t.jpg": oriented_jpeg(wide, 6), "annotations/t.xml": turned}
    source = write_folder(tmp_path / "web", files)
    ended = run_cli(source, "--output", tmp_path / "out", "--class", "mask=with_mask")
    assert ended.exit_code == 1, ended.output
    assert "failed: 2" in ended.stderr
    assert "images/3.png: expected an image" in ended.stderr
    assert "images/t.jpg: expected labels of the picture as it is stored" in ended.stderr
    assert json.loads((tmp_path / "out/metrics.json").read_text())["test"]["num_images"] == 3


def test_an_image_of_a_dropped_class_and_one_without_labels_are_told(tmp_path):
    labels = {0: ("mask",), 1: ("mask", "hat"), 2: ("mask",)}
    files = {f"images/{i}.png": encoded(scene(i)) for i in range(4)}
    for i, names in labels.items():
        faces = [(name, 10 + 60 * k, 10, 60 + 60 * k, 60) for k, name in enumerate(names)]
        files[f"annotations/{i}.xml"] = voc_xml(*faces, width=160, height=120)
    source = write_folder(tmp_path / "web", files)
    ended = run_cli(source, "--output", tmp_path / "out", "--class", "mask=with_mask", "--drop", "hat")
    assert ended.exit_code == 0, ended.output
    assert "4 images predicted, 2 counted with 2 labels" in ended.stdout
    assert "note     Images without labels, predicted and counted in no figure: 1." in ended.stdout
    assert "note     Images left out, as they show a dropped class (--drop): 1." in ended.stdout


def test_of_a_resized_export_the_page_says_of_which_size_the_stated_figures_are(members, tmp_path):
    network = onnx.load(released().onnx_path)
    stated = {"metrics": {"ap_50/with_mask": {"value": 0.4567}}, "export": {"metrics_at_size": 96}}
    network.metadata_props[0].value = json.dumps(json.loads(network.metadata_props[0].value) | stated)
    onnx.save(network, tmp_path / "resized.onnx")
    source = write_folder(tmp_path / "web", members)
    ended = run_cli(source, "--output", tmp_path / "out", *WORDS, model=tmp_path / "resized.onnx")
    assert ended.exit_code == 0, ended.output
    page = (tmp_path / "out/evaluation.html").read_text(encoding="utf-8")
    assert "AP50, stated by the model for 96 px" in page
    assert "0.457" in page


REFUSED = {
    "a class without a target": (["web", "--class", "mask=with_mask"], "got none for 'bare'; the set holds"),
    "an output inside the set": (["web", *WORDS, "--output", "web/out"], "--output: expected a folder outside the set"),
    "no set": (["nothing", *WORDS], "nothing: expected a folder or a zip archive, found nothing"),
    "a link to nothing": (["gone", *WORDS], "gone: expected a folder or a zip archive, found a link to nothing"),
    "a web address": (
        ["https://host/a.zip", *WORDS],
        "https:/host/a.zip: expected a folder or a zip archive, got a",
    ),
    "another format": (["web", *WORDS, "--from", "coco"], "expected a set in the format coco"),
    "classes of images alone": (["web", *WORDS, "--from", "images"], "expected a labelled set for --class"),
    "labels of turned pictures": (
        ["turned", "--class", "mask=with_mask"],
        "with labels, got none\n  images/t.jpg: expected labels of the picture as it is stored",
    ),
    "pictures that cannot be read": (
        ["unread"],
        "unread: expected images that can be read, got none\n  a.png: expected an image",
    ),
    "an archive too large": (["big.zip", "--max-unpacked-mb", "1"], "big.zip: expected at most 1.0 MB unpacked"),
    "errors in labels": (["broken", *WORDS], "expected labels without errors, got 1 label-number"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_begin_says_why_and_exits_with_2(case, members, tmp_path, monkeypatch):
    words, message = REFUSED[case]
    write_folder(tmp_path / "web", members)
    row = b"\nimages/0.png,mask,1,2,x,4"
    voc = voc_xml(("mask", 10, 20, 50, 150), width=120, height=160)
    write_folder(tmp_path / "turned", {"images/t.jpg": oriented_jpeg(scene(20), 6), "annotations/t.xml": voc})
    write_folder(tmp_path / "unread", {"a.png": b"no image"})
    write_zip(tmp_path / "big.zip", {"a.txt": bytes(2_000_000)})
    write_folder(tmp_path / "broken", members | {"labels.csv": members["labels.csv"] + row})
    (tmp_path / "gone").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    ended = run_cli(*words)
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.output
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "big.zip",
        "broken",
        "gone",
        "turned",
        "unread",
        "web",
    ]


def test_a_stopped_run_says_so_and_the_next_goes_on(members, tmp_path):
    source = write_folder(tmp_path / "web", members)
    for index in range(200):
        shutil.copy(source / "images/empty.png", source / f"images/{index:04}.png")
    out = tmp_path / "out"
    words = ["evaluate", source, "--model", released().onnx_path, "--output", out, "--threads", "1", *WORDS]
    command = [sys.executable, "-m", "maskdet.cli", *map(str, words)]
    with subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        deadline = time.monotonic() + 120
        while _num_done(out) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert "are predicted, nothing is judged; the same command goes on from there" in stderr
    assert [path.name for path in out.iterdir()] == [JOURNAL_FILE]
    num_done = _num_done(out)
    assert 3 <= num_done < 206
    ended = run_cli(*words[1:2], "--output", out, *WORDS)
    assert ended.exit_code == 0, ended.output
    assert not (out / JOURNAL_FILE).exists()
    assert json.loads((out / "metrics.json").read_text())["set"]["num_without_labels"] == 200


def _num_done(out: Path) -> int:
    path = out / JOURNAL_FILE
    return max(path.read_bytes().count(b"\n") - 1, 0) if path.is_file() else 0


@pytest.mark.browser
def test_the_page_in_a_browser(run):
    with started_chromium() as browser:
        for size, scheme in (((390, 844), "dark"), ((1280, 900), "light")):
            page, troubles = open_page(browser, run[0] / "evaluation.html", size, scheme)
            page.wait_for_load_state("load")
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            cards = page.locator(".cards > li:visible")
            assert cards.count() == NUM_IMAGES + 1
            page.get_by_label("Error kind", exact=True).select_option("hit")
            assert cards.count() == NUM_IMAGES  # all but the one without a face
            cards.locator(".panels button").first.click()
            assert page.locator("dialog .view use").bounding_box()["width"] > size[0] / 3
            page.keyboard.press("Escape")
            assert not page.locator("dialog").is_visible()
            assert troubles == []
            page.close()
