"""Read an image file as 8-bit RGB, or say what is wrong with it."""

import hashlib
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Image files that the project reads, in lower case."""

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
"""What files of these formats begin with."""

_PNG_END, _JPEG_SCAN, _JPEG_END = b"IEND\xaeB`\x82", b"\xff\xda", b"\xff\xd9"
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
    check_whole(content, path)
    return decode_image(content, path)


def check_whole(content: bytes, origin: object) -> None:
    """Refuse an empty file, and a PNG or JPEG that lacks its end: OpenCV fills the missing rows without an error.

    Args:
        content: Of the file.
        origin: What an error names it by.

    Raises:
        ValueError: Says which it is.
    """
    if not content:
        raise ValueError(f"{origin}: expected an image, got an empty file (0 bytes)")
    is_cut_short = (content.startswith(PNG_START) and _PNG_END not in content) or (
        content.startswith(JPEG_START) and content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
    )
    if is_cut_short:
        raise ValueError(f"{origin}: expected a whole image, got a file that ends early ({len(content)} bytes)")


def decode_image(content: bytes, origin: object) -> np.ndarray:
    """Return the pixels of a file's content as `read_image` does.

    Args:
        content: Of the file.
        origin: What an error names it by.

    Raises:
        ValueError: If no decoder reads it.
    """
    try:
        pixels_bgr = cv2.imdecode(np.frombuffer(content, np.uint8), _READ_FLAGS)  # (H, W, 3)
    except cv2.error as error:
        raise ValueError(f"{origin}: expected an image, got a file that OpenCV refuses: {error}") from error
    if pixels_bgr is None:
        raise ValueError(f"{origin}: expected an image, got {len(content)} bytes that no decoder reads")
    return cv2.cvtColor(pixels_bgr, cv2.COLOR_BGR2RGB)


def pixel_hash(image: np.ndarray) -> str:
    """Return the SHA-256 of an image's pixels in row order, equal for every lossless encoding of the same picture.

    Args:
        image: (H, W, 3) uint8, RGB.

    Returns:
        64 hexadecimal digits.
    """
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
