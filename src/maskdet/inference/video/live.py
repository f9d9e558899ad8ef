"""Frames of a camera or a network stream: at its own pace, and again after it dropped."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import cv2
import numpy as np

from maskdet.inference.video.decoder import USUAL_FRAME_RATE
from maskdet.inference.video.frames import Frame, VideoInfo, check_image_wh, fitted, spaced

RECONNECT_SECONDS = (1.0, 2.0, 4.0)
"""How long is waited before each attempt to reconnect; after the last one the video ends."""

HEALTHY_SECONDS = 30.0
"""A connection that held as long earns the next one all attempts again."""


class Connection(Protocol):
    """A stream while it lasts: `Decoder` or `Camera`."""

    frame_rate: float

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield time in seconds by the source's clock, NaN where it has none, and (H, W, 3) uint8 RGB."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Camera:
    """A camera of this computer, by OpenCV, which knows the cameras of every system.

    Args:
        index: 0 is the first.

    Raises:
        ValueError: If there is no such camera.
    """

    def __init__(self, index: int) -> None:
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error below says it in one line
        try:
            self._capture = cv2.VideoCapture(index)
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise ValueError(f"camera {index}: expected a camera, found none")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = rate if 1 <= rate <= 1000 else USUAL_FRAME_RATE  # some drivers say 0, some 1e6

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yield NaN, as a camera has no clock, and (H, W, 3) uint8 RGB."""
        while True:
            is_read, image_bgr = self._capture.read()
            if not is_read:
                return
            yield math.nan, cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Switch the camera off."""
        self._capture.release()


class LiveSource:
    """A source without an end, that may drop and come back.

    A source of unknown length that ends counts as dropped, as nobody can tell: it is connected again after the waits of
    `RECONNECT_SECONDS`, which a connection that held for `HEALTHY_SECONDS` renews. Times of frames go on by the wall
    clock. Sound is not read.

    Args:
        name: What messages call it.
        connect: Makes a connection; raises `ValueError` where there is none.
        first: One that is made already; None: `connect` makes it.
        reconnect_seconds: Waits before the attempts.

    Raises:
        ValueError: If it cannot be reached or sends no frame.
    """

    def __init__(
        self,
        name: str,
        connect: Callable[[], Connection],
        first: Connection | None = None,
        reconnect_seconds: tuple[float, ...] = RECONNECT_SECONDS,
    ) -> None:
        self._connect, self._all_waits = connect, reconnect_seconds
        self._waits = iter(reconnect_seconds)
        self._stopped = threading.Event()
        self._connection = first or connect()
        self._pictures = iter(self._connection)
        self._next = next(self._pictures, None)
        if self._next is None:
            self._connection.close()
            raise ValueError(f"{name}: expected a stream with frames, got one that sends none")
        self._began = time.monotonic()
        height, width = self._next[1].shape[:2]
        image_wh = check_image_wh(width, height, name)
        self.info = VideoInfo(name, image_wh, self._connection.frame_rate, None, True, 0.0)
        self.location: str | None = None
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until `stop` is called or the source cannot be reached any more."""
        index, previous, num_returns = 0, None, 0
        while True:
            connected = time.monotonic()
            for seconds, image in self._timed_pictures(connected - self._began if num_returns else 0.0):
                if self._stopped.is_set():
                    break
                previous = spaced(seconds, previous, self.info.frame_rate)
                yield Frame(index, previous, fitted(image, self.info.image_wh))
                index += 1
            if time.monotonic() - connected > HEALTHY_SECONDS:
                self._waits = iter(self._all_waits)
            if self._stopped.is_set() or not self._reconnect(previous):
                break
            num_returns += 1
        if num_returns:
            self.notes.append(f"the stream dropped and came back: {num_returns} x")

    def _timed_pictures(self, offset: float) -> Iterator[tuple[float, np.ndarray]]:
        """Yield the pictures of one connection, in seconds since the first frame of the first one."""
        picture, begin = self._next, self._next[0]
        while picture is not None:
            is_clocked = math.isfinite(picture[0] - begin)
            yield offset + picture[0] - begin if is_clocked else time.monotonic() - self._began, picture[1]
            picture = next(self._pictures, None)

    def _reconnect(self, last_seconds: float) -> bool:
        """Connect again, and say whether a frame came."""
        self._connection.close()
        trouble = "it drops too often"
        for wait in self._waits:
            if self._stopped.wait(wait):
                return False
            try:
                self._connection = self._connect()
            except ValueError as error:
                trouble = str(error)
                continue
            self._pictures = iter(self._connection)
            self._next = next(self._pictures, None)
            if self._next is not None:
                return True
            self._connection.close()
            trouble = "it sends no frame"
        self.notes.append(f"the stream dropped after {last_seconds:.1f} s and did not come back: {trouble}")
        return False

    def stop(self) -> None:
        """End the iteration at the next frame, or at once where it waits to reconnect."""
        self._stopped.set()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
