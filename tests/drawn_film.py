"""Films of drawn people who walk, and a predictor that finds their faces by colour, for tests of videos.

A real model would know the faces no better and take longer: what is tested is what happens to its detections. The
predictor looks at pixels alone, so decoded frames must be upright, in order and in the right colours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from maskdet.data.sample.canvas import Canvas, Pose, face_points
from maskdet.data.sample.people import draw_person, random_look
from maskdet.inference.suppression import Detections
from maskdet.schema import CLASS_NAMES

FACE_PX = 40
COLOURS = np.array([[40, 90, 250], [250, 60, 40], [60, 220, 60], [240, 200, 20]], np.int32)
"""A plate of such a colour covers the head of person 0, 1, ...: what `ColourPredictor` looks for."""


@dataclass(frozen=True)
class Walker:
    """A person who walks on a straight line.

    Attributes:
        person: Row of `COLOURS`.
        begin_xy: Centre of the face on the first frame, in pixels.
        step_xy: Pixels a frame.
        seed: Of the look.
    """

    person: int
    begin_xy: tuple[float, float]
    step_xy: tuple[float, float]
    seed: int = 0

    def pose(self, frame: int) -> Pose:
        x, y = np.add(self.begin_xy, np.multiply(self.step_xy, frame))
        return Pose(x=float(x), y=float(y), height=FACE_PX, tilt=0.0, yaw=0.0)


def draw_frame(walkers: Sequence[Walker], frame: int, image_wh: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the picture of a frame, (H, W, 3) uint8, and the boxes of the plates, (N, 4).

    Later walkers stand before earlier ones.
    """
    canvas, boxes = Canvas(image_wh, (190, 190, 190)), []
    for walker in walkers:
        pose = walker.pose(frame)
        draw_person(canvas, pose, random_look(np.random.default_rng(walker.seed), CLASS_NAMES[0]))
        points = face_points(pose)
        low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
        plate = np.array([low, [high[0], low[1]], high, [low[0], high[1]]])
        canvas.fill(plate, tuple(int(value) for value in COLOURS[walker.person]))
        boxes.append([*low, *high])
    return canvas.image(), np.float32(boxes).reshape(-1, 4)


def film(walkers: Sequence[Walker], num_frames: int, image_wh: tuple[int, int] = (320, 160)) -> list[np.ndarray]:
    return [draw_frame(walkers, frame, image_wh)[0] for frame in range(num_frames)]


def write_film(
    path: Path,
    images: Sequence[np.ndarray],
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    sound: str | None = None,
    rate: int = 25,
) -> Path:
    """Write frames by PyAV alone, at 25 a second or at the times given, with two seconds of a tone where wanted."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options={"crf": "12"} if codec == "libx264" else {})
        stream.codec_context.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuvj420p" if codec == "mjpeg" else "yuv420p", 4_000_000
        track = _add_sound(container, sound) if sound else None
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = round(times[index] * 1000) if times else index
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _write_tone(container, track)
    return path


def _add_sound(container: av.container.OutputContainer, codec: str) -> av.AudioStream:
    track = container.add_stream(codec, rate=48000)
    track.layout = "stereo"
    return track


def _write_tone(container: av.container.OutputContainer, track: av.AudioStream, seconds: float = 2.0) -> None:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(48000 * seconds)) / 48000).astype(np.float32)
    tone = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    tone.sample_rate, tone.pts = 48000, 0
    context = track.codec_context
    resampler = av.AudioResampler(context.format, "stereo", 48000, frame_size=context.frame_size or 1024)
    for part in [*resampler.resample(tone), *resampler.resample(None)]:
        container.mux(track.encode(part))
    container.mux(track.encode(None))


def read_film(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Return times and frames of a video by PyAV alone."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.time for frame in frames], [frame.to_ndarray(format="rgb24") for frame in frames]


class ColourPredictor:
    """Finds the plates of `COLOURS` in a picture: person k has class `classes[k]` and score `scores[k]`.

    Has of `Predictor` what a video needs.
    """

    class_names = CLASS_NAMES
    has_one_class = True

    def __init__(self, classes: Sequence[int] = (0, 1, 2, 0), scores: Sequence[float] = (0.9, 0.8, 0.7, 0.6)) -> None:
        self.classes, self.scores = classes, scores
        self.thresholds = dict.fromkeys(CLASS_NAMES, 0.5)

    def thresholds_of(self, model_score: float) -> dict[str, float]:
        return dict.fromkeys(CLASS_NAMES, model_score)

    def detect(self, image_rgb: np.ndarray, score_threshold: float | dict[str, float] | None = None) -> Detections:
        lowest = 0.5 if score_threshold is None else score_threshold
        lowest = min(lowest.values()) if isinstance(lowest, dict) else lowest
        boxes, scores, classes = [], [], []
        for person in np.argsort(-np.array(self.scores), kind="stable"):
            for box in _plates(image_rgb, COLOURS[person]):
                if self.scores[person] >= lowest:
                    boxes.append(box)
                    scores.append(self.scores[person])
                    classes.append(self.classes[person])
        return Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.array(classes, np.int64))


def _plates(image: np.ndarray, colour: np.ndarray) -> list[list[float]]:
    is_near = (np.abs(image.astype(np.int32) - colour).max(axis=2) < 48).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(is_near)
    rows = [stats[k] for k in range(1, count) if stats[k][cv2.CC_STAT_AREA] >= 0.4 * FACE_PX**2]
    return [[x, y, x + width, y + height] for x, y, width, height, _ in rows]
