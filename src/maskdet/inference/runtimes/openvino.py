"""Detectors run by OpenVINO on the CPU: files of its own format, or ONNX files."""

import threading
from pathlib import Path

import numpy as np

from maskdet.inference.metadata import METADATA_KEY, ModelMetadata, read_metadata
from maskdet.inference.runtime import INPUT_NAME, OUTPUT_NAMES, thread_limit

try:
    import openvino
except ImportError as error:
    raise ValueError(
        "runtime openvino: expected the package openvino, found none: pip install 'maskdet[export]'"
    ) from (error)

_PLACES = ([METADATA_KEY], ["framework", METADATA_KEY])
"""Where the runtime information of a model has our metadata: where an export puts it, where the reader of ONNX does."""

_XML_START_BYTES = 4096


class OpenVinoRuntime:
    """A detector that an export wrote as OpenVINO's `.xml` and `.bin`, or as `.onnx`.

    Numbers are those of 32 bits also where the processor has shorter ones, so that results do not depend on it; what
    an export has quantized stays so. Each thread has a request of its own, as one is not for several at once.

    Args:
        path: The `.xml` or `.onnx` file.
        num_threads: Of one run; None: see `thread_limit`.

    Raises:
        FileNotFoundError: If there is no such file, or no `.bin` beside an `.xml`.
        ValueError: If OpenVINO cannot read it, or it is none of ours; the message says what it lacks.
    """

    name = "openvino"

    def __init__(self, path: Path, num_threads: int | None = None) -> None:
        _check_files(path)
        core = openvino.Core()
        try:
            model = core.read_model(path)
        except RuntimeError as error:
            raise ValueError(f"{path}: expected a model that OpenVINO reads, got {_last_line(error)}") from error
        self.metadata = read_metadata(_properties(model), path)
        _check_graph(model, self.metadata, path)
        options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        limit = thread_limit(num_threads)
        if limit:
            options["INFERENCE_NUM_THREADS"] = limit
        self._model = core.compile_model(model, "CPU", options)
        self._of_thread = threading.local()

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor; see `Runtime.run`."""
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._model.create_infer_request()
        found = self._of_thread.request.infer({INPUT_NAME: images}, share_inputs=True)  # outputs are copies
        return found[OUTPUT_NAMES[0]], found[OUTPUT_NAMES[1]]  # (N, A, 4), (N, A, C)


def _check_files(path: Path) -> None:
    """Refuse what OpenVINO would try one reader after the other on, each with messages of its own."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a model file (.xml, .onnx), found none")
    if path.suffix.lower() != ".xml":
        return
    with path.open("rb") as stream:
        if b"<net" not in stream.read(_XML_START_BYTES):
            raise ValueError(f"{path}: expected a model that OpenVINO wrote, got another XML file")
    if not path.with_suffix(".bin").is_file():
        raise FileNotFoundError(f"{path.with_suffix('.bin')}: expected the weights of {path.name}, found none")


def _last_line(error: RuntimeError) -> str:
    """Return what a message of OpenVINO says after the places in its source that it names first."""
    lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("Exception from")]
    return " ".join(lines) or str(error)


def _properties(model: openvino.Model) -> dict[str, str]:
    for place in _PLACES:
        if model.has_rt_info(place):
            return {METADATA_KEY: model.get_rt_info(place).astype(str)}
    return dict.fromkeys(model.get_rt_info(), "")


def _check_graph(model: openvino.Model, metadata: ModelMetadata, path: Path) -> None:
    """Refuse a graph whose input and outputs are not those that the metadata promises."""
    found = {
        name: (port.get_element_type().to_string(), [str(side) for side in port.get_partial_shape()][1:])
        for port in (*model.inputs, *model.outputs)
        for name in port.get_names()
    }
    size, num_classes = str(metadata.size), str(len(metadata.class_names))
    if found.get(INPUT_NAME) != ("u8", ["3", size, size]):
        raise ValueError(f"{path}: expected the input {INPUT_NAME} of u8, (3, {size}, {size}), got {found}")
    for name, width in zip(OUTPUT_NAMES, ("4", num_classes), strict=True):
        kind, sides = found.get(name, ("", [""]))
        if (kind, sides[-1]) != ("f32", width):
            raise ValueError(f"{path}: expected the output {name} of f32, (…, {width}), got {found}")
