"""A run over many files: a bad one is skipped and named, a stopped run goes on and ends like one never stopped."""

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from exported_model import released
from maskdet import Predictor
from maskdet.inference import image_run
from maskdet.inference.image_run import OutputOptions, predict_images
from maskdet.inference.images_in import read_picture
from maskdet.inference.journal import JOURNAL_FILE
from maskdet.inference.sources import find_sources
from raw_archive import noise_png


@pytest.fixture(scope="module")
def predictor():
    return Predictor(released().onnx_path, score_threshold=0.05)


@pytest.fixture
def images(tmp_path):
    """Return six files, two of them bad."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for seed, name in enumerate(("1.png", "3.png", "5.png", "deep/1.png")):
        (folder / name).write_bytes(noise_png(seed))
    (folder / "2.png").write_bytes(noise_png(2)[:-30])
    (folder / "4.jpg").write_text("no image")
    return find_sources([folder]).images


def written(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in written(folder)}


PICTURES = ["pictures/1.png", "pictures/3.png", "pictures/5.png", "pictures/deep/1.png"]


def test_bad_images_are_named_and_the_rest_is_done(predictor, images, tmp_path):
    output = OutputOptions(tmp_path / "out", ["csv", "coco"], has_pictures=True)
    summary = predict_images(predictor, images, output)
    assert [result.file_name for result in summary.results] == ["1.png", "3.png", "5.png", "deep/1.png"]
    assert list(summary.failures) == ["2.png", "4.jpg"]
    assert "2.png: expected a whole image, got a file that ends early" in summary.failures["2.png"]
    assert "4.jpg: expected an image" in summary.failures["4.jpg"]
    assert (summary.is_interrupted, summary.num_resumed, summary.notes) == (False, 0, {})
    assert written(output.folder) == [*PICTURES, "predictions.coco.json", "predictions.csv"]
    table = pd.read_csv(output.folder / "predictions.csv")
    counts = summary.class_counts(predictor.class_names)
    assert list(counts) == list(predictor.class_names)
    assert counts == {name: int((table["class_name"] == name).sum()) for name in counts}
    assert sum(counts.values()) > 0


def test_a_second_run_gives_the_same_bytes(predictor, images, tmp_path):
    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=True)
    before, after = (predict_images(predictor, images, output) and contents(output.folder) for _ in range(2))
    assert before == after


def stop_after(num_images: int, error: type[BaseException], monkeypatch) -> None:
    """Let the reader of pictures fail at some image, as Ctrl-C or a kill would at any moment."""
    seen = []

    def read(path, apply_exif):
        seen.append(path)
        if len(seen) > num_images:
            raise error
        return read_picture(path, apply_exif)

    monkeypatch.setattr(image_run, "read_picture", read)


@pytest.mark.parametrize("num_images", [0, 1, 4, 5])
def test_a_stop_leaves_what_is_done_and_the_next_run_goes_on(num_images, predictor, images, tmp_path, monkeypatch):
    whole = OutputOptions(tmp_path / "whole", ["csv", "coco", "parquet"], has_pictures=True)
    predict_images(predictor, images, whole)
    output = OutputOptions(tmp_path / "out", whole.formats, has_pictures=True)
    with monkeypatch.context() as patched:
        stop_after(num_images, KeyboardInterrupt, patched)
        stopped = predict_images(predictor, images, output)
    assert stopped.is_interrupted
    done = {result.file_name for result in stopped.results}
    assert len(done) + len(stopped.failures) == num_images
    assert {f"pictures/{name}" for name in done} < set(written(output.folder))
    assert set(pd.read_csv(output.folder / "predictions.csv")["file_name"]) <= done
    seen = []
    monkeypatch.setattr(
        image_run, "read_picture", lambda path, exif: seen.append(path.name) or read_picture(path, exif)
    )
    resumed = predict_images(predictor, images, output)
    assert resumed.num_resumed == len(done)
    assert len(seen) == len(images) - len(done)  # bad files are tried again
    assert list(resumed.failures) == ["2.png", "4.jpg"]
    assert contents(output.folder) == contents(whole.folder)


def test_a_killed_run_goes_on_too(predictor, images, tmp_path, monkeypatch):
    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=False)
    with monkeypatch.context() as patched:
        stop_after(3, SystemError, patched)  # nothing is caught, as by a kill
        with pytest.raises(SystemError):
            predict_images(predictor, images, output)
    assert written(output.folder) == [JOURNAL_FILE]
    assert predict_images(predictor, images, output).num_resumed == 2
    assert written(output.folder) == ["predictions.csv"]


def test_without_resuming_everything_is_done_anew(predictor, images, tmp_path, monkeypatch):
    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=False)
    with monkeypatch.context() as patched:
        stop_after(3, KeyboardInterrupt, patched)
        predict_images(predictor, images, output)
    assert predict_images(predictor, images, output, is_resumed=False).num_resumed == 0


@pytest.mark.parametrize("change", ["threshold", "exif", "picture"])
def test_what_another_setting_left_is_not_taken_over(change, predictor, images, tmp_path, monkeypatch):
    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=True)
    with monkeypatch.context() as patched:
        stop_after(3, KeyboardInterrupt, patched)
        predict_images(predictor, images, output)
    if change == "picture":
        (output.folder / "pictures/1.png").unlink()
    other = Predictor(released().onnx_path, score_threshold=0.06) if change == "threshold" else predictor
    resumed = predict_images(other, images, output, apply_exif=change != "exif")
    assert resumed.num_resumed == (1 if change == "picture" else 0)
    assert (output.folder / "pictures/1.png").is_file()


def test_blurred_pictures_show_no_face_and_the_tables_stay(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_bytes(noise_png(1, 700, 700))
    images = find_sources([tmp_path / "in"]).images
    tables = []
    for name, blurs in (("plain", False), ("blurred", True)):
        output = OutputOptions(tmp_path / name, ["csv"], has_pictures=True, blurs_faces=blurs)
        predict_images(predictor, images, output)
        tables.append((output.folder / "predictions.csv").read_text())
    assert tables[0] == tables[1]
    plain, blurred = (cv2.imread(str(tmp_path / name / "pictures/a.png")) for name in ("plain", "blurred"))
    assert np.abs(plain.astype(int) - blurred).mean() > 5


def test_notes_and_sizes_are_those_of_the_shown_picture(predictor, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (8, 6)).save(tmp_path / "b.gif", save_all=True, append_images=[Image.new("RGB", (8, 6), "red")])
    images = find_sources([tmp_path]).images
    output = OutputOptions(tmp_path / "out", ["coco"], has_pictures=False)
    summary = predict_images(predictor, images, output)
    assert [result.image_wh for result in summary.results] == [(20, 40), (8, 6)]
    assert summary.notes == {"b.gif": "the first of 2 frames"}
    stored = predict_images(predictor, images, output, apply_exif=False)
    assert stored.results[0].image_wh == (40, 20)


def test_images_whose_labels_would_meet_are_refused_before_anything_is_done(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "a.jpg"):
        (tmp_path / "in" / name).write_bytes(noise_png(0))
    images = find_sources([tmp_path / "in"]).images
    with pytest.raises(ValueError, match=r"--format yolo: .* got a\.jpg and a\.png"):
        predict_images(predictor, images, OutputOptions(tmp_path / "out", ["yolo"], has_pictures=False))
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_ends_the_run(predictor, images, tmp_path):
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(OSError, match="out"):
        predict_images(predictor, images, OutputOptions(tmp_path / "out", ["csv"], has_pictures=True))


@pytest.mark.parametrize("word", [".", "1.png"])
def test_no_picture_replaces_its_original(word, predictor, tmp_path, monkeypatch):
    photos = tmp_path / "pictures"
    photos.mkdir()
    for name in ("1.png", "2.png"):
        (photos / name).write_bytes(noise_png(1))
    monkeypatch.chdir(photos)
    before = contents(tmp_path)
    output = OutputOptions(tmp_path, ["csv"], has_pictures=True)
    with pytest.raises(ValueError, match=r"pictures/1\.png: expected another --output"):
        predict_images(predictor, find_sources([word]).images, output)
    assert contents(tmp_path) == before
    predict_images(predictor, find_sources([word]).images, OutputOptions(tmp_path, ["csv"], has_pictures=False))


@pytest.mark.parametrize("name", ["voc", "yolo"])
def test_no_folder_of_somebody_else_is_replaced(name, predictor, images, tmp_path):
    output = OutputOptions(tmp_path / "out", [name], has_pictures=False)
    foreign = output.folder / name / "labels/diary.txt"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("dear")
    with pytest.raises(ValueError, match=rf"out/{name}: expected a new folder or an earlier result"):
        predict_images(predictor, images, output)
    assert foreign.read_text() == "dear"
    foreign.unlink()
    foreign.parent.rmdir()
    for _ in range(2):  # an empty one and one of ours may be replaced
        assert len(predict_images(predictor, images, output).results) == 4
    assert any((output.folder / name).rglob("1.*"))


def test_two_images_of_one_picture_are_refused_before_anything_is_done(predictor, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.webp", "a.webp.png"):
        (tmp_path / "in" / name).write_bytes(noise_png(1))
    images = find_sources([tmp_path / "in"]).images
    with pytest.raises(ValueError, match=r"expected a picture an image, got a\.webp and a\.webp\.png"):
        predict_images(predictor, images, OutputOptions(tmp_path / "out", ["csv"], has_pictures=True))
    assert not (tmp_path / "out").exists()


def test_no_unblurred_picture_of_an_earlier_run_stays(predictor, images, tmp_path, monkeypatch):
    plain = OutputOptions(tmp_path / "out", ["csv"], has_pictures=True)
    predict_images(predictor, images, plain)
    before = contents(plain.folder)
    with monkeypatch.context() as patched:
        stop_after(3, KeyboardInterrupt, patched)
        tables = OutputOptions(plain.folder, ["csv"], has_pictures=False, blurs_faces=True)
        predict_images(predictor, images, tables)
    images[0].path.write_text("broken by now")
    blurred = OutputOptions(plain.folder, ["csv"], has_pictures=True, blurs_faces=True)
    assert images[0].file_name in predict_images(predictor, images, blurred).failures
    after = contents(plain.folder)
    assert f"pictures/{images[0].file_name}" not in after
    assert all(after[name] != before[name] for name in after if name.startswith("pictures/"))


def test_a_run_that_is_stopped_in_its_conclusion_predicts_nothing_anew(predictor, images, tmp_path):
    def stopped(summary):
        raise KeyboardInterrupt

    output, seen = OutputOptions(tmp_path / "out", [], has_pictures=False), []
    assert predict_images(predictor, images, output, conclude=stopped).is_interrupted
    assert written(output.folder) == [JOURNAL_FILE]
    summary = predict_images(predictor, images, output, conclude=seen.append)
    assert (summary.num_resumed, summary.is_interrupted) == (4, False)
    assert seen == [summary]
    assert written(output.folder) == []
