"""The command `maskdet`. Each command imports what it needs when it runs, so that `--help` is quick.

Exit codes: 0, everything was done; 1, some images could not be read, the others were done; 2, nothing could be done:
wrong words, no input, a wrong model, no place to write; 130, stopped by Ctrl-C, what was done until then is whole.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maskdet.commands.evaluate.command import EvaluateReport
    from maskdet.commands.predict import PredictReport

SOME_FAILED, NOTHING_DONE, INTERRUPTED = 1, 2, 130

MaxUnpackedMb = Annotated[float, typer.Option(min=1, metavar="MB", help="Largest size of an unpacked archive.")]
"""The option `--max-unpacked-mb` of every command that opens archives."""

FromFormat = Annotated[
    str | None,
    typer.Option("--from", metavar="FORMAT", help="voc, yolo, coco, csv or images; default: recognized."),
]
"""The option `--from` of every command that reads a set."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # messages of one line, that scripts can read
)


@app.callback()
def _commands() -> None:
    """Find faces and say who wears a mask, who does not, who wears it wrongly."""


@app.command()
def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Images, folders, patterns ('in/**/*.jpg'), videos, 0 for the first camera, rtsp:// streams.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A model (.onnx, .xml, .safetensors, a folder of `train`), or two_phase; default: the shipped one.",
        ),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("predictions"),
    formats: Annotated[
        str,
        typer.Option("--format", metavar="NAMES", help="Any of csv, parquet, coco, yolo, voc, with commas between."),
    ] = "csv",
    score_threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CLASS=]X", help="Lowest score, for all classes or one; may be repeated. Default: the model's own."
        ),
    ] = None,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Scores are probabilities, by the model's calibrator.")
    ] = False,
    one_class: Annotated[
        bool | None,
        typer.Option(
            "--one-class/--all-classes",
            help="A face that several classes claim counts once, as the likeliest, or once a class. Default: once, but "
            "with --score-threshold once a class, as average precision wants it.",
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Write annotated images and videos.")] = True,
    blur_faces: Annotated[bool, typer.Option("--blur-faces", help="Blur faces in these, doubtful ones too.")] = False,
    exif: Annotated[bool, typer.Option(help="Turn images as their EXIF orientation says.")] = True,
    resume: Annotated[bool, typer.Option(help="Go on with an unfinished run in the output folder.")] = True,
    track: Annotated[bool, typer.Option("--track", help="Follow people in videos; count people, not frames.")] = False,
    every: Annotated[int, typer.Option(min=1, metavar="N", help="Look at every N-th frame of a video.")] = 1,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Read videos and cameras for as long; default: all.")
    ] = None,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="onnx, openvino or torch; default: what the model file is for.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="Of the model; default: all cores.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object.")] = False,
) -> None:
    """Detect faces in images and videos; write tables and annotated images.

    Boxes are in pixels of the image as it is shown. A run that was stopped goes on where it was.

    Exit code: 0 all done, 1 some could not be read, 2 nothing could be done, 130 stopped by Ctrl-C.
    """
    from maskdet.commands.predict import PredictOptions, run_predict

    thresholds = _parsed_thresholds(score_threshold or [])
    with _failing_in_a_line():
        options = PredictOptions(
            output=output,
            formats=formats,
            model=model,
            runtime=runtime,
            num_threads=threads,
            score_threshold=thresholds,
            calibrated=calibrated,
            one_class=one_class,
            has_pictures=pictures,
            blurs_faces=blur_faces,
            apply_exif=exif,
            is_resumed=resume,
            has_tracking=track,
            every=every,
            max_seconds=seconds,
        )
        report = run_predict(sources, options)
    _tell(report, as_json)
    raise typer.Exit(_exit_code(report))


