"""Whole videos: what is written, in order, whole, whatever happens on the way."""

import json
import threading
import weakref

import numpy as np
import pandas as pd
import pytest

from drawn_film import FACE_PX, ColourPredictor, Walker, film, read_film, write_film
from maskdet.inference.privacy import blurred_rects
from maskdet.inference.video.frames import Frame, VideoInfo
from maskdet.inference.video.live import LiveSource
from maskdet.inference.video.run import BLUR_REACH, VideoOptions, predict_video
from maskdet.inference.video.sources import result_stems
from maskdet.schema import CLASS_NAMES

WALKERS = [Walker(0, (40, 60), (2, 0)), Walker(1, (150, 66), (1, 0), seed=3)]
NUM_FRAMES = 20


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return film(WALKERS, NUM_FRAMES, (240, 130))


@pytest.fixture(scope="module")
def clip(images, tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("in") / "clip.mp4", images, sound="aac")


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_video_becomes_a_film_and_tables(clip, images, tmp_path):
    progress = []
    options = VideoOptions(formats=("csv", "parquet", "coco"))
    summary = predict_video(ColourPredictor(), clip, tmp_path, options, lambda *done: progress.append(done))
    files = ["clip.coco.json", "clip.csv", "clip.mp4", "clip.parquet", "clip.timeline.csv"]
    assert names(tmp_path) == sorted(path.name for path in summary.files) == files
    assert progress == [(k, NUM_FRAMES) for k in range(1, NUM_FRAMES + 1)]
    assert (summary.num_frames, summary.num_inferred, summary.num_dropped) == (NUM_FRAMES, NUM_FRAMES, 0)
    assert summary.num_faces == dict(zip(CLASS_NAMES, (NUM_FRAMES, NUM_FRAMES, 0), strict=True))
    assert summary.video_seconds == pytest.approx(0.8)
    table = pd.read_csv(tmp_path / "clip.csv")
    assert table["frame"].tolist() == [
        k for k in range(NUM_FRAMES) for _ in range(2)
    ]  # in order, whoever inferred them
    lefts = table[table["class_name"] == "with_mask"]["x_min"].to_numpy()
    assert lefts == pytest.approx(40 - FACE_PX * 0.45 + 2 * np.arange(NUM_FRAMES), abs=3)
    assert table["person"].isna().all()
    times, frames = read_film(tmp_path / "clip.mp4")
    assert times == pytest.approx([k / 25 for k in range(NUM_FRAMES)], abs=1e-3)
    assert all(
        (frame[115:, :100].astype(int) - image[115:, :100]).std() < 6
        for frame, image in zip(frames, images, strict=True)
    )
    assert json.loads((tmp_path / "clip.coco.json").read_text())["images"][-1]["frame"] == NUM_FRAMES - 1


@pytest.mark.parametrize("num_workers", [1, 4])
def test_the_number_of_workers_changes_nothing(clip, tmp_path, num_workers):
    tables = []
    for folder, workers in ((tmp_path / "one", 2), (tmp_path / "other", num_workers)):
        predict_video(ColourPredictor(), clip, folder, VideoOptions(num_workers=workers, has_tracking=True))
        tables.append([(folder / name).read_bytes() for name in ("clip.csv", "clip.people.csv", "clip.timeline.csv")])
    assert tables[0] == tables[1]


def test_people_are_counted(clip, tmp_path):
    summary = predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(has_tracking=True))
    assert summary.num_people == dict(zip(CLASS_NAMES, (1, 1, 0), strict=True))
    assert summary.share_masked == 0.5
    assert pd.read_csv(tmp_path / "clip.people.csv")["person"].tolist() == [1, 2]
    assert set(pd.read_csv(tmp_path / "clip.csv")["person"].dropna()) == {1, 2}
    few = predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(has_tracking=True, min_person_frames=50))
    assert few.num_people == dict.fromkeys(CLASS_NAMES, 0)


def test_every_third_frame_is_inferred_and_its_boxes_are_held(clip, tmp_path):
    summary = predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(every=3))
    assert (summary.num_frames, summary.num_inferred) == (NUM_FRAMES, 7)
    assert sorted(set(pd.read_csv(tmp_path / "clip.csv")["frame"])) == list(range(0, NUM_FRAMES, 3))
    frames = read_film(tmp_path / "clip.mp4")[1]
    edge = round(150 - FACE_PX * 0.45)
    held = [np.abs(frames[k][66, edge - 3 : edge + 4].astype(int) - [213, 94, 0]).max(axis=1).min() for k in range(3)]
    assert max(held) < 70  # the left edge of the box stands where it was while the face walks on
    assert any("one in 3 inferred" in line for line in summary.lines())


def test_tables_alone(clip, tmp_path):
    predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(has_film=False))
    assert names(tmp_path) == ["clip.csv", "clip.timeline.csv"]


