"""Predict a video: frames are decoded, inferred, drawn and encoded at once, in order, in a bounded memory."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Protocol

import numpy as np

from maskdet.inference.privacy import BLUR_SCORE_THRESHOLD
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.inference.thresholds import ScoreThreshold
from maskdet.inference.video.faces import VideoFace, faces_of
from maskdet.inference.video.frames import Frame, FrameSource, VideoInfo
from maskdet.inference.video.opening import open_frames
from maskdet.inference.video.output import FILM_SUFFIX, ShownFrame, VideoOutput
from maskdet.inference.video.sources import result_stem
from maskdet.inference.video.summary import Timeline, VideoSummary, write_people
from maskdet.inference.video.tables import TABLE_FORMATS, check_formats
from maskdet.inference.video.threads import ReadAhead, WriteBehind
from maskdet.inference.video.tracking import TRACKING_SCORE_THRESHOLD, PersonTracker, count_by_class, min_frames_of
from maskdet.threads import map_in_order

BLUR_REACH = 5
"""Frames before and after whose faces are blurred too."""

_QUEUE_BYTES, _QUEUE_FRAMES = 64 * 2**20, 8  # of each of two queues, at most
_NOTHING_BLURRED = np.empty((0, 4), np.float32)

Progress = Callable[[int, int | None], None]
"""`progress(num_done, num_frames)` after each frame, in the caller's thread; `num_frames` is an estimate or None."""


class FrameDetector(Protocol):
    """What a video needs of `Predictor`.

    Attributes:
        class_names: In the order of class indices.
        thresholds: By class name: faces from this score on are shown.
        has_one_class: Whether a face that several classes claim is shown once; people who are followed always are.
    """

    class_names: tuple[str, ...]
    thresholds: dict[str, float]
    has_one_class: bool

    def detect(self, image_rgb: np.ndarray, score_threshold: ScoreThreshold | None = None) -> Detections:
        """Return the faces of a frame, best first; called from several threads at once."""
        ...

    def thresholds_of(self, model_score: float) -> dict[str, float]:
        """Return by class what a score of the model is on the scale of returned scores, which may be calibrated."""
        ...


