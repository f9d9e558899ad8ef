"""`maskdet benchmark`: how long models take from pixels to faces, with every runtime, against plain torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from maskdet.atomic import atomic_file
from maskdet.commands.benchmark.contenders import (
    PLAIN_TORCH,
    Contender,
    able_runtimes,
    baseline_name,
    plain_torch_contender,
    runtime_contender,
)
from maskdet.commands.benchmark.round_robin import Timing, speed_ratio, time_in_turns
from maskdet.commands.export.inputs import Pictures, check_sources
from maskdet.commands.export.source import ExportSource, open_source, precision_details
from maskdet.inference.metadata import METADATA_KEY, ModelMetadata
from maskdet.inference.runtime import RUNTIMES, Runtime, open_runtime
from maskdet.models.export.detector_onnx import export_onnx
from maskdet.reporting.machine import machine_text
from maskdet.stages.json_report import write_json

REPORT_NAME = "runtimes"
_LIBRARIES = ("torch", "onnxruntime", "openvino", "numpy", "opencv-python-headless")
_HEADER = ("runs on", "px", "batch", "median ms", "p95 ms", "images/s", "network ms", "× plain torch (95 %)")


@dataclass(frozen=True)
class BenchmarkRow:
    """One line of the table.

    Attributes:
        name: What runs it; where several models are timed, the model before that.
        image_size: Side of the network's input in pixels.
        batch_size: Images at once.
        median_ms: Of a batch, from pixels to faces.
        p95_ms: Nineteen of twenty batches took less.
        images_per_second: At the median.
        network_ms: Median of the network's part.
        speed_ratio: How many times as fast as its own model in plain torch at this size and batch; None where that was
            not timed or is not known.
        speed_ratio_95: Its 95 % interval over rounds; None where there were too few.
        num_rounds: What all this rests on.
    """

    name: str
    image_size: int
    batch_size: int
    median_ms: float
    p95_ms: float
    images_per_second: float
    network_ms: float
    speed_ratio: float | None
    speed_ratio_95: tuple[float, float] | None
    num_rounds: int

    def cells(self) -> list[str]:
        """Return the line as text, in the order of the header."""
        ratio = "–" if self.speed_ratio is None else f"{self.speed_ratio:.2f}"
        if self.speed_ratio_95:
            ratio += " ({:.2f} to {:.2f})".format(*self.speed_ratio_95)
        numbers = (self.median_ms, self.p95_ms, self.images_per_second, self.network_ms)
        return [self.name, str(self.image_size), str(self.batch_size), *(f"{n:.1f}" for n in numbers), ratio]


def run_benchmark(
    models: Sequence[Path],
    *,
    runtimes: Sequence[str],
    image_sizes: Sequence[int],
    batch_sizes: Sequence[int],
    num_threads: int,
    seconds: float,
    images: Sequence[Path] = (),
    output: Path = Path("reports/benchmarks"),
) -> list[BenchmarkRow]:
    """Time models in turns, print a table and write it as JSON and Markdown.

    Args:
        models: Folders of `train` and `.safetensors` are exported as ONNX for each size and are the baseline in plain
            torch; model files run at their own size, and are held to the one of these whose settings they carry.
            None: the model that the package ships.
        runtimes: Keys of `RUNTIMES`; each runs the files that it can.
        image_sizes: Sides of the input in pixels, for what is exported here; none: the model's own.
        batch_sizes: Images at once.
        num_threads: Of every runtime.
        seconds: How long to time; warming up and exporting come on top.
        images: Files and folders to find faces in, besides drawn scenes.
        output: Where `runtimes.json` and `runtimes.md` go.

    Returns:
        A row a contender.

    Raises:
        FileNotFoundError: If a model or an image is missing.
        ValueError: If a model is of another kind, a number is out of range, or no chosen runtime can run a model.
    """
    _check_numbers(runtimes, batch_sizes, num_threads, seconds)
    torch.set_num_threads(num_threads)
    chosen = list(dict.fromkeys(models)) or [None]
    for model in chosen:
        if not _is_source(model):
            able_runtimes(model, runtimes)
    sources = {
        model: [open_source(model, size) for size in image_sizes or [None]] for model in chosen if _is_source(model)
    }
    with TemporaryDirectory(prefix="maskdet-benchmark-") as folder:
        contenders: list[Contender] = []
        prefixes = {model: f"{model}, " if len(chosen) > 1 else "" for model in chosen}
        plain = {f"{prefixes[model]}{PLAIN_TORCH}": at_sizes[0].metadata for model, at_sizes in sources.items()}
        for number, model in enumerate(chosen):
            own_folder = Path(folder, str(number))  # models may share a name and a size
            own_folder.mkdir()
            for source in sources.get(model, []):
                contenders += source_contenders(source, own_folder, runtimes, batch_sizes, num_threads, prefixes[model])
            if model not in sources:
                contenders += file_contenders(model, runtimes, batch_sizes, num_threads, plain, prefixes[model])
        return time_and_write(contenders, num_threads, seconds, images, output)


def time_and_write(
    contenders: Sequence[Contender], num_threads: int, seconds: float, images: Sequence[Path], output: Path
) -> list[BenchmarkRow]:
    """Time contenders, print the table and write it; see `run_benchmark`."""
    pictures = Pictures(check_sources(images))
    rows = summarize(time_in_turns(contenders, pictures, seconds))
    num_shown = min(len(pictures), rows[0].num_rounds + max(row.batch_size for row in rows) - 1)
    record = {"machine": machine_text(), "threads": num_threads, "libraries": _versions(), "images": num_shown}
    text = markdown(rows, record)
    print(text)
    write_json({**record, "rows": [vars(row) for row in rows]}, output / f"{REPORT_NAME}.json")
    with atomic_file(output / f"{REPORT_NAME}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return rows


def parse_numbers(text: str, option: str) -> list[int]:
    """Return the whole numbers of a list with commas; none of an empty text.

    Raises:
        ValueError: If something else stands there.

    >>> parse_numbers("320, 640", "--sizes")
    [320, 640]
    """
    try:
        return [int(word) for word in text.split(",") if word.strip()]
    except ValueError as error:
        raise ValueError(f"{option}: expected whole numbers with commas between them, got {text!r}") from error


def _check_numbers(runtimes: Sequence[str], batch_sizes: Sequence[int], num_threads: int, seconds: float) -> None:
    unknown = [name for name in runtimes if name not in RUNTIMES]
    if unknown or not runtimes:
        raise ValueError(
            f"--runtimes: expected names out of {', '.join(RUNTIMES)}, got {', '.join(runtimes) or 'none'}"
        )
    if not batch_sizes or min(batch_sizes) < 1:
        raise ValueError(f"--batch: expected numbers of images from 1 on, got {list(batch_sizes)}")
    if num_threads < 1 or not seconds > 0:
        raise ValueError(f"expected threads >= 1 and seconds > 0, got {num_threads} and {seconds}")


def source_contenders(
    source: ExportSource,
    folder: Path,
    runtimes: Sequence[str],
    batch_sizes: Sequence[int],
    num_threads: int,
    prefix: str = "",
) -> list[Contender]:
    """Return plain torch, where it is among the runtimes, and the model's ONNX file in each of the others.

    Args:
        source: The model.
        folder: Where its file goes; what lies there of this name and size is replaced.
        runtimes: Keys of `RUNTIMES`.
        batch_sizes: Images at once.
        num_threads: Of every runtime.
        prefix: Of the names, where other models are timed too.
    """
    size, name, found = source.metadata.size, f"{prefix}{PLAIN_TORCH}", []
    if "torch" in runtimes:
        found += [plain_torch_contender(source.detector, source.metadata, size, batch, name) for batch in batch_sizes]
    others = [runtime for runtime in runtimes if runtime != "torch"]
    if others:
        path = folder / f"{source.name}-{size}.onnx"
        properties = {METADATA_KEY: precision_details(source, "onnx", "fp32").to_json()}
        print(f"exporting {source.name} at {size} px", flush=True)
        export_onnx(source.detector, path, size, properties)
        found += file_contenders(path, others, batch_sizes, num_threads, {name: source.metadata}, prefix)
    return found


def file_contenders(
    path: Path,
    runtimes: Sequence[str],
    batch_sizes: Sequence[int],
    num_threads: int,
    plain: Mapping[str, ModelMetadata],
    prefix: str = "",
) -> list[Contender]:
    """Return a model file in each of the runtimes that can run it.

    Args:
        path: The file.
        runtimes: Keys of `RUNTIMES`.
        batch_sizes: Images at once.
        num_threads: Of every runtime.
        plain: Name in plain torch → metadata, of the models that the file may have been made of.
        prefix: Of the names, where other models are timed too.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If none of the runtimes can run it.
    """
    loaded: list[Runtime] = [open_runtime(path, name, num_threads) for name in able_runtimes(path, runtimes)]
    return [
        runtime_contender(
            runtime, batch, f"{prefix}{runtime.name} {_precision(runtime)}", baseline_name(runtime.metadata, plain)
        )
        for runtime in loaded
        for batch in batch_sizes
    ]


def _is_source(model: Path | None) -> bool:
    """Say whether a model is exported here; the others are files that run as they are."""
    return model is None or model.is_dir() or model.suffix.lower() == ".safetensors"


def _precision(runtime: Runtime) -> str:
    return str(runtime.metadata.details.get("export", {}).get("precision", "fp32"))


def summarize(timings: Sequence[Timing]) -> list[BenchmarkRow]:
    """Return a row a timing, each compared with its baseline at its size and batch size where that was timed too."""
    seconds = {
        (timing.contender.name, timing.contender.image_size, timing.contender.batch_size): timing.seconds
        for timing in timings
    }
    return [_row(timing, seconds) for timing in timings]


def _row(timing: Timing, seconds: Mapping[tuple[str | None, int, int], np.ndarray]) -> BenchmarkRow:
    contender, milliseconds = timing.contender, timing.seconds * 1000  # (R,)
    median, p95 = np.quantile(milliseconds, [0.5, 0.95]).tolist()
    baseline = seconds.get((contender.baseline, contender.image_size, contender.batch_size))
    ratio = None if baseline is None else speed_ratio(baseline, timing.seconds)
    has_interval = ratio is not None and ratio.low is not None and ratio.high is not None
    return BenchmarkRow(
        name=contender.name,
        image_size=contender.image_size,
        batch_size=contender.batch_size,
        median_ms=median,
        p95_ms=p95,
        images_per_second=1000 * contender.batch_size / median,
        network_ms=float(np.median(timing.network_seconds) * 1000),
        speed_ratio=ratio.median if ratio else None,
        speed_ratio_95=(ratio.low, ratio.high) if has_interval else None,
        num_rounds=len(milliseconds),
    )


def markdown(rows: Sequence[BenchmarkRow], record: dict) -> str:
    """Return the table with what it was measured on."""
    lines = [f"| {' | '.join(cells)} |" for cells in (_HEADER, *(row.cells() for row in rows))]
    rule = f"|{'|'.join([':--', *['--:'] * (len(_HEADER) - 1)])}|"
    libraries = ", ".join(f"{name} {number}" for name, number in record["libraries"].items())
    return "\n".join(
        [
            f"From decoded pixels to faces: framing, network, decoding, suppression; {record['images']} pictures, "
            f"{rows[0].num_rounds} rounds, each of all lines in an order drawn anew.",
            f"Machine: {record['machine']}; {record['threads']} thread{'s' * (record['threads'] != 1)}; {libraries}.",
            "",
            lines[0],
            rule,
            *lines[1:],
            "",
        ]
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
