"""A detector as a file of `torch.export`: torch alone runs it, without this package and without effdet."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from maskdet.atomic import atomic_file
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.export.tracing import trace_decoder

SUFFIX = ".pt2"


def export_program(detector: EfficientDetector, path: Path, image_size: int, properties: Mapping[str, str]) -> None:
    """Write the detector's decoded outputs; inputs and outputs are those of `detector_onnx.export_onnx`.

    Args:
        detector: In eval mode, on the CPU.
        path: The `.pt2` file, complete when it appears.
        image_size: Side of the input in pixels, a multiple of the detector's stride.
        properties: Written as extra files of the archive.

    Raises:
        ValueError: If the detector is in training mode or the size is no multiple of its stride.
    """
    archive = io.BytesIO()  # a path would have to end in .pt2, which the temporary name does not
    program = trace_decoder(detector, image_size)
    with _quietly():
        torch.export.save(program, archive, extra_files=dict(properties))
    with atomic_file(path) as temporary:
        temporary.write_bytes(archive.getvalue())


def load_program(path: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a function from (N, 3, S, S) uint8 inputs to (N, A, 4) boxes and (N, A, C) scores.

    Args:
        path: As written by `export_program`; loading it runs no code of the file.
    """
    with _quietly():
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            boxes_xyxy, scores = module(torch.from_numpy(images))
        return boxes_xyxy.numpy(), scores.numpy()

    return run


@contextmanager
def _quietly() -> Iterator[None]:
    """Hold back a warning of weights that are not on the CPU; ours are."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="No complete tensor found", category=UserWarning)
        yield
