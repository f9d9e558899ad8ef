"""Read an image file as 8-bit RGB, or say what is wrong with it."""

import hashlib
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Image files that the project reads, in lower case."""

_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
# The orientation of EXIF is ignored: boxes were drawn on the stored pixels.
_READ_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def read_image(path: Path) -> np.ndarray:
    """Return the pixels of an image file as 8-bit RGB.

    The same pixels as `PIL.Image.convert("RGB")`, also for 16-bit RGBA PNG (the high byte, without alpha).

    Args:
        path: A PNG or JPEG file, or whatever else OpenCV decodes.

    Returns:
        (H, W, 3) uint8, RGB, as stored: an EXIF orientation is not applied.

    Raises:
        ValueError: If the file is empty, cut short or no image; the message names it.
        FileNotFoundError: If there is no such file.
    """
    content = Path(path).read_bytes()
    if not content:
        raise ValueError(f"{path}: expected an image, got an empty file (0 bytes)")
    if _is_cut_short(content):
        raise ValueError(f"{path}: expected a whole image, got a file that ends early ({len(content)} bytes)")
    try:
        pixels_bgr = cv2.imdecode(np.frombuffer(content, np.uint8), _READ_FLAGS)  # (H, W, 3)
    except cv2.error as error:
        raise ValueError(f"{path}: expected an image, got a file that OpenCV refuses: {error}") from error
    if pixels_bgr is None:
        raise ValueError(f"{path}: expected an image, got {len(content)} bytes that no decoder reads")
    return cv2.cvtColor(pixels_bgr, cv2.COLOR_BGR2RGB)


def pixel_hash(image: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixels in row order, equal for every lossless encoding of the same picture.

    Args:
        image: (H, W, 3) uint8, RGB.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def _is_cut_short(content: bytes) -> bool:
    """Say whether a PNG or JPEG lacks its end; OpenCV fills the missing rows with grey or black without an error."""
    if content.startswith(_PNG_START):
        return _PNG_END not in content
    if content.startswith(_JPEG_START):
        return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    return False
