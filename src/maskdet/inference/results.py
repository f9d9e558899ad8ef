"""What was found in an image file, as it is kept, counted and written."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from maskdet.inference.suppression import Detections


@dataclass(frozen=True)
class ImageResult:
    """What was found in an image file.

    Attributes:
        file_name: As in `SourceImage`.
        image_wh: Width and height of the image in pixels, as boxes count them.
        detections: In pixels of the image.
        note: What of the file was left out; empty: nothing.
    """

    file_name: str
    image_wh: tuple[int, int]
    detections: Detections
    note: str = ""


def shortest_floats(values: Iterable[np.float32]) -> list[float]:
    """Return float32 numbers as the floats with the fewest digits that are the same float32.

    >>> shortest_floats(np.array([0.1, 2], np.float32))
    [0.1, 2.0]
    """
    return [float(str(np.float32(value))) for value in values]
