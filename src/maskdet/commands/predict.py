"""What `maskdet predict` does: pictures and videos of one command line, one model, one report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from maskdet.inference.counts import counted_text, share_masked
from maskdet.inference.image_run import OutputOptions, RunSummary, predict_images
from maskdet.inference.predictor import Predictor
from maskdet.inference.result_files import FORMATS, parse_formats
from maskdet.inference.sources import Sources, find_sources

if TYPE_CHECKING:
    from maskdet.inference.video.summary import VideoSummary

_PICTURES_STEM = "predictions"  # what files of pictures are called; no video's may be


@dataclass(frozen=True)
class PredictOptions:
    """What the command line says.

    Attributes:
        output: Folder for the results; made where it is missing.
        formats: As `parse_formats` reads it.
        model: As `Predictor` takes it, and so `runtime`, `num_threads`, `score_threshold`, `calibrated` and
            `one_class`.
        has_pictures: Whether annotated pictures and videos are written.
        blurs_faces: Whether faces in these are blurred.
        apply_exif: Whether pictures are turned as their EXIF orientation says.
        is_resumed: Whether an unfinished run in the output folder is gone on with.
        has_tracking: Whether people in videos are followed.
        every: Every how many-th frame of a video the model sees.
        max_seconds: How long videos and cameras are read; None: to their end, and cameras until Ctrl-C.
    """

    output: Path
    formats: str = "csv"
    model: str | Path | None = None
    runtime: str | None = None
    num_threads: int | None = None
    score_threshold: float | dict[str, float] | None = None
    calibrated: bool = False
    one_class: bool | None = None
    has_pictures: bool = True
    blurs_faces: bool = False
    apply_exif: bool = True
    is_resumed: bool = True
    has_tracking: bool = False
    every: int = 1
    max_seconds: float | None = None


@dataclass
class PredictReport:
    """What became of a command line.

    Attributes:
        predictor: The model.
        output: What was written of pictures, and where.
        images: Of the pictures; None: none were named.
        image_seconds: How long the pictures took, loading the model left out.
        videos: Of the videos, in their order.
        failed_videos: Why not, by name.
        is_stopped: Whether the user stopped the run before a video had begun.
    """

    predictor: Predictor
    output: OutputOptions
    images: RunSummary | None = None
    image_seconds: float = 0.0
    videos: list["VideoSummary"] = field(default_factory=list)
    failed_videos: dict[str, str] = field(default_factory=dict)
    is_stopped: bool = False

    @property
    def is_interrupted(self) -> bool:
        """Whether the user stopped the run."""
        summaries = [*([self.images] if self.images else []), *self.videos]
        return self.is_stopped or any(summary.is_interrupted for summary in summaries)

    @property
    def failures(self) -> dict[str, str]:
        """Return why pictures and videos could not be read, by name."""
        return (self.images.failures if self.images else {}) | self.failed_videos

    @property
    def num_done(self) -> int:
        """Return how many pictures and videos were done."""
        return len(self.videos) + (len(self.images.results) if self.images else 0)

    def lines(self) -> list[str]:
        """Return what a person reads at the end."""
        lines = self._image_lines(self.images) if self.images else []
        return lines + [line for video in self.videos for line in video.lines()]

    def _image_lines(self, images: RunSummary) -> list[str]:
        counts, num_new = images.class_counts(self.predictor.class_names), len(images.results) - images.num_resumed
        rate = f"{num_new / self.image_seconds:.1f} images/s" if num_new else "none was read"
        resumed = f"; {images.num_resumed} more were done by an earlier run" if images.num_resumed else ""
        lines = [
            f"images: {num_new} in {self.image_seconds:.1f} s ({rate}){resumed}",
            f"faces:  {counted_text(counts)}",
        ]
        share = share_masked(counts)
        lines += [] if share is None else [f"masked: {share:.0%} of the faces"]
        lines += [f"note:   {name}: {note}" for name, note in images.notes.items()]
        return lines + [f"wrote   {path}" for path in self._image_paths(images)]

    def _image_paths(self, images: RunSummary) -> list[Path]:
        paths = [self.output.folder / FORMATS[name].file_name for name in self.output.formats]
        return [*paths, self.output.pictures_dir] if self.output.has_pictures and images.results else paths

    def to_record(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        predictor = self.predictor
        return {
            "model": {
                "path": str(predictor.model_path),
                "runtime": predictor.runtime_name,
                "class_names": list(predictor.class_names),
                "score_thresholds": predictor.thresholds,
                "is_calibrated": predictor.is_calibrated,
                "has_one_class": predictor.has_one_class,
            },
            "images": self._image_record(self.images) if self.images else None,
            "videos": [video.to_record() for video in self.videos],
            "failures": self.failures,
            "is_interrupted": self.is_interrupted,
        }

    def _image_record(self, images: RunSummary) -> dict[str, Any]:
        counts = images.class_counts(self.predictor.class_names)
        return {
            "num_images": len(images.results),
            "num_resumed": images.num_resumed,
            "seconds": round(self.image_seconds, 3),
            "num_faces": counts,
            "share_masked": share_masked(counts),
            "notes": images.notes,
            "files": [str(path) for path in self._image_paths(images)],
        }


def run_predict(words: Sequence[str], options: PredictOptions) -> PredictReport:
    """Predict what words of a command line name: pictures first, then one video after the other.

    Args:
        words: Files, folders, patterns, cameras, streams; see `find_sources`.
        options: The rest of the command line.

    Returns:
        What was done; a stop by the user ends it early, and what was done until then is whole.

    Raises:
        ValueError: If nothing can begin: no source, a wrong option, a wrong model.
        OSError: If nothing can begin: a missing file, no place to write.
    """
    sources = find_sources(words, ignored_dir=options.output)
    formats = parse_formats(options.formats)
    predict_videos = _video_part(sources, formats, options) if sources.videos else None
    predictor = Predictor(
        options.model,
        runtime=options.runtime,
        score_threshold=options.score_threshold,
        num_threads=options.num_threads,
        calibrated=options.calibrated,
        one_class=options.one_class,
    )
    report = PredictReport(predictor, OutputOptions(options.output, formats, options.has_pictures, options.blurs_faces))
    if sources.images:
        began = time.perf_counter()
        report.images = predict_images(
            predictor, sources.images, report.output, apply_exif=options.apply_exif, is_resumed=options.is_resumed
        )
        report.image_seconds = time.perf_counter() - began
    if predict_videos and not report.is_interrupted:
        predict_videos(report)
    return report


def _video_part(sources: Sources, formats: Sequence[str], options: PredictOptions) -> Callable[[PredictReport], None]:
    """Return what predicts the videos; options that no video can have are refused before the model is loaded."""
    from maskdet.inference.video.run import VideoOptions, predict_video
    from maskdet.inference.video.sources import result_stems, source_name

    video_options = VideoOptions(
        formats=formats,
        has_film=options.has_pictures,
        every=options.every,
        max_seconds=options.max_seconds,
        has_tracking=options.has_tracking,
        has_blur=options.blurs_faces and options.has_pictures,
    )
    stems = result_stems([_PICTURES_STEM, *sources.videos])[1:]

    def predict_videos(report: PredictReport) -> None:
        for source, stem in zip(sources.videos, stems, strict=True):
            name = source_name(source)
            try:
                with tqdm(desc=name, unit="frame", disable=None) as bar:
                    summary = predict_video(
                        report.predictor, source, options.output, video_options, _shown_on(bar), stem
                    )
            except (ValueError, OSError) as error:  # this video alone; what is done of others is told
                report.failed_videos[name] = str(error)
                continue
            except KeyboardInterrupt:
                report.is_stopped = True
                return
            report.videos.append(summary)
            if summary.is_interrupted:
                return

    return predict_videos


def _shown_on(bar: tqdm) -> Callable[[int, int | None], None]:
    """Return what shows a video's progress; its length is an estimate, or not known."""

    def show(num_done: int, num_frames: int | None) -> None:
        bar.total = num_frames
        bar.update(num_done - bar.n)

    return show
