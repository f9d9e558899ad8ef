"""Predict many image files: a bad one is noted and skipped, a stop keeps what is done."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskdet.data.image import read_image
from maskdet.inference.predictor import Predictor
from maskdet.inference.result_files import FORMATS, ImageResult, write_picture
from maskdet.inference.sources import SourceImage


@dataclass(frozen=True)
class OutputOptions:
    """What is written where.

    Attributes:
        folder: Made where it does not exist; files of an earlier run are replaced one by one.
        formats: Keys of `FORMATS`.
        has_pictures: Whether annotated pictures are written, to `folder / "pictures"`.
    """

    folder: Path
    formats: Sequence[str]
    has_pictures: bool

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
        is_interrupted: Whether the user stopped the run; results are those until then.
    """

    results: list[ImageResult] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    is_interrupted: bool = False

    def class_counts(self, class_names: Sequence[str]) -> dict[str, int]:
        """Return the number of detections of each class, in the order of the names; 0 where there is none."""
        counts = Counter(int(index) for result in self.results for index in result.detections.class_indices)
        return {name: counts[index] for index, name in enumerate(class_names)}


def predict_images(predictor: Predictor, images: Iterable[SourceImage], output: OutputOptions) -> RunSummary:
    """Predict images one by one, each picture as it comes, the tables at the end.

    Args:
        predictor: The model.
        images: Files; may be wrapped to show progress.
        output: Where to.

    Returns:
        What was done. A keyboard interrupt ends the run early and leaves whole files of what was done before.

    Raises:
        OSError: If the output cannot be written.
    """
    summary = RunSummary()
    try:
        for image in images:
            _predict_image(predictor, image, output, summary)
    except KeyboardInterrupt:
        summary.is_interrupted = True
    for name in output.formats:
        FORMATS[name].write(summary.results, predictor.class_names, output.folder / FORMATS[name].file_name)
    return summary


def _predict_image(predictor: Predictor, source: SourceImage, output: OutputOptions, summary: RunSummary) -> None:
    try:
        image = read_image(source.path)
    except (ValueError, OSError) as error:  # this file alone; what the output folder refuses concerns all
        summary.failures[source.file_name] = str(error)
        return
    result = ImageResult(source.file_name, (image.shape[1], image.shape[0]), predictor.predict(image))
    if output.has_pictures:
        write_picture(image, result, predictor.class_names, output.pictures_dir)
    summary.results.append(result)
