"""The two-phase model behind the predictor's interface: a face detector finds faces, a classifier says what they wear.

Runs without torch: face detectors by OpenCV, the classifier by ONNX Runtime.
"""

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import cv2
import numpy as np

from maskdet.data.crops import cut_crop
from maskdet.inference.runtime import thread_limit
from maskdet.inference.runtimes.onnx import OnnxFile
from maskdet.inference.suppression import Detections
from maskdet.inference.two_phase_metadata import TWO_PHASE_KEY, TwoPhaseMetadata
from maskdet.models.face_detectors.centerface import CenterFace
from maskdet.models.face_detectors.interface import FaceDetector, FoundFaces
from maskdet.models.face_detectors.opencv_dnn import OpenCvDnn
from maskdet.models.two_phase import BoxClassifier, blended_scores

CROPS_NAME, PROBABILITIES_NAME = "crops", "probabilities"
"""The names of the graph's input, (N, S, S, 3) uint8 RGB, and output, (N, C) float32."""

FACE_DETECTORS: Mapping[str, type[FaceDetector]] = MappingProxyType({"centerface": CenterFace, "opencv_dnn": OpenCvDnn})
"""The face detectors that need no torch."""


class OnnxCropClassifier:
    """A classifier of crops in an ONNX file; fits `maskdet.models.two_phase.ProbabilityModel`.

    Args:
        file: As `maskdet.models.export.classifier_onnx` wrote it.
        metadata: What it promises.

    Raises:
        ValueError: If input and output of the graph are not those that the metadata promises.
    """

    def __init__(self, file: OnnxFile, metadata: TwoPhaseMetadata) -> None:
        self.class_names: Sequence[str] = metadata.class_names
        self._session = file.session
        ports = [
            (node.name, node.type, list(node.shape[1:]))
            for node in (*self._session.get_inputs(), *self._session.get_outputs())
        ]
        side = metadata.crop_size
        wanted = [
            (CROPS_NAME, "tensor(uint8)", [side, side, 3]),
            (PROBABILITIES_NAME, "tensor(float)", [len(self.class_names)]),
        ]
        if ports != wanted:
            raise ValueError(f"{file.path}: expected input and output {wanted}, got {ports}")

    def predict_probabilities(self, crops: np.ndarray, batch_size: int) -> np.ndarray:
        """Return (N, C) float32 whose rows sum to 1, for (N, S, S, 3) uint8 RGB crops."""
        parts = [crops[start : start + batch_size] for start in range(0, len(crops), batch_size)]
        found = [self._session.run([PROBABILITIES_NAME], {CROPS_NAME: part})[0] for part in parts]
        return np.concatenate([np.empty((0, len(self.class_names)), np.float32), *found])


class ExportedTwoPhaseDetector:
    """A face detector, and a classifier for what it finds: one detection a face, of its likeliest class.

    The study's tables have a detection a face and class (`maskdet.models.two_phase.class_rows`), as average precision
    wants them; here people want one answer a face.

    Args:
        file: The classifier; its metadata says all else.
        num_threads: Of OpenCV, for the whole process; None: see `thread_limit`.

    Raises:
        FileNotFoundError: If the face detector's weights are not installed; the message says what to install.
        ValueError: If the metadata is broken, or the graph is not as it promises.
    """

    runtime_name = "onnx"

    def __init__(self, file: OnnxFile, num_threads: int | None = None) -> None:
        try:
            self.metadata = TwoPhaseMetadata.from_json(file.properties[TWO_PHASE_KEY])
            self._face_detector = _open_face_detector(self.metadata.face_detector)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file.path}: metadata: {error}") from error
        cut = partial(cut_crop, margin=self.metadata.crop_margin, size=self.metadata.crop_size)
        self._box_classifier = BoxClassifier(OnnxCropClassifier(file, self.metadata), cut)
        self._one_at_a_time = threading.Lock()  # a network of OpenCV keeps its input between two calls
        if thread_limit(num_threads):
            cv2.setNumThreads(thread_limit(num_threads))

    def detect_batch(self, images_rgb: Sequence[np.ndarray], min_score: float) -> list[Detections]:
        """Return the detections of each image; see `maskdet.inference.detectors.Detector.detect_batch`."""
        with self._one_at_a_time:
            found = self._face_detector.detect(images_rgb)
        return [self._classified(image, faces, min_score) for image, faces in zip(images_rgb, found, strict=True)]

    def _classified(self, image_rgb: np.ndarray, faces: FoundFaces, min_score: float) -> Detections:
        faces = faces[faces.scores >= self.metadata.min_face_score]
        probabilities = self._box_classifier.probabilities(image_rgb, faces.boxes_xyxy)  # (N, C)
        blended = blended_scores(faces.scores[:, None], probabilities, self.metadata.class_weight)  # (N, C)
        class_indices = blended.argmax(axis=1)  # (N,)
        scores = np.take_along_axis(blended, class_indices[:, None], axis=1)[:, 0].astype(np.float32)  # (N,)
        order = np.argsort(-scores, kind="stable")
        found = Detections(faces.boxes_xyxy, scores, class_indices)[order]
        return found[found.scores >= min_score]


def _open_face_detector(settings: Mapping) -> FaceDetector:
    if settings["kind"] not in FACE_DETECTORS:
        raise ValueError(f"face_detector.kind: expected one of {', '.join(FACE_DETECTORS)}, got {settings['kind']!r}")
    return FACE_DETECTORS[settings["kind"]](**settings["options"])
