"""Model files behind one interface: a batch of inputs in, every anchor's boxes and scores out."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from maskdet.inference.metadata import ModelMetadata

INPUT_NAME, OUTPUT_NAMES = "images", ("boxes_xyxy", "scores")
"""The names of the graph's input and outputs."""


class Runtime(Protocol):
    """What a detector needs of a model, whatever runs it.

    Attributes:
        name: A key of `RUNTIMES`.
        metadata: What the model says of itself.
    """

    name: str
    metadata: ModelMetadata

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor; may be called from several threads at once.

        Args:
            images: (N, 3, S, S) uint8, RGB, C-contiguous, S as in the metadata.

        Returns:
            (N, A, 4) float32 boxes, xyxy in pixels of the input, clipped to it; (N, A, C) float32 scores in [0, 1].
        """
        ...


def _open_onnx(path: Path, num_threads: int | None) -> Runtime:
    from maskdet.inference.runtimes.onnx import OnnxRuntime

    return OnnxRuntime(path, num_threads)


def _open_openvino(path: Path, num_threads: int | None) -> Runtime:
    from maskdet.inference.runtimes.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, num_threads)


def _open_torch(path: Path, num_threads: int | None) -> Runtime:
    from maskdet.inference.runtimes.pytorch import TorchRuntime

    return TorchRuntime(path, num_threads)


@dataclass(frozen=True)
class RuntimeKind:
    """A way to run model files.

    Attributes:
        description: One line for people.
        suffixes: Of the files that it runs, in lower case; the empty one is a folder of `train`.
        open: `open(path, num_threads)`; imports the library.
    """

    description: str
    suffixes: tuple[str, ...]
    open: Callable[[Path, int | None], Runtime]


RUNTIMES: Mapping[str, RuntimeKind] = MappingProxyType(
    {
        "onnx": RuntimeKind("ONNX Runtime on the CPU", (".onnx",), _open_onnx),
        "openvino": RuntimeKind("OpenVINO on the CPU; extra `export`", (".xml", ".onnx"), _open_openvino),
        "torch": RuntimeKind("torch on CUDA, where there is one, or on the CPU", (".safetensors", ""), _open_torch),
    }
)
"""What runs model files. A file whose runtime is not named goes to the first that runs its suffix."""

MODEL_FILES = "a model file (.onnx, .xml, .safetensors) or a folder of `train`"
"""What messages say that was expected."""


def open_runtime(path: Path, name: str | None = None, num_threads: int | None = None) -> Runtime:
    """Load a model.

    Args:
        path: A model file, or a folder that `train` wrote.
        name: A key of `RUNTIMES`; None: the one that the file is for.
        num_threads: Of one run; None: see `thread_limit`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the runtime is unknown or does not run such files, or if the file is none of ours.
    """
    if name is not None and name not in RUNTIMES:
        raise ValueError(f"runtime: expected one of {', '.join(RUNTIMES)}, got {name!r}")
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected {MODEL_FILES}, found none")
    suffix = "" if path.is_dir() else path.suffix.lower()
    fitting = [key for key, kind in RUNTIMES.items() if suffix in kind.suffixes]
    if not fitting or (not suffix and path.is_file()):
        raise ValueError(f"{path}: expected {MODEL_FILES}, got a file of another kind")
    if name is not None and name not in fitting:
        raise ValueError(f"{path}: expected a runtime that runs it ({', '.join(fitting)}), got {name!r}")
    return RUNTIMES[name or fitting[0]].open(path, num_threads)


def thread_limit(num_threads: int | None) -> int:
    """Return how many threads a run may use; 0: as many as there are cores, where nobody says anything.

    Args:
        num_threads: What the caller wants; None: what the environment variable `OMP_NUM_THREADS` allows.

    Raises:
        ValueError: If it is less than 1.

    >>> thread_limit(2)
    2
    """
    if num_threads is None:
        text = os.environ.get("OMP_NUM_THREADS", "")
        return int(text) if text.isdecimal() else 0
    if num_threads < 1:
        raise ValueError(f"num_threads: expected at least 1, got {num_threads}")
    return num_threads


def shipped_model_path() -> Path:
    """Return the path of the model that the package ships.

    Raises:
        FileNotFoundError: If this copy of the package has none; the message says what to do.
    """
    return _shipped("reference.onnx", "model", "`make release`")


def shipped_two_phase_path() -> Path:
    """Return the path of the two-phase model that the package ships; raises like `shipped_model_path`."""
    return _shipped("two_phase.onnx", "two-phase model", "`make release`")


def _shipped(file_name: str, kind: str, command: str) -> Path:
    path = Path(str(files("maskdet") / "reference" / file_name))
    if not path.is_file():
        raise FileNotFoundError(
            f"this copy of maskdet ships no {kind}: name one by --model FILE, or make one by {command}"
        )
    return path
