"""Labels written as VOC, YOLO, COCO and CSV files: numbers so that the readers bring the same boxes back.

Every writer takes `number_of`, all classes in the set's order with the number that each has in files which count them:
YOLO writes the numbers, COCO the names in their order, VOC and CSV a box's own name.

Own code rather than supervision's writers: these add a pixel to VOC's minima, round YOLO's shares to five decimals
(5 px at 10,000), reorder corners, name images without their folder, and stamp COCO files with the time.
"""

import csv
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import yaml

from maskdet.data.formats.coordinates import number_text, xyxy_to_cxcywh_norm_text, xyxy_to_xywh_box
from maskdet.data.labelled_set import ROUNDING_PX, LabelledBox, LabelledImage

IMAGE_FOLDER = "images"
"""Where every written set has its images."""

DIFFICULT_KEY = "is_difficult"
"""COCO has no such flag; as an extra key of an annotation it does no harm to other readers."""

_SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
_NO_SPLIT = "# The set names no split: train and val are the same images. Split them before you believe a metric.\n"


@dataclass(frozen=True)
class WrittenImage:
    """An image of a set that is written.

    Attributes:
        name: Posix path below `IMAGE_FOLDER`.
        image: What it holds.
    """

    name: str
    image: LabelledImage

    @property
    def is_labelled(self) -> bool:
        """Whether anything says what is on it; an image without faces is labelled, one without labels is not."""
        return self.image.label_file is not None or bool(self.image.boxes)


def class_numbers(class_names: Sequence[str], kept: Mapping[str, int] = MappingProxyType({})) -> dict[str, int]:
    """Return the number of every class, in the order of the classes; those of `kept` keep theirs.

    >>> class_numbers(["a", "b", "c"], kept={"b": 0})
    {'a': 1, 'b': 0, 'c': 2}
    """
    free = (number for number in itertools.count() if number not in kept.values())
    return {name: kept[name] if name in kept else next(free) for name in class_names}


def write_voc_labels(
    folder: Path, images: Sequence[WrittenImage], number_of: Mapping[str, int], *, fills_in: bool = False
) -> None:
    """Write `annotations/<name>.xml` for each labelled image; coordinates as they stand, without VOC's extra pixel.

    Args:
        folder: Where to.
        images: Labelled ones and others.
        number_of: Not used: VOC has no list of classes.
        fills_in: Write a `pose` Unspecified and a `truncated` 0 too, which some readers want and nobody looked at;
            False: what the labels say, no more.
    """
    for written in images:
        if written.is_labelled:
            path = _label_path(folder / "annotations", written.name, ".xml")
            path.write_bytes(tostring(_voc_tree(written, fills_in=fills_in), encoding="utf-8") + b"\n")


