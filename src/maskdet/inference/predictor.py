"""`Predictor`: from pictures of any kind to the faces on them. What the library, the command and the app all use."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskdet.inference.calibration import Calibration
from maskdet.inference.detectors import Detector, OneStageDetector, model_path, open_detector
from maskdet.inference.images_in import ImageSource, check_rgb, read_picture
from maskdet.inference.metadata import DetectorMetadata
from maskdet.inference.runtime import Runtime
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.inference.thresholds import ClassThresholds, ScoreThreshold

if TYPE_CHECKING:
    import supervision


class Predictor:
    """A model with its thresholds: from pictures to detections. Every method may be called from several threads.

    Args:
        model: An `.onnx` file, an OpenVINO `.xml`, a `.safetensors` of ours, a folder that `train` wrote, or
            `two_phase`: a face detector with a classifier of crops. None: the model that the package ships.
        runtime: A key of `maskdet.inference.runtime.RUNTIMES`; None: the one that the file is for.
        score_threshold: Lowest score of what is returned: one for all classes, or by class name; classes that are not
            named, or all with None, keep the model's own.
        num_threads: Of one run; None: what `OMP_NUM_THREADS` says, else all cores. Of torch and OpenCV the number
            holds for the whole process.
        calibrated: Scores are the probabilities that a detection is right, by the calibrator in the model's metadata;
            a `score_threshold` is a probability then. The model's own thresholds choose the same faces as without.
        one_class: Whether a face that several classes claim is returned once, as the likeliest. None: yes with the
            model's own thresholds, no with others, for average precision wants the detections of every class.

    Attributes:
        class_names: In the order of class indices.
        metadata: What the model says of itself.
        runtime_name: What runs it.
        model_path: Where the model lies; None where it was loaded by others.
        is_calibrated: Whether scores are probabilities.
        has_one_class: Whether `thresholds` go with one class a face.

    Raises:
        FileNotFoundError: If there is no such file, or the package ships no model.
        ValueError: If the file is no model of ours, a name is unknown, a threshold lies outside [0, 1], or the model
            has no calibrator.

    Example:
        >>> predictor = Predictor()  # doctest: +SKIP
        >>> predictor.predict("photo.jpg").data["class_name"]  # doctest: +SKIP
        array(['with_mask', 'without_mask'], dtype='<U12')
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        runtime: str | None = None,
        score_threshold: ScoreThreshold | None = None,
        num_threads: int | None = None,
        calibrated: bool = False,
        one_class: bool | None = None,
    ) -> None:
        self.model_path: Path | None = model_path(model)
        self._set_up(open_detector(self.model_path, runtime, num_threads), score_threshold, calibrated, one_class)

    @classmethod
    def of_runtime(
        cls,
        runtime: Runtime,
        score_threshold: ScoreThreshold | None = None,
        calibrated: bool = False,
        one_class: bool | None = None,
    ) -> "Predictor":
        """Return a predictor of a model that is loaded already."""
        predictor = cls.__new__(cls)
        predictor.model_path = None
        predictor._set_up(OneStageDetector(runtime), score_threshold, calibrated, one_class)
        return predictor

    def _set_up(
        self, detector: Detector, score_threshold: ScoreThreshold | None, calibrated: bool, one_class: bool | None
    ) -> None:
        self._detector = detector
        self.metadata: DetectorMetadata = detector.metadata
        self.class_names, self.runtime_name = self.metadata.class_names, detector.runtime_name
        self.is_calibrated = calibrated
        self._calibration = Calibration.of_metadata(self.metadata) if calibrated else None
        self._thresholds = ClassThresholds(self.metadata, self._calibration, score_threshold)
        self._one_class = one_class
        self.has_one_class = score_threshold is None if one_class is None else one_class

    @property
    def thresholds(self) -> dict[str, float]:
        """Return the lowest score of each class that is returned; probabilities where they are calibrated."""
        return self._thresholds.by_class()

    def thresholds_of(self, model_score: float) -> dict[str, float]:
        """Return what `score_threshold` must be to mean a score of the model, whether or not scores are calibrated.

        Args:
            model_score: In [0, 1], before calibration.
        """
        return self._thresholds.of_model_score(model_score)

    def detect(self, image_rgb: np.ndarray, score_threshold: ScoreThreshold | None = None) -> Detections:
        """Return the faces of an image.

        Args:
            image_rgb: (H, W, 3) uint8, RGB, of any size.
            score_threshold: Instead of the predictor's own, as in the constructor.

        Returns:
            Boxes in pixels of the image, clipped to it, each with an area; best first; none below its class's
            threshold; of a face one class or each, see `one_class` of the constructor.

        Raises:
            ValueError: If the array is no such image, or a threshold is none.
        """
        return self.detect_batch([image_rgb], score_threshold)[0]

    def detect_batch(
        self, images_rgb: Sequence[np.ndarray], score_threshold: ScoreThreshold | None = None
    ) -> list[Detections]:
        """Return the faces of each image, in their order; equal to `detect` of each but for rounding.

        Args:
            images_rgb: (H, W, 3) uint8 each, of any sizes.
            score_threshold: Instead of the predictor's own, as in the constructor.
        """
        for image in images_rgb:
            check_rgb(image)
        thresholds = self._chosen(score_threshold)
        found = self._detector.detect_batch(images_rgb, thresholds.floor)
        return [self._kept(of_image, thresholds, score_threshold) for of_image in found]

    def detect_at(self, image_rgb: np.ndarray, score_thresholds: Sequence[ScoreThreshold | None]) -> list[Detections]:
        """Return the faces of an image at several thresholds, e.g. to show and to blur, for one run of the model.

        Args:
            image_rgb: (H, W, 3) uint8, RGB, of any size.
            score_thresholds: As in the constructor; None: the predictor's own.

        Returns:
            For each threshold what `detect` returns.
        """
        check_rgb(image_rgb)
        every = [self._chosen(threshold) for threshold in score_thresholds]
        found = self._detector.detect_batch([image_rgb], min(thresholds.floor for thresholds in every))[0]
        return [self._kept(found, *pair) for pair in zip(every, score_thresholds, strict=True)]

    def _chosen(self, score_threshold: ScoreThreshold | None) -> ClassThresholds:
        if score_threshold is None:
            return self._thresholds
        return ClassThresholds(self.metadata, self._calibration, score_threshold)

    def _kept(
        self, found: Detections, thresholds: ClassThresholds, score_threshold: ScoreThreshold | None
    ) -> Detections:
        has_one_class = self.has_one_class if score_threshold is None else bool(self._one_class)
        kept = thresholds.keep(found)
        return one_class_per_face(kept) if has_one_class else kept

    def predict(
        self, image: ImageSource, score_threshold: ScoreThreshold | None = None, *, apply_exif: bool = True
    ) -> "supervision.Detections":
        """Return the faces of a picture as `supervision` has them; class names are in `data["class_name"]`.

        Args:
            image: A path, the bytes of a file, a PIL image, or an array: (H, W), (H, W, 1), (H, W, 3) RGB or
                (H, W, 4) RGBA of uint8 or uint16. Never a URL.
            score_threshold: Instead of the predictor's own, as in the constructor.
            apply_exif: Turn the picture as its EXIF orientation says, as every viewer does; boxes are in pixels of
                the turned picture. False: pixels as they are stored.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no image, is cut short or too large; the message names it.
        """
        return self.predict_batch([image], score_threshold, apply_exif=apply_exif)[0]

    def predict_batch(
        self,
        images: Sequence[ImageSource],
        score_threshold: ScoreThreshold | None = None,
        *,
        apply_exif: bool = True,
    ) -> list["supervision.Detections"]:
        """Return the faces of each picture, in their order; see `predict`."""
        pictures = [read_picture(image, apply_exif).pixels for image in images]
        return [self._as_supervision(found) for found in self.detect_batch(pictures, score_threshold)]

    def _as_supervision(self, found: Detections) -> "supervision.Detections":
        import supervision  # seconds: only who wants its detections waits

        return supervision.Detections(
            xyxy=found.boxes_xyxy,
            confidence=found.scores,
            class_id=found.class_indices,
            data={"class_name": np.array(self.class_names)[found.class_indices]},
        )
