"""Models that find and classify faces, whatever they are made of, behind one interface for `Predictor`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from maskdet.boxes import clip_boxes
from maskdet.data.framing import Frame
from maskdet.inference.metadata import DetectorMetadata
from maskdet.inference.runtime import Runtime, open_runtime, shipped_model_path, shipped_two_phase_path
from maskdet.inference.suppression import Detections, select
from maskdet.inference.two_phase_metadata import TWO_PHASE_KEY

TWO_PHASE = "two_phase"
"""The name that stands for the two-phase model of this package instead of a path."""

_MAX_BATCH = 8  # inputs at once: more are no quicker on a CPU, and the scores of all anchors take memory


class Detector(Protocol):
    """What `Predictor` needs of a model.

    Attributes:
        metadata: What the model says of itself.
        runtime_name: What runs it.
    """

    metadata: DetectorMetadata
    runtime_name: str

    def detect_batch(self, images_rgb: Sequence[np.ndarray], min_score: float) -> list[Detections]:
        """Return the detections of each image, in their order; may be called from several threads at once.

        Args:
            images_rgb: (H, W, 3) uint8 each, of any sizes.
            min_score: Detections below it are dropped.

        Returns:
            Boxes in pixels of the image, clipped to it, each with an area; best first.
        """
        ...


class OneStageDetector:
    """A network that sees the whole image once.

    Args:
        runtime: The model.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.metadata, self.runtime_name = runtime.metadata, runtime.name
        self._runtime, self._framing = runtime, runtime.metadata.framing

    def detect_batch(self, images_rgb: Sequence[np.ndarray], min_score: float) -> list[Detections]:
        """Return the detections of each image; see `Detector.detect_batch`."""
        found: list[Detections] = []
        for start in range(0, len(images_rgb), _MAX_BATCH):
            found += self._detect_at_once(images_rgb[start : start + _MAX_BATCH], min_score)
        return found

    def _detect_at_once(self, images_rgb: Sequence[np.ndarray], min_score: float) -> list[Detections]:
        images_wh = [(image.shape[1], image.shape[0]) for image in images_rgb]
        frames = [self._framing.frame(image_wh) for image_wh in images_wh]
        inputs = [frame.apply(image).transpose(2, 0, 1) for frame, image in zip(frames, images_rgb, strict=True)]
        boxes_xyxy, scores = self._runtime.run(np.ascontiguousarray(inputs))  # (N, A, 4), (N, A, C)
        # A box never drops a better one, so what lies below every threshold need not enter the suppression.
        options = replace(self.metadata.detect, score_threshold=min_score)
        found = [select(*of_image, options) for of_image in zip(boxes_xyxy, scores, strict=True)]
        return [_in_image(*of_image) for of_image in zip(found, frames, images_wh, strict=True)]


def _in_image(found: Detections, frame: Frame, image_wh: tuple[int, int]) -> Detections:
    """Map boxes from the input to the image and clip them; those in the padding vanish."""
    boxes_xyxy = clip_boxes(frame.to_image(found.boxes_xyxy), image_wh).astype(np.float32)
    found = replace(found, boxes_xyxy=boxes_xyxy)
    return found[(boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)]


def model_path(model: str | Path | None) -> Path:
    """Return the file or folder that a model's name means: a path, `TWO_PHASE`, or None for the shipped one.

    Raises:
        FileNotFoundError: If the package ships none.
    """
    if model is None:
        return shipped_model_path()
    return shipped_two_phase_path() if str(model) == TWO_PHASE and not Path(model).exists() else Path(model)


def open_detector(path: Path, runtime: str | None = None, num_threads: int | None = None) -> Detector:
    """Load a model; see `Predictor` for the arguments and errors."""
    if path.suffix.lower() != ".onnx" or runtime not in (None, "onnx"):
        return OneStageDetector(open_runtime(path, runtime, num_threads))
    from maskdet.inference.runtimes.onnx import OnnxFile, OnnxRuntime

    file = OnnxFile(path, num_threads)
    if TWO_PHASE_KEY not in file.properties:
        return OneStageDetector(OnnxRuntime(file))
    from maskdet.inference.two_phase import ExportedTwoPhaseDetector  # loads the face detector and the cutter of crops

    return ExportedTwoPhaseDetector(file, num_threads)