def test_a_film_alone(clip, tmp_path):
    predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(formats=()), stem="other")
    assert names(tmp_path) == ["other.mp4", "other.timeline.csv"]


def test_faces_too_weak_to_be_shown_are_blurred(clip, images, tmp_path):
    predictor = ColourPredictor(scores=(0.9, 0.2, 0, 0))
    summary = predict_video(predictor, clip, tmp_path, VideoOptions(has_blur=True))
    assert summary.num_faces == dict(zip(CLASS_NAMES, (NUM_FRAMES, 0, 0), strict=True))
    frames = read_film(tmp_path / "clip.mp4")[1]
    assert len(frames) == NUM_FRAMES
    for index in (0, 9, 19):
        found = predictor.detect(images[index], 0.1)
        left, top, right, bottom = blurred_rects(found.boxes_xyxy, (240, 130), 0.0)[1]
        before, after = (frame[top:bottom, left:right].astype(int) for frame in (images[index], frames[index]))
        assert np.abs(after - before).mean() > 20
    assert np.abs(frames[9][:, 225:].astype(int) - images[9][:, 225:]).mean() < 6  # nobody's place


def test_whatever_is_shown_is_blurred(clip, images, tmp_path):
    predictor = ColourPredictor(scores=(0.9, 0.06, 0, 0))  # below the score that faces are blurred from
    predictor.thresholds = dict.fromkeys(CLASS_NAMES, 0.05)
    summary = predict_video(predictor, clip, tmp_path, VideoOptions(has_blur=True))
    assert list(summary.num_faces.values()) == [NUM_FRAMES, NUM_FRAMES, 0]
    frames = read_film(tmp_path / "clip.mp4")[1]
    found = predictor.detect(images[9], 0.05)
    left, top, right, bottom = blurred_rects(found.boxes_xyxy, (240, 130), 0.0)[1]
    before, after = (frame[top + 4 : bottom - 4, left + 4 : right - 4].astype(int) for frame in (images[9], frames[9]))
    assert np.abs(after - before).mean() > 20


def test_blurring_and_following_heed_scores_of_the_model_where_returned_ones_are_probabilities(clip, tmp_path):
    class Calibrated(ColourPredictor):
        def thresholds_of(self, model_score):
            return dict.fromkeys(CLASS_NAMES, model_score / 2)

    asked = []
    predictor = Calibrated(scores=(0.9, 0.06, 0, 0))
    detect = predictor.detect
    predictor.detect = lambda image, threshold: asked.append(threshold) or detect(image, threshold)
    for options in ({"has_blur": True}, {"has_tracking": True}):
        predict_video(predictor, clip, tmp_path, VideoOptions(**options))
        assert asked[-1] == pytest.approx(dict.fromkeys(CLASS_NAMES, 0.05))


def test_max_seconds_ends_it_there(clip, tmp_path):
    summary = predict_video(ColourPredictor(), clip, tmp_path, VideoOptions(max_seconds=0.2))
    assert summary.num_frames == len(read_film(tmp_path / "clip.mp4")[0]) == 5
    assert summary.notes == []


def interrupt_at(num_frames: int):
    def progress(done, _):
        if done == num_frames:
            raise KeyboardInterrupt

    return progress


def test_an_interrupt_leaves_whole_files_of_what_was_done(clip, tmp_path):
    options = VideoOptions(formats=("csv", "parquet", "coco"), has_tracking=True, has_blur=True)
    summary = predict_video(ColourPredictor(), clip, tmp_path, options, interrupt_at(9))
    assert (summary.is_interrupted, summary.num_frames) == (True, 9)
    assert len(read_film(tmp_path / "clip.mp4")[0]) == 9
    assert pd.read_parquet(tmp_path / "clip.parquet")["frame"].max() == 8
    assert len(json.loads((tmp_path / "clip.coco.json").read_text())["images"]) == 9
    assert not [name for name in names(tmp_path) if name.startswith(".")]


class FailingPredictor(ColourPredictor):
    """Raises at a frame, as a model does that runs out of memory."""

    def __init__(self, at: int):
        super().__init__()
        self._left, self._lock = at, threading.Lock()

    def detect(self, image_rgb, score_threshold=None):
        with self._lock:
            self._left -= 1
            if self._left < 0:
                raise RuntimeError("no memory")
        return super().detect(image_rgb, score_threshold)


def test_an_error_of_the_model_is_raised_once_what_was_done_is_whole(clip, tmp_path):
    with pytest.raises(RuntimeError, match="no memory"):
        predict_video(FailingPredictor(7), clip, tmp_path, VideoOptions(num_workers=1))
    assert len(read_film(tmp_path / "clip.mp4")[0]) == 7
    assert pd.read_csv(tmp_path / "clip.csv")["frame"].max() == 6
    assert names(tmp_path) == ["clip.csv", "clip.mp4", "clip.timeline.csv"]


