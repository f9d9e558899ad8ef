"""Sets in YOLO format: a text file an image, a line an object: class number and box as shares of the image.

Reads the layouts of Darknet (`obj.names`, labels beside the images), Ultralytics (`data.yaml`, `images/` and `labels/`)
and Roboflow (`train/images`, `train/labels`). Own code rather than supervision's: that one wants one folder and a
`data.yaml`, turns image sizes by the EXIF orientation, stops at the first malformed line, takes a sixth column for a
score, and rounds to float32 before it multiplies.

The paths in `data.yaml`, `obj.data` and `train.txt` lead to where the author trained, seldom to where the files lie. So
nothing is opened by them: the set is what lies in its folder, and lists are only compared with it.
"""

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath

from maskdet.data.formats.collection import Collection
from maskdet.data.formats.coordinates import Box, cxcywh_norm_to_xyxy, parse_number
from maskdet.data.formats.files import SET_IMAGE_SUFFIXES, SetFiles, read_text
from maskdet.data.formats.pairing import Pairs, pair_labels
from maskdet.data.formats.progress import tracked
from maskdet.data.formats.reader_rules import LabelError
from maskdet.data.formats.references import leaves_folder
from maskdet.data.formats.yolo_classes import CLASS_LIST_NAMES, YoloClasses, read_yolo_classes
from maskdet.data.labelled_set import LabelledBox, LabelledSet

_MAX_LABEL_MEGABYTES = 4
_MAX_LIST_MEGABYTES = 256
_MAX_CLASSES = 1_000_000
_BOX_COLUMNS = 5
_MIN_POLYGON_COLUMNS = 7  # a class and three points


def recognize_yolo(files: SetFiles) -> str | None:
    """Say which YOLO files there are, if any: a class list alone is none, unless it is one of YOLO's own kinds."""
    label_file = next((path for path in _text_files(files) if _kind_of_text(files, path) == "labels"), None)
    if label_file is not None:
        return f"YOLO labels such as {label_file}"
    own = [*files.with_suffix(".names"), *files.with_suffix("data.yaml", "data.yml", "obj.data")]
    if own:
        return f"the class list {own[0]}"
    if not any(PurePosixPath(path).name.lower() in CLASS_LIST_NAMES for path in files.others):
        return None
    empty = [path for path in _text_files(files) if _kind_of_text(files, path) == "nothing"]
    paired = next(iter(pair_labels(files.images, empty).label_of.values()), None)
    return f"a class list and empty labels such as {paired}" if paired else None


def read_yolo_set(files: SetFiles) -> LabelledSet:
    """Read a set in YOLO format.

    An empty label file says that there is no face; an image without one is not labelled. Polygons, oriented boxes and
    keypoints become boxes, with a note. A value outside [0, 1] is an error; its box is kept where it meets the image,
    since a repair can clip it, and left out elsewhere: pixels in place of shares land there. Classes of a set without
    any class list are called by their numbers.
    """
    collected, classes = Collection.begin(files), read_yolo_classes(files)
    collected.findings += classes.findings
    pairs = pair_labels(files.images, _text_files(files))
    collected.findings += pairs.findings
    _report_unpaired(collected, pairs)
    for image, label_file in tracked(pairs.label_of.items(), "read YOLO labels"):
        try:
            text = read_text(files.root / label_file, _MAX_LABEL_MEGABYTES)
        except LabelError as error:
            collected.report(label_file, error.rule, str(error))
            continue
        collected.label(image, label_file, _read_boxes(collected, image, label_file, text, classes))
    if classes.origin is None:
        detail = "expected a class list (data.yaml with names, *.names, classes.txt), found none"
        collected.report(".", "class-list-missing", detail, "classes are called by their numbers")
        found = {box.class_name for boxes in collected.boxes.values() for box in boxes}
        numbers = {name: int(name) for name in sorted(found, key=int)}
    else:
        numbers = {name: number for number, name in sorted(classes.name_of.items(), reverse=True)}  # the first counts
        numbers = dict(sorted(numbers.items(), key=lambda pair: pair[1]))
    return replace(collected.finish("yolo", numbers), number_of=numbers)


def _text_files(files: SetFiles) -> list[str]:
    return [path for path in files.with_suffix(".txt") if PurePosixPath(path).name.lower() not in CLASS_LIST_NAMES]


def _kind_of_text(files: SetFiles, path: str) -> str:
    """Say what a text file holds by its first line: `labels`, `numbers`, a `list` of images, `nothing` or `prose`."""
    with (files.root / path).open("rb") as stream:
        first = next(
            (line for line in stream.read(4096).decode("utf-8-sig", "replace").splitlines() if line.strip()), ""
        )
    if not first:
        return "nothing"
    if first.strip().lower().endswith(SET_IMAGE_SUFFIXES):
        return "list"
    are_numbers = [_is_number(column) for column in first.split()]
    if all(are_numbers) and len(are_numbers) >= _BOX_COLUMNS:
        return "labels"
    return "numbers" if sum(are_numbers) > len(are_numbers) / 2 else "prose"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _report_unpaired(collected: Collection, pairs: Pairs) -> None:
    """Report labels without an image, and compare lists of images with the set; other text files are prose."""
    label_folders = {posixpath.dirname(path) for path in pairs.label_of.values()}
    for path in pairs.unpaired_labels:
        kind = _kind_of_text(collected.files, path)
        if kind == "labels" or (kind in ("numbers", "nothing") and posixpath.dirname(path) in label_folders):
            collected.report(path, "labels-without-image", "expected an image of this name, found none")
        elif kind == "list":
            _compare_list(collected, path)


