"""Videos behind the page: limits of time, size and kind, and files that go with their result."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drawn_film import ColourPredictor, Walker, film, read_film, write_film
from maskdet.app.limits import AppLimits
from maskdet.app.models import AppModel, ModelShelf
from maskdet.app.service import AppService, VideoChoices
from maskdet.app.uploads import UPLOADS, UploadError

NUM_FRAMES = 12
CHOICES = VideoChoices((0.5, 0.5, 0.5), has_tracking=True)


@pytest.fixture(scope="module")
def walk(tmp_path_factory) -> Path:
    walkers = [Walker(0, (60, 70), (2, 0)), Walker(1, (220, 80), (-1, 0), 3)]
    return write_film(tmp_path_factory.mktemp("clip") / "walk.mp4", film(walkers, NUM_FRAMES))


@pytest.fixture
def clip(walk, tmp_path) -> Path:
    (tmp_path / UPLOADS).mkdir()
    return Path(shutil.copy(walk, tmp_path / UPLOADS))


@pytest.fixture
def make(tmp_path) -> Iterator:
    services = []

    def make_service(**limits: float) -> AppService:
        shelf = ModelShelf([AppModel("colours", ColourPredictor())])
        services.append(AppService(shelf, AppLimits(**limits), tmp_path))
        return services[-1]

    yield make_service
    for service in services:
        service.close()
    assert [path.name for path in tmp_path.iterdir()] == [UPLOADS]  # no file of a result outlives its service


def ignore(num_done: int, num_frames: int | None) -> None:
    assert 0 < num_done <= NUM_FRAMES


def test_a_video_becomes_a_film_and_tables_of_people(make, clip):
    service = make()
    result = service.videos.get(service.look_at_video(clip, "colours", CHOICES, ignore))
    assert result.summary.num_frames == NUM_FRAMES
    assert sum(result.summary.num_people.values()) == 2
    assert len(read_film(result.file("faces.mp4"))[1]) == NUM_FRAMES
    assert result.file("faces.people.csv").read_text().count("\n") == 3
    with pytest.raises(KeyError, match="no file of the kind"):
        result.file(".parquet")


def test_the_sliders_decide_what_is_counted(make, clip):
    service = make()
    choices = VideoChoices((0.5, 0.85, 0.5))  # person 1 has class 1 and a score of 0.8
    result = service.videos.get(service.look_at_video(clip, "colours", choices, ignore))
    assert list(result.summary.num_faces.values()) == [NUM_FRAMES, 0, 0]


def test_a_long_video_is_cut_at_the_time_limit_and_what_was_done_is_whole(make, clip):
    service = make(max_seconds=1e-6)
    result = service.videos.get(service.look_at_video(clip, "colours", CHOICES, ignore))
    assert result.summary.is_interrupted
    assert "stopped after" in result.summary.notes[-1]
    assert 1 <= len(read_film(result.file("faces.mp4"))[1]) < NUM_FRAMES


def test_what_is_no_video_leaves_no_file(make, clip):
    broken = clip.with_name("broken.mp4")
    broken.write_bytes(clip.read_bytes()[:200])
    service = make()
    with pytest.raises(UploadError, match="cannot be read") as raised:
        service.look_at_video(broken, "colours", CHOICES, ignore)
    assert str(broken.parent) not in str(raised.value)


def test_frames_with_too_many_pixels_are_refused(make, clip):
    with pytest.raises(UploadError, match="got 320 x 160") as raised:
        make(max_pixels=1000).look_at_video(clip, "colours", CHOICES, ignore)
    assert raised.value.status == 413


def test_a_failing_model_leaves_no_file(make, clip, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("the model broke")

    service = make()
    monkeypatch.setattr(service.shelf.first.predictor, "detect", fail)
    with pytest.raises(RuntimeError, match="the model broke"):
        service.look_at_video(clip, "colours", CHOICES, ignore)


def test_files_that_nobody_sent_are_not_opened(make, clip, walk):
    service = make()
    link = clip.with_name("link.mp4")
    link.symlink_to(walk)
    for foreign in (walk, link, clip.parent, Path("http://host/walk.mp4")):
        with pytest.raises(UploadError, match="no file that was sent here"):
            service.look_at_video(foreign, "colours", CHOICES, ignore)
        with pytest.raises(UploadError, match="no file that was sent here"):
            service.look_at_picture(foreign, ["colours"])
    clip.unlink()
    with pytest.raises(UploadError, match="not held any more"):
        service.look_at_video(clip, "colours", CHOICES, ignore)
