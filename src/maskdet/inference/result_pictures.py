"""Annotated pictures: an image with its detections drawn on it."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from maskdet.atomic import atomic_file
from maskdet.inference.results import ImageResult
from maskdet.inference.sources import SourceImage
from maskdet.reporting.drawing import draw_boxes, fit_for_display

_PNG, _JPEG_SUFFIXES, _JPEG_QUALITY = ".png", (".jpg", ".jpeg"), [cv2.IMWRITE_JPEG_QUALITY, 95]
_SMALL_SIDE_PX = 640


def picture_path(folder: Path, file_name: str) -> Path:
    """Return where the picture of an image lies: its name and format.

    What is neither PNG nor JPEG becomes PNG, its name longer by `.png`.

    >>> picture_path(Path("out"), "a/b.webp").as_posix()
    'out/a/b.webp.png'
    """
    path = folder / file_name
    return path if path.suffix.lower() in (_PNG, *_JPEG_SUFFIXES) else path.with_name(path.name + _PNG)


def check_pictures(folder: Path, images: Sequence[SourceImage]) -> None:
    """Refuse pictures that would overwrite an image or each other, before hours are spent on them.

    Raises:
        ValueError: Names the image.
    """
    originals = {image.path.resolve(): image for image in images}
    taken: dict[Path, str] = {}
    for image in images:
        path = picture_path(folder, image.file_name)
        if path.resolve() in originals:
            raise ValueError(f"{path}: expected another --output, got one where the picture would replace the original")
        if path in taken:
            raise ValueError(
                f"{path}: expected a picture an image, got {taken[path]} and {image.file_name}; rename one, or choose "
                "--no-pictures"
            )
        taken[path] = image.file_name


def draw_result(image: np.ndarray, result: ImageResult, class_names: Sequence[str]) -> np.ndarray:
    """Return an image with its detections; small images are doubled, so that labels fit on faces of twenty pixels.

    Args:
        image: (H, W, 3) uint8, RGB; not modified.
        result: Its detections.
        class_names: In the order of class indices.

    Returns:
        (H', W', 3) uint8, RGB.
    """
    found, longest = result.detections, max(image.shape[:2])
    side_px = 2 * longest if longest <= _SMALL_SIDE_PX else longest
    shown, boxes_xyxy = fit_for_display(image, found.boxes_xyxy, side_px)
    return draw_boxes(shown, boxes_xyxy, [class_names[index] for index in found.class_indices], list(found.scores))


def write_picture(image: np.ndarray, result: ImageResult, class_names: Sequence[str], folder: Path) -> Path:
    """Write an image with its detections drawn on it, see `picture_path` and `draw_result`; return its path."""
    path = picture_path(folder, result.file_name)
    drawn = cv2.cvtColor(draw_result(image, result, class_names), cv2.COLOR_RGB2BGR)
    is_png = path.suffix.lower() == _PNG
    encoded = cv2.imencode(_PNG if is_png else ".jpg", drawn, [] if is_png else _JPEG_QUALITY)[1]
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path
