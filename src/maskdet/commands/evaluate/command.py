"""The command `maskdet evaluate`: predict a foreign set, and where it has labels say how good that is."""

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from maskdet.commands.evaluate.classes import ClassPlan, check_model_classes, plan_classes
from maskdet.commands.evaluate.known import find_known
from maskdet.commands.evaluate.results import Subject, write_results
from maskdet.commands.evaluate.tables import prediction_table
from maskdet.data.audit.looks import Look
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.orientation import turned_images
from maskdet.data.class_map import recode
from maskdet.data.formats import MAX_UNPACKED_MB, opened_source, read_labelled_set
from maskdet.data.known_images import Pictures, look_at_pictures
from maskdet.data.labelled_set import ERROR, UNLABELLED, LabelledImage, LabelledSet, refuse_errors
from maskdet.evaluation.bootstrap import NUM_REPLICATES
from maskdet.inference.image_run import OutputOptions, RunSummary, predict_images
from maskdet.inference.images_in import MAX_PIXELS
from maskdet.inference.predictor import Predictor
from maskdet.inference.sources import SourceImage

MIN_SCORE = 0.001
"""Lowest score of a prediction, as in `conf/predict`: average precision needs the tail."""

_SPARED = ("image-unreadable", "labels-without-image", "path-outside")
"""Errors that spoil no label of another image: these are told, the others refused."""


@dataclass(frozen=True)
class EvaluateOptions:
    """What the command line says.

    Attributes:
        output: Folder for the results, outside the set.
        model: As `Predictor` takes it, and so `runtime` and `num_threads`.
        format_name: Of the set; None: recognized.
        renames: See `plan_classes`, and so `drops` and `merges`.
        keeps_known: Count images that the model was trained on.
        against: Sets that the model was trained on, in which copies are looked for.
        is_resumed: Whether an unfinished run in the output folder is gone on with.
        num_images: Pictures of each choice of the gallery.
        num_replicates: Of the bootstrap.
        max_unpacked_mb: Largest size of an unpacked archive in MB, 10**6 bytes.
    """

    output: Path = Path("evaluation")
    model: str | Path | None = None
    runtime: str | None = None
    num_threads: int | None = None
    format_name: str | None = None
    renames: Sequence[str] = ()
    drops: Sequence[str] = ()
    merges: Sequence[str] = ()
    keeps_known: bool = False
    against: Sequence[Path] = ()
    is_resumed: bool = True
    num_images: int = 12
    num_replicates: int = NUM_REPLICATES
    max_unpacked_mb: float = MAX_UNPACKED_MB


@dataclass
class EvaluateReport:
    """What became of a set.

    Attributes:
        failures: Why images were left out as they could not be read or judged, by file name.
        is_interrupted: Whether the user stopped it before it was judged; the next run goes on from what is predicted.
        num_done: Images that are predicted.
        num_images: Images to predict.
        metrics: What `metrics.json` holds; empty after a stop.
    """

    failures: dict[str, str] = field(default_factory=dict)
    is_interrupted: bool = False
    num_done: int = 0
    num_images: int = 0
    metrics: dict = field(default_factory=dict)


def run_evaluate(source: Path, options: EvaluateOptions) -> EvaluateReport:
    """Predict every image of a set; write tables, figures and a page, and print the figures.

    Written to the output folder: `predictions.parquet` (every detection from `MIN_SCORE` on, in the model's classes),
    of a labelled set `images.parquet` and `annotations.parquet` (what was counted), `metrics.json`, and
    `evaluation.html`. A run that is stopped goes on there next time, and predicts no image again.

    Args:
        source: A folder or a zip archive.
        options: The rest of the command line.

    Returns:
        What was done.

    Raises:
        ValueError: If the set, a word or the model is wrong, labels are in error, a class has no target, or the model
            was trained on every image; nothing is predicted then.
        OSError: If a file cannot be read or written.
    """
    _check_output(source, options.output)
    predictor = Predictor(
        options.model,
        runtime=options.runtime,
        num_threads=options.num_threads,
        score_threshold=MIN_SCORE,
        one_class=False,
    )
    check_model_classes(predictor.class_names)
    with ExitStack() as stack:
        folder, *others = (
            stack.enter_context(opened_source(path, options.max_unpacked_mb)) for path in (source, *options.against)
        )
        subject = _read_subject(source, folder, others, predictor, options)
        report = EvaluateReport(num_images=len(subject.pictures.looks))

        def judge(summary: RunSummary) -> None:
            predictions = prediction_table(summary.results, predictor.class_names)
            report.metrics = write_results(
                subject,
                predictions,
                predictor,
                _failures(subject, summary),
                options.output,
                options.num_images,
                options.num_replicates,
            )

        summary = _predict(subject, source, predictor, options, judge)
        report.failures = {name: f"{name}: {reason}" for name, reason in _failures(subject, summary).items()}
        report.is_interrupted, report.num_done = summary.is_interrupted, len(summary.results)
    return report


