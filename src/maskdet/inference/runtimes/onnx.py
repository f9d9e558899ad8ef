"""Model files run by ONNX Runtime on the CPU: whole detectors, and whatever else carries metadata in an ONNX file."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from maskdet.inference.metadata import ModelMetadata, read_metadata
from maskdet.inference.runtime import INPUT_NAME, OUTPUT_NAMES, thread_limit

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxFile:
    """A loaded ONNX file with the metadata that it carries.

    `OMP_NUM_THREADS` limits its threads as it does those of other numeric libraries; ONNX Runtime alone ignores it.

    Args:
        path: The `.onnx` file.
        num_threads: Of one run; None: see `thread_limit`.

    Attributes:
        path: As given.
        session: Ready to run, from several threads at once too.
        properties: The file's metadata.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX file.
    """

    def __init__(self, path: Path, num_threads: int | None = None) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a model file (.onnx), found none")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone; they are raised too
        options.intra_op_num_threads = thread_limit(num_threads)
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise ValueError(f"{path}: expected an ONNX file, got {error}") from error
        self.path = path
        self.properties: Mapping[str, str] = self.session.get_modelmeta().custom_metadata_map


class OnnxRuntime:
    """A detector that `maskdet.models.export.detector_onnx` wrote.

    Args:
        file: The `.onnx` file, or the same loaded.
        num_threads: Of one run; None: see `thread_limit`. Ignored where the file is loaded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX file, or none of ours; the message says what it lacks.
    """

    name = "onnx"

    def __init__(self, file: Path | OnnxFile, num_threads: int | None = None) -> None:
        file = file if isinstance(file, OnnxFile) else OnnxFile(file, num_threads)
        self._session = file.session
        self.metadata = read_metadata(file.properties, file.path)
        _check_graph(self._session, self.metadata, file.path)

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor; see `Runtime.run`."""
        boxes_xyxy, scores = self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: images})  # (N, A, 4), (N, A, C)
        return boxes_xyxy, scores


def _check_graph(session: onnxruntime.InferenceSession, metadata: ModelMetadata, path: Path) -> None:
    """Refuse a graph whose input and outputs are not those that the metadata promises."""
    inputs = {node.name: (node.type, tuple(node.shape[1:])) for node in session.get_inputs()}
    outputs = {node.name: (node.type, node.shape[-1]) for node in session.get_outputs()}
    wanted_inputs = {INPUT_NAME: ("tensor(uint8)", (3, metadata.size, metadata.size))}
    widths = (4, len(metadata.class_names))
    wanted_outputs = {name: ("tensor(float)", width) for name, width in zip(OUTPUT_NAMES, widths, strict=True)}
    for kind, wanted, got in (("inputs", wanted_inputs, inputs), ("outputs", wanted_outputs, outputs)):
        if wanted != got:
            raise ValueError(f"{path}: expected the {kind} {wanted}, got {got}")
