"""Results that people look at, held for a while: thresholds move and files are made without the model."""

import secrets
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import cv2
import numpy as np

from maskdet.data.image_traits import shrunk
from maskdet.inference.suppression import Detections
from maskdet.inference.video.summary import VideoSummary

SHOWN_SIDE_PX = 2048
"""Longer side of the picture that is held and shown; larger ones are made smaller."""

_JPEG_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 95]


class Held(Protocol):
    """What a store can hold."""

    def close(self) -> None:
        """Free what it takes."""
        ...


T = TypeVar("T", bound=Held)


class ResultStore(Generic[T]):
    """Holds results in memory under names that nobody guesses; may be used from several threads.

    Args:
        max_results: The oldest goes when there are more.
        max_seconds: How long one is held at most.
        clock: Seconds that only grow.
    """

    def __init__(self, max_results: int, max_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_results, self._max_seconds, self._clock = max_results, max_seconds, clock
        self._results: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, result: T) -> str:
        """Hold a result and return its name: 22 letters, digits, dashes and underscores."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._let_expire()
            self._results[token] = (self._clock(), result)
            while len(self._results) > self._max_results:
                self._drop_oldest()
        return token

    def get(self, token: str) -> T:
        """Return a result.

        Raises:
            KeyError: If it is held no more, or never was.
        """
        with self._lock:
            self._let_expire()
            if token not in self._results:
                raise KeyError("This result is not held any more; please send the picture or video again.")
            return self._results[token][1]

    def __len__(self) -> int:
        """Return how many results are held."""
        with self._lock:
            self._let_expire()
            return len(self._results)

    def drop_expired(self) -> None:
        """Drop the results whose time is over; to be called now and then, as an idle server is asked for none."""
        with self._lock:
            self._let_expire()

    def clear(self) -> None:
        """Drop all results."""
        with self._lock:
            while self._results:
                self._drop_oldest()

    def _let_expire(self) -> None:
        """Drop what has expired; for who holds the lock."""
        limit = self._clock() - self._max_seconds
        while self._results and next(iter(self._results.values()))[0] < limit:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._results.popitem(last=False)[1][1].close()


@dataclass(frozen=True)
class ModelAnswer:
    """What one model found in a picture.

    Attributes:
        model_name: Its name on the shelf.
        class_names: In the order of class indices.
        found: Faces from `AppModel.lowest_score` on, in pixels of the picture.
        seconds: How long the model took.
    """

    model_name: str
    class_names: tuple[str, ...]
    found: Detections
    seconds: float


@dataclass(frozen=True)
class PictureResult:
    """What was found in a picture, and the picture as it is shown.

    Attributes:
        file_name: What tables call it.
        image_wh: Width and height of the picture in pixels.
        shown_jpeg: The picture at no more than `SHOWN_SIDE_PX`; compressed, as many are held.
        answers: One for each model, one or two.
        note: What of the file was left out; empty: nothing.
    """

    file_name: str
    image_wh: tuple[int, int]
    shown_jpeg: bytes
    answers: tuple[ModelAnswer, ...]
    note: str = ""

    def shown(self) -> np.ndarray:
        """Return the picture as it is shown, (H', W', 3) uint8, RGB."""
        return cv2.cvtColor(cv2.imdecode(np.frombuffer(self.shown_jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Nothing lies outside of memory."""


@dataclass(frozen=True)
class VideoResult:
    """What was found in a video, and the folder with its files.

    Attributes:
        model_name: Name of the model on the shelf.
        summary: Of the run.
        folder: Is removed with the result.
    """

    model_name: str
    summary: VideoSummary
    folder: Path

    def file(self, suffix: str) -> Path:
        """Return the file of the run whose name ends so.

        Raises:
            KeyError: If the run wrote none.
        """
        for path in self.summary.files:
            if path.name.endswith(suffix):
                return path
        raise KeyError(f"This result has no file of the kind {suffix}.")

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def encode_shown(image: np.ndarray) -> bytes:
    """Return a picture as it is held: a JPEG whose longer side is at most `SHOWN_SIDE_PX`.

    Args:
        image: (H, W, 3) uint8, RGB.
    """
    shown = shrunk(image, SHOWN_SIDE_PX)
    return cv2.imencode(".jpg", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), _JPEG_QUALITY)[1].tobytes()