@dataclass(frozen=True)
class VideoOptions:
    """What is done with a video.

    Attributes:
        formats: Tables, keys of `TABLE_FORMATS`; may be none.
        has_film: Whether the annotated video is written, with the sound of a file.
        every: Every how many-th frame the model sees; its faces are shown until the next such frame. Tables have rows
            of inferred frames alone.
        has_tracking: Whether people are followed: see `PersonTracker`.
        min_person_frames: Inferred frames that make a person; None: those of 0.3 seconds, at least two.
        has_blur: Whether faces are blurred in the annotated video: see `maskdet.inference.privacy`.
        blur_score_threshold: From which score of the model on; what is shown is blurred in any case.
        max_seconds: The video is read up to there; None: to its end, or for ever.
        num_workers: Frames that the model sees at once. Two keep two cores busier than one with two threads.
    """

    formats: Sequence[str] = ("csv",)
    has_film: bool = True
    every: int = 1
    has_tracking: bool = False
    min_person_frames: int | None = None
    has_blur: bool = False
    blur_score_threshold: float = BLUR_SCORE_THRESHOLD
    max_seconds: float | None = None
    num_workers: int = 2

    def __post_init__(self) -> None:
        check_formats(self.formats)
        for name in ("every", "num_workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.has_blur and self.every > 1:
            raise ValueError(f"blurring faces: expected every frame to be inferred, got one in {self.every}")
        if not self.has_film and self.has_blur:
            raise ValueError("blurring faces: expected an annotated video to be written, got tables alone")
        if not 0 <= self.blur_score_threshold <= 1:
            raise ValueError(f"blur_score_threshold: expected a number in [0, 1], got {self.blur_score_threshold}")
        if self.max_seconds is not None and not self.max_seconds > 0:
            raise ValueError(f"max_seconds: expected a positive number, got {self.max_seconds}")


def predict_video(
    predictor: FrameDetector,
    source: str | Path | int,
    folder: Path,
    options: VideoOptions | None = None,
    progress: Progress | None = None,
    stem: str | None = None,
) -> VideoSummary:
    """Find the faces of a video; write the annotated video and tables.

    Files of `folder`: `<stem>.mp4` (H.264; frames keep their times, so a variable frame rate stays one; a width or
    height that is odd grows by one), the tables, `<stem>.timeline.csv` with the share masked by second, and with
    tracking `<stem>.people.csv`. All are whole or not there.

    A live source is not waited for: frames for which there is no time are dropped and counted.

    Args:
        predictor: The model, e.g. a `Predictor`.
        source: See `open_frames`.
        folder: Made where it does not exist; files of an earlier run are replaced.
        options: None: the defaults.
        progress: Called after each frame. It may raise `KeyboardInterrupt` to end the video there.
        stem: What the files' names begin with; None: `result_stem` of the source.

    Returns:
        What was found. A keyboard interrupt ends the video early and leaves whole files of what was done until then.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the source is no video, has no frames, or would be overwritten.
        OSError: If something cannot be written; what would not be whole is not there then.
        KeyboardInterrupt: If it came before the first frame.
        Exception: What the model raises, once the files of what was done until then are whole.
    """
    options = options or VideoOptions()
    with closing(open_frames(source)) as frames:
        run = _VideoRun(predictor, frames, options, progress)
        return run.into(Path(folder), stem or result_stem(source))


class _VideoRun:
    """One video on its way."""

    def __init__(
        self, predictor: FrameDetector, frames: FrameSource, options: VideoOptions, progress: Progress | None
    ) -> None:
        self._predictor, self._frames, self._options, self._progress = predictor, frames, options, progress
        self._thresholds = self._by_class(predictor.thresholds)
        self._followed_from = self._by_class(predictor.thresholds_of(TRACKING_SCORE_THRESHOLD))
        self._blurred_from = self._by_class(predictor.thresholds_of(options.blur_score_threshold))
        rate = frames.info.frame_rate / options.every
        self._tracker = PersonTracker(predictor.thresholds, rate) if options.has_tracking else None
        self._timeline = Timeline(predictor.class_names)
        self._summary = VideoSummary(frames.info.name, options.every, {})
        lowest = [self._thresholds]
        lowest += [self._followed_from] if options.has_tracking else []
        lowest += [self._blurred_from] if options.has_blur else []
        self._lowest = dict(zip(predictor.class_names, np.min(lowest, axis=0).tolist(), strict=True))

    def _by_class(self, thresholds: Mapping[str, float]) -> np.ndarray:
        return np.array([thresholds[name] for name in self._predictor.class_names], np.float32)  # (C,)

    def into(self, folder: Path, stem: str) -> VideoSummary:
        """Do it, and return the summary."""
        self._refuse_overwriting(folder, stem)
        began, options, info = time.perf_counter(), self._options, self._frames.info
        with VideoOutput(folder, stem, info, self._predictor.class_names) as output:
            output.open_tables(options.formats)
            if options.has_film:
                output.open_film(self._frames.location, BLUR_REACH if options.has_blur else None)
            failure = self._pump(output)
            if output.film is not None:
                output.film.show_rest()
        self._write_counts(folder, stem, output.files)
        self._summary.wall_seconds = time.perf_counter() - began
        if failure is not None:
            raise failure
        return self._summary

    def _refuse_overwriting(self, folder: Path, stem: str) -> None:
        suffixes = [TABLE_FORMATS[name].suffix for name in self._options.formats] + [FILM_SUFFIX]
        location = self._frames.location
        for path in (folder / f"{stem}{suffix}" for suffix in suffixes):
            if location is not None and path.exists() and Path(location).exists() and path.samefile(location):
                raise ValueError(f"{location}: expected another output folder, got that of the video itself")

    def _pump(self, output: VideoOutput) -> Exception | None:
        """Let all frames through; return the error that ended them early, where there is something to keep."""
        depth = _queue_depth(self._frames.info)
        show = output.film.show if output.film is not None else _forget
        with (
            WriteBehind(show, depth) as behind,
            ReadAhead(self._readable(), depth, drops_oldest=self._frames.info.is_live) as ahead,
        ):
            try:
                with closing(map_in_order(self._infer, enumerate(ahead), self._options.num_workers)) as inferred:
                    self._take(inferred, output, behind)
            except KeyboardInterrupt:
                self._summary.is_interrupted = True
                if not self._summary.num_frames:
                    raise
            except Exception as error:  # raised again once what was done is whole
                if not self._summary.num_frames:
                    raise
                return error
            finally:
                self._frames.stop()
                self._summary.num_dropped = ahead.num_dropped
        return None

    def _readable(self) -> Iterable[Frame]:
        limit = self._options.max_seconds
        return self._frames if limit is None else takewhile(lambda frame: frame.seconds < limit, self._frames)

    def _infer(self, placed: tuple[int, Frame]) -> tuple[Frame, Detections | None]:
        """Return a frame with what the model sees; with None where it is not asked. Runs in several threads."""
        place, frame = placed
        if place % self._options.every:
            return frame, None
        return frame, self._predictor.detect(frame.image, self._lowest)

    def _take(
        self, inferred: Iterator[tuple[Frame, Detections | None]], output: VideoOutput, behind: WriteBehind[ShownFrame]
    ) -> None:
        summary, faces, blurred_xyxy = self._summary, [], _NOTHING_BLURRED
        for frame, found in inferred:
            if found is not None:
                faces = self._faces(found, frame.seconds)
                self._timeline.add(frame.seconds, faces)
                output.add_rows(frame, faces)
                summary.num_inferred += 1
                if self._options.has_blur:
                    is_blurred = found.scores >= self._blurred_from[found.class_indices]
                    shown_xyxy = np.reshape([face.box_xyxy for face in faces], (-1, 4))
                    blurred_xyxy = np.concatenate([found.boxes_xyxy[is_blurred], shown_xyxy])
            behind.put(ShownFrame(frame, faces, blurred_xyxy))
            summary.num_frames += 1
            summary.video_seconds = frame.seconds + 1 / self._frames.info.frame_rate
            if self._progress is not None:
                self._progress(summary.num_frames, self._frames.info.num_frames)

    def _faces(self, found: Detections, seconds: float) -> list[VideoFace]:
        """Return the faces to show: those of people, or those from the thresholds on."""
        is_shown = found.scores >= self._thresholds[found.class_indices]
        if self._tracker is None:
            shown = found[is_shown]
            return faces_of(one_class_per_face(shown) if self._predictor.has_one_class else shown)
        return self._tracker.update(
            found[is_shown | (found.scores >= self._followed_from[found.class_indices])], seconds
        )

    def _write_counts(self, folder: Path, stem: str, files: Sequence[Path]) -> None:
        """Complete the summary, and write the tables that are known at the end alone."""
        summary, class_names = self._summary, self._predictor.class_names
        summary.files = [*files, folder / f"{stem}.timeline.csv"]
        self._timeline.write_csv(summary.files[-1])
        summary.num_faces = self._timeline.totals()
        if self._tracker is not None:
            rate = summary.num_inferred / summary.video_seconds  # a live source's may be far from the declared one
            people = self._tracker.counted_people(self._options.min_person_frames or min_frames_of(rate))
            summary.num_people = count_by_class(people, class_names)
            summary.files.append(folder / f"{stem}.people.csv")
            write_people(people, class_names, summary.files[-1])
        summary.notes += self._frames.notes
        if summary.num_dropped:
            summary.notes.append(f"{summary.num_dropped} frames of the live source were dropped: the model is slower")


def _queue_depth(info: VideoInfo) -> int:
    """Return how many frames a queue may hold: few of large ones."""
    frame_bytes = 3 * info.image_wh[0] * info.image_wh[1]
    return int(np.clip(_QUEUE_BYTES // frame_bytes, 2, _QUEUE_FRAMES))


def _forget(_: ShownFrame) -> None:
    """Take a frame of which no film is made."""
