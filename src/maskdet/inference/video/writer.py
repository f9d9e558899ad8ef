"""Write frames as an MP4 file that browsers and phones play: H.264, with the sound of the source.

Measured on one core for frames of 1280 x 720: libx264 at `veryfast` takes 10 ms a frame, OpenCV's `mp4v` 8, but no
browser plays that, and OpenCV's wheels for Linux have no H.264 encoder; VP9, which they have, takes 170.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import cv2
import numpy as np
from av.error import FFmpegError

from maskdet.inference.video.sound import Sound

_CODEC = "libx264"
_SETTINGS = {"preset": "veryfast", "crf": "23", "bf": "0"}
# No B-frames: they come out of order, and MP4 then cuts the last frames of a video with a variable frame rate.
_TICKS = 90_000  # a second: exact for all usual frame rates
_KEY_FRAME_SECONDS = 2  # a player that is moved starts at one of these
# What OpenCV's conversion below makes; without the words a player guesses by the height, and colours shift.
_MATRIX_601, _PRIMARIES_709, _TRANSFER_709, _RANGE_LIMITED = 6, 1, 1, 1


class VideoWriter:
    """An MP4 file; whole once the block is left, also by an error.

    Args:
        path: Replaced if it is there. Use a temporary name: until the end it cannot be played.
        name: What messages call it.
        image_wh: Width and height of the frames. Odd ones grow by a line that repeats the last one: H.264 stores
            colours for two by two pixels.
        frame_rate: On average; frames have their own times.
        sound_of: A video whose sound is copied, up to the last frame; None: silent.
        begin_seconds: That video's clock at the first frame.

    Attributes:
        has_sound: Whether there is any.
        num_frames: Written so far.

    Raises:
        OSError: If the file cannot be written, here or later.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        image_wh: tuple[int, int],
        frame_rate: float,
        sound_of: str | None = None,
        begin_seconds: float = 0.0,
    ) -> None:
        self._name, self._pad_wh = name, (image_wh[0] % 2, image_wh[1] % 2)
        self.num_frames, self._frame_seconds, self._last_tick = 0, 1 / frame_rate, -1
        # The index in front: a browser plays before it has loaded the file.
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._add_pictures(image_wh, frame_rate)
        self._sound = Sound(sound_of, begin_seconds, self._container) if sound_of else None
        self.has_sound = self._sound is not None and self._sound.is_present

    def _add_pictures(self, image_wh: tuple[int, int], frame_rate: float) -> av.VideoStream:
        rate = Fraction(frame_rate).limit_denominator(1001)
        stream = self._container.add_stream(_CODEC, rate=rate, options=_SETTINGS)
        context = stream.codec_context
        context.width, context.height = image_wh[0] + self._pad_wh[0], image_wh[1] + self._pad_wh[1]
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1, _TICKS)
        context.gop_size = max(1, round(_KEY_FRAME_SECONDS * frame_rate))
        context.colorspace, context.color_range = _MATRIX_601, _RANGE_LIMITED
        context.color_primaries, context.color_trc = _PRIMARIES_709, _TRANSFER_709
        return stream

    def write(self, seconds: float, image: np.ndarray) -> None:
        """Write a frame.

        Args:
            seconds: Since the first frame, more than that of the frame before.
            image: (H, W, 3) uint8, RGB, of the size that the constructor was told.
        """
        if any(self._pad_wh):
            image = cv2.copyMakeBorder(image, 0, self._pad_wh[1], 0, self._pad_wh[0], cv2.BORDER_REPLICATE)
        planes = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)  # ten times as quick as FFmpeg's own
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        # Two frames may lie nearer to each other than a tick, and the encoder refuses two at one time.
        self._last_tick = max(round(seconds * _TICKS), self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, _TICKS)
        frame.duration = round(self._frame_seconds * _TICKS)
        with self._told():
            self._container.mux(self._stream.encode(frame))
            for packet in () if self._sound is None else self._sound.until(seconds + self._frame_seconds):
                self._container.mux(packet)
        self.num_frames += 1

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn FFmpeg's errors into those of the caller."""
        try:
            yield
        except FFmpegError as error:
            raise OSError(f"{self._name}: cannot write the video: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            with self._told():
                if self.num_frames:
                    self._container.mux(self._stream.encode(None))  # what the encoder holds back
                self._container.close()
        finally:
            if self._sound is not None:
                self._sound.close()