def _failures(subject: Subject, summary: RunSummary) -> dict[str, str]:
    """Return why images were left out, by file name."""
    of_run = {
        name: reason.removeprefix(f"{subject.labelled.root / name}: ") for name, reason in summary.failures.items()
    }
    return subject.pictures.failures | of_run


def _check_output(source: Path, output: Path) -> None:
    """Refuse a folder whose files the next run would take for labels of the set."""
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"--output: expected a folder outside the set {source}, got {output}")


def _read_subject(
    source: Path, folder: Path, others: Sequence[Path], predictor: Predictor, options: EvaluateOptions
) -> Subject:
    """Read labels and pictures, and refuse what no figure can be made of."""
    labelled = read_labelled_set(folder, options.format_name)
    has_labels = labelled.format != UNLABELLED
    if not has_labels and (options.renames or options.drops or options.merges):
        raise ValueError(f"{source}: expected a labelled set for --class, --drop and --merge, got images alone")
    plan = _plan(source, labelled, predictor, options) if has_labels else None
    audit = AuditOptions(max_megapixels=MAX_PIXELS / 1e6)
    pictures = look_at_pictures(folder, [image.file_name for image in labelled.images], audit)
    if has_labels:
        pictures.failures.update(_turned(labelled, pictures))
    others_seen = {str(path): _look_at(place, audit) for path, place in zip(options.against, others, strict=True)}
    looks_of_others = {path: looks for path, (looks, _) in others_seen.items()}  # by the whole path: names may be equal
    known = find_known(pictures.looks, looks_of_others, predictor.metadata.details)
    counted: tuple[LabelledImage, ...] = ()
    excluded: tuple[str, ...] = ()
    usable = tuple(
        image
        for image in labelled.images
        if image.file_name not in pictures.failures and (image.label_file is not None or not has_labels)
    )
    if not usable:
        wanted = f"images that can be read{', with labels' if has_labels else ''}"
        raise ValueError(f"{source}: expected {wanted}, got none{_why_unusable(labelled, pictures)}")
    if plan is not None:
        recoded = recode(replace(labelled, images=usable), plan.class_map, True, str(source))
        names = set(known.counted([image.file_name for image in recoded.images], options.keeps_known))
        counted = tuple(image for image in recoded.images if image.file_name in names)
        excluded = recoded.excluded
    name = source.absolute().name  # that of `.` too
    num_not_compared = sum(num for _, num in others_seen.values())
    return Subject(name, labelled, pictures, known, num_not_compared, counted, plan, excluded, options.keeps_known)


def _look_at(place: Path, audit: AuditOptions) -> tuple[dict[str, Look], int]:
    """Return the looks of the pictures in a folder, and how many files are links or no readable pictures."""
    found = read_labelled_set(place, UNLABELLED)
    seen = look_at_pictures(place, [image.file_name for image in found.images], audit)
    return seen.looks, len(seen.failures.keys() | {one.file for one in found.findings if one.severity == ERROR})


def _why_unusable(labelled: LabelledSet, pictures: Pictures) -> str:
    """Return a line on the pictures that cannot be used and one on the labels that were not taken, each if any."""
    failed = [f"{name}: {reason}" for name, reason in pictures.failures.items()]
    spared = [f"{one.file}: {one.detail}" for one in labelled.findings if one.rule in _SPARED[1:]]
    return "".join(
        f"\n  {reasons[0]}" + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")
        for reasons in (failed, spared)
        if reasons
    )


def _plan(source: Path, labelled: LabelledSet, predictor: Predictor, options: EvaluateOptions) -> ClassPlan:
    try:
        refuse_errors(str(source), (finding for finding in labelled.findings if finding.rule not in _SPARED))
    except ValueError as error:
        remedy = f"`maskdet audit {source} --repair FOLDER` writes a corrected copy"
        raise ValueError(f"{error}\n{remedy}") from error
    try:
        return plan_classes(labelled, predictor.class_names, options.renames, options.drops, options.merges)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def _turned(labelled: LabelledSet, pictures: Pictures) -> dict[str, str]:
    """Return why readable images are left out whose labels lie on the picture as its EXIF orientation turns it."""
    reason = (
        "expected labels of the picture as it is stored, got such of the picture as EXIF turns it; "
        "`maskdet audit --repair` puts this right"
    )
    return {name: reason for name in turned_images(labelled) if name in pictures.looks}


def _predict(
    subject: Subject,
    source: Path,
    predictor: Predictor,
    options: EvaluateOptions,
    judge: Callable[[RunSummary], None],
) -> RunSummary:
    """Predict every image that can be read, of a labelled set as it is stored, where its labels lie; then judge."""
    root = subject.labelled.root
    images = [SourceImage(root / name, name) for name in subject.pictures.looks]
    if source.is_file():  # unpacked anew each time: an unfinished run knows its images by the archive's age
        age = source.stat().st_mtime_ns
        for image in images:
            os.utime(image.path, ns=(age, age))
    output = OutputOptions(options.output, (), has_pictures=False)
    return predict_images(
        predictor,
        images,
        output,
        apply_exif=subject.plan is None,
        is_resumed=options.is_resumed,
        conclude=judge,
    )
