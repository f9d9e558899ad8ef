"""Write a detector as an ONNX graph that decodes to boxes and scores, and compare the file with torch."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from maskdet.atomic import atomic_file
from maskdet.models.efficientdet import EfficientDetector

OPSET = 20
_BATCH = "batch"


@dataclass(frozen=True)
class Differences:
    """The largest differences between what torch and the file say of the same input.

    Attributes:
        box_px: Of any coordinate of any anchor, in pixels of the input.
        score: Of any class of any anchor.
    """

    box_px: float
    score: float


class _Decoded(nn.Module):
    """The detector with `decode` as its forward: the exporter takes modules."""

    def __init__(self, detector: EfficientDetector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.detector.decode(images)


def export_onnx(detector: EfficientDetector, path: Path, image_size: int, properties: Mapping[str, str]) -> None:
    """Write a graph of one input size that needs nothing but suppression after it.

    Input `images` (N, 3, S, S) uint8 RGB, any N; outputs `boxes_xyxy` (N, A, 4) float32, xyxy in pixels of the input,
    clipped to it, and `scores` (N, A, classes) float32. The image's normalization is part of the graph, the anchors
    are constants of it.

    Args:
        detector: In eval mode, on the CPU.
        path: The file, complete when it appears.
        image_size: S, a multiple of the detector's stride.
        properties: Written into the file's metadata, e.g. the JSON of `maskdet.inference.metadata`.

    Raises:
        ValueError: If the detector is in training mode or the size is no multiple of its stride.
    """
    if detector.training:
        raise ValueError("expected a detector in eval mode, got one in training mode")
    images = torch.zeros(2, 3, image_size, image_size, dtype=torch.uint8)  # a batch of 1 would become a constant
    with torch.no_grad(), _quietly():
        detector.decode(images[:1])  # checks the size, and makes the anchors: a tensor at hand becomes a constant
        shapes = ({0: torch.export.Dim(_BATCH)},)
        exported = torch.export.export(_Decoded(detector), (images,), dynamic_shapes=shapes)
        program = torch.onnx.export(
            exported,
            dynamo=True,
            input_names=["images"],
            output_names=["boxes_xyxy", "scores"],
            opset_version=OPSET,
            verbose=False,
        )
    _name_batch(program)
    _forget_sources(program)
    program.model.metadata_props.update(properties)
    with atomic_file(path) as temporary:
        program.save(temporary, external_data=False)


def largest_differences(detector: EfficientDetector, path: Path, images: np.ndarray) -> Differences:
    """Run a file and the detector that it was made of on the same inputs.

    Args:
        detector: In eval mode, on the CPU.
        path: As written by `export_onnx`.
        images: (N, 3, S, S) uint8, RGB, S the size of the graph.

    Raises:
        ValueError: If the outputs' shapes differ.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(os.fspath(path), options, providers=["CPUExecutionProvider"])
    ours = session.run(["boxes_xyxy", "scores"], {"images": images})
    with torch.no_grad():
        theirs = [output.numpy() for output in detector.decode(torch.from_numpy(images))]
    shapes = [[output.shape for output in outputs] for outputs in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"{path}: expected outputs of shapes {shapes[1]}, got {shapes[0]}")
    box_px, score = (float(np.abs(a - b).max(initial=0)) for a, b in zip(ours, theirs, strict=True))
    return Differences(box_px, score)


@contextmanager
def _quietly() -> Iterator[None]:
    """Hold back torch's warning of its own deprecation and a line of log for each node that the optimizer moves."""
    levels = {name: logging.getLogger(name).level for name in ("onnx_ir", "onnxscript")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _name_batch(program: torch.onnx.ONNXProgram) -> None:
    """Call the free axis of inputs and outputs `batch`; the exporter calls it by a symbol of its own."""
    graph = program.model.graph
    symbol = graph.inputs[0].shape[0]
    values = [*graph.inputs, *(value for node in graph.all_nodes() for value in node.outputs)]
    for value in values:
        if value.shape is not None:
            value.shape = type(value.shape)([_BATCH if side == symbol else side for side in value.shape])


def _forget_sources(program: torch.onnx.ONNXProgram) -> None:
    """Drop what the exporter notes of source files and stacks: it names folders of this machine, and takes room."""
    graph = program.model.graph
    graph.metadata_props.clear()
    for node in graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
    for value in [*graph.inputs, *graph.initializers.values()]:
        value.metadata_props.clear()
