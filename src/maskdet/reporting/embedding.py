"""Turn pictures into JPEG data URIs that together stay below a size, so that one HTML file holds them all."""

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from maskdet.reporting.picture import GalleryPicture

MAX_TOTAL_BYTES = 6_500_000
"""Of all embedded pictures as base64 text; figures and text come on top, and the page shall stay below 8 MB."""

_LADDER = ((640, 82), (640, 72), (560, 72), (480, 70), (400, 65), (320, 60), (240, 50), (160, 40))
"""(longer side in pixels, JPEG quality), from the best down."""

_PHOTO_LADDER = ((640, 84), (640, 76), (560, 74), (480, 72), (400, 68), (320, 62), (240, 55), (160, 45))
"""The same for photos that are embedded once, without drawn boxes."""


def embed_pictures(
    pictures: Sequence[GalleryPicture], max_side_px: int, max_total_bytes: int = MAX_TOTAL_BYTES
) -> tuple[list[tuple[str, str]], str]:
    """Encode the panels of pictures, all with the best size and quality whose sum fits.

    Args:
        pictures: In any order; a picture that occurs twice is counted twice.
        max_side_px: Longer side of a panel, at most.
        max_total_bytes: Limit on the sum of the texts' lengths.

    Returns:
        For each picture the data URIs of truth and prediction, and a text that names size and quality. At the
        smallest step the limit may be passed; the text says so then.
    """
    uris: list[tuple[str, str]] = []
    for side, quality in ((min(side, max_side_px), quality) for side, quality in _LADDER):
        uris = [tuple(jpeg_uri(panel, quality) for panel in picture.panels(side)) for picture in pictures]
        total = sum(len(uri) for pair in uris for uri in pair)
        if total <= max_total_bytes:
            return uris, f"at most {side} pixels wide or high, JPEG quality {quality}"
    return uris, f"at most {side} pixels wide or high, JPEG quality {quality}; larger than planned"


def fit_photos(photos: Sequence[np.ndarray], max_total_bytes: int) -> tuple[list[str], str]:
    """Encode photos, as many of them and as well as a number of bytes allows; at most so much, whatever they show.

    Quality goes before number: only at the smallest step photos at the end of the list are left out.

    Args:
        photos: (H, W, 3) uint8, RGB, the most important first; never scaled up.
        max_total_bytes: Limit on the sum of the texts' lengths; 0 or less allows none.

    Returns:
        Data URIs of the first photos, as many as fit, and a text that names their number, size and quality.
    """
    uris: list[str] = []
    for side, quality in _PHOTO_LADDER:
        uris = list(_within(photos, side, quality, max_total_bytes))
        if len(uris) == len(photos):
            break
    number = f"all {len(photos)}" if len(uris) == len(photos) else f"the first {len(uris)} of {len(photos)}"
    return uris, f"{number}, at most {side} pixels wide or high, JPEG quality {quality}"


def _within(photos: Sequence[np.ndarray], side: int, quality: int, max_total_bytes: int) -> Iterator[str]:
    """Yield data URIs until the next would pass the limit."""
    left = max_total_bytes
    for photo in photos:
        uri = jpeg_uri(_shrunk(photo, side), quality)
        left -= len(uri)
        if left < 0:
            return
        yield uri


def _shrunk(photo: np.ndarray, side: int) -> np.ndarray:
    """Return a photo whose longer side has at most so many pixels."""
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return photo
    new_wh = (max(round(photo.shape[1] * scale), 1), max(round(photo.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(photo).resize(new_wh, Image.Resampling.LANCZOS))


def jpeg_uri(image: np.ndarray, quality: int) -> str:
    """Return a picture, (H, W, 3) uint8 RGB, as a `data:` URI of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
