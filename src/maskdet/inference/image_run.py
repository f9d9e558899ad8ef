"""Predict many image files: a bad one is noted and skipped, a stop keeps what is done, the next run goes on there."""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from maskdet.inference.images_in import Picture, read_picture
from maskdet.inference.journal import Journal, settings_of_run
from maskdet.inference.predictor import Predictor
from maskdet.inference.privacy import BLUR_SCORE_THRESHOLD, blur_faces
from maskdet.inference.result_files import FORMATS, check_folders, check_names
from maskdet.inference.results import ImageResult
from maskdet.inference.sources import SourceImage

_NUM_READ_AHEAD = 4  # pictures that wait decoded: enough for the model never to wait, little memory


@dataclass(frozen=True)
class OutputOptions:
    """What is written where.

    Attributes:
        folder: Made where it does not exist; files of an earlier run are replaced one by one.
        formats: Keys of `FORMATS`.
        has_pictures: Whether annotated pictures are written, to `folder / "pictures"`.
        blurs_faces: Whether faces in these pictures are blurred, the doubtful ones too.
    """

    folder: Path
    formats: Sequence[str]
    has_pictures: bool
    blurs_faces: bool = False

    @property
    def pictures_dir(self) -> Path:
        """Return the folder of the annotated pictures."""
        return self.folder / "pictures"


