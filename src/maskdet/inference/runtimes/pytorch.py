"""Detectors run by torch. The only module of `maskdet.inference` that imports it; loaded when a model asks for it."""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from maskdet.inference.metadata import FRAMINGS, DetectOptions, ModelMetadata, read_metadata
from maskdet.models.device import best_device
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.weights import CONFIG_FILE, load_detector, load_settings

DISPLAY_THRESHOLD = 0.3
"""Lowest score of what a model shows whose metadata names no thresholds: that of `conf/evaluate`."""


class TorchRuntime:
    """A detector's weights: a `.safetensors` of a release, or a folder that `train` wrote.

    A release's are of half precision, so that scores differ from those of its ONNX file in the third digit.

    Args:
        path: The file or the folder.
        num_threads: Of the whole process; None leaves what is set.
        device: Where it runs; None: on CUDA where there is one, else on the CPU.

    Raises:
        FileNotFoundError: If there is no such file, or the folder lacks one.
        ValueError: If the file is none of ours, or weights and settings do not fit; the message says what it lacks.
    """

    name = "torch"

    def __init__(self, path: Path, num_threads: int | None = None, device: str | None = None) -> None:
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        self.metadata, detector = _load_folder(path) if path.is_dir() else _load_file(path)
        self._device = best_device() if device is None else torch.device(device)
        self._detector = detector.eval().to(self._device, memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the boxes and scores of every anchor; see `Runtime.run`."""
        boxes_xyxy, scores = self._detector.decode(torch.from_numpy(images).to(self._device))
        return boxes_xyxy.cpu().numpy(), scores.cpu().numpy()  # (N, A, 4), (N, A, C)


def _load_file(path: Path) -> tuple[ModelMetadata, EfficientDetector]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a model file (.safetensors), found none")
    try:
        with safe_open(path, framework="pt") as opened:
            properties = opened.metadata() or {}
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: expected a .safetensors file, got {error}") from error
    metadata = read_metadata(properties, path)
    try:
        settings = metadata.details["config"]["model"]
        detector = EfficientDetector(**settings | {"pretrained": "none"})
        detector.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path}: expected weights with the settings of their network, got {error}") from error
    return metadata, detector


def _load_folder(path: Path) -> tuple[ModelMetadata, EfficientDetector]:
    settings = load_settings(path)
    try:
        metadata = _folder_metadata(settings)
        return metadata, load_detector(path, dict(settings["model"]["detect"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path / CONFIG_FILE}: expected the settings of a detector, lacks {error}") from error


def _folder_metadata(settings: dict) -> ModelMetadata:
    """Return what a training says of its model: framing and limits are those of its validation."""
    validation, names = settings["training"]["trainer"]["validation"], tuple(settings["class_names"])
    framing = validation["framing"]
    kinds = [kind for kind, cls in FRAMINGS.items() if framing["_target_"].endswith(f".{cls.__name__}")]
    if not kinds:
        raise ValueError(f"validation.framing: expected one of {sorted(FRAMINGS)}, got {framing['_target_']}")
    return ModelMetadata(
        class_names=names,
        framing_kind=kinds[0],
        size=framing["size"],
        detect=DetectOptions(**validation["detect"]),
        score_thresholds=dict.fromkeys(names, DISPLAY_THRESHOLD),
        details={"config": settings},
    )
