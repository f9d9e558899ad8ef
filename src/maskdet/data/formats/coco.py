"""Sets in COCO format: JSON files that list images, categories and annotations.

Own code rather than supervision's, which stops at the first malformed annotation, refuses images that lie anywhere but
in one folder, and believes the image sizes that the file declares.
"""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from maskdet.data.formats.collection import Collection
from maskdet.data.formats.coordinates import check_number, xywh_to_xyxy_box
from maskdet.data.formats.files import SetFiles, read_text
from maskdet.data.formats.label_files import DIFFICULT_KEY
from maskdet.data.formats.progress import tracked
from maskdet.data.formats.reader_rules import LabelError
from maskdet.data.formats.references import ImageIndex
from maskdet.data.labelled_set import LabelledBox, LabelledSet

_MAX_MEGABYTES = 512
_PEEK_BYTES = 4096
_START = re.compile(rb'\s*\{\s*"(images|annotations|categories|info|licenses|type)"')
_PREDICTIONS = re.compile(rb'\s*\[\s*\{[^{}]*"(image_id|category_id|bbox|score)"')
_shown = reprlib.repr  # short, whatever a file holds
_SECTIONS = ("images", "categories", "annotations")
_CROWDS, _OUTLINES, _POSES = "crowds (taken as difficult boxes)", "with an outline", "with keypoints"


def recognize_coco(files: SetFiles) -> str | None:
    """Say which COCO files there are, if any; lists of predictions count, so that they are refused by name."""
    found = next(_json_files(files), None)
    return f"COCO files such as {found}" if found else None


def _json_files(files: SetFiles) -> Iterator[str]:
    for path in files.with_suffix(".json"):
        with (files.root / path).open("rb") as stream:
            start = stream.read(_PEEK_BYTES).removeprefix(b"\xef\xbb\xbf")
        if _START.match(start) or _PREDICTIONS.match(start):
            yield path


def read_coco_set(files: SetFiles) -> LabelledSet:
    """Read a set in COCO format, of all its JSON files together.

    Categories of several files are one if they have one name; their numbers may differ. Segmentations and keypoints
    are ignored, with a note: the box counts. A crowd (`iscrowd`) becomes a difficult box, with a note: COCO's
    evaluation ignores the one as VOC's does the other. That of this project counts both as faces.

    Raises:
        ValueError: If a file holds predictions, or none of the files can be read.
    """
    collected = Collection.begin(files)
    index, class_names, num_read = ImageIndex(files.images), {}, 0
    for path in _json_files(files):
        try:
            content = _read_sections(files, path)
        except LabelError as error:
            collected.report(path, error.rule, str(error))
            continue
        num_read += 1
        class_names |= dict.fromkeys(_CocoFile(collected, index, path, content).collect())
    if not num_read:
        details = "; ".join(finding.detail for finding in collected.findings if finding.file.endswith(".json"))
        raise ValueError(f"{files.root}: expected a COCO file that can be read, got {details}")
    return collected.finish("coco", class_names)


def _read_sections(files: SetFiles, path: str) -> dict[str, list]:
    try:
        content = json.loads(read_text(files.root / path, _MAX_MEGABYTES))
    except LabelError:
        raise
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise LabelError("label-unreadable", f"expected JSON, got {type(error).__name__}: {error}") from error
    if isinstance(content, list) or _has_scores(content.get("annotations")):
        raise ValueError(
            f"{files.root / path}: expected labels (an object with images, categories, annotations without score), got "
            "predictions, which are no labels; keep them outside the folder"
        )
    for name in _SECTIONS:
        if not isinstance(content.setdefault(name, []), list):
            raise LabelError("label-unreadable", f"expected {name} as a list, got {type(content[name]).__name__}")
    return content


def _has_scores(annotations: object) -> bool:
    if not isinstance(annotations, list):
        return False
    return any(isinstance(annotation, dict) and "score" in annotation for annotation in annotations)


