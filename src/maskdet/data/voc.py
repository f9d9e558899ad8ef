"""Read Pascal VOC annotations (one XML file an image) without trusting them.

The numbers are taken as they stand: no pixel is subtracted from the minima, although the VOC standard counts from 1.
The Kaggle set's public results are all computed so.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = {"0": False, "1": True}


@dataclass(frozen=True)
class VocObject:
    """An annotated object: the class as written, `(x_min, y_min, x_max, y_max)` in pixels as written, the flag."""

    class_name: str
    box: tuple[float, float, float, float]
    is_difficult: bool


@dataclass(frozen=True)
class VocFile:
    """What an annotation file says: the image's width and height, if it names them, and the objects, maybe none."""

    image_wh: tuple[int, int] | None
    objects: tuple[VocObject, ...]


def read_voc(path: Path) -> VocFile:
    """Read a VOC annotation file.

    Args:
        path: The XML file.

    Returns:
        The objects in the file's order; coordinates are finite, but may lie outside the image or be inverted.

    Raises:
        ValueError: If the file is no well-formed XML, declares entities, is no `<annotation>`, or if an object lacks
            a field or has one that is not a number. The message names the file and the value.
    """
    try:
        root = parse(path).getroot()
    except (ParseError, DefusedXmlException, UnicodeError) as error:
        raise ValueError(f"{path.name}: expected well-formed XML without entities, got {error!r}") from error
    if root.tag != "annotation":
        raise ValueError(f"{path.name}: expected the root <annotation>, got <{root.tag}>")
    objects = tuple(
        _read_object(node, f"{path.name}: object {index}") for index, node in enumerate(root.iter("object"))
    )
    size = root.find("size")
    if size is None:
        return VocFile(None, objects)
    width, height = (_number(size, name, f"{path.name}: size") for name in ("width", "height"))
    return VocFile((int(width), int(height)), objects)


def _read_object(node: Element, place: str) -> VocObject:
    bndbox = node.find("bndbox")
    if bndbox is None:
        raise ValueError(f"{place}: expected <bndbox>, got none")
    flag = (node.findtext("difficult") or "0").strip()
    if flag not in _FLAGS:
        raise ValueError(f"{place}: expected <difficult> 0 or 1, got {flag!r}")
    x_min, y_min, x_max, y_max = (_number(bndbox, name, place) for name in _CORNERS)
    return VocObject(_text(node, "name", place), (x_min, y_min, x_max, y_max), _FLAGS[flag])


def _text(node: Element, name: str, place: str) -> str:
    text = (node.findtext(name) or "").strip()
    if not text:
        raise ValueError(f"{place}: expected <{name}> with a value, got none")
    return text


def _number(node: Element, name: str, place: str) -> float:
    text = _text(node, name, place)
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError(f"{place}: expected a number in <{name}>, got {text!r}") from error
    if not math.isfinite(number):
        raise ValueError(f"{place}: expected a finite number in <{name}>, got {text!r}")
    return number