@app.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="Two or more, the baseline first: DVC experiments, git revisions, folders, or `workspace`; a+b is an "
            "ensemble of two.",
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("reports/compare"),
    score_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, metavar="X", help="For precision and recall; default: the baseline's.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=100, metavar="N", help="Of the bootstrap.")] = 1000,
) -> None:
    """Compare runs on the images that they have in common: differences with 95 % intervals, PR curves, images.

    Exit code: 0 compared, 2 not: an unknown run, runs without common images.
    """
    from maskdet.commands.compare.command import compare_runs

    with _failing_in_a_line():
        compare_runs(runs, output, score_threshold=score_threshold, num_replicates=replicates)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A labelled set: a folder or a zip archive.")],
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="An absent or empty folder.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help="yolo, coco, voc or csv.")],
    from_format: FromFormat = None,
    renames: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="OLD=NEW", help="Rename a class; two may become one. Repeat it for each."),
    ] = None,
    max_unpacked_mb: MaxUnpackedMb = 20_000,
) -> None:
    """Convert a labelled set to another format: images byte by byte, boxes, classes and the flag `difficult`.

    What the target cannot hold is told as lost: YOLO has no `difficult`; VOC and CSV no list of classes, so that one
    without a box is not named. Outlines, keypoints and VOC's other marks are left out. Labels with errors are refused.

    Exit code: 0 converted, 2 not: errors in the labels, a wrong word, no place to write.
    """
    from maskdet.commands.convert import run_convert

    with _failing_in_a_line():
        run_convert(
            source,
            destination,
            to,
            from_format=from_format,
            renames=renames or (),
            max_unpacked_mb=max_unpacked_mb,
        )


@app.command()
def audit(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A labelled set: a folder or a zip archive.")],
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="OTHER", help="Another set in which copies are looked for; may be repeated."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for findings.csv and audit.html.")] = Path(
        "audit"
    ),
    repair: Annotated[
        Path | None, typer.Option(metavar="DEST", help="Write a corrected copy here, with changes.csv.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there are errors.")] = False,
    from_format: FromFormat = None,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, metavar="MP", help="An image that claims more is reported, never decoded.")
    ] = 50,
    max_unpacked_mb: MaxUnpackedMb = 20_000,
) -> None:
    """Say what is wrong with a labelled set: images, labels, copies; repair what can be repaired.

    Exit code: 0 audited, 1 errors were found and --strict was given, 2 nothing could be done.
    """
    from maskdet.data.audit.options import AuditOptions
    from maskdet.stages.audit import run_audit

    with _failing_in_a_line():
        has_errors = run_audit(
            source,
            against=against or (),
            output=output,
            repair=repair,
            format_name=from_format,
            options=AuditOptions(max_megapixels=max_megapixels),
            max_unpacked_mb=max_unpacked_mb,
        )
    raise typer.Exit(SOME_FAILED if strict and has_errors else 0)


@app.command()
def export(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="A folder of `train` or a .safetensors; default: the shipped model."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files and export.json.")] = Path(
        "exports"
    ),
    to: Annotated[
        str, typer.Option("--to", metavar="NAMES", help="Any of onnx, openvino, torch_export, with commas between.")
    ] = "onnx",
    precision: Annotated[
        str, typer.Option(metavar="NAMES", help="Any of fp32, fp16, int8, with commas between.")
    ] = "fp32",
    size: Annotated[int | None, typer.Option(metavar="PX", help="Side of the input; default: the model's own.")] = None,
    nms: Annotated[bool, typer.Option("--nms", help="Write ONNX files with suppression inside, too.")] = False,
    calibration: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images that INT8 is calibrated on; default: images of the folds."),
    ] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="PATH", help="Image or folder to compare with torch on, besides drawn scenes."),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Score each file on the images that the model of a fold has not seen.")
    ] = False,
    scoring_folder: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a folder that scores images by itself: score.py and an ONNX model of the highest precision.",
        ),
    ] = None,
) -> None:
    """Write a model as files that run elsewhere; each is compared with torch and carries what is known of it.

    Exit code: 0 written, 2 not: a wrong word, a model of another kind, a file that differs from torch.
    """
    from maskdet.commands.export.command import run_export

    with _failing_in_a_line():
        run_export(
            model,
            output,
            formats=to,
            precisions=precision,
            image_size=size,
            has_suppression=nms,
            calibration=calibration,
            images=images or (),
            is_evaluated=evaluate,
            scoring_folder=scoring_folder,
        )