def _compare_list(collected: Collection, path: str) -> None:
    """Report listed images that the set lacks; one that is there by name is there, whatever folder the author had."""
    names = {PurePosixPath(image).name for image in collected.files.images}
    try:
        lines = read_text(collected.files.root / path, _MAX_LIST_MEGABYTES).splitlines()
    except LabelError as error:
        collected.report(path, error.rule, str(error))
        return
    for number, line in enumerate(lines, start=1):
        listed = line.strip().replace("\\", "/")
        if not listed or posixpath.basename(listed) in names:
            continue
        rule = "path-outside" if leaves_folder(listed, posixpath.dirname(path)) else "labels-without-image"
        collected.report(path, rule, f"line {number}: expected an image of the set, got {listed[:120]!r}")


def _read_boxes(
    collected: Collection, image: str, label_file: str, text: str, classes: YoloClasses
) -> Iterator[LabelledBox]:
    """Yield the boxes of a label file; lines that cannot be taken become findings."""
    image_wh, num_reduced = collected.sizes[image], 0
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.split()
        if not columns:
            continue
        try:
            class_name = _class_name(columns[0], classes)
            cxcywh_norm, is_reduced = _box_norm(columns, classes.num_keypoint_values)
        except LabelError as error:
            collected.report_lost(label_file, error.rule, f"line {number}: {error}", image)
            continue
        num_reduced += is_reduced
        is_kept = _check_unit(collected, label_file, f"line {number}", cxcywh_norm)
        if not is_kept:
            collected.lost.add(image)
        if image_wh is not None and is_kept:
            box_xyxy = cxcywh_norm_to_xyxy(cxcywh_norm, image_wh)
            yield LabelledBox(class_name, box_xyxy, place=f"line {number}")
    if num_reduced:
        detail = f"expected boxes, got {num_reduced} polygons or boxes with keypoints"
        collected.report(label_file, "label-reduced", detail)


def _class_name(text: str, classes: YoloClasses) -> str:
    """Return the name of a class number; `0.0` and `1e+00` are whole numbers too, as numpy.savetxt writes them."""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise LabelError("label-number", f"expected the number of a class, got {text[:40]!r}") from error
    if not number.is_finite() or abs(number) >= _MAX_CLASSES or number != number.to_integral_value():
        raise LabelError("label-number", f"expected a whole number of a class, got {text[:40]!r}")
    if classes.origin is None and number >= 0:
        return str(int(number))
    if number not in classes.name_of:
        detail = f"expected a class of {classes.origin} ({', '.join(map(str, classes.name_of))}), got {text[:40]}"
        raise LabelError("class-unknown", detail)
    return classes.name_of[int(number)]


def _box_norm(columns: list[str], num_keypoint_values: int) -> tuple[Box, bool]:
    """Return centre, width and height as shares of the image, and whether the line says more than a box."""
    num_columns = len(columns)
    if num_columns == _BOX_COLUMNS or num_columns == _BOX_COLUMNS + num_keypoint_values:
        values = [parse_number(column) for column in columns[1:]]
        return tuple(values[:4]), num_columns > _BOX_COLUMNS
    if num_columns < _MIN_POLYGON_COLUMNS or num_columns % 2 == 0:
        detail = f"expected a class and 4 numbers, or a polygon of 3 or more points, got {num_columns} columns"
        raise LabelError("label-columns", detail)
    values = [parse_number(column) for column in columns[1:]]
    x_min, x_max, y_min, y_max = min(values[::2]), max(values[::2]), min(values[1::2]), max(values[1::2])
    return ((x_min + x_max) / 2, (y_min + y_max) / 2, x_max - x_min, y_max - y_min), True


def _check_unit(collected: Collection, label_file: str, place: str, cxcywh_norm: Box) -> bool:
    """Report values outside [0, 1]; say whether the box meets the image all the same."""
    if all(0 <= value <= 1 for value in cxcywh_norm):
        return True
    x_center, y_center, width, height = cxcywh_norm
    is_kept = all(
        center - abs(extent) / 2 < 1 and center + abs(extent) / 2 > 0
        for center, extent in ((x_center, width), (y_center, height))
    )
    values = " ".join(f"{value:g}" for value in cxcywh_norm)
    detail = f"{place}: expected centre, width and height in [0, 1], got {values}"
    collected.report(label_file, "box-outside-unit", detail, "clipped to the image" if is_kept else "left out")
    return is_kept
