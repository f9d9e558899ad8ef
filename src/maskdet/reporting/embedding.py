"""Turn pictures into JPEG data URIs that together stay below a size, so that one HTML file holds them all."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from maskdet.reporting.picture import GalleryPicture

MAX_TOTAL_BYTES = 6_500_000
"""Of all embedded pictures as base64 text; figures and text come on top, and the page shall stay below 8 MB."""

_LADDER = ((640, 82), (640, 72), (560, 72), (480, 70), (400, 65), (320, 60), (240, 50), (160, 40))
"""(longer side in pixels, JPEG quality), from the best down."""


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


def jpeg_uri(image: np.ndarray, quality: int) -> str:
    """Return a picture, (H, W, 3) uint8 RGB, as a `data:` URI of a JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
