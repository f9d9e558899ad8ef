"""Which format a data set has, and reading it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from maskdet.data.formats.coco import read_coco_set, recognize_coco
from maskdet.data.formats.collection import Collection
from maskdet.data.formats.csv_table import read_csv_set, recognize_csv
from maskdet.data.formats.files import SetFiles, scan_files
from maskdet.data.formats.voc import read_voc_set, recognize_voc
from maskdet.data.formats.yolo import read_yolo_set, recognize_yolo
from maskdet.data.labelled_set import UNLABELLED, LabelledSet


@dataclass(frozen=True)
class SetFormat:
    """A format that sets are read from.

    Attributes:
        looked_for: What it is recognized by.
        recognize: Says what of it was found, or None.
        read: Reads the set; never fails for a single label.
    """

    looked_for: str
    recognize: Callable[[SetFiles], str | None]
    read: Callable[[SetFiles], LabelledSet]


def _read_images(files: SetFiles) -> LabelledSet:
    return Collection.begin(files).finish(UNLABELLED)


def _recognize_images(files: SetFiles) -> str | None:
    return f"{len(files.images)} images" if files.images else None


READERS: Mapping[str, SetFormat] = MappingProxyType(
    {
        "voc": SetFormat("*.xml with <annotation>", recognize_voc, read_voc_set),
        "yolo": SetFormat("*.txt with a class and 4 numbers a line, data.yaml, *.names", recognize_yolo, read_yolo_set),
        "coco": SetFormat("*.json with images, categories, annotations", recognize_coco, read_coco_set),
        "csv": SetFormat(
            "*.csv and *.parquet with file_name, class_name, x_min, y_min, x_max, y_max, and no score",
            recognize_csv,
            read_csv_set,
        ),
        UNLABELLED: SetFormat("images without labels", _recognize_images, _read_images),
    }
)
"""The formats that `read_labelled_set` knows."""


def read_labelled_set(source: Path, format: str | None = None) -> LabelledSet:
    """Read a data set, leniently: what cannot be taken becomes a finding, see `READER_RULES`.

    Args:
        source: A folder.
        format: A key of `READERS`; None: recognized by the files in the folder.

    Returns:
        The set with all its images, those without labels too; `maskdet.data.labelled_set.refuse_errors` is strict.

    Raises:
        ValueError: If there is no such folder, or if the format is unknown, not found in it, or not certain; and for
            predictions in place of labels.
    """
    files = scan_files(source)
    if format is not None and format not in READERS:
        raise ValueError(f"expected one of the formats {', '.join(READERS)}, got {format!r}")
    found = {name: text for name, known in READERS.items() if (text := known.recognize(files))}
    if format is None:
        format = _choose(source, found)
    if format not in found:
        looked_for = READERS[format].looked_for
        raise ValueError(f"{source}: expected a set in the format {format} ({looked_for}), found {_listed(found)}")
    return READERS[format].read(files)


def _choose(source: Path, found: Mapping[str, str]) -> str:
    labelled = [name for name in found if name != UNLABELLED]
    if len(labelled) > 1:
        raise ValueError(f"{source}: expected labels in one format, found {_listed(found)}; name the one to read")
    if not found:
        looked_for = "; ".join(f"{name}: {known.looked_for}" for name, known in READERS.items())
        raise ValueError(f"{source}: expected a data set ({looked_for}), found none of it")
    return labelled[0] if labelled else UNLABELLED


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({text})" for name, text in found.items()) or "none of its files"
