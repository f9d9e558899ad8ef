"""Write classifiers of crops as one ONNX graph, and compare the file with torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from maskdet.models.classifiers import CropClassifier
from maskdet.models.export.detector_onnx import save_program
from maskdet.models.export.tracing import BATCH

INPUT_NAME, OUTPUT_NAME = "crops", "probabilities"


class _MeanProbabilities(nn.Module):
    """What several classifiers say on average, each as `CropClassifier.predict_probabilities` says it."""

    def __init__(self, classifiers: Sequence[CropClassifier]) -> None:
        super().__init__()
        self.classifiers = nn.ModuleList(classifiers)

    def forward(self, crops: Tensor) -> Tensor:
        pixels = crops.permute(0, 3, 1, 2).float()  # (N, 3, S, S)
        return torch.stack([_probabilities(classifier, pixels) for classifier in self.classifiers]).mean(0)  # (N, C)


def _probabilities(classifier: CropClassifier, pixels: Tensor) -> Tensor:
    probabilities = classifier(pixels).softmax(1)
    if classifier.average_mirrored:
        probabilities = (probabilities + classifier(pixels.flip(3)).softmax(1)) / 2
    return probabilities


def export_classifiers(
    classifiers: Sequence[CropClassifier], path: Path, crop_size: int, properties: Mapping[str, str]
) -> None:
    """Write a graph from crops to probabilities; resizing and scaling of pixels are part of it.

    Input `crops` (N, S, S, 3) uint8 RGB, any N; output `probabilities` (N, C) float32, rows sum to 1.

    Args:
        classifiers: One, or several whose probabilities are averaged, e.g. those of the folds; of the same classes. In
            eval mode, on the CPU.
        path: The file, complete when it appears.
        crop_size: S.
        properties: Written into the file's metadata, e.g. the JSON of `maskdet.inference.two_phase_metadata`.

    Raises:
        ValueError: If there is no classifier, one is in training mode, or their classes differ.
    """
    if not classifiers or len({classifier.class_names for classifier in classifiers}) != 1:
        known = [list(classifier.class_names) for classifier in classifiers]
        raise ValueError(f"expected one or more classifiers of the same classes, got {known}")
    model = _MeanProbabilities(classifiers)
    if any(module.training for module in model.classifiers):
        raise ValueError("expected classifiers in eval mode, got one in training mode")
    crops = torch.zeros(2, crop_size, crop_size, 3, dtype=torch.uint8)  # a batch of 1 would become a constant
    with torch.no_grad():
        traced = torch.export.export(model.eval(), (crops,), dynamic_shapes=({0: torch.export.Dim(BATCH)},))
    save_program(traced, path, [INPUT_NAME], [OUTPUT_NAME], properties)


def largest_probability_difference(classifiers: Sequence[CropClassifier], path: Path, crops: np.ndarray) -> float:
    """Run a file and the classifiers that it was made of on the same crops; return the largest difference.

    Args:
        classifiers: As given to `export_classifiers`.
        path: As written by it.
        crops: (N, S, S, 3) uint8, RGB, S the size of the graph.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    ours = session.run([OUTPUT_NAME], {INPUT_NAME: crops})[0]  # (N, C)
    theirs = np.mean([classifier.predict_probabilities(crops) for classifier in classifiers], axis=0)  # (N, C)
    return float(np.abs(ours - theirs).max(initial=0))
