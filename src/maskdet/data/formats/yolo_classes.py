"""The class list of a YOLO set: `data.yaml`, `*.names` or `classes.txt`, in this order of trust."""

import io
import itertools
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import yaml

from maskdet.data.formats.files import SetFiles, read_text
from maskdet.data.formats.reader_rules import LabelError, reader_finding
from maskdet.data.labelled_set import Finding

CLASS_LIST_NAMES = ("classes.txt", "_classes.txt")
"""Text files that hold a class a line, in lower case; never labels."""

_MAX_MEGABYTES = 1 / 16  # thousands of classes; PyYAML needs a second for so much
_MAX_BRACKETS = 50  # open at once; PyYAML's time grows with their square


@dataclass(frozen=True)
class YoloClasses:
    """What the numbers of classes mean.

    Attributes:
        name_of: Number → name; empty: the set has no class list.
        origin: The file that says so; None: there is none.
        num_keypoint_values: Values after the box in a pose set's lines; 0: no pose set.
        findings: Class lists that could not be read, or that differ from this one.
    """

    name_of: Mapping[int, str]
    origin: str | None
    num_keypoint_values: int
    findings: tuple[Finding, ...]


def class_list_files(files: SetFiles) -> list[str]:
    """Return the files that may hold a class list, most trusted first, among equals those nearest to the root."""
    plain = [path for path in files.with_suffix(".txt") if PurePosixPath(path).name.lower() in CLASS_LIST_NAMES]
    return [*files.with_suffix(".yaml", ".yml"), *files.with_suffix(".names"), *plain]


def read_yolo_classes(files: SetFiles) -> YoloClasses:
    """Read the class lists of a set; the most trusted one counts, others are compared with it."""
    name_of: dict[int, str] = {}
    origin, num_keypoint_values, findings = None, 0, []
    for path in class_list_files(files):
        try:
            names, keypoints = _read_class_list(files, path)
        except LabelError as error:
            findings.append(reader_finding(path, error.rule, str(error)))
            continue
        if names is None:
            continue
        if origin is None:
            name_of, origin, num_keypoint_values = names, path, keypoints
            if len(set(names.values())) < len(names):
                detail = f"expected a name of its own for each class, got {_listed(names)}"
                findings.append(reader_finding(path, "class-name-repeated", detail))
        elif names != name_of:
            detail = f"expected the classes of {origin}, {_listed(name_of)}, got {_listed(names)}"
            findings.append(reader_finding(path, "class-list-differs", detail, f"{origin} is taken"))
    return YoloClasses(name_of, origin, num_keypoint_values, tuple(findings))


def _listed(name_of: Mapping[int, str]) -> str:
    return ", ".join(f"{index} {name}" for index, name in list(name_of.items())[:10])


def _read_class_list(files: SetFiles, path: str) -> tuple[dict[int, str] | None, int]:
    text = read_text(files.root / path, _MAX_MEGABYTES)
    if path.lower().endswith((".yaml", ".yml")):
        return _read_yaml(text)
    lines = io.StringIO(text, newline=None)  # not splitlines: it takes rare characters of a name for line ends
    return {index: line.strip() for index, line in enumerate(lines) if line.strip()}, 0


def _read_yaml(text: str) -> tuple[dict[int, str] | None, int]:
    """Return the names and the number of keypoint values; None if the file is about something else."""
    if _open_brackets(text) > _MAX_BRACKETS:
        raise LabelError("label-unreadable", f"expected at most {_MAX_BRACKETS} open brackets, got more")
    try:
        # BaseLoader builds nothing but strings, lists and dicts: the class `no` stays a name, and there is no merge
        # key that could grow a small file.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        detail = f"expected YAML, got {type(error).__name__}: {str(error).splitlines()[0][:100]}"
        raise LabelError("label-unreadable", detail) from error
    if not isinstance(content, dict) or "names" not in content:
        return None, 0
    names = content["names"]
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else None
    if pairs is None:
        raise LabelError("label-unreadable", f"expected names as a list or a mapping, got a {type(names).__name__}")
    return dict(_named(index, name) for index, name in pairs), _keypoint_values(content.get("kpt_shape"))


def _open_brackets(text: str) -> int:
    """Return how deep brackets are nested at most; those inside of names count too, which are few."""
    steps = ((character in "[{") - (character in "]}") for character in text)
    return max(itertools.accumulate(steps, lambda depth, step: max(0, depth + step), initial=0))


def _named(index: object, name: object) -> tuple[int, str]:
    if not isinstance(name, str) or not _is_decimal(str(index)) or not name.strip():
        # reprlib: the text of nested lists that share their parts would fill the memory
        raise LabelError("label-unreadable", f"expected names by number, got {reprlib.repr({index: name})}")
    return int(index), name.strip()


def _keypoint_values(shape: object) -> int:
    """Return how many values follow the box in a line; `kpt_shape: [17, 3]` means 51."""
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2 or not all(map(_is_decimal, shape)):
        raise LabelError("label-unreadable", f"expected kpt_shape as two numbers, got {reprlib.repr(shape)}")
    return int(shape[0]) * int(shape[1])


def _is_decimal(text: object) -> bool:
    return isinstance(text, str) and text.isdecimal() and len(text) < 10
