"""What every source of frames hands on: the frames, what is known of the video, and why it ended."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

MAX_PIXELS = 7680 * 4320
"""Frames of more pixels than 8K has are refused: a file of some kB can declare gigabytes a frame."""


@dataclass(frozen=True)
class Frame:
    """A picture of a video.

    Attributes:
        index: 0-based, in the order of the source. Frames that a live source had to drop leave gaps.
        seconds: Since the first frame, by the source's own clock; strictly increasing, in whatever steps it has.
        image: (H, W, 3) uint8, RGB, upright: the rotation that phones write beside the pixels is applied. All frames
            of a video have one size.
    """

    index: int
    seconds: float
    image: np.ndarray


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is read.

    Attributes:
        name: What messages and tables call it: a file's name, a stream's address without user and password.
        image_wh: Width and height of the upright frames in pixels.
        frame_rate: Frames per second on average, as declared; 25 where nothing is.
        num_frames: As declared, so for progress alone; None where nobody knows, as of a live source.
        is_live: Whether frames come at their own pace and are lost where nobody takes them.
        begin_seconds: The source's clock at the first frame; sound is cut by it.
    """

    name: str
    image_wh: tuple[int, int]
    frame_rate: float
    num_frames: int | None
    is_live: bool
    begin_seconds: float


class FrameSource(Protocol):
    """A video that can be read once.

    Attributes:
        info: What is known of it.
        location: What sound is read from; None where there is none to read.
        notes: What a person should know of how it went, e.g. that it ended early; final once the frames have ended.
    """

    info: VideoInfo
    location: str | None
    notes: list[str]

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order. They are read as they are taken."""
        ...

    def stop(self) -> None:
        """Ask for the end from another thread: a wait for a dropped stream is not waited out."""
        ...

    def close(self) -> None:
        """Release the file, the connection or the camera, once no thread iterates any more."""
        ...


def check_image_wh(width: int, height: int, name: str) -> tuple[int, int]:
    """Return width and height, or refuse what no camera films.

    Raises:
        ValueError: If there are no pixels, or more than `MAX_PIXELS`.
    """
    if not 0 < width * height <= MAX_PIXELS:
        raise ValueError(f"{name}: expected frames of 1 to {MAX_PIXELS} pixels, got {width} x {height}")
    return width, height


def fitted(image: np.ndarray, image_wh: tuple[int, int]) -> np.ndarray:
    """Return a frame in the size of the video: some sources change theirs on the way.

    Args:
        image: (H, W, 3) uint8.
        image_wh: Width and height of the first frame.
    """
    return image if (image.shape[1], image.shape[0]) == image_wh else cv2.resize(image, image_wh)


def spaced(seconds: float, previous: float | None, frame_rate: float) -> float:
    """Return a time that comes after the previous one: the given one, or where that stands still, a frame later.

    >>> spaced(0.5, 0.4, 25), spaced(0.4, 0.4, 25), spaced(float("nan"), None, 25)
    (0.5, 0.44, 0.0)
    """
    if previous is None:
        return seconds if seconds == seconds else 0.0  # NaN: the source has no clock
    return seconds if seconds > previous else previous + 1 / frame_rate