@dataclass
class RunSummary:
    """What became of the images.

    Attributes:
        results: Of the images that could be read, in their order.
        failures: Why not, by file name.
        num_resumed: Results that an earlier run had left; they are among the results.
        is_interrupted: Whether the user stopped the run; results are those until then.
    """

    results: list[ImageResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    num_resumed: int = 0
    is_interrupted: bool = False

    @property
    def notes(self) -> dict[str, str]:
        """Return what of a file was left out, by file name."""
        return {result.file_name: result.note for result in self.results if result.note}

    def class_counts(self, class_names: Sequence[str]) -> dict[str, int]:
        """Return the number of detections of each class, in the order of the names; 0 where there is none."""
        counts = Counter(int(index) for result in self.results for index in result.detections.class_indices)
        return {name: counts[index] for index, name in enumerate(class_names)}


def predict_images(
    predictor: Predictor,
    images: Sequence[SourceImage],
    output: OutputOptions,
    *,
    apply_exif: bool = True,
    is_resumed: bool = True,
    conclude: Callable[[RunSummary], None] | None = None,
) -> RunSummary:
    """Predict images one by one, each picture as it comes, the tables at the end.

    A run that was stopped or killed leaves a journal in the output folder. The next one with the same model, settings
    and output takes over what is in there, but for files that have changed since, and its files are those of a run
    that was never stopped.

    Args:
        predictor: The model.
        images: Files with different names.
        output: Where to.
        apply_exif: Turn pictures as their EXIF orientation says; boxes are in pixels of the turned picture.
        is_resumed: False begins anew.
        conclude: Makes more of a whole run, while no other may write to the folder; the run is not finished before it
            has returned, so that one that is stopped in it goes on there without predicting anew.

    Returns:
        What was done. A keyboard interrupt ends the run early and leaves whole files of what was done before.

    Raises:
        ValueError: If two images would share a result file, a result would replace an image or a folder that is
            none of ours, or another run writes to the folder.
        OSError: If the output cannot be written.
    """
    check_names(output.formats, [image.file_name for image in images])
    check_folders(output.formats, output.folder)
    if output.has_pictures:
        from maskdet.inference.result_pictures import check_pictures  # fonts and drawing: only who wants pictures

        check_pictures(output.pictures_dir, images)
    run = _ImageRun(predictor, output, apply_exif)
    with Journal(output.folder, run.settings(), is_resumed) as journal:
        summary = run.predict(images, journal)
        for name in output.formats:
            FORMATS[name].write(summary.results, predictor.class_names, output.folder / FORMATS[name].file_name)
        if conclude is not None and not summary.is_interrupted:
            try:
                conclude(summary)
            except KeyboardInterrupt:
                summary.is_interrupted = True
        if not summary.is_interrupted:
            journal.finish()
    return summary


class _ImageRun:
    """What is done with each image."""

    def __init__(self, predictor: Predictor, output: OutputOptions, apply_exif: bool) -> None:
        self._predictor, self._output, self._apply_exif = predictor, output, apply_exif

    def settings(self) -> dict[str, object]:
        """Return what decides the results."""
        predictor, output = self._predictor, self._output
        return settings_of_run(
            predictor.model_path,
            runtime=predictor.runtime_name,
            calibrated=predictor.is_calibrated,
            one_class=predictor.has_one_class,
            thresholds=predictor.thresholds,
            apply_exif=self._apply_exif,
            has_pictures=output.has_pictures,
            blurs_faces=output.blurs_faces,
        )

    def predict(self, images: Sequence[SourceImage], journal: Journal) -> RunSummary:
        """Predict each image that the journal does not know."""
        summary = RunSummary()
        steps = self._steps(images, journal)
        try:
            with tqdm(steps, total=len(images), unit="image", disable=None) as progress:
                for image, step in progress:
                    self._finish(image, step, journal, summary)
        except KeyboardInterrupt:
            summary.is_interrupted = True
        finally:
            steps.close()
        summary.num_resumed = journal.num_resumed
        return summary

    def _steps(
        self, images: Sequence[SourceImage], journal: Journal
    ) -> Iterator[tuple[SourceImage, "ImageResult | Future[Picture]"]]:
        """Yield each image with its known result, or with its picture, which is read in a thread of its own."""
        waiting: deque[tuple[SourceImage, ImageResult | Future[Picture]]] = deque()
        reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        try:
            for image in images:
                known = self._known(image, journal)
                waiting.append((image, known or reader.submit(read_picture, image.path, self._apply_exif)))
                if len(waiting) > _NUM_READ_AHEAD:
                    yield waiting.popleft()
            yield from waiting
        finally:
            reader.shutdown(wait=False, cancel_futures=True)

    def _known(self, image: SourceImage, journal: Journal) -> ImageResult | None:
        if not self._output.has_pictures:
            return journal.find(image)
        from maskdet.inference.result_pictures import picture_path

        return journal.find(image) if picture_path(self._output.pictures_dir, image.file_name).is_file() else None

    def _finish(
        self, image: SourceImage, step: "ImageResult | Future[Picture]", journal: Journal, summary: RunSummary
    ) -> None:
        if isinstance(step, ImageResult):
            summary.results.append(step)
            return
        try:
            picture = step.result()
        except (ValueError, OSError) as error:  # this file alone; what the output folder refuses concerns all
            summary.failures[image.file_name] = str(error)
            self._drop_picture(image)
            return
        summary.results.append(self._predict(image, picture))
        journal.add(image, summary.results[-1])  # last: what it knows is whole

    def _drop_picture(self, image: SourceImage) -> None:
        """Remove what an earlier run drew of a file that cannot be read any more: it may show faces that this hides."""
        if self._output.has_pictures:
            from maskdet.inference.result_pictures import picture_path

            picture_path(self._output.pictures_dir, image.file_name).unlink(missing_ok=True)

    def _predict(self, image: SourceImage, picture: Picture) -> ImageResult:
        """Predict a picture, and draw what is found."""
        pixels, blurs = picture.pixels, self._output.has_pictures and self._output.blurs_faces
        lowest = [self._predictor.thresholds_of(BLUR_SCORE_THRESHOLD)] if blurs else []
        found, *doubtful = self._predictor.detect_at(pixels, [None, *lowest])
        result = ImageResult(image.file_name, (pixels.shape[1], pixels.shape[0]), found, picture.note)
        if self._output.has_pictures:
            from maskdet.inference.result_pictures import write_picture

            for also in doubtful:  # what is shown, and what is too doubtful to be shown
                pixels = blur_faces(pixels, np.concatenate([found.boxes_xyxy, also.boxes_xyxy]))
            write_picture(pixels, result, self._predictor.class_names, self._output.pictures_dir)
        return result
