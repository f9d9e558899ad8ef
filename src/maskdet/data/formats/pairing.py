"""Which label file belongs to which image, in any of the folder layouts in use."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from maskdet.data.formats.reader_rules import reader_finding
from maskdet.data.labelled_set import Finding

KIND_FOLDERS = ("images", "jpegimages", "annotations", "labels")
"""Folders that only say what kind of files they hold, in lower case."""


@dataclass(frozen=True)
class Pairs:
    """Images and their label files.

    Attributes:
        label_of: Image → label file; an image without one is no key.
        unpaired_labels: Label files without an image, sorted.
        findings: Where two images share a label file, or two label files an image.
    """

    label_of: Mapping[str, str]
    unpaired_labels: tuple[str, ...]
    findings: tuple[Finding, ...]


def pairing_key(path: str) -> str:
    """Return what an image and its label file have in common: the path without kind folders and suffix.

    So `images/train/a.jpg` meets `labels/train/a.txt`, `train/images/a.jpg` meets `train/labels/a.txt`,
    `JPEGImages/a.jpg` meets `Annotations/a.xml`, and files side by side meet.

    >>> pairing_key("train/images/a.b.jpg")
    'train/a.b'
    """
    file = PurePosixPath(path)
    folders = [part for part in file.parts[:-1] if part.lower() not in KIND_FOLDERS]
    return "/".join([*folders, file.stem])


def pair_labels(images: Iterable[str], labels: Iterable[str]) -> Pairs:
    """Find the label file of every image.

    Equal `pairing_key`s belong together. Folders of other names (`pictures/`, `xml/`), in which no file has found its
    partner so, are matched by the stem alone where it occurs once on either side.

    Args:
        images: Posix paths.
        labels: Posix paths of files of one label format.

    Returns:
        Each image has at most one label file and each label file at most one image, the first by path.
    """
    image_of_key, label_of_key = _group(images, pairing_key), _group(labels, pairing_key)
    findings = []
    for key in sorted(image_of_key.keys() & label_of_key.keys()):
        findings += _told_apart(image_of_key[key], label_of_key[key])
    pairs = {image_of_key[key][0]: label_of_key[key][0] for key in sorted(image_of_key.keys() & label_of_key.keys())}
    ambiguous = {finding.file for finding in findings}
    lonely_images = [paths[0] for key, paths in image_of_key.items() if key not in label_of_key]
    lonely_labels = [paths[0] for key, paths in label_of_key.items() if key not in image_of_key]
    pairs |= _pair_by_stem(lonely_images, lonely_labels, pairs)
    left = {path for paths in label_of_key.values() for path in paths} - set(pairs.values()) - ambiguous
    return Pairs(pairs, tuple(sorted(left)), tuple(findings))


def _group(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for path in sorted(paths):
        groups[key(path)].append(path)
    return groups


def _told_apart(images: list[str], labels: list[str]) -> list[Finding]:
    """Return a finding for each image and label file beyond the first of its key."""
    shared = [
        reader_finding(path, "label-ambiguous", f"expected labels of its own, {labels[0]} is that of {images[0]}")
        for path in images[1:]
    ]
    doubled = [
        reader_finding(path, "label-ambiguous", f"expected one label file of {images[0]}, got {labels[0]} too")
        for path in labels[1:]
    ]
    return shared + doubled


def _pair_by_stem(images: list[str], labels: list[str], paired: Mapping[str, str]) -> dict[str, str]:
    known_folders = {PurePosixPath(path).parent for pair in paired.items() for path in pair}
    by_stem = [
        _group((path for path in paths if PurePosixPath(path).parent not in known_folders), _stem)
        for paths in (images, labels)
    ]
    return {
        by_stem[0][stem][0]: by_stem[1][stem][0]
        for stem in sorted(by_stem[0].keys() & by_stem[1].keys())
        if len(by_stem[0][stem]) == len(by_stem[1][stem]) == 1
    }


def _stem(path: str) -> str:
    return PurePosixPath(path).stem
