"""Video files: every container, every time, upright, and a clear word for what is none."""

import struct
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from drawn_film import Walker, film, write_film
from maskdet.inference.video.opening import open_frames

WALKERS = [Walker(0, (40, 50), (3, 0)), Walker(1, (150, 60), (-2, 0))]
IMAGES = film(WALKERS, 12, (192, 128))


def read(path) -> tuple[list, list[str]]:
    source = open_frames(path)
    frames = list(source)
    source.close()
    return frames, source.notes


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mov", "mpeg4"), ("a.mkv", "libx264"), ("a.avi", "mjpeg"), ("a.webm", "libvpx"),
     ("a.ts", "libx264")],
)  # fmt: skip
def test_frames_come_in_order_with_their_colours_and_times(tmp_path, name, codec):
    frames, notes = read(write_film(tmp_path / name, IMAGES, codec=codec))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.seconds for frame in frames] == pytest.approx([k / 25 for k in range(12)], abs=1e-3)
    assert max(difference(frame.image, image) for frame, image in zip(frames, IMAGES, strict=True)) < 8
    assert notes == []


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.3, 1.301, 1.4, 2, 2.1, 2.5, 3]
    frames, notes = read(write_film(tmp_path / "a.mkv", IMAGES, times))
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)
    assert notes == []


def test_the_info_is_right_before_anything_is_read(tmp_path):
    path = write_film(tmp_path / "a.mp4", IMAGES)
    source = open_frames(path)
    info = source.info
    source.close()
    assert (info.name, info.image_wh, info.frame_rate, info.num_frames) == (str(path), (192, 128), 25, 12)
    assert not info.is_live


def turned_file(path, degrees: int) -> None:
    """Write a turn into the header of an MP4 file, as a phone that is held upright does."""
    one = 1 << 16
    matrix = {90: (0, one, 0, -one, 0, 0), 180: (-one, 0, 0, 0, -one, 0), 270: (0, -one, 0, one, 0, 0)}[degrees]
    content = path.read_bytes()
    place = content.index(b"tkhd") + 4 + 40
    path.write_bytes(content[:place] + struct.pack(">9i", *matrix, 0, 0, 1 << 30) + content[place + 36 :])


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_rotation_of_phones_is_applied_as_opencv_does(tmp_path, degrees):
    path = write_film(tmp_path / "a.mp4", IMAGES)
    turned_file(path, degrees)
    capture = cv2.VideoCapture(str(path))
    expected_bgr = capture.read()[1]
    capture.release()
    frames, _ = read(path)
    assert difference(frames[0].image, cv2.cvtColor(expected_bgr, cv2.COLOR_BGR2RGB)) < 1
    assert open_frames(path).info.image_wh == ((192, 128) if degrees == 180 else (128, 192))


def test_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        track = container.add_stream("aac", rate=48000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate, silence.pts = 48000, 0
        container.mux(track.encode(silence))
        container.mux(track.encode(None))
    with pytest.raises(ValueError, match=r"song\.m4a: expected a video, got one of audio, video"):
        open_frames(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"just a text file\n" * 50,
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
        bytes(np.random.default_rng(0).integers(0, 256, 4000, np.uint8)),
    ],
    ids=["empty", "text", "playlist", "concat", "noise"],
)
def test_what_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"clip\.mp4: expected a video, got a file of another kind or a damaged one"):
        open_frames(path)


def test_a_text_file_that_ffmpeg_would_film_is_refused(tmp_path):
    path = tmp_path / "notes.txt"  # FFmpeg has a demuxer that draws the letters of .txt files
    path.write_text("letters\n" * 100)
    with pytest.raises(ValueError, match="expected a video"):
        open_frames(path)


def test_a_file_without_its_index_is_refused(tmp_path):
    content = write_film(tmp_path / "a.mp4", IMAGES).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: content.index(b"moov")])  # the camera lost power before it wrote it
    with pytest.raises(ValueError, match=r"cut\.mp4: expected a video"):
        open_frames(path)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a video file, found none"):
        open_frames(tmp_path / "none.mp4")


def test_a_file_with_sound_alone_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    write_film(path, IMAGES[:1], sound="aac")
    with av.open(str(path)) as both, av.open(str(tmp_path / "sound.mp4"), "w") as alone:
        track = alone.add_stream_from_template(both.streams.audio[0])
        for packet in both.demux(audio=0):
            if packet.dts is not None:
                packet.stream = track
                alone.mux(packet)
    with pytest.raises(ValueError, match="expected a video, got one of audio"):
        open_frames(tmp_path / "sound.mp4")


def test_a_video_without_frames_is_refused(tmp_path):
    content = write_film(tmp_path / "a.ts", IMAGES).read_bytes()
    path = tmp_path / "header.ts"
    path.write_bytes(content[: 188 * 3])  # tables that announce a picture, and the begin of its first packet
    with pytest.raises(ValueError, match=r"header\.ts: expected a video"):
        open_frames(path)


def test_a_file_that_breaks_off_gives_what_it_has_and_says_so(tmp_path):
    images = [IMAGES[k % 12] for k in range(100)]
    content = write_film(tmp_path / "a.mkv", images).read_bytes()
    path = tmp_path / "short.mkv"
    path.write_bytes(content[: len(content) // 3])
    frames, notes = read(path)
    assert 10 < len(frames) < 60
    assert notes[-1].startswith(f"the pictures end after {len(frames)} frames, at ")
    assert notes[-1].endswith(", the file says 4.0 s")


def test_damaged_packets_are_skipped_and_counted(tmp_path):
    path = write_film(tmp_path / "a.avi", IMAGES, codec="mjpeg")
    content = bytearray(path.read_bytes())
    places = [k for k in range(len(content) - 4) if content[k : k + 3] == b"\xff\xd8\xff"]
    content[places[5] : places[5] + 600] = b"\0" * 600
    path.write_bytes(content)
    frames, notes = read(path)
    assert len(frames) == 11
    assert notes == ["1 damaged packets of the file were skipped"]


def test_later_frames_of_another_size_are_brought_to_the_first(tmp_path):
    sizes_wh = [(192, 128), (96, 64)]
    parts = [write_film(tmp_path / f"{wh[0]}.ts", [cv2.resize(IMAGES[0], wh)] * 5) for wh in sizes_wh]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames, _ = read(path)
    assert len(frames) == 10
    assert {frame.image.shape for frame in frames} == {(128, 192, 3)}
    seconds = [frame.seconds for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(seconds))
