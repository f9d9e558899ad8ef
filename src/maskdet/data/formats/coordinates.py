"""Numbers of labels: read strictly, and written with as few digits as bring the same float32 back.

Corners in pixels travel as doubles. What a reader computes is rounded to a short decimal of the same float32, the
precision of our tables: the noise of the arithmetic would otherwise grow from format to format.
"""

import math
import reprlib

import numpy as np

from maskdet.data.formats.reader_rules import LabelError

MAX_COORDINATE = 1e9
"""Pixels; a larger magnitude is no place in an image, and beyond float32 it would become infinite."""

_NORM_DECIMALS = (6, 8, 10, 12, 14)  # Darknet writes 6; 17 significant digits are the last resort

Box = tuple[float, float, float, float]


def parse_number(text: str) -> float:
    """Return the number that a text says.

    Raises:
        LabelError: `label-number`, if it is none, or not finite, or beyond `MAX_COORDINATE`.
    """
    try:
        number = float(text)
    except ValueError as error:
        raise LabelError("label-number", f"expected a number, got {text[:40]!r}") from error
    if "_" in text:  # Python reads 1_0 as 10; no label format does
        raise LabelError("label-number", f"expected a number, got {text[:40]!r}")
    return check_number(number)


def check_number(number: object) -> float:
    """Return a number as float.

    Raises:
        LabelError: `label-number`, if it is no number (a boolean is none), not finite or beyond `MAX_COORDINATE`.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | np.integer | np.floating):
        raise LabelError("label-number", f"expected a number, got {reprlib.repr(number)}")
    if not -MAX_COORDINATE <= number <= MAX_COORDINATE:  # NaN and infinity fail too
        raise LabelError("label-number", f"expected a finite number, got {reprlib.repr(number)}")
    return float(number)


def shortest_float32(value: float) -> float:
    """Return the number with the fewest digits that is the same float32.

    >>> shortest_float32(120.55999755859375), shortest_float32(79.00000000000001)
    (120.56, 79.0)
    """
    return float(str(np.float32(value)))


def number_text(value: float) -> str:
    """Return the shortest text that reads as the same double; whole numbers without a point.

    >>> number_text(79.0), number_text(120.56)
    ('79', '120.56')
    """
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(float(value))


def cxcywh_norm_to_xyxy(cxcywh_norm: Box, image_wh: tuple[int, int]) -> Box:
    """Turn a YOLO box into corners.

    Args:
        cxcywh_norm: Centre, width and height as shares of the image.
        image_wh: Width and height of the image in pixels.

    Returns:
        (x_min, y_min, x_max, y_max) in pixels, each with the fewest digits of its float32.

    >>> cxcywh_norm_to_xyxy((0.5, 0.25, 0.2, 0.1), (400, 200))
    (160.0, 40.0, 240.0, 60.0)
    """
    x_center, y_center, box_width, box_height = cxcywh_norm
    width, height = image_wh
    return (
        shortest_float32((x_center - box_width / 2) * width),
        shortest_float32((y_center - box_height / 2) * height),
        shortest_float32((x_center + box_width / 2) * width),
        shortest_float32((y_center + box_height / 2) * height),
    )


def xyxy_to_cxcywh_norm_text(box_xyxy: Box, image_wh: tuple[int, int]) -> tuple[str, str, str, str]:
    """Turn corners into a YOLO box whose digits bring the same float32 corners back.

    Args:
        box_xyxy: (x_min, y_min, x_max, y_max) in pixels.
        image_wh: Width and height of the image in pixels.

    Returns:
        Centre, width and height as shares of the image: six decimals where these suffice, else more. Where no number
        of digits does (a coordinate below 1e-12 of the image beside a large one), all that a double has.

    >>> xyxy_to_cxcywh_norm_text((160.0, 40.0, 240.0, 60.0), (400, 200))
    ('0.500000', '0.250000', '0.200000', '0.100000')
    """
    (x_min, y_min, x_max, y_max), (width, height) = box_xyxy, image_wh
    shares = (
        (x_min + x_max) / 2 / width,
        (y_min + y_max) / 2 / height,
        (x_max - x_min) / width,
        (y_max - y_min) / height,
    )
    wanted = tuple(shortest_float32(value) for value in box_xyxy)
    for decimals in _NORM_DECIMALS:
        texts = tuple(f"{share:.{decimals}f}" for share in shares)
        if cxcywh_norm_to_xyxy(tuple(map(float, texts)), image_wh) == wanted:
            return texts
    return tuple(f"{share:.17g}" for share in shares)


def xywh_to_xyxy_box(box_xywh: Box) -> Box:
    """Turn a COCO box into corners; the minima stay as they are, the maxima lose the noise of the sum.

    Twelve digits are kept, which is far more than float32 holds.

    >>> xywh_to_xyxy_box((651.61024, 345.06036, 27.45984, 24.55992))
    (651.61024, 345.06036, 679.07008, 369.62028)
    """
    x_min, y_min, width, height = box_xywh
    return x_min, y_min, _without_noise(x_min + width), _without_noise(y_min + height)


def xyxy_to_xywh_box(box_xyxy: Box) -> Box:
    """Turn corners into a COCO box that brings the same float32 corners back, of an ordered box up to twelve digits.

    >>> 679.07 - 651.61, xyxy_to_xywh_box((651.61, 345.0, 679.07, 369.0))
    (27.460000000000036, (651.61, 345.0, 27.46, 24.0))
    """
    x_min, y_min, x_max, y_max = box_xyxy
    return x_min, y_min, _extent(x_min, x_max), _extent(y_min, y_max)


def _extent(minimum: float, maximum: float) -> float:
    exact = maximum - minimum
    short = _without_noise(exact)
    return short if _without_noise(minimum + short) == _without_noise(maximum) else exact


def _without_noise(value: float) -> float:
    return float(f"{value:.12g}")
