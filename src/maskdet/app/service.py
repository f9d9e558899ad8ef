"""What the app does with an upload, for the page and for programs alike."""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from maskdet.app.limits import AppLimits
from maskdet.app.models import AppModel, ModelShelf, ThresholdedModel
from maskdet.app.results import ModelAnswer, PictureResult, ResultStore, VideoResult, encode_shown
from maskdet.app.uploads import (
    BROKEN,
    UPLOADS,
    UploadError,
    check_pixels,
    check_size,
    check_uploaded,
    check_video_file,
    read_upload,
)
from maskdet.app.work import WorkQueue
from maskdet.inference.images_in import Picture
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.inference.thresholds import ScoreThreshold
from maskdet.inference.video.opening import open_frames
from maskdet.inference.video.run import Progress, VideoOptions, predict_video

_MAX_VIDEOS, _MAX_WAITING_VIDEOS = 8, 4
FILM_STEM = "faces"
"""What the files of a video's result begin with."""


@dataclass(frozen=True)
class VideoChoices:
    """What a visitor wants of a video.

    Attributes:
        thresholds: One for each class of the model.
        has_tracking: Whether people are followed and counted.
        has_blur: Whether faces are blurred.
    """

    thresholds: tuple[float, ...]
    has_tracking: bool = False
    has_blur: bool = False


class AppService:
    """Models, limits, queues and held results of one server.

    Args:
        shelf: The models.
        limits: What is accepted.
        work_dir: For uploads and the files of videos; what is left is removed with it by the caller.

    Attributes:
        uploads_dir: Where the files of visitors lie; no other is ever opened for them.
    """

    def __init__(self, shelf: ModelShelf, limits: AppLimits, work_dir: Path) -> None:
        self.shelf, self.limits, self._work_dir = shelf, limits, work_dir
        self.uploads_dir = work_dir / UPLOADS
        self.pictures: ResultStore[PictureResult] = ResultStore(limits.num_results, limits.result_seconds)
        self.videos: ResultStore[VideoResult] = ResultStore(_MAX_VIDEOS, limits.result_seconds)
        self.picture_queue = WorkQueue("picture", limits.num_at_once, limits.max_waiting, limits.max_seconds)
        self.video_queue = WorkQueue("video", 1, _MAX_WAITING_VIDEOS, limits.max_seconds)

    def close(self) -> None:
        """Take no more work, and drop all results."""
        self.picture_queue.close()
        self.video_queue.close()
        self.pictures.clear()
        self.videos.clear()

    def drop_expired(self) -> None:
        """Drop the results whose time is over, even where nobody asks for any."""
        self.pictures.drop_expired()
        self.videos.drop_expired()

    def detect(
        self, content: bytes, model: AppModel, score_threshold: ScoreThreshold | None
    ) -> tuple[Picture, Detections]:
        """Return a picture that a program sent, and its faces, each once; see `read_upload` for the errors."""
        picture = read_upload(content, self.limits)
        return picture, one_class_per_face(model.predictor.detect(picture.pixels, score_threshold))

    def look_at_picture(self, path: Path, model_names: Sequence[str]) -> str:
        """Run models on a picture that a person sent; return the name of its result.

        Args:
            path: The upload.
            model_names: One, or two to compare.

        Raises:
            UploadError: If it lies elsewhere than uploads do, is none, or too large.
        """
        models = [self.shelf[name] for name in dict.fromkeys(model_names)]
        path = self._uploaded(path)
        check_size(path.stat().st_size, self.limits)
        picture = read_upload(path.read_bytes(), self.limits)
        answers = []
        for model in models:
            began = time.perf_counter()
            found = model.predictor.detect(picture.pixels, model.lowest_score)
            answers.append(ModelAnswer(model.name, model.class_names, found, time.perf_counter() - began))
        height, width = picture.pixels.shape[:2]
        shown = encode_shown(picture.pixels)
        return self.pictures.add(PictureResult(path.name, (width, height), shown, tuple(answers), picture.note))

    def look_at_video(
        self, path: Path, model_name: str, choices: VideoChoices, tell: Callable[[int, int | None], None]
    ) -> str:
        """Run a model on a video that a person sent, for `max_seconds` at most; return the name of its result.

        Args:
            path: The upload.
            model_name: On the shelf.
            choices: What is wanted.
            tell: `tell(num_done, num_frames)` after each frame.

        Raises:
            UploadError: If it lies elsewhere than uploads do, is no video, has no frames, or is too large.
        """
        model, path = self.shelf[model_name], self._uploaded(path)
        check_video_file(path, self.limits)
        options = VideoOptions(has_tracking=choices.has_tracking, has_blur=choices.has_blur)
        thresholds = dict(zip(model.class_names, choices.thresholds, strict=False))
        folder = Path(tempfile.mkdtemp(prefix="video-", dir=self._work_dir))
        result = None
        try:
            self._check_frames(path)
            view = ThresholdedModel(model.predictor, thresholds)
            progress = _until(time.monotonic() + self.limits.max_seconds, tell)
            summary = _predict(view, path, folder, options, progress)
            if summary.is_interrupted:
                summary.notes.append(
                    f"stopped after {self.limits.max_seconds:g} s of work: this is the part until then"
                )
            result = VideoResult(model.name, summary, folder)
        finally:
            if result is None:
                VideoResult(model.name, None, folder).close()
        return self.videos.add(result)

    def _uploaded(self, path: Path) -> Path:
        path = check_uploaded(path, self.uploads_dir)
        if not path.is_file():
            raise UploadError(BROKEN, "This upload is not held any more; please send it again.")
        return path

    def _check_frames(self, path: Path) -> None:
        try:
            with closing(open_frames(path)) as frames:
                check_pixels(frames.info.image_wh, self.limits)
        except UploadError:
            raise
        except ValueError as error:
            raise UploadError(BROKEN, f"This video cannot be read: {_without_path(error, path)}.") from error


def _predict(view: ThresholdedModel, path: Path, folder: Path, options: VideoOptions, progress: Progress):  # noqa: ANN202
    try:
        return predict_video(view, path, folder, options, progress, FILM_STEM)
    except ValueError as error:
        raise UploadError(BROKEN, f"This video cannot be read: {_without_path(error, path)}.") from error


def _until(deadline: float, tell: Progress) -> Progress:
    """Return a progress that ends the video at a time of the monotonic clock, after a frame at least."""

    def progress(num_done: int, num_frames: int | None) -> None:
        tell(num_done, num_frames)
        if time.monotonic() > deadline:
            raise KeyboardInterrupt

    return progress


def _without_path(error: Exception, path: Path) -> str:
    """Return what a message says beside the path, which is none of the visitor's business."""
    return str(error).replace(f"{path}: ", "").replace(str(path), path.name).strip().rstrip(".")
