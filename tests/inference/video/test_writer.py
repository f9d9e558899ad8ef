"""The annotated film: frames, times, colours and sound arrive, in a form that browsers play."""

import av
import numpy as np
import pytest

from chromium import find_chromium, open_page, started_chromium
from drawn_film import Walker, film, read_film, write_film
from maskdet.inference.video.opening import open_frames
from maskdet.inference.video.writer import VideoWriter

IMAGES = film([Walker(0, (40, 50), (3, 0)), Walker(1, (150, 60), (-2, 0))], 10, (192, 128))


def write(path, images, times, sound_of=None, begin=0.0):
    height, width = images[0].shape[:2]
    with VideoWriter(path, path.name, (width, height), 25, sound_of, begin) as writer:
        for seconds, image in zip(times, images, strict=True):
            writer.write(seconds, image)
    return writer


def sound_of(path) -> tuple[str, list[float], np.ndarray]:
    """Return the codec, the times and the samples of a file's sound."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        name = container.streams.audio[0].codec_context.name
    return name, [frame.time for frame in frames], np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def test_frames_arrive_with_their_times_and_colours(tmp_path):
    times = [0, 0.04, 0.08, 0.12, 0.5, 0.9, 0.95, 1.2, 1.24, 2]
    writer = write(tmp_path / "a.mp4", IMAGES, times)
    found_times, found = read_film(tmp_path / "a.mp4")
    assert found_times == pytest.approx(times, abs=1e-4)
    assert max(np.abs(a.astype(int) - b).mean() for a, b in zip(found, IMAGES, strict=True)) < 6
    assert (writer.num_frames, writer.has_sound) == (10, False)
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert container.duration / av.time_base == pytest.approx(2.04, abs=0.01)


def test_frames_nearer_than_a_tick_are_all_there(tmp_path):
    write(tmp_path / "a.mp4", IMAGES[:5], [0, 1e-6, 2e-6, 3e-6, 0.5])
    times = read_film(tmp_path / "a.mp4")[0]
    assert len(times) == 5
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(0.5)


def test_the_index_stands_in_front(tmp_path):
    write(tmp_path / "a.mp4", IMAGES, [k / 25 for k in range(10)])
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("shape", [(127, 191), (1, 1), (128, 191), (127, 192)])
def test_odd_sides_grow_by_a_line(tmp_path, shape):
    image = IMAGES[0][: shape[0], : shape[1]]
    write(tmp_path / "a.mp4", [image] * 3, [0, 0.1, 0.2])
    found = read_film(tmp_path / "a.mp4")[1][0]
    height, width = shape
    assert found.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(found[:height, :width].astype(int) - image).mean() < 8


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [("a.mp4", "aac", "aac"), ("a.mkv", "libmp3lame", "mp3float"), ("a.mkv", "libopus", "opus"),
     ("a.avi", "pcm_s16le", "aac"), ("a.mkv", "pcm_s24le", "aac")],
)  # fmt: skip
def test_sound_is_kept_and_ends_with_the_pictures(tmp_path, name, codec, kept):
    source = write_film(tmp_path / name, IMAGES * 5, sound=codec)  # 2 s
    writer = write(tmp_path / "out.mp4", IMAGES * 2, [k / 20 for k in range(20)], str(source))
    assert writer.has_sound
    found_codec, times, samples = sound_of(tmp_path / "out.mp4")
    assert found_codec == kept
    assert times[0] == pytest.approx(0, abs=0.03)
    assert 0.9 < times[-1] < 1.1  # the pictures end at 0.99 s
    assert 0.4 < np.abs(samples).max() / (1 if samples.dtype == np.float32 else 32768) < 0.6


def test_sound_stays_with_the_pictures_that_begin_later(tmp_path):
    source = write_film(tmp_path / "a.mkv", IMAGES, [0.5 + k / 25 for k in range(10)], sound="aac")
    frames = open_frames(source)
    assert frames.info.begin_seconds == pytest.approx(0.5, abs=0.03)
    frames.close()
    write(tmp_path / "b.mp4", IMAGES, [k / 25 for k in range(10)], str(source), 0.5)
    _, times, _ = sound_of(tmp_path / "b.mp4")
    assert times[0] == pytest.approx(0, abs=0.03)
    assert times[-1] < 0.5


def test_a_video_without_sound_has_none(tmp_path):
    source = write_film(tmp_path / "a.mp4", IMAGES)
    assert not write(tmp_path / "b.mp4", IMAGES, [k / 25 for k in range(10)], str(source)).has_sound


def test_the_file_is_whole_when_the_block_is_left_by_an_error(tmp_path):
    path, times = tmp_path / "a.mp4", [0, 0.04, 0.08, "no number", 0.16]
    with pytest.raises(TypeError):
        write(path, IMAGES[:5], times)
    assert len(read_film(path)[1]) == 3


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match=r"a\.mp4: cannot write the video: No such file or directory"):
        write(tmp_path / "no_folder" / "a.mp4", IMAGES, [k / 25 for k in range(10)])


@pytest.mark.browser
@pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed")
def test_a_browser_plays_it(tmp_path):
    write(tmp_path / "a.mp4", IMAGES * 3, [k / 25 for k in range(30)])
    page_path = tmp_path / "page.html"
    page_path.write_text('<video src="a.mp4" muted></video>')
    with started_chromium() as browser:
        page, _ = open_page(browser, page_path, (400, 300), "light")
        video = page.locator("video")
        video.evaluate("video => video.play()")
        page.wait_for_function("document.querySelector('video').ended")
        shown = video.evaluate("video => [video.videoWidth, video.videoHeight, video.duration]")
    assert shown == [192, 128, pytest.approx(1.2, abs=0.05)]
