"""Model files behind one interface: a batch of inputs in, every anchor's boxes and scores out."""

import os
from importlib.resources import files
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from maskdet.inference.metadata import METADATA_KEY, ModelMetadata

INPUT_NAME, OUTPUT_NAMES = "images", ("boxes_xyxy", "scores")
"""The names of the graph's input and outputs."""

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class Runtime(Protocol):
    """What `Predictor` needs of a model, whatever runs it.

    Attributes:
        metadata: What the model says of itself.
    """

    metadata: ModelMetadata

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor.

        Args:
            images: (N, 3, S, S) uint8, RGB, S as in the metadata.

        Returns:
            (N, A, 4) float32 boxes, xyxy in pixels of the input, clipped to it; (N, A, C) float32 scores in [0, 1].
        """
        ...


class OnnxRuntime:
    """A model file that `maskdet.models.onnx` wrote, run by onnxruntime on the CPU.

    `OMP_NUM_THREADS` limits its threads as it does those of other numeric libraries; onnxruntime alone ignores it.

    Args:
        path: The `.onnx` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no ONNX file, or none of ours; the message says what it lacks.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: expected a model file (.onnx), found none")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors alone; they are raised too
        options.intra_op_num_threads = _num_threads()
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise ValueError(f"{path}: expected an ONNX file, got {error}") from error
        self.metadata = _read_metadata(self._session, path)
        _check_graph(self._session, self.metadata, path)

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor; see `Runtime.run`."""
        boxes_xyxy, scores = self._session.run(list(OUTPUT_NAMES), {INPUT_NAME: images})  # (N, A, 4), (N, A, C)
        return boxes_xyxy, scores


def shipped_model_path() -> Path:
    """Return the path of the model that the package ships.

    Raises:
        FileNotFoundError: If this copy of the package has none; the message says what to do.
    """
    path = Path(str(files("maskdet") / "reference" / "reference.onnx"))
    if not path.is_file():
        raise FileNotFoundError(
            "this copy of maskdet ships no model: name one by --model FILE, or make one by `make release`"
        )
    return path


def _num_threads() -> int:
    """Return the threads that `OMP_NUM_THREADS` allows; 0, onnxruntime's word for all cores, where it says nothing."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() else 0


def _read_metadata(session: onnxruntime.InferenceSession, path: Path) -> ModelMetadata:
    found = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in found:
        raise ValueError(f"{path} is not a maskdet model: expected metadata {METADATA_KEY!r}, got {sorted(found)}")
    try:
        return ModelMetadata.from_json(found[METADATA_KEY])
    except ValueError as error:
        raise ValueError(f"{path}: metadata: {error}") from error


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
