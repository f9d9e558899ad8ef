"""Streams that drop and come back, or do not; cameras."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import cv2
import numpy as np
import pytest

from drawn_film import Walker, film, write_film
from maskdet.inference.video import live
from maskdet.inference.video.decoder import Decoder
from maskdet.inference.video.frames import Frame
from maskdet.inference.video.live import Camera, LiveSource
from maskdet.inference.video.opening import open_frames

IMAGES = film([Walker(0, (40, 50), (3, 0))], 10, (96, 64))


@contextmanager
def served(answers: list[bytes | None]) -> Iterator[str]:
    """Serve one answer a request, of unknown length; None and whatever comes later is an error of the server."""
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = waiting.pop(0) if waiting else None
            if content is None:
                self.send_error(503)
                return
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://me:secret@127.0.0.1:{server.server_port}/live.ts?key=1"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def stream(tmp_path_factory) -> bytes:
    return write_film(tmp_path_factory.mktemp("stream") / "a.ts", IMAGES).read_bytes()


def source_at(address: str, waits: tuple[float, ...]) -> LiveSource:
    return LiveSource("door", lambda: Decoder(address, "door"), reconnect_seconds=waits)


def test_a_stream_that_comes_back_goes_on(stream):
    with served([stream, None, stream]) as address:
        source = source_at(address, (0.1, 0.1, 0.1))
        frames = list(source)
        source.close()
    assert [frame.index for frame in frames] == list(range(20))
    seconds = [frame.seconds for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(seconds))
    assert seconds[:10] == pytest.approx([k / 25 for k in range(10)], abs=0.01)
    assert np.abs(frames[10].image.astype(int) - IMAGES[0]).mean() < 8
    assert source.notes[-1] == "the stream dropped and came back: 1 x"


def test_a_stream_that_does_not_come_back_ends_and_says_so(stream):
    with served([stream]) as address:
        source = source_at(address, (0.02, 0.02))
        frames = list(source)
        source.close()
    assert len(frames) == 10
    lost = "the stream dropped after 0.4 s and did not come back: door: expected a video, got "
    assert source.notes[0].removeprefix(lost) == "Server returned 5XX Server Error reply"
    assert "secret" not in source.notes[0]


def test_a_stream_that_drops_again_and_again_ends(stream):
    with served([stream] * 20) as address:
        source = source_at(address, (0.0, 0.0))
        assert len(list(source)) == 30  # the first connection, and two more
        source.close()
    assert "it drops too often" in source.notes[0]


def test_a_stream_that_held_long_has_all_attempts_again(stream, monkeypatch):
    monkeypatch.setattr(live, "HEALTHY_SECONDS", 0.0)
    with served([stream] * 5) as address:
        source = source_at(address, (0.0,))
        assert len(list(source)) == 50
        source.close()


def test_an_address_without_a_length_is_live_and_its_secrets_stay_secret(stream):
    with served([stream]) as address:
        source = open_frames(address)
        source.stop()
        source.close()
    assert source.info.is_live
    assert source.info.num_frames is None
    assert source.location is None
    assert source.info.name.startswith("http://127.0.0.1:")
    assert "secret" not in source.info.name
    assert "key" not in source.info.name


def test_nobody_at_the_other_end():
    with pytest.raises(ValueError, match=r"^rtsp://127\.0\.0\.1:9/live: expected a video, got Connection refused$"):
        open_frames("rtsp://me:secret@127.0.0.1:9/live?key=1")


def test_stop_ends_the_wait_for_a_dropped_stream(stream):
    with served([stream]) as address:
        source = source_at(address, (60.0,))
        began = time.monotonic()
        threading.Timer(0.3, source.stop).start()
        list(source)
        source.close()
    assert time.monotonic() - began < 10


def test_there_is_no_camera_99():
    with pytest.raises(ValueError, match="camera 99: expected a camera, found none"):
        open_frames("99")


class FilmCamera(Camera):
    """A camera whose driver is OpenCV's reader of files: the same calls, the same answers."""

    def __init__(self, path):
        self._capture = cv2.VideoCapture(str(path))
        self.frame_rate = 25.0


def test_a_camera_has_the_clock_of_the_wall_and_its_frames_are_rgb(tmp_path):
    path = write_film(tmp_path / "a.avi", IMAGES, codec="mjpeg")
    source = LiveSource("camera 0", lambda: FilmCamera(path), reconnect_seconds=())
    frames: list[Frame] = []
    for frame in source:
        frames.append(frame)
        time.sleep(0.01)
    source.close()
    assert len(frames) == 10
    assert all(later.seconds - earlier.seconds > 0.009 for earlier, later in pairwise(frames))
    assert frames[-1].seconds < 5
    assert max(np.abs(a.image.astype(int) - b).mean() for a, b in zip(frames, IMAGES, strict=True)) < 8


def test_a_source_that_sends_nothing_is_refused():
    class Silent:
        frame_rate = 25.0

        def __iter__(self):
            yield from ()

        def close(self):
            pass

    with pytest.raises(ValueError, match="door: expected a stream with frames, got one that sends none"):
        LiveSource("door", Silent)


def test_a_camera_yields_no_time_of_its_own(tmp_path):
    camera = FilmCamera(write_film(tmp_path / "a.avi", IMAGES, codec="mjpeg"))
    assert math.isnan(next(iter(camera))[0])
    camera.close()