def test_an_error_before_the_first_frame_leaves_nothing(clip, tmp_path):
    with pytest.raises(RuntimeError, match="no memory"):
        predict_video(FailingPredictor(0), clip, tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_an_os_error(clip, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        predict_video(ColourPredictor(), clip, tmp_path / "file")


def test_earlier_results_stay_where_a_later_run_fails(clip, tmp_path):
    predict_video(ColourPredictor(), clip, tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    with pytest.raises(RuntimeError):
        predict_video(FailingPredictor(0), clip, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_the_video_itself_is_not_overwritten(clip):
    before = clip.read_bytes()
    with pytest.raises(ValueError, match="expected another output folder, got that of the video itself"):
        predict_video(ColourPredictor(), clip, clip.parent)
    assert clip.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: expected at least 1, got 0"),
        ({"num_workers": 0}, "num_workers: expected at least 1"),
        ({"has_blur": True, "every": 2}, "expected every frame to be inferred, got one in 2"),
        ({"has_blur": True, "has_film": False}, "expected an annotated video to be written"),
        ({"blur_score_threshold": 1.5}, "expected a number in"),
        ({"max_seconds": 0}, "max_seconds: expected a positive number, got 0"),
        ({"formats": ["voc"]}, "expected formats of a video"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VideoOptions(**options)


def test_a_slow_model_drops_frames_of_a_live_source_and_counts_them(images, tmp_path, monkeypatch):
    sent = threading.Event()

    class Burst:
        frame_rate = 25.0

        def __iter__(self):
            yield from ((index / 25, image) for index, image in enumerate(images))
            sent.set()

        def close(self):
            pass

    class SlowPredictor(ColourPredictor):
        def detect(self, image_rgb, score_threshold=None):
            sent.wait(10)
            return super().detect(image_rgb, score_threshold)

    source = LiveSource("door", Burst, reconnect_seconds=())
    monkeypatch.setattr("maskdet.inference.video.run.open_frames", lambda _: source)
    summary = predict_video(SlowPredictor(), "rtsp://door", tmp_path)
    assert summary.num_dropped > 0
    assert summary.num_frames + summary.num_dropped == NUM_FRAMES
    assert f"{summary.num_dropped} frames of the live source were dropped: the model is slower" in summary.notes
    table = pd.read_csv(tmp_path / "door.csv")
    assert table["frame"].max() == NUM_FRAMES - 1  # the newest are kept
    assert read_film(tmp_path / "door.mp4")[0][-1] == pytest.approx(19 / 25, abs=0.01)  # and their times


def test_few_frames_are_in_memory_at_once_however_long_the_video(tmp_path, monkeypatch):
    num_alive, most = 0, 0

    def count(step: int) -> None:
        nonlocal num_alive, most
        num_alive += step
        most = max(most, num_alive)

    class LongVideo:
        info, location, notes = VideoInfo("long", (64, 48), 25, 300, False, 0.0), None, []

        def __iter__(self):
            for index in range(300):
                image = np.zeros((48, 64, 3), np.uint8)
                count(1)
                weakref.finalize(image, count, -1)
                yield Frame(index, index / 25, image)

        def stop(self):
            pass

        close = stop

    monkeypatch.setattr("maskdet.inference.video.run.open_frames", lambda _: LongVideo())
    predict_video(ColourPredictor(), "long.mp4", tmp_path, VideoOptions(has_blur=True))
    assert most <= 8 + 8 + 3 + 2 * BLUR_REACH + 6  # queues, workers, window, hands


def test_names_of_results_are_told_apart():
    assert result_stems(["a/clip.mp4", "b/clip.mov", "c/CLIP.avi", "0"]) == ["clip", "clip_2", "CLIP_3", "camera_0"]
    assert result_stems(["a/clip.mp4", "clip_2.mp4", "b/clip.mp4"]) == ["clip", "clip_2", "clip_3"]


def test_the_real_predictor_sees_in_a_video_what_it_sees_in_its_frames(tmp_path):
    """No colour space, thread or queue stands between a frame and the model."""
    from exported_model import released, scene_images  # loads torch
    from maskdet.inference.predictor import Predictor

    image = scene_images(1)[0]
    image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
    path = write_film(tmp_path / "scene.mp4", [image] * 3)
    predictor = Predictor(released().onnx_path, num_threads=1)
    summary = predict_video(predictor, path, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/scene.csv")
    for index, frame in enumerate(read_film(path)[1]):
        found, rows = predictor.detect(frame), table[table["frame"] == index]
        assert len(rows) == len(found)
        assert rows[["x_min", "y_min", "x_max", "y_max"]].to_numpy(np.float32) == pytest.approx(
            found.boxes_xyxy, abs=1e-3
        )
    assert sum(summary.num_faces.values()) == len(table)
