"""Labelled sets of other people, written small: files by path, with pictures and labels in any format."""

import json
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

from maskdet.data.formats.pairing import pairing_key
from maskdet.data.labelled_set import LabelledBox, LabelledImage, LabelledSet
from raw_archive import noise_png, write_folder


def faces_of(labelled: LabelledSet) -> dict[str, list[tuple] | None]:
    """Return what a set says, whatever its format: image → faces as (class_name, box_xyxy, is_difficult).

    None: nothing labels the image. Images are called by their `pairing_key`: folders that say `images` do not count.
    """
    return {
        pairing_key(image.file_name): None
        if image.label_file is None
        else [(box.class_name, box.box_xyxy, box.is_difficult) for box in image.boxes]
        for image in labelled.images
    }


def rules_of(labelled: LabelledSet) -> list[tuple[str, str]]:
    """Return (file, rule) of every finding, in order."""
    return [(finding.file, finding.rule) for finding in labelled.findings]


def png_header(width: int, height: int, number: int = 0) -> bytes:
    """Return the start of a PNG that claims a size: enough for readers, which never look at pixels."""
    parts = (b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + struct.pack(">I", number))
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def labelled_set(
    root: Path,
    faces: dict[str, list[tuple] | None],
    class_names: Sequence[str] = (),
    image_wh: tuple[int, int] = (64, 48),
    has_pixels: bool = False,
) -> LabelledSet:
    """Return a set and write its pictures, all of one size, below `root/images`: headers alone, or noise."""
    images = []
    for number, (name, boxes) in enumerate(sorted(faces.items())):
        picture = noise_png(number, *image_wh) if has_pixels else png_header(*image_wh, number)
        write_folder(root, {f"images/{name}": picture})
        labelled = tuple(LabelledBox(name, box, is_difficult) for name, box, is_difficult in boxes or ())
        images.append(LabelledImage(f"images/{name}", image_wh, labelled, None if boxes is None else "labels"))
    return LabelledSet(root, "voc", tuple(class_names), tuple(images), ())


def yolo_members(*lines: str, names: str | None = "no_mask\nmask\n", image: str = "obj/a.png") -> dict[str, bytes]:
    """Return a Darknet set of one image of 64 x 48 pixels."""
    members = {image: noise_png(0), str(Path(image).with_suffix(".txt")): "\n".join(lines).encode()}
    return members if names is None else members | {"obj.names": names.encode()}


def coco_members(
    annotations: Sequence[dict], images: Sequence[dict] | None = None, categories: Sequence[dict] | None = None
) -> dict[str, bytes]:
    """Return a COCO set of one image of 64 x 48 pixels, unless other sections are given."""
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48}] if images is None else images,
        "categories": [{"id": 3, "name": "mask"}, {"id": 90, "name": "none"}] if categories is None else categories,
        "annotations": annotations,
    }
    return {"images/a.png": noise_png(0), "labels.json": json.dumps(content).encode()}


def csv_members(*rows: str, header: str = "file_name,class_name,x_min,y_min,x_max,y_max") -> dict[str, bytes]:
    """Return a set of one image of 64 x 48 pixels whose labels are a CSV table."""
    return {"images/a.png": noise_png(0), "labels.csv": "\n".join([header, *rows]).encode()}
