"""Write a detector as an ONNX graph that decodes to boxes and scores, and compare the file with torch."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch.export import ExportedProgram

from maskdet.atomic import atomic_file
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.export.norm_folding import fold_norms
from maskdet.models.export.tracing import BATCH, trace_decoder

OPSET = 20


@dataclass(frozen=True)
class Differences:
    """The largest differences between what torch and the file say of the same input.

    Attributes:
        box_px: Of any coordinate of any anchor, in pixels of the input.
        score: Of any class of any anchor.
    """

    box_px: float
    score: float


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
    save_program(trace_decoder(detector, image_size), path, ["images"], ["boxes_xyxy", "scores"], properties)


def save_program(
    traced: ExportedProgram,
    path: Path,
    input_names: Sequence[str],
    output_names: Sequence[str],
    properties: Mapping[str, str],
) -> None:
    """Write a traced program as an ONNX file that names no folder of this machine; its free axis is called `batch`.

    Args:
        traced: One input, whose first axis is free.
        path: The file, complete when it appears.
        input_names: What the file calls its inputs.
        output_names: What it calls its outputs.
        properties: Written into the file's metadata.
    """
    with torch.no_grad(), _quietly():
        program = torch.onnx.export(
            traced,
            dynamo=True,
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=OPSET,
            verbose=False,
        )
        program.model = fold_norms(program.model)
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
            value.shape = type(value.shape)([BATCH if side == symbol else side for side in value.shape])


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
