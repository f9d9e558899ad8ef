"""`maskdet export`: a trained detector as files that run elsewhere, each compared with torch before it is kept."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from maskdet.commands.export.agreement import MIN_SHARE, Agreement, agreement, candidates
from maskdet.commands.export.evaluation import GroundTruth, fold_metrics, loss_lines, predict_fold
from maskdet.commands.export.files import FORMATS, FP32, INT8, ONNX, OPENVINO, PRECISIONS, ExportedFile, FileWriter
from maskdet.commands.export.inputs import FramedImages, calibration_images, check_images
from maskdet.commands.export.source import ExportSource, open_source
from maskdet.data.provenance import check_trained_on, training_facts
from maskdet.inference.runtime import open_runtime
from maskdet.inference.scoring_folder import check_scoring_folder, write_scoring_folder
from maskdet.inference.suppression import Detections
from maskdet.schema import PREDICTIONS, write_table
from maskdet.stages.json_report import write_json

REPORT_FILE = "export.json"
_EVALUATED = (ONNX, OPENVINO)  # a program of torch has the numbers of torch


@dataclass
class ExportReport:
    """What was written.

    Attributes:
        files: In the order in which they were written.
        agreement: By file name: how it compares with torch, or with the file that suppression was added to.
        metrics: Of a fold's held-out photos, by file name; empty where none was evaluated.
    """

    files: list[ExportedFile] = field(default_factory=list)
    agreement: dict[str, Agreement] = field(default_factory=dict)
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)

    def to_record(self) -> list[dict]:
        """Return a JSON object a file; an undefined metric is null."""
        records = []
        for file in self.files:
            name, compared = file.path.name, self.agreement.get(file.path.name)
            metrics = {key: None if math.isnan(value) else value for key, value in self.metrics.get(name, {}).items()}
            record = {"file": name, "format": file.format, "precision": file.precision}
            record["megabytes"] = round(sum(part.stat().st_size for part in file.parts) / 1e6, 2)
            if compared:
                record["agreement"] = {**asdict(compared), "share": compared.share}
            records.append(record | ({"held_out_metrics": metrics} if metrics else {}))
        return records


def run_export(
    model: Path | None,
    output: Path,
    *,
    formats: str = ONNX,
    precisions: str = FP32,
    image_size: int | None = None,
    has_suppression: bool = False,
    calibration: Path | None = None,
    images: Sequence[Path] = (),
    is_evaluated: bool = False,
    scoring_folder: Path | None = None,
    root: Path = Path(),
) -> ExportReport:
    """Write the files, compare each with torch, and print how they compare.

    Args:
        model: See `open_source`.
        output: The folder to write to: the files and `export.json`, which keeps what it says of other files that still
            lie there. What is refused is not written.
        formats: Keys of `FORMATS`, separated by commas.
        precisions: Of `PRECISIONS`, separated by commas.
        image_size: Side of the input in pixels; None: as the model says.
        has_suppression: Whether ONNX files are also written with suppression inside, see `add_suppression`.
        calibration: See `calibration_images`.
        images: Files and folders to compare on, besides drawn scenes.
        is_evaluated: Whether the files are scored on the photos of the fold that the model has not seen.
        scoring_folder: Where a folder goes that scores photos by itself, with the highest precision; None: none.
        root: Of the project, with `build/` for calibration and evaluation.

    Raises:
        FileNotFoundError: If the model, an image or what the evaluation needs is missing.
        ValueError: If a name is unknown, no file is asked for, the model was trained on every image and is to be
            evaluated, the baseline of an evaluation is not asked for, an option has nothing to work on, the scoring
            folder holds something else or is to hold the files, the folder has an `export.json` of something else, or
            a file differs that must not: one of full precision from torch, one with suppression inside from the one
            without; or nothing was found that could differ.
    """
    chosen = parse_names(formats, FORMATS, "--to"), parse_names(precisions, PRECISIONS, "--precision")
    _refuse_nothing(*chosen)
    if is_evaluated and FP32 not in chosen[1]:
        raise ValueError(f"--evaluate: expected {FP32} among the precisions, as the baseline, got {precisions!r}")
    if has_suppression and ONNX not in chosen[0]:
        raise ValueError(f"--nms: expected {ONNX} among the formats, got {formats!r}")
    if is_evaluated and not set(chosen[0]) & set(_EVALUATED):
        raise ValueError(f"--evaluate: expected one of {', '.join(_EVALUATED)} among the formats, got {formats!r}")
    if scoring_folder is not None:
        check_scoring_folder(scoring_folder)
        if output.resolve().is_relative_to(scoring_folder.resolve()):
            raise ValueError(f"--scoring-folder: expected a folder that does not hold the files, got {scoring_folder}")
    earlier = _earlier_records(output)
    source = open_source(model, image_size)
    truth = _ground_truth(source, root) if is_evaluated else None
    framing = source.metadata.framing
    compared_on = check_images(framing, images)
    output.mkdir(parents=True, exist_ok=True)
    report = ExportReport()
    with TemporaryDirectory(dir=output, prefix=".export.") as folder:
        needs_ranges = INT8 in chosen[1]
        ranges = calibration_images(framing, source.fold, calibration, root) if needs_ranges else None
        writer = FileWriter(source, Path(folder), ranges)
        expected = [_torch_candidates(source, pixels) for pixels in compared_on]
        print(f"compared with torch on {compared_on.description}, at {source.metadata.size} px:")
        for file in writer.write(*chosen, has_suppression):
            report.agreement[file.path.name] = _compare(file, source, compared_on, expected)
            report.files.append(file)
        if truth is not None:
            _evaluate(report, source, truth, output)
        if scoring_folder is not None:
            scored = next((file for file in report.files if (file.format, file.plain) == (ONNX, None)), None)
            if scored is None:
                scored = writer.write_file(ONNX, chosen[1][0])
                _compare(scored, source, compared_on, expected)
            write_scoring_folder(scored.path, scoring_folder)
            print(f"wrote {scoring_folder}: python {scoring_folder / 'score.py'} photo.jpg")
        report.files = [_move(file, output) for file in report.files]
    names = {file.path.name for file in report.files}
    others = [record for record in earlier if record["file"] not in names]
    write_json({"files": others + report.to_record()}, output / REPORT_FILE)
    print(f"wrote {len(report.files)} files to {output}; what is said here is in {REPORT_FILE}")
    return report


def parse_names(text: str, known: Iterable[str], option: str) -> list[str]:
    """Return the names of a list with commas, each once, in the order of `known`.

    Raises:
        ValueError: If one is unknown, or there is none.
    """
    known, names = list(known), {name.strip() for name in text.split(",") if name.strip()}
    if not names or names - set(known):
        raise ValueError(f"{option}: expected names out of {', '.join(known)}, got {text!r}")
    return [name for name in known if name in names]


def _refuse_nothing(formats: Sequence[str], precisions: Sequence[str]) -> None:
    """Say which combinations do not exist; refuse a choice of these alone."""
    missing = [f"{name} in {one}" for name in formats for one in precisions if one not in FORMATS[name]]
    if len(missing) == len(formats) * len(precisions):
        raise ValueError(f"--precision: expected one that a format can have, got {', '.join(missing)}")
    for combination in missing:
        print(f"note: there is no {combination}: left out")


def _ground_truth(source: ExportSource, root: Path) -> GroundTruth:
    if source.fold is None:
        raise ValueError("--evaluate: expected the model of a fold, got one that has seen every image: nothing is left")
    truth = GroundTruth.read(root)
    facts = training_facts(truth.images, truth.annotations, truth.folds)
    check_trained_on(source.metadata.details.get("data"), facts, source.name)
    return truth


def _torch_candidates(source: ExportSource, pixels: np.ndarray) -> Detections:
    with torch.no_grad():
        boxes_xyxy, scores = source.detector.decode(torch.from_numpy(pixels))
    return candidates(boxes_xyxy[0].numpy(), scores[0].numpy(), source.metadata.detect)


def _compare(
    file: ExportedFile,
    source: ExportSource,
    images: FramedImages,
    expected: Sequence[Detections],
) -> Agreement:
    """Run a file on the images, print how it compares, and refuse it where it must not differ."""
    if file.plain is not None:  # its precision may move boxes, the place of the suppression may not
        expected = _detect_all(file.plain, source, images)
    compared = agreement(expected, _detect_all(file, source, images))
    other = "torch" if file.plain is None else file.plain.path.name
    print(f"  {file.path.name}: {compared.to_text(other)}")
    if not compared.num_expected + compared.num_found:
        raise ValueError(f"{file.path.name}: expected detections to compare, got none: name photos by --image")
    if (file.precision == FP32 or file.plain is not None) and not compared.is_close:
        raise ValueError(
            f"{file.path.name}: expected {MIN_SHARE:.1%} of the detections to be those of {other}, "
            f"got {compared.share:.1%}"
        )
    return compared


def _detect_all(file: ExportedFile, source: ExportSource, images: FramedImages) -> list[Detections]:
    detect = file.open(source.metadata.detect)
    return [detect(pixels) for pixels in images]


def _evaluate(report: ExportReport, source: ExportSource, truth: GroundTruth, output: Path) -> None:
    """Score the files on the held-out photos; their detections are kept."""
    plain = [file for file in report.files if file.format in _EVALUATED and file.plain is None]
    for file in plain:
        runtime = open_runtime(file.path, file.format)
        table = predict_fold(runtime, truth, source.fold)
        write_table(table, output / f"{file.path.name}.fold{source.fold}.parquet", PREDICTIONS)
        report.metrics[file.path.name] = fold_metrics(truth, {source.fold: table})
    if plain:
        print(f"held-out photos of fold {source.fold}, difference from the first file:")
        print("\n".join(f"  {line}" for line in loss_lines(report.metrics, [file.path.name for file in plain])))


def _earlier_records(output: Path) -> list[dict]:
    """Return what an earlier report says of files that are still there."""
    path = output / REPORT_FILE
    if not path.is_file():
        return []
    try:
        records = json.loads(path.read_text(encoding="utf-8"))["files"]
        return [record for record in records if (output / record["file"]).is_file()]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: expected an earlier report, got {error}") from error


def _move(file: ExportedFile, output: Path) -> ExportedFile:
    for part in file.parts:
        part.replace(output / part.name)
    return ExportedFile(output / file.path.name, file.format, file.precision, file.plain)
