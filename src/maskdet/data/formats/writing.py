"""Writing a labelled set in another format: images as they are, labels beside them, whole or not at all."""

import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from maskdet.atomic import atomic_folder
from maskdet.data.formats.label_files import (
    IMAGE_FOLDER,
    WrittenImage,
    class_numbers,
    write_coco_labels,
    write_csv_labels,
    write_voc_labels,
    write_yolo_labels,
)
from maskdet.data.formats.pairing import KIND_FOLDERS, pairing_key
from maskdet.data.formats.progress import tracked
from maskdet.data.labelled_set import LabelledImage, LabelledSet

ImageWriter = Callable[[LabelledImage, Path], object]
"""`write(image, path)`: puts the image's file at a path."""


@dataclass(frozen=True)
class SetWriter:
    """A format that sets are written in.

    Attributes:
        write_labels: `write_labels(folder, images, number_of)`, see `maskdet.data.formats.label_files`.
        has_file_per_stem: Label files are named after the image without its suffix.
        keeps_difficult: The flag of a box survives.
        declares_classes: Classes without a box survive, and so does their order.
    """

    write_labels: Callable[[Path, Sequence[WrittenImage], Mapping[str, int]], None]
    has_file_per_stem: bool
    keeps_difficult: bool
    declares_classes: bool


WRITERS: Mapping[str, SetWriter] = MappingProxyType(
    {
        "yolo": SetWriter(write_yolo_labels, has_file_per_stem=True, keeps_difficult=False, declares_classes=True),
        "coco": SetWriter(write_coco_labels, has_file_per_stem=False, keeps_difficult=True, declares_classes=True),
        "voc": SetWriter(write_voc_labels, has_file_per_stem=True, keeps_difficult=True, declares_classes=False),
        "csv": SetWriter(write_csv_labels, has_file_per_stem=False, keeps_difficult=True, declares_classes=False),
    }
)
"""The formats that `write_labelled_set` knows."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        num_images: All of them.
        num_without_faces: Images that labels say to have no face.
        num_without_labels: Images that nothing labels, neither before nor now.
        faces_per_class: Class → boxes, in the order of the class list.
        losses: What the format cannot hold, a sentence each.
    """

    num_images: int
    num_without_faces: int
    num_without_labels: int
    faces_per_class: Mapping[str, int]
    losses: tuple[str, ...]


def write_labelled_set(
    labelled: LabelledSet,
    folder: Path,
    format: str,
    write_image: ImageWriter | None = None,
) -> Written:
    """Write a set: `images/` with the files as they are, and labels in a format.

    Folders of images are kept (without those that say `images` themselves), so that equal names in different folders
    do not meet. Every image of the set is written; one without labels gets none, one without faces says so.

    Args:
        labelled: The set; its `root` holds the images.
        folder: Where to: absent, or an empty folder, outside the set's root.
        format: A key of `WRITERS`.
        write_image: Puts an image's file at a path; None: copies it byte by byte.

    Returns:
        Counts, and what the format could not hold.

    Raises:
        ValueError: If the format is unknown, the folder is taken or lies inside the set, two images would share a
            label file, a name has control characters, or a box or an image cannot be said in the format. Nothing is
            written then.
        OSError: If an image cannot be copied; nothing is left then either.
    """
    if format not in WRITERS:
        raise ValueError(f"expected one of the formats {', '.join(WRITERS)}, got {format!r}")
    check_target(folder, labelled.root)
    writer = WRITERS[format]
    images = _name_images(labelled.images, writer.has_file_per_stem)
    counts = Counter(box.class_name for image in labelled.images for box in image.boxes)
    class_names = list(dict.fromkeys([*labelled.class_names, *sorted(counts)]))
    _refuse_control_characters([*class_names, *(written.name for written in images)])
    with atomic_folder(folder) as temporary:
        (temporary / IMAGE_FOLDER).mkdir()
        writer.write_labels(temporary, images, class_numbers(class_names, labelled.number_of))
        for written in tracked(images, "write images"):
            path = temporary / IMAGE_FOLDER / written.name
            path.parent.mkdir(parents=True, exist_ok=True)
            if write_image is None:
                shutil.copyfile(labelled.root / written.image.file_name, path)
            else:
                write_image(written.image, path)
    return Written(
        num_images=len(images),
        num_without_faces=sum(written.is_labelled and not written.image.boxes for written in images),
        num_without_labels=sum(not written.is_labelled for written in images),
        faces_per_class={name: counts[name] for name in class_names},
        losses=_losses(labelled, format, [name for name in class_names if not counts[name]]),
    )


def check_target(folder: Path, root: Path) -> None:
    """Refuse to write a set where something lies, or into the set that it is made of.

    Args:
        folder: To be written.
        root: Of the set that is read.

    Raises:
        ValueError: If `folder` is neither absent nor an empty folder, is a link or has no name (`.`), or lies inside
            `root`.
    """
    if folder.name in ("", "..") or folder.is_symlink():
        found = "a symbolic link" if folder.is_symlink() else "none"
        raise ValueError(f"{folder}: expected a folder with a name of its own, which is made or replaced, got {found}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        kind = "a folder that is not empty" if folder.is_dir() else "a file"
        raise ValueError(f"{folder}: expected no folder or an empty one, found {kind}")
    if folder.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{folder}: expected a folder outside the set that is read, {root}")


def _name_images(images: Sequence[LabelledImage], has_file_per_stem: bool) -> list[WrittenImage]:
    """Return the images with the names that they get: their paths without the folders that only say `images`."""
    written: dict[str, WrittenImage] = {}
    for image in images:
        path = PurePosixPath(image.file_name)
        folders = [part for part in path.parts[:-1] if part.lower() not in KIND_FOLDERS]
        name = "/".join([*folders, path.name])
        key = pairing_key(name) if has_file_per_stem else name
        if key in written:
            both = f"{written[key].image.file_name} and {image.file_name}"
            what = "label files of their own" if has_file_per_stem else "names of their own"
            raise ValueError(f"expected images with {what}, got {both}; rename one of them")
        written[key] = WrittenImage(name, image)
    return list(written.values())


def _refuse_control_characters(texts: Sequence[str]) -> None:
    for text in texts:
        if any(unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff" for character in text):
            raise ValueError(f"expected classes and file names without control characters, got {text!r}")


def _losses(labelled: LabelledSet, format_name: str, empty_classes: Sequence[str]) -> tuple[str, ...]:
    writer = WRITERS[format_name]
    losses = []
    num_difficult = sum(box.is_difficult for image in labelled.images for box in image.boxes)
    if num_difficult and not writer.keeps_difficult:
        losses.append(f"{num_difficult} boxes are no longer marked as difficult, since {format_name} has no such flag")
    if empty_classes and not writer.declares_classes:
        names = ", ".join(empty_classes)
        losses.append(f"classes without a box are not named, since {format_name} has no class list: {names}")
    return tuple(losses)
