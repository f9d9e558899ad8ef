"""MTCNN: a cascade of three small networks over an image pyramid, the implementation of facenet-pytorch."""

from collections.abc import Sequence

import numpy as np

from maskdet.models.face_detectors.interface import FaceDetector, FinderOptions, FoundFaces
from maskdet.models.face_detectors.weight_files import packaged_file


class Mtcnn(FaceDetector):
    """MTCNN; `min_face_px` is also where its pyramid begins, and most of its time goes into the finest level.

    Its own suppressions (IoU .5 and .7 within and between levels, .7 after each later stage) come before that of
    `nms_iou_threshold`.

    Args:
        stage_thresholds: Scores from which the first and the second network hand a box on; lower ones find more and
            take longer. The third network's is `min_score`.
        pyramid_factor: Size of each level of the pyramid relative to the one before, in (0, 1).
        **options: See `FinderOptions`.

    Raises:
        FileNotFoundError: If the package is not installed.
        ValueError: If an option is out of its range.

    Reference:
        Zhang et al. (2016), Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks,
        https://arxiv.org/abs/1604.02878.
    """

    def __init__(self, stage_thresholds: Sequence[float], pyramid_factor: float, **options: object) -> None:
        super().__init__(FinderOptions(**options))
        if len(stage_thresholds) != 2 or not all(0 < threshold < 1 for threshold in stage_thresholds):
            raise ValueError(f"face_detector.stage_thresholds: expected two in (0, 1), got {list(stage_thresholds)}")
        if not 0 < pyramid_factor < 1:
            raise ValueError(f"face_detector.pyramid_factor: expected a number in (0, 1), got {pyramid_factor}")
        packaged_file("facenet_pytorch", "data/onet.pt", "facenet-pytorch>=2.6")  # says what to install
        from facenet_pytorch import MTCNN

        thresholds = [*stage_thresholds, self.options.min_score]
        self._network = MTCNN(thresholds=thresholds, factor=pyramid_factor, keep_all=True, device="cpu").eval()

    def _find(self, inputs_rgb: np.ndarray, min_face_px: float) -> list[FoundFaces]:
        if min(inputs_rgb.shape[1:3]) < min_face_px:  # no level of the pyramid: the library would fail
            return [FoundFaces(np.empty((0, 4), np.float32), np.empty(0, np.float32)) for _ in inputs_rgb]
        self._network.min_face_size = min_face_px
        boxes, scores = self._network.detect(inputs_rgb)  # of an image without a face None and [None]
        return [_found(*of_image) for of_image in zip(boxes, scores, strict=True)]


def _found(boxes_xyxy: np.ndarray | None, scores: np.ndarray) -> FoundFaces:
    if boxes_xyxy is None:
        return FoundFaces(np.empty((0, 4), np.float32), np.empty(0, np.float32))
    return FoundFaces(boxes_xyxy.astype(np.float32), scores.astype(np.float32))
