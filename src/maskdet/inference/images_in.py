"""Pictures of any kind as 8-bit RGB: decoded as in training, turned as people see them, refused before they do harm."""

import io
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from maskdet.data.image import JPEG_START, PNG_START, check_whole, decode_image

ImageSource = str | Path | bytes | bytearray | memoryview | np.ndarray | Image.Image
"""A path, the bytes of an image file, or pixels."""

MAX_PIXELS = 89_478_485
"""Width times height of the largest image that is decoded: 256 MB of RGB, from where on Pillow sees a bomb."""

MAX_FILE_BYTES = 2**30
"""A larger file is not read: no image of `MAX_PIXELS` takes as much, not even 16-bit RGBA without compression."""

URL = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
"""What looks like an address rather than a path."""

_ORIENTATION_TAG, _PNG_EXIF, _PNG_TEXT_EXIF = 0x0112, b"eXIf", b"Raw profile type exif"
HEADER_ERRORS = (OSError, ValueError, SyntaxError, EOFError, MemoryError, OverflowError)
"""What Pillow's many readers raise at a header that they cannot take."""


@dataclass(frozen=True)
class Picture:
    """An image as people see it.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, C-contiguous.
        note: What was left out, e.g. the later frames of an animation; empty: nothing.
    """

    pixels: np.ndarray
    note: str = ""


def read_picture(source: ImageSource, apply_exif: bool = True, max_pixels: int = MAX_PIXELS) -> Picture:
    """Return an image of any kind as 8-bit RGB.

    Files of PNG and JPEG give the same pixels as `maskdet.data.image.read_image` does, whatever their mode: the high
    byte of 16 bits, grey three times, no alpha. Other formats are decoded by Pillow, the first frame of an animation.

    Args:
        source: A path, the bytes of a file, a PIL image, or an array as `rgb_of_array` takes it. Never a URL.
        apply_exif: Turn the picture as its EXIF orientation says. Arrays have none; TIFF files are always turned.
        max_pixels: A larger image is refused by its header, before it is decoded.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no image, is cut short, empty or too large; the message names the file.
        TypeError: If the source is of another type.
    """
    if isinstance(source, np.ndarray):
        return Picture(rgb_of_array(source))
    if isinstance(source, Image.Image):
        _check_size(source.size, max_pixels, "PIL image")
        return Picture(_rgb_of_pil(source, apply_exif, "PIL image"), _animation_note(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _decode(bytes(source), f"{len(source)} bytes", apply_exif, max_pixels)
    if isinstance(source, str | os.PathLike):
        return _decode(_read_bytes(source), str(source), apply_exif, max_pixels)
    raise TypeError(f"expected a path, bytes, a PIL image or an array, got {type(source).__name__}")


def check_rgb(image: np.ndarray) -> None:
    """Refuse what is no image (H, W, 3) of uint8 with at least a pixel.

    Raises:
        ValueError: Says what came instead.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        found = f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"expected an image (H, W, 3) of uint8, got {found}")
    if not image.size:
        raise ValueError(f"expected an image with at least a pixel, got {image.shape}")


def rgb_of_array(image: np.ndarray) -> np.ndarray:
    """Return pixels as 8-bit RGB.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA, of uint8 or uint16; not modified.

    Returns:
        (H, W, 3) uint8, C-contiguous: the high byte of 16 bits, grey three times, no alpha.

    Raises:
        ValueError: If the array has another shape or type.
    """
    if image.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected an image of uint8 or uint16, got {image.dtype}")
    pixels = image[:, :, None] if image.ndim == 2 else image
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or not pixels.size:
        raise ValueError(f"expected an image (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {image.shape}")
    pixels = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]
    return np.ascontiguousarray(pixels)


def _read_bytes(path: str | os.PathLike) -> bytes:
    if URL.match(os.fspath(path)):
        raise ValueError(f"{path}: expected a file on this machine, got an address; fetch the picture first")
    found = Path(path).stat()
    if not stat.S_ISREG(found.st_mode):  # reading a pipe may wait for ever
        raise ValueError(f"{path}: expected an image file, got a folder, a pipe or a device")
    if found.st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path}: expected a file of at most {MAX_FILE_BYTES >> 20} MB, got {found.st_size >> 20} MB")
    return Path(path).read_bytes()


def _decode(content: bytes, origin: str, apply_exif: bool, max_pixels: int) -> Picture:
    """Decode a file's content: its header first, its pixels only where the header promises a size that can be held."""
    check_whole(content, origin)
    with _open_header(content, origin) as header:
        _check_size(header.size, max_pixels, origin)
        if not content.startswith((PNG_START, JPEG_START)):
            return Picture(_rgb_of_pil(header, apply_exif, origin), _animation_note(header))
        orientation = _orientation(header, content) if apply_exif else 1
        note = _animation_note(header) if content.startswith(PNG_START) else ""  # JPEG holds previews as frames
    return Picture(_turned(decode_image(content, origin), orientation), note)


def _open_header(content: bytes, origin: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{origin}: expected an image of at most {_millions(MAX_PIXELS)}, got a bomb: {error}"
        ) from error
    except HEADER_ERRORS as error:
        raise ValueError(f"{origin}: expected an image, got {len(content)} bytes that no decoder reads") from error


def _orientation(header: Image.Image, content: bytes) -> int:
    """Return the EXIF orientation of a PNG or JPEG; 1, as it is stored, where there is none that can be read."""
    if content.startswith(PNG_START) and _PNG_EXIF not in content and _PNG_TEXT_EXIF not in content:
        return 1  # Pillow would decode all pixels to look behind them
    try:
        return header.getexif().get(_ORIENTATION_TAG, 1)
    except HEADER_ERRORS:
        return 1


def _check_size(image_wh: tuple[int, int], max_pixels: int, origin: str) -> None:
    width, height = image_wh
    if width * height > max_pixels:
        raise ValueError(f"{origin}: expected an image of at most {_millions(max_pixels)}, got {width} x {height}")
    if not width * height:
        raise ValueError(f"{origin}: expected an image with at least a pixel, got {width} x {height}")


def _millions(num_pixels: int) -> str:
    return f"{num_pixels / 1e6:.3g} million pixels"


def _animation_note(image: Image.Image) -> str:
    num_frames = getattr(image, "n_frames", 1)
    return f"the first of {num_frames} frames" if num_frames > 1 else ""


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored pixels as they are meant to be seen; 1 and unknown orientations leave them.

    Reference:
        EXIF 2.32, tag 0x0112: what the first row and the first column of the stored pixels are.
    """
    turned = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
    return np.ascontiguousarray(turned)


def _rgb_of_pil(image: Image.Image, apply_exif: bool, origin: str) -> np.ndarray:
    """Return the pixels of a PIL image, whatever its mode."""
    try:
        shown = ImageOps.exif_transpose(image) if apply_exif else image
        if shown.mode.startswith("I"):  # 16 bits of grey; Pillow's own conversion cuts them at 255
            return rgb_of_array(np.asarray(shown).astype(np.uint16))
        if shown.mode == "F":
            raise ValueError("expected pixels of whole numbers, got fractions (mode F)")
        return rgb_of_array(np.asarray(shown.convert("RGB")))
    except HEADER_ERRORS as error:
        raise ValueError(f"{origin}: expected a whole image, got one that Pillow refuses: {error}") from error
