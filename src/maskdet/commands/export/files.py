"""Write a detector in every format and precision asked for, and run each file once it is written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from maskdet.commands.export.agreement import candidates, comparable
from maskdet.commands.export.inputs import FramedImages
from maskdet.commands.export.source import ExportSource, precision_details
from maskdet.inference.metadata import METADATA_KEY, DetectOptions
from maskdet.inference.runtime import INPUT_NAME, open_runtime
from maskdet.inference.suppression import Detections
from maskdet.models.export.detector_onnx import export_onnx
from maskdet.models.export.half_weights import halve_weights
from maskdet.models.export.onnx_file import save_graph
from maskdet.models.export.openvino import SUFFIX as OPENVINO_SUFFIX
from maskdet.models.export.openvino import WEIGHTS_SUFFIX, convert_to_openvino
from maskdet.models.export.quantization import quantize_onnx
from maskdet.models.export.suppression_graph import DETECTION_COLUMNS, DETECTIONS, SuppressionLimits, add_suppression
from maskdet.models.export.torch_program import SUFFIX as TORCH_SUFFIX
from maskdet.models.export.torch_program import export_program, load_program

FP32, FP16, INT8 = "fp32", "fp16", "int8"
PRECISIONS = (FP32, FP16, INT8)
ONNX, OPENVINO, TORCH_EXPORT = "onnx", "openvino", "torch_export"
FORMATS = {ONNX: PRECISIONS, OPENVINO: PRECISIONS, TORCH_EXPORT: (FP32,)}
"""The precisions that each format can have."""


@dataclass(frozen=True)
class ExportedFile:
    """A model file.

    Attributes:
        path: Where it lies; OpenVINO's weights lie beside it.
        format: A key of `FORMATS`.
        precision: One of `PRECISIONS`.
        plain: What this file adds the suppression to; None: its outputs are those of every anchor.
    """

    path: Path
    format: str
    precision: str
    plain: "ExportedFile | None" = None

    @property
    def parts(self) -> list[Path]:
        """Return every file that belongs to it, the one that is opened last."""
        weights = self.path.with_suffix(WEIGHTS_SUFFIX)
        return [weights, self.path] if self.format == OPENVINO else [self.path]

    def open(self, options: DetectOptions) -> Callable[[np.ndarray], Detections]:
        """Load the file; return a function from one input, (1, 3, S, S) uint8, to what `candidates` makes of it.

        Args:
            options: Limits of the suppression; a file with suppression inside has its own.
        """
        if self.plain is not None:
            session = onnxruntime.InferenceSession(self.path, providers=["CPUExecutionProvider"])
            return lambda pixels: _as_candidates(session.run([DETECTIONS], {INPUT_NAME: pixels})[0])
        run = load_program(self.path) if self.format == TORCH_EXPORT else open_runtime(self.path, self.format).run
        return lambda pixels: candidates(*(output[0] for output in run(pixels)), options)


def _as_candidates(rows: np.ndarray) -> Detections:
    """Return the (M, 7) rows of one image as `candidates` returns detections."""
    return comparable(Detections(rows[:, 1:5], rows[:, 5], rows[:, 6].astype(np.int64)))


@dataclass(frozen=True)
class FileWriter:
    """Writes a detector into a folder.

    Attributes:
        source: The detector.
        folder: Where to.
        calibration: What INT8 files are calibrated on; None: there will be none.
    """

    source: ExportSource
    folder: Path
    calibration: FramedImages | None = None

    def write(self, formats: Sequence[str], precisions: Sequence[str], has_suppression: bool) -> Iterator[ExportedFile]:
        """Write the files one after the other, each as soon as it is asked for.

        Args:
            formats: Keys of `FORMATS`; precisions that a format cannot have are left out.
            precisions: Of `PRECISIONS`.
            has_suppression: Whether each ONNX file is followed by one with suppression inside.
        """
        for file_format in formats:
            for precision in precisions:
                if precision in FORMATS[file_format]:
                    file = self.write_file(file_format, precision)
                    yield file
                    if has_suppression and file_format == ONNX:
                        yield self._with_suppression(file)

    def write_file(self, file_format: str, precision: str) -> ExportedFile:
        """Write one file, e.g. the model of a scoring folder."""
        properties = self._properties(file_format, precision)
        if file_format == TORCH_EXPORT:
            path = self._path(precision, TORCH_SUFFIX)
            export_program(self.source.detector, path, self.source.metadata.size, properties)
        elif file_format == OPENVINO:
            path = self._path(precision, OPENVINO_SUFFIX)
            convert_to_openvino(self._openvino_source(precision), path, properties)
        else:
            path = self._path(precision, ".onnx")
            self._write_onnx(path, precision, False, properties)
        return ExportedFile(path, file_format, precision)

    def _write_onnx(self, path: Path, precision: str, per_channel: bool, properties: dict[str, str]) -> None:
        if precision == FP32:
            save_graph(onnx.load(self._full), path, properties)
        elif precision == FP16:
            halve_weights(self._full, path, properties)
        else:
            quantize_onnx(self._full, path, self.calibration, per_channel, properties)

    def _openvino_source(self, precision: str) -> Path:
        """Return the ONNX file that OpenVINO's is made of."""
        path = self.folder / f".openvino-{precision}.onnx"
        self._write_onnx(path, precision, True, {})
        return path

    @cached_property
    def _full(self) -> Path:
        """Return the ONNX file of full precision that the others are made of; tracing takes long."""
        path = self.folder / ".full.onnx"
        export_onnx(self.source.detector, path, self.source.metadata.size, {})
        return path

    def _with_suppression(self, plain: ExportedFile) -> ExportedFile:
        path = plain.path.with_name(f"{plain.path.stem}-nms.onnx")
        limits = SuppressionLimits(**asdict(self.source.metadata.detect))
        columns = ", ".join(DETECTION_COLUMNS)
        properties = self._properties(ONNX, plain.precision, output=f"detections (M, 7): {columns}")
        add_suppression(plain.path, path, limits, properties)
        return ExportedFile(path, ONNX, plain.precision, plain)

    def _properties(self, file_format: str, precision: str, **more: str) -> dict[str, str]:
        if precision == INT8:
            more["calibrated_on"] = self.calibration.description
        metadata = precision_details(self.source, file_format, precision, **more)
        return {METADATA_KEY: metadata.to_json()}

    def _path(self, precision: str, suffix: str) -> Path:
        return self.folder / f"{self.source.name}-{self.source.metadata.size}-{precision}{suffix}"