@app.command()
def benchmark(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MODEL...",
            help="Folders of `train` and .safetensors, exported for each size; .onnx, .xml; default: the shipped one.",
        ),
    ] = None,
    runtimes: Annotated[
        str, typer.Option(metavar="NAMES", help="Any of onnx, openvino, torch; plain torch is what others are held to.")
    ] = "onnx,openvino,torch",
    sizes: Annotated[
        str, typer.Option(metavar="PX", help="Sides of the input, with commas between; default: the model's own.")
    ] = "",
    batch: Annotated[str, typer.Option(metavar="N", help="Images at once, with commas between.")] = "1",
    seconds: Annotated[float, typer.Option(metavar="S", help="How long to time, warming up left out.")] = 60.0,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Of every runtime; default: all cores.")] = None,
    images: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="PATH", help="Image or folder to find faces in, besides drawn scenes."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for runtimes.json and runtimes.md.")] = Path(
        "reports/benchmarks"
    ),
) -> None:
    """Time a model on this machine, in turns with plain torch: median, p95, images/s, and how many times as fast.

    Exit code: 0 timed, 2 not: a wrong word, a missing model, nothing that can run it.
    """
    from maskdet.commands.benchmark.command import parse_numbers, run_benchmark
    from maskdet.reporting.machine import num_usable_cores

    with _failing_in_a_line():
        run_benchmark(
            models or [],
            runtimes=[name.strip() for name in runtimes.split(",") if name.strip()],
            image_sizes=parse_numbers(sizes, "--sizes"),
            batch_sizes=parse_numbers(batch, "--batch"),
            num_threads=num_usable_cores() if threads is None else threads,
            seconds=seconds,
            images=images or (),
            output=output,
        )