def _label_path(folder: Path, name: str, suffix: str) -> Path:
    path = folder / PurePosixPath(name).with_suffix(suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _voc_tree(written: WrittenImage, *, fills_in: bool) -> Element:
    name = PurePosixPath(written.name)
    root = Element("annotation")
    _add(root, folder=str(PurePosixPath(IMAGE_FOLDER) / name.parent), filename=name.name)
    if written.image.image_wh is not None:
        width, height = written.image.image_wh
        _add(SubElement(root, "size"), width=width, height=height, depth=3)  # images are read as RGB
    _add(root, segmented=0)
    for box in written.image.boxes:
        node = SubElement(root, "object")
        unsaid = {"pose": "Unspecified", "truncated": 0} if fills_in else {}
        _add(node, name=box.class_name, **unsaid, difficult=int(box.is_difficult))
        x_min, y_min, x_max, y_max = map(number_text, box.box_xyxy)
        _add(SubElement(node, "bndbox"), xmin=x_min, ymin=y_min, xmax=x_max, ymax=y_max)
    indent(root)
    return root


def _add(node: Element, **texts: object) -> None:
    for name, text in texts.items():
        SubElement(node, name).text = str(text)


def write_yolo_labels(folder: Path, images: Sequence[WrittenImage], number_of: Mapping[str, int]) -> None:
    """Write `labels/<name>.txt` for each labelled image, empty where there is no face, and `data.yaml`.

    Args:
        folder: Where to.
        images: Labelled ones and others.
        number_of: Class → the number that stands for it, of all classes.

    Raises:
        ValueError: If a box has a centre or a size that is no share of the image, or the image has no known size.
    """
    for written in images:
        if written.is_labelled:
            lines = [_yolo_line(written, box, number_of[box.class_name]) for box in written.image.boxes]
            path = _label_path(folder / "labels", written.name, ".txt")
            path.write_text("".join(lines), encoding="utf-8", newline="\n")
    text = yaml.safe_dump(
        {**_splits(images), "names": dict(sorted((number, name) for name, number in number_of.items()))},
        allow_unicode=True,
        sort_keys=False,
        width=float("inf"),  # no line breaks inside a name
    )
    (folder / "data.yaml").write_text(text if _has_split(images) else _NO_SPLIT + text, encoding="utf-8")


def _yolo_line(written: WrittenImage, box: LabelledBox, class_index: int) -> str:
    if written.image.image_wh is None:
        raise ValueError(f"{written.image.file_name}: expected an image of known size for YOLO's shares, got none")
    limits = written.image.image_wh * 2
    inside = tuple(float(min(max(value, 0), limit)) for value, limit in zip(box.box_xyxy, limits, strict=True))
    is_rounding = max(abs(value - kept) for value, kept in zip(box.box_xyxy, inside, strict=True)) <= ROUNDING_PX
    shares = xyxy_to_cxcywh_norm_text(inside if is_rounding else box.box_xyxy, written.image.image_wh)
    if not all(0 <= float(share) <= 1 for share in shares):
        raise ValueError(
            f"{written.image.file_name}: {box.place}: expected a box that YOLO can hold, centre and size in [0, 1] of "
            f"the image, got {' '.join(shares)}"
        )
    return f"{class_index} {' '.join(shares)}\n"


def _splits(images: Sequence[WrittenImage]) -> dict[str, str]:
    """Return the folders of images by the names that `data.yaml` has for them; it must have train and val."""
    tops = {PurePosixPath(written.name).parts[0] for written in images if "/" in written.name}
    found = {
        split: f"{IMAGE_FOLDER}/{next(name for name in names if name in tops)}"
        for split, names in _SPLIT_FOLDERS.items()
        if tops & set(names)
    }
    return {"train": IMAGE_FOLDER, "val": IMAGE_FOLDER} if "train" not in found or "val" not in found else found


def _has_split(images: Sequence[WrittenImage]) -> bool:
    return _splits(images)["train"] != IMAGE_FOLDER


def write_coco_labels(folder: Path, images: Sequence[WrittenImage], number_of: Mapping[str, int]) -> None:
    """Write `annotations.json`; ids count from 1, names of images are relative to the folder of images.

    A difficult box keeps its flag as an extra key; it is no crowd, whose box may cover any number of faces.

    Raises:
        ValueError: If a labelled image has no known size, which COCO demands.
    """
    id_of = {name: index for index, name in enumerate(number_of, start=1)}
    listed, annotations = [], []
    for image_id, written in enumerate((written for written in images if written.is_labelled), start=1):
        if written.image.image_wh is None:
            raise ValueError(f"{written.image.file_name}: expected an image of known size, as COCO demands, got none")
        width, height = written.image.image_wh
        listed.append({"id": image_id, "file_name": written.name, "width": width, "height": height})
        for box in written.image.boxes:
            identity = {"id": len(annotations) + 1, "image_id": image_id, "category_id": id_of[box.class_name]}
            annotations.append(identity | _coco_box(box))
    categories = [{"id": index, "name": name} for name, index in id_of.items()]
    content = {"images": listed, "categories": categories, "annotations": annotations}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    (folder / "annotations.json").write_text(text + "\n", encoding="utf-8")


def _coco_box(box: LabelledBox) -> dict[str, object]:
    bbox = xyxy_to_xywh_box(box.box_xyxy)
    record = {"bbox": list(bbox), "area": abs(bbox[2] * bbox[3]), "iscrowd": 0}
    return record | ({DIFFICULT_KEY: 1} if box.is_difficult else {})


def write_csv_labels(folder: Path, images: Sequence[WrittenImage], number_of: Mapping[str, int]) -> None:
    """Write `labels.csv`, a row a box, and `images.csv`, a row a labelled image, which keeps those without faces."""
    rows = [
        (written.name, box.class_name, *map(number_text, box.box_xyxy), int(box.is_difficult))
        for written in images
        for box in written.image.boxes
    ]
    columns = ("file_name", "class_name", "x_min", "y_min", "x_max", "y_max", "is_difficult")
    _write_rows(folder / "labels.csv", columns, rows)
    sizes = [
        (written.name, *(written.image.image_wh if written.image.image_wh is not None else ("", "")))
        for written in images
        if written.is_labelled
    ]
    _write_rows(folder / "images.csv", ("file_name", "width", "height"), sizes)


def _write_rows(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
