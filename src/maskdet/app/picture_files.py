"""The files of a picture's result at the thresholds of the moment: annotated picture, CSV, COCO JSON."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np

from maskdet.app.models import above
from maskdet.app.results import ModelAnswer, PictureResult
from maskdet.inference.privacy import BLUR_SCORE_THRESHOLD, blur_faces
from maskdet.inference.result_pictures import draw_result
from maskdet.inference.result_tables import write_coco, write_csv
from maskdet.inference.results import ImageResult
from maskdet.inference.suppression import Detections


@dataclass(frozen=True)
class View:
    """What a visitor has chosen to see of one model's answer.

    Attributes:
        thresholds: One for each class.
        is_blurred: Whether faces are blurred under their boxes: those that are shown, and doubtful ones too.
    """

    thresholds: tuple[float, ...]
    is_blurred: bool = False

    def query(self) -> str:
        """Return the view as the query of an address, with all digits."""
        blur = "&blur=1" if self.is_blurred else ""
        return "t=" + ",".join(repr(float(value)) for value in self.thresholds) + blur


def annotated(result: PictureResult, answer: ModelAnswer, view: View) -> np.ndarray:
    """Return the shown picture with the boxes of one answer, (H', W', 3) uint8, RGB."""
    image = result.shown()
    factors = np.tile(np.array(image.shape[1::-1]) / result.image_wh, 2)  # (4,)
    found = above(answer.found, view.thresholds)
    if view.is_blurred:  # what is shown, and what is too doubtful to be shown
        doubtful = answer.found.boxes_xyxy[answer.found.scores >= np.float32(BLUR_SCORE_THRESHOLD)]
        image = blur_faces(image, np.concatenate([found.boxes_xyxy, doubtful]) * factors)
    scaled = Detections((found.boxes_xyxy * factors).astype(np.float32), found.scores, found.class_indices)
    drawn = ImageResult(result.file_name, image.shape[1::-1], scaled)
    return draw_result(image, drawn, answer.class_names)


def _jpeg(result: PictureResult, answer: ModelAnswer, view: View) -> bytes:
    return _encoded(".jpg", annotated(result, answer, view), [cv2.IMWRITE_JPEG_QUALITY, 92])


def _png(result: PictureResult, answer: ModelAnswer, view: View) -> bytes:
    return _encoded(".png", annotated(result, answer, view), [])


def _encoded(suffix: str, image: np.ndarray, options: Sequence[int]) -> bytes:
    return cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def _csv(result: PictureResult, answer: ModelAnswer, view: View) -> bytes:
    return _written(write_csv, result, answer, view)


def _coco(result: PictureResult, answer: ModelAnswer, view: View) -> bytes:
    return _written(write_coco, result, answer, view)


def _written(write: Callable, result: PictureResult, answer: ModelAnswer, view: View) -> bytes:
    """Return what the writer of `maskdet predict` puts into a file."""
    row = ImageResult(result.file_name, result.image_wh, above(answer.found, view.thresholds))
    with tempfile.TemporaryDirectory(prefix="maskdet-app-") as folder:
        path = Path(folder) / "table"
        write([row], answer.class_names, path)
        return path.read_bytes()


@dataclass(frozen=True)
class FileKind:
    """A file that can be made of a result.

    Attributes:
        name: In addresses, and what it is called when it is saved.
        label: On its link.
        media_type: What the server calls it.
        make: Returns its content.
    """

    name: str
    label: str
    media_type: str
    make: Callable[[PictureResult, ModelAnswer, View], bytes]


SHOWN_FILE = FileKind("picture.jpg", "", "image/jpeg", _jpeg)
"""What the page shows."""

FILE_KINDS: Mapping[str, FileKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            SHOWN_FILE,
            FileKind("faces.png", "Picture (PNG)", "image/png", _png),
            FileKind("faces.csv", "Table (CSV)", "text/csv; charset=utf-8", _csv),
            FileKind("faces.coco.json", "COCO JSON", "application/json", _coco),
        )
    }
)
"""The files of a picture's result by their names."""
