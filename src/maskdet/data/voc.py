"""Read Pascal VOC annotations (one XML file an image) without trusting them.

The numbers are taken as they stand: no pixel is subtracted from the minima, although the VOC standard counts from 1.
The Kaggle set's public results are all computed so.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

MAX_XML_BYTES = 2**20
"""A larger annotation file is refused unread; some three thousand objects fit."""

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = {"0": False, "1": True}


@dataclass(frozen=True)
class VocObject:
    """An annotated object: the class as written, `(x_min, y_min, x_max, y_max)` in pixels as written, the flag.

    `index` is its place among the file's objects, of which some may not have been taken. `marks` are the words for what
    the file says of it beside these three, such as `truncated`.
    """

    class_name: str
    box: tuple[float, float, float, float]
    is_difficult: bool
    marks: tuple[str, ...] = ()
    index: int = field(default=0, compare=False)


@dataclass(frozen=True)
class VocFile:
    """What an annotation file says: the image's width and height, if it names them, and the objects, maybe none."""

    image_wh: tuple[int, int] | None
    objects: tuple[VocObject, ...]


@dataclass(frozen=True)
class VocProblem:
    """Something in an annotation file that could not be taken.

    Attributes:
        rule: `label-unreadable`, `entity-in-xml`, `label-columns` (a missing field), `label-number` or `flag-unknown`.
        detail: The place, what was expected and what was found.
        costs_object: An object is lost by it, or the whole file; False: the flag or the image's size alone.
    """

    rule: str
    detail: str
    costs_object: bool = True


class _ProblemError(ValueError):
    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.problem = VocProblem(rule, detail)


def read_voc(path: Path) -> VocFile:
    """Read a VOC annotation file, or refuse it as a whole.

    Args:
        path: The XML file.

    Returns:
        The objects in the file's order; coordinates are finite, but may lie outside the image or be inverted.

    Raises:
        ValueError: If the file is no well-formed XML, declares entities, is no `<annotation>`, or if an object lacks
            a field or has one that is not a number. The message names the file and the value.
    """
    content, problems = read_voc_leniently(path)
    if problems:
        raise ValueError(f"{path.name}: {problems[0].detail}")
    return content


def read_voc_leniently(path: Path) -> tuple[VocFile, tuple[VocProblem, ...]]:
    """Read what can be read of a VOC annotation file.

    Args:
        path: The XML file.

    Returns:
        The sound objects in the file's order, as `read_voc` returns them, and what is wrong with the others.
    """
    try:
        root = _parse(path)
    except _ProblemError as error:
        return VocFile(None, ()), (error.problem,)
    objects, problems = [], []
    for index, node in enumerate(root.iter("object")):
        try:
            is_difficult, problem = _read_flag(node, index)
            objects.append(_read_object(node, index, is_difficult))
            problems += [problem] if problem else []
        except _ProblemError as error:
            problems.append(error.problem)
    try:
        image_wh = _read_size(root.find("size"))
    except _ProblemError as error:
        image_wh = None
        problems.append(replace(error.problem, costs_object=False))
    return VocFile(image_wh, tuple(objects)), tuple(problems)


def _parse(path: Path) -> Element:
    num_bytes = path.stat().st_size
    if num_bytes > MAX_XML_BYTES:
        raise _ProblemError("label-unreadable", f"expected at most {MAX_XML_BYTES} bytes, got {num_bytes}")
    try:
        root = parse(path).getroot()
    # an unknown encoding is a LookupError, one that expat cannot map a ValueError
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        rule = "entity-in-xml" if isinstance(error, DefusedXmlException) else "label-unreadable"
        raise _ProblemError(rule, f"expected well-formed XML without entities, got {error!r}") from error
    if root.tag != "annotation":
        raise _ProblemError("label-unreadable", f"expected the root <annotation>, got <{root.tag}>")
    return root


def _read_size(size: Element | None) -> tuple[int, int] | None:
    if size is None:
        return None
    width, height = (_number(size, name, "size") for name in ("width", "height"))
    return int(width), int(height)


def _read_flag(node: Element, index: int) -> tuple[bool, VocProblem | None]:
    """Return whether an object is marked as difficult; a word that says neither is no mark, and told."""
    flag = (node.findtext("difficult") or "0").strip()
    if flag in _FLAGS:
        return _FLAGS[flag], None
    detail = f"object {index}: expected <difficult> 0 or 1, got {flag!r}"
    return False, VocProblem("flag-unknown", detail, costs_object=False)


def _read_object(node: Element, index: int, is_difficult: bool) -> VocObject:
    place = f"object {index}"
    bndbox = node.find("bndbox")
    if bndbox is None:
        raise _ProblemError("label-columns", f"{place}: expected <bndbox>, got none")
    x_min, y_min, x_max, y_max = (_number(bndbox, name, place) for name in _CORNERS)
    name = _text(node, "name", place)
    return VocObject(name, (x_min, y_min, x_max, y_max), is_difficult, _read_marks(node), index)


def _read_marks(node: Element) -> tuple[str, ...]:
    """Return what is said of an object beside its class, its box and `difficult`."""
    words = {name: (node.findtext(name) or "").strip().lower() for name in ("truncated", "occluded", "pose")}
    is_said = {
        "truncated": words["truncated"] == "1",
        "occluded": words["occluded"] == "1",
        "with a pose": words["pose"] not in ("", "unspecified"),
        "with an outline": node.find("polygon") is not None,
        "with parts": node.find("part") is not None,
    }
    return tuple(mark for mark, is_there in is_said.items() if is_there)


def _text(node: Element, name: str, place: str) -> str:
    text = (node.findtext(name) or "").strip()
    if not text:
        raise _ProblemError("label-columns", f"{place}: expected <{name}> with a value, got none")
    return text


def _number(node: Element, name: str, place: str) -> float:
    text = _text(node, name, place)
    try:
        number = float(text)
    except ValueError as error:
        raise _ProblemError("label-number", f"{place}: expected a number in <{name}>, got {text!r}") from error
    if not math.isfinite(number):
        raise _ProblemError("label-number", f"{place}: expected a finite number in <{name}>, got {text!r}")
    return number
