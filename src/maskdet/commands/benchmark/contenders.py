"""What `maskdet benchmark` times: a model file with a runtime, or the network in plain torch, from pixels to faces."""

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from maskdet.boxes import clip_boxes
from maskdet.inference.metadata import ModelMetadata
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtime import RUNTIMES, Runtime
from maskdet.models.efficientdet import EfficientDetector

PLAIN_TORCH = "plain torch"
"""The baseline: the eager network as a user of effdet runs it, suppression by torchvision."""


@dataclass(frozen=True)
class Cost:
    """What a batch took.

    Attributes:
        seconds: From pixels of images to faces in them: framing, network, decoding, suppression.
        network_seconds: The network; in exported files the decoding of its outputs to boxes is a part of it.
    """

    seconds: float
    network_seconds: float


@dataclass(frozen=True)
class Contender:
    """Something that finds faces in a batch of images.

    Attributes:
        name: What runs it and at which precision; no other contender of this size and batch size has the name.
        image_size: Side of the network's input in pixels.
        batch_size: Images at once.
        detect: Finds the faces of (H, W, 3) uint8 images and returns what the network took of the time, in seconds.
        baseline: Name of its own model in plain torch, which it is compared with; None: nobody knows that model.
    """

    name: str
    image_size: int
    batch_size: int
    detect: Callable[[Sequence[np.ndarray]], float]
    baseline: str | None = PLAIN_TORCH

    def run(self, images: Sequence[np.ndarray]) -> Cost:
        """Find the faces of a batch and return what it took."""
        begin = time.perf_counter()
        network_seconds = self.detect(images)
        return Cost(time.perf_counter() - begin, network_seconds)


class _WatchedRuntime:
    """A runtime that notes how long another one takes."""

    def __init__(self, runtime: Runtime) -> None:
        self.name, self.metadata, self._runtime = runtime.name, runtime.metadata, runtime
        self.seconds = 0.0

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        begin = time.perf_counter()
        outputs = self._runtime.run(images)
        self.seconds += time.perf_counter() - begin
        return outputs


class _WatchedModule:
    """Notes how long a module of torch takes, by hooks of torch."""

    def __init__(self, module: nn.Module) -> None:
        self.seconds, self._begin = 0.0, 0.0
        module.register_forward_pre_hook(self._start)
        module.register_forward_hook(self._stop)

    def _start(self, *_: object) -> None:
        self._begin = time.perf_counter()

    def _stop(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begin


def able_runtimes(path: Path, runtimes: Sequence[str]) -> list[str]:
    """Return those of the runtimes that can run a model file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If none of them can.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a model, found none")
    able = [name for name in runtimes if path.suffix.lower() in RUNTIMES[name].suffixes]
    if not able:
        raise ValueError(f"{path}: expected a model that {' or '.join(runtimes)} can run, got another file")
    return able


def baseline_name(metadata: ModelMetadata, plain: Mapping[str, ModelMetadata]) -> str | None:
    """Return the name of the one model that was trained with the settings that a file carries; None: nobody knows."""
    config = metadata.details.get("config")
    same = [name for name, known in plain.items() if config and known.details.get("config") == config]
    return same[0] if len(same) == 1 else None


def runtime_contender(runtime: Runtime, batch_size: int, name: str, baseline: str | None = PLAIN_TORCH) -> Contender:
    """Return a model file as `Predictor` runs it, with the thresholds of its metadata."""
    watched = _WatchedRuntime(runtime)
    predictor = Predictor.of_runtime(watched)

    def detect(images: Sequence[np.ndarray]) -> float:
        before = watched.seconds
        predictor.detect_batch(images)
        return watched.seconds - before

    return Contender(name, runtime.metadata.size, batch_size, detect, baseline)


def plain_torch_contender(
    detector: EfficientDetector, metadata: ModelMetadata, image_size: int, batch_size: int, name: str = PLAIN_TORCH
) -> Contender:
    """Return the eager network with `EfficientDetector.detect`: decoding, the best candidates, torchvision's NMS.

    Framing and thresholds are those of the others: what differs is what runs the network and the suppression.

    Args:
        detector: In eval mode, on the CPU; not modified but for hooks that take the time.
        metadata: Its framing and thresholds.
        image_size: Side of the input in pixels, a multiple of the detector's stride.
        batch_size: Images at once.
        name: Of the contender, which is its own baseline.
    """
    framing = replace(metadata, size=image_size).framing
    watched, detector = _WatchedModule(detector.network), copy.copy(detector)
    lowest = min(metadata.score_thresholds.values())
    detector.detect_options = detector.detect_options | {"score_threshold": lowest}

    @torch.inference_mode()
    def detect(images: Sequence[np.ndarray]) -> float:
        before = watched.seconds
        images_wh = [(image.shape[1], image.shape[0]) for image in images]
        frames = [framing.frame(image_wh) for image_wh in images_wh]
        framed = np.stack([frame.apply(image) for frame, image in zip(frames, images, strict=True)])  # (N, S, S, 3)
        found = detector.detect(torch.from_numpy(framed).permute(0, 3, 1, 2))
        for frame, image_wh, faces in zip(frames, images_wh, found, strict=True):
            clip_boxes(frame.to_image(faces.boxes_xyxy.numpy()), image_wh)
        return watched.seconds - before

    return Contender(name, image_size, batch_size, detect, name)