class _CocoFile:
    """One JSON file on its way into the collection."""

    def __init__(self, collected: Collection, index: ImageIndex, path: str, content: dict[str, list]) -> None:
        self._collected, self._index, self._path, self._content = collected, index, path, content
        self._class_of: dict[object, str] = {}  # by category id
        self._image_of: dict[object, str | None] = {}  # by image id; None: listed, but not in the set
        self._num_reduced: Counter[str] = Counter()  # what annotations say beside their boxes

    def collect(self) -> list[str]:
        """Collect images and annotations; return the names of the categories."""
        for position, category in enumerate(self._content["categories"]):
            self._guarded(f"category {position}", self._collect_category, category)
        for position, image in enumerate(self._content["images"]):
            self._guarded(f"image {position}", self._collect_image, image)
        for position, annotation in enumerate(tracked(self._content["annotations"], f"read {self._path}")):
            self._guarded(f"annotation {_id_of(annotation, position)}", self._collect_annotation, annotation)
        if self._num_reduced:
            found = ", ".join(f"{count} {what}" for what, count in self._num_reduced.items())
            self._report("label-reduced", f"expected boxes of single objects, got {found}")
        return list(self._class_of.values())

    def _report(self, rule: str, detail: str) -> None:
        self._collected.report(self._path, rule, detail)

    def _guarded(self, place: str, collect: Callable[[dict, str], None], entry: object) -> None:
        try:
            if not isinstance(entry, dict):
                raise LabelError("label-columns", f"expected an object, got {type(entry).__name__}")
            collect(entry, place)
        except LabelError as error:
            image_id = entry.get("image_id") if isinstance(entry, dict) else None
            image = self._image_of.get(image_id) if isinstance(image_id, int | str) else None
            if collect == self._collect_annotation and (image is not None or image_id is None):
                self._collected.report_lost(self._path, error.rule, f"{place}: {error}", image)
            else:
                self._report(error.rule, f"{place}: {error}")

    def _collect_category(self, category: Mapping, place: str) -> None:
        name = _field(category, "name", str).strip()
        identity = _identity(category, "id")
        if not name or identity in self._class_of:
            raise LabelError(
                "label-ambiguous", f"expected a name and an id of its own, got {name!r} and {_shown(identity)}"
            )
        self._class_of[identity] = name

    def _collect_image(self, image: Mapping, place: str) -> None:
        identity = _identity(image, "id")
        if identity in self._image_of:
            raise LabelError("label-ambiguous", f"expected an id of its own, got {_shown(identity)} again")
        self._image_of[identity] = None
        path = self._index.find(_field(image, "file_name", str), self._path)
        taken = self._collected.label_files.get(path)
        if taken is not None:
            raise LabelError("label-ambiguous", f"expected each image once, got {path} again, known from {taken}")
        self._image_of[identity] = path
        self._collected.label(path, self._path)
        if "width" in image and "height" in image:
            declared_wh = (check_number(image["width"]), check_number(image["height"]))
            self._collected.compare_size(path, self._path, declared_wh)

    def _collect_annotation(self, annotation: Mapping, place: str) -> None:
        image_id = _identity(annotation, "image_id")
        if image_id not in self._image_of:
            raise LabelError("labels-without-image", f"expected the id of a listed image, got {_shown(image_id)}")
        category_id = _identity(annotation, "category_id")
        if category_id not in self._class_of:
            known = ", ".join(f"{identity} {name}" for identity, name in list(self._class_of.items())[:10])
            raise LabelError("class-unknown", f"expected a category ({known}), got {_shown(category_id)}")
        bbox = _field(annotation, "bbox", list)
        if len(bbox) != 4:
            raise LabelError("label-columns", f"expected bbox with 4 numbers, got {len(bbox)}")
        box_xyxy = xywh_to_xyxy_box(tuple(check_number(value) for value in bbox))
        image, is_crowd = self._image_of[image_id], annotation.get("iscrowd") in (1, True)
        if image is not None:
            marks = (
                (_CROWDS, is_crowd),
                (_OUTLINES, annotation.get("segmentation")),
                (_POSES, annotation.get("keypoints")),
            )
            self._num_reduced.update(what for what, is_there in marks if is_there)
            is_difficult = is_crowd or annotation.get(DIFFICULT_KEY) in (1, True)
            box = LabelledBox(self._class_of[category_id], box_xyxy, is_difficult, place)
            self._collected.label(image, self._path, [box])


def _id_of(annotation: object, position: int) -> int:
    identity = annotation.get("id") if isinstance(annotation, dict) else None
    return identity if isinstance(identity, int) else position


def _field(entry: Mapping, name: str, kind: type) -> object:
    value = entry.get(name)
    if not isinstance(value, kind):
        found = _shown(value) if name in entry else "none"
        raise LabelError("label-columns", f"expected {name} as {kind.__name__}, got {found}")
    return value


def _identity(entry: Mapping, name: str) -> object:
    """Return an id: a number or a text, as files have both; `1.0` is 1, as tables with gaps write it."""
    value = entry.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        found = _shown(value) if name in entry else "none"
        raise LabelError("label-columns", f"expected {name} as a whole number, got {found}")
    return value
