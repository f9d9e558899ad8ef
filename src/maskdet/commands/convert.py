"""The command `maskdet convert`: a labelled set in one format becomes the same set in another."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from maskdet.data.audit.orientation import refuse_turned
from maskdet.data.formats import MAX_UNPACKED_MB, Written, opened_source, read_labelled_set, write_labelled_set
from maskdet.data.labelled_set import ERROR, UNLABELLED, LabelledBox, LabelledSet, refuse_errors

_LABEL_SUFFIXES = (".csv", ".json", ".parquet", ".txt", ".xml")
_MAX_NAMED = 3


def run_convert(
    source: Path,
    destination: Path,
    to: str,
    *,
    from_format: str | None = None,
    renames: Sequence[str] = (),
    max_unpacked_mb: float = MAX_UNPACKED_MB,
) -> Written:
    """Convert images, boxes, classes and difficult flags, or refuse to; print what was written, and what is lost.

    Args:
        source: A folder or a zip archive.
        destination: An absent or empty folder outside the source.
        to: `yolo`, `coco`, `voc` or `csv`.
        from_format: The source's format; None: recognized, and a set without labels is refused.
        renames: `OLD=NEW` for each class to rename; two classes may get one name, which makes them one.
        max_unpacked_mb: Largest size of an unpacked archive in MB, 10**6 bytes.

    Returns:
        The counts that were printed.

    Raises:
        ValueError: If the source or a word is wrong, the labels have errors (all of them are counted), or the format
            cannot hold a box, or labels lie on pictures as EXIF turns them; nothing is written then.
        OSError: If a file cannot be read or written; nothing is left then.
    """
    new_name_of = parse_renames(renames)
    with opened_source(source, max_unpacked_mb) as folder:
        labelled = read_labelled_set(folder, from_format)
        if from_format is None and labelled.format == UNLABELLED:
            _refuse_unlabelled(source, folder)
        _refuse_errors(source, labelled)
        written = write_labelled_set(rename_classes(labelled, new_name_of), destination, to)
    _print_written(source, destination, to, labelled, written)
    return written


def parse_renames(texts: Sequence[str]) -> dict[str, str]:
    """Return old name → new name.

    Raises:
        ValueError: If a text is not `OLD=NEW`, or two rename the same class.

    >>> parse_renames(["mask=with_mask", "no mask = without_mask"])
    {'mask': 'with_mask', 'no mask': 'without_mask'}
    """
    new_name_of: dict[str, str] = {}
    for text in texts:
        old, separator, new = (part.strip() for part in text.partition("="))
        if not (old and separator and new):
            raise ValueError(f"--class: expected OLD=NEW, got {text!r}")
        if old in new_name_of:
            raise ValueError(f"--class: expected each class once, got {old!r} again")
        new_name_of[old] = new
    return new_name_of


def rename_classes(labelled: LabelledSet, new_name_of: Mapping[str, str]) -> LabelledSet:
    """Return the set with other class names, in the same order; classes that get one name become one.

    Args:
        labelled: Not modified.
        new_name_of: Old → new; a class that it does not name keeps its name.

    Raises:
        ValueError: If the set has no class of an old name; the message shows those that it has.
    """
    boxes = (box.class_name for image in labelled.images for box in image.boxes)
    present = dict.fromkeys([*labelled.class_names, *boxes])
    unknown = [old for old in new_name_of if old not in present]
    if unknown:
        listed = ", ".join(map(repr, present)) or "none"
        raise ValueError(f"--class: expected classes of the set ({listed}), got {', '.join(map(repr, unknown))}")

    def renamed(box: LabelledBox) -> LabelledBox:
        return replace(box, class_name=new_name_of.get(box.class_name, box.class_name))

    numbers: dict[str, int] = {}
    for name, number in labelled.number_of.items():
        numbers.setdefault(new_name_of.get(name, name), number)
    return replace(
        labelled,
        class_names=tuple(dict.fromkeys(new_name_of.get(name, name) for name in labelled.class_names)),
        images=tuple(replace(image, boxes=tuple(map(renamed, image.boxes))) for image in labelled.images),
        number_of=numbers,
    )


def _refuse_unlabelled(source: Path, folder: Path) -> None:
    """Say that no labels were recognized, and which files may be some: nobody converts pictures alone unasked."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() in _LABEL_SUFFIXES
    )
    found = f"files in no known form ({', '.join(names[:_MAX_NAMED])}{', …' * (len(names) > _MAX_NAMED)})"
    raise ValueError(
        f"{source}: expected labels as VOC, YOLO, COCO or CSV, got {found if names else 'none'}; --from FORMAT reads "
        f"them as such and says what is wrong, --from {UNLABELLED} converts the pictures alone"
    )


def _refuse_errors(source: Path, labelled: LabelledSet) -> None:
    try:
        refuse_errors(str(source), labelled.findings)
        refuse_turned(str(source), labelled)
    except ValueError as error:
        remedy = f"`maskdet audit {source} --repair FOLDER` writes a corrected copy"
        raise ValueError(f"{error}\n{remedy}") from error


def _print_written(source: Path, destination: Path, to: str, labelled: LabelledSet, written: Written) -> None:
    print(f"read     {source} ({labelled.format})")
    for rule, count in Counter(item.rule for item in labelled.findings if item.severity != ERROR).items():
        first = next(item for item in labelled.findings if item.rule == rule)
        print(f"         {rule}: {count}, such as {first.file}: {first.detail}")
    without_labels = f", {written.num_without_labels} without labels" if written.num_without_labels else ""
    print(f"images   {written.num_images} ({written.num_without_faces} without faces{without_labels})")
    by_class = ", ".join(f"{name} {count}" for name, count in written.faces_per_class.items())
    print(f"faces    {sum(written.faces_per_class.values())} ({by_class or 'no classes'})")
    for loss in written.losses:
        print(f"lost     {loss}")
    print(f"wrote    {destination} ({to})")
