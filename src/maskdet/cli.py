"""The command `maskdet`. Each command imports what it needs when it runs, so that `--help` is quick.

Exit codes: 0, everything was done; 1, some images could not be read, the others were done; 2, nothing could be done:
wrong words, no input, a wrong model, no place to write; 130, stopped by Ctrl-C, what was done until then is whole.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maskdet.inference.image_run import OutputOptions, RunSummary

SOME_FAILED, NOTHING_DONE, INTERRUPTED = 1, 2, 130

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
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Image files and folders of them.")],
    model: Annotated[Path | None, typer.Option(metavar="FILE", help="An .onnx file; default: the shipped one.")] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("predictions"),
    formats: Annotated[str, typer.Option("--format", metavar="NAMES", help="csv, coco or csv,coco.")] = "csv",
    score_threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, metavar="X", help="Lowest score, for all classes; default: the model's own ones."),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Write annotated pictures.")] = True,
) -> None:
    """Detect faces in images; write a table and annotated pictures.

    Pixels are taken as they are stored: an EXIF orientation is ignored, as in training.

    Exit code: 0 all images done, 1 some could not be read, 2 nothing could be done, 130 stopped by Ctrl-C.
    """
    from tqdm import tqdm

    from maskdet.inference.image_run import OutputOptions, predict_images
    from maskdet.inference.predictor import Predictor
    from maskdet.inference.result_files import parse_formats
    from maskdet.inference.runtime import OnnxRuntime, shipped_model_path
    from maskdet.inference.sources import find_images

    try:
        options = OutputOptions(output, parse_formats(formats), pictures)
        images = find_images(sources, ignored_dir=output)
        predictor = Predictor(OnnxRuntime(model or shipped_model_path()), score_threshold)
        begin = time.perf_counter()
        summary = predict_images(predictor, tqdm(images, unit="image", disable=None), options)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NOTHING_DONE) from error
    _tell(summary, predictor.class_names, options, time.perf_counter() - begin)
    raise typer.Exit(INTERRUPTED if summary.is_interrupted else SOME_FAILED if summary.failures else 0)


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
    from maskdet.stages.compare import compare_runs

    try:
        compare_runs(runs, output, score_threshold=score_threshold, num_replicates=replicates)
    except (ValueError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NOTHING_DONE) from error


@app.command()
def dashboard(
    project: Annotated[str, typer.Argument(metavar="ENTITY/PROJECT", help="Where the runs are, on W&B's server.")],
) -> None:
    """Build the W&B dashboard of a project: fold curves, pooled metrics by run, galleries, sweeps. Needs an account.

    Exit code: 0 built, 2 not: no account, no network, a wrong name.
    """
    from maskdet.reporting.dashboard import save_dashboard

    try:
        typer.echo(save_dashboard(project))
    except ValueError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(NOTHING_DONE) from error


def _tell(summary: "RunSummary", class_names: Sequence[str], output: "OutputOptions", seconds: float) -> None:
    """Print what was done and where it lies, and on the error stream what was not."""
    from maskdet.inference.result_files import FORMATS

    counts = summary.class_counts(class_names)
    num_images = len(summary.results)
    rate = f"{num_images / seconds:.1f} images/s" if num_images else "none could be read"
    typer.echo(f"images: {num_images} in {seconds:.1f} s ({rate})")
    by_class = ", ".join(f"{name} {count}" for name, count in counts.items())
    typer.echo(f"faces:  {sum(counts.values())} ({by_class})")
    for name in output.formats:
        typer.echo(f"wrote   {output.folder / FORMATS[name].file_name}")
    if output.has_pictures and num_images:
        typer.echo(f"wrote   {output.pictures_dir}")
    if summary.failures:
        typer.echo(f"failed: {len(summary.failures)}", err=True)
    for reason in summary.failures.values():
        typer.echo(f"  {reason}", err=True)
    if summary.is_interrupted:
        typer.echo("interrupted: the results are those of the images until then", err=True)


def main() -> None:
    """Run the command line; a stop before any image is predicted is an exit code too, not a traceback."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
