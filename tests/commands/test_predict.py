"""One command line: pictures and videos, one report for people and for machines."""

import json

import pytest

from drawn_film import Walker, film, write_film
from exported_model import released
from maskdet.commands import predict as predict_command
from maskdet.commands.predict import PredictOptions, run_predict
from maskdet.inference.image_run import predict_images
from raw_archive import noise_png


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return the current folder, with two pictures, a bad one, a video and a text called like one."""
    (tmp_path / "in").mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        (tmp_path / "in" / name).write_bytes(noise_png(seed))
    (tmp_path / "in/c.jpg").write_text("no picture")
    write_film(tmp_path / "clip.mp4", film([Walker(0, (40, 60), (2, 0))], 4))
    (tmp_path / "text.mp4").write_text("no video")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def options(tmp_path, **changes: object) -> PredictOptions:
    return PredictOptions(tmp_path / "out", model=released().onnx_path, **{"has_pictures": False} | changes)


def test_pictures_and_videos_are_told_in_one_report(folder):
    report = run_predict(["in", "clip.mp4", "text.mp4"], options(folder, formats="csv,coco"))
    assert [result.file_name for result in report.images.results] == ["a.png", "b.png"]
    assert [video.num_frames for video in report.videos] == [4]
    assert list(report.failures) == ["c.jpg", "text.mp4"]
    assert "expected an image" in report.failures["c.jpg"]
    assert not report.is_interrupted
    names = {path.name for path in (folder / "out").iterdir()}
    assert {"predictions.csv", "predictions.coco.json", "clip.csv", "clip.coco.json"} <= names
    lines = report.lines()
    assert lines[0].startswith("images: 2 in ")
    assert lines[0].endswith(" images/s)")
    assert "video:  clip.mp4" in lines
    record = json.loads(json.dumps(report.to_record(), allow_nan=False))
    assert record["model"]["path"] == str(released().onnx_path)
    assert record["images"]["num_images"] == 2
    assert record["images"]["num_faces"] == report.images.class_counts(report.predictor.class_names)
    assert [video["source"] for video in record["videos"]] == ["clip.mp4"]
    assert record["failures"] == report.failures
    assert (record["is_interrupted"], record["images"]["num_resumed"]) == (False, 0)
    assert all((folder / path).exists() for path in record["images"]["files"])


def test_a_video_alone_has_no_pictures_to_tell_of(folder):
    report = run_predict(["clip.mp4"], options(folder))
    assert report.images is None
    assert report.to_record()["images"] is None
    assert report.lines()[0] == "video:  clip.mp4"


def test_a_video_called_like_the_tables_of_pictures_does_not_replace_them(folder):
    (folder / "clip.mp4").rename(folder / "predictions.mp4")
    run_predict(["in/a.png", "predictions.mp4"], options(folder))
    assert (folder / "out/predictions.csv").read_text().startswith("file_name,class_name")
    assert (folder / "out/predictions_2.csv").is_file()


def test_what_a_video_cannot_have_is_refused_before_the_model_is_loaded(folder):
    for changes, message in (
        ({"formats": "voc"}, "expected formats of a video out of csv, parquet, coco, got voc"),
        ({"blurs_faces": True, "has_pictures": True, "every": 2}, "expected every frame to be inferred"),
    ):
        with pytest.raises(ValueError, match=message):
            run_predict(["clip.mp4"], PredictOptions(folder / "out", model="no.onnx", **changes))


def test_a_stop_during_the_pictures_leaves_the_videos_out(folder, monkeypatch):
    def stopped(*words, **rest):
        summary = predict_images(*words, **rest)
        summary.is_interrupted = True
        return summary

    monkeypatch.setattr(predict_command, "predict_images", stopped)
    report = run_predict(["in", "clip.mp4"], options(folder))
    assert report.is_interrupted
    assert report.videos == []


def test_a_stop_before_the_first_frame_keeps_what_was_done(folder, monkeypatch):
    def stopped(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr("maskdet.inference.video.run.predict_video", stopped)
    report = run_predict(["in/a.png", "clip.mp4"], options(folder))
    assert report.is_interrupted
    assert len(report.images.results) == 1


def test_a_resumed_run_says_what_was_done_before(folder, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("maskdet.inference.journal.Journal.finish", lambda journal: None)
        run_predict(["in"], options(folder))
    report = run_predict(["in"], options(folder))
    assert report.images.num_resumed == 2
    assert report.lines()[0].startswith("images: 0 in ")
    assert report.lines()[0].endswith("(none was read); 2 more were done by an earlier run")