@app.command()
def evaluate(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A set, labelled or not: a folder or a zip archive.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A model, as for `predict`; default: the shipped one."),
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results, outside the set.")] = Path(
        "evaluation"
    ),
    renames: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="OLD=NEW", help="What a class of the set is for the model. Repeat for each."),
    ] = None,
    drops: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="CLASS", help="Leave out images that show this class of the set."),
    ] = None,
    merges: Annotated[
        list[str] | None,
        typer.Option(
            "--merge",
            metavar="OLD=NEW",
            help="Count detections of a class that the set does not label as another. Default: in no figure.",
        ),
    ] = None,
    keep_known: Annotated[
        bool,
        typer.Option("--keep-known", help="Count images that the model was trained on, e.g. held-out ones of its set."),
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="SET", help="A set that the model was trained on: copies of its images are not counted."),
    ] = None,
    from_format: FromFormat = None,
    resume: Annotated[bool, typer.Option(help="Go on with an unfinished run in the output folder.")] = True,
    runtime: Annotated[
        str | None, typer.Option(metavar="NAME", help="onnx, openvino or torch; default: what the model file is for.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, metavar="N", help="Of the model; default: all cores.")] = None,
    max_unpacked_mb: MaxUnpackedMb = 20_000,
) -> None:
    """Try a model on a set that it has not seen: gallery, and where there are labels metrics with intervals.

    Images that equal images of the model's training set are found by their pixels and counted in no figure.

    Exit code: 0 all done, 1 some images could not be read, 2 nothing could be done, 130 stopped by Ctrl-C.
    """
    from maskdet.commands.evaluate.command import EvaluateOptions, run_evaluate

    options = EvaluateOptions(
        output=output,
        model=model,
        runtime=runtime,
        num_threads=threads,
        format_name=from_format,
        renames=renames or (),
        drops=drops or (),
        merges=merges or (),
        keeps_known=keep_known,
        against=against or (),
        is_resumed=resume,
        max_unpacked_mb=max_unpacked_mb,
    )
    with _failing_in_a_line():
        report = run_evaluate(source, options)
    if report.is_interrupted:
        done = f"{report.num_done} of {report.num_images} images are predicted"
        typer.echo(f"interrupted: {done}, nothing is judged; the same command goes on from there", err=True)
    _tell_failures(report.failures)
    raise typer.Exit(_exit_code(report))


@app.command("app")
def serve_app(
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="FILE",
            help="A model to offer; may be repeated, the first is chosen. Default: the shipped one.",
        ),
    ] = None,
    two_phase: Annotated[
        bool | None,
        typer.Option(
            "--two-phase/--no-two-phase", help="Offer the two-phase model too; default: where it can be loaded."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 lets others in, without a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any that is free.")] = 7860,
    max_upload_mb: Annotated[float, typer.Option(metavar="MB", help="Largest file, in 10^6 bytes.")] = 50.0,
    max_seconds: Annotated[
        float, typer.Option(metavar="S", help="Longest wait for a turn, and longest work on a video.")
    ] = 60.0,
) -> None:
    """Serve the web page, and the interface for programs beside it, until Ctrl-C.

    Exit code: 0 stopped, 2 not started: a wrong model, a taken port, no extra `app`.
    """
    from maskdet.app.command import run_app
    from maskdet.app.limits import AppLimits

    with _failing_in_a_line():
        run_app(models or [], host, port, two_phase, AppLimits(max_upload_mb=max_upload_mb, max_seconds=max_seconds))


@app.command()
def dashboard(
    project: Annotated[str, typer.Argument(metavar="ENTITY/PROJECT", help="Where the runs are, on W&B's server.")],
) -> None:
    """Build the W&B dashboard of a project: fold curves, pooled metrics by run, galleries, sweeps. Needs an account.

    Exit code: 0 built, 2 not: no account, no network, a wrong name.
    """
    from maskdet.reporting.dashboard import save_dashboard

    with _failing_in_a_line():
        typer.echo(save_dashboard(project))


@contextmanager
def _failing_in_a_line() -> Iterator[None]:
    """Turn what leaves nothing done into a line on the error stream and exit code 2."""
    try:
        yield
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NOTHING_DONE) from error


def _exit_code(report: "PredictReport | EvaluateReport") -> int:
    if report.is_interrupted:
        return INTERRUPTED
    if report.failures:
        return SOME_FAILED if report.num_done else NOTHING_DONE
    return 0


def _parsed_thresholds(words: Sequence[str]) -> float | dict[str, float] | None:
    """Return one number for all classes, or one by class; None where there is no word."""
    from maskdet.inference.thresholds import parse_threshold

    for_all, by_class = None, {}
    for word in words:
        try:
            name, value = parse_threshold(word)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="'--score-threshold'") from error
        if name is None:
            for_all = value
        else:
            by_class[name] = value
    if for_all is not None and by_class:
        raise typer.BadParameter("expected one number, or some by class, got both", param_hint="'--score-threshold'")
    return by_class or for_all


def _tell(report: "PredictReport", as_json: bool) -> None:
    """Print what was done and where it lies, and on the error stream what was not."""
    typer.echo(json.dumps(report.to_record()) if as_json else "\n".join(report.lines()))
    _tell_failures(report.failures)
    if report.is_interrupted:
        rest = "the same command goes on from there" if report.images else "the same command begins anew"
        typer.echo(f"interrupted: the results are those until then; {rest}", err=True)


def _tell_failures(failures: Mapping[str, str]) -> None:
    """Print on the error stream why images and videos could not be done."""
    if failures:
        typer.echo(f"failed: {len(failures)}", err=True)
    for reason in failures.values():
        typer.echo(f"  {reason}", err=True)


def main() -> None:
    """Run the command line; a stop before any image is predicted is an exit code too, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
