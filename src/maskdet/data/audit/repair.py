"""Write a corrected copy of a set, and a log of every change; the original is only read."""

import csv
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskdet.atomic import atomic_file, atomic_folder
from maskdet.data.audit.boxes_of_image import CheckedBoxes, box_text
from maskdet.data.audit.headers import Header, read_header
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.repair_pictures import FILE_RULES, LEFT_OUT_RULES, apart, repaired_content, repaired_name
from maskdet.data.audit.rules import AuditFinding
from maskdet.data.audit.whole_set import checked_boxes
from maskdet.data.formats import WRITERS, check_target, write_labelled_set
from maskdet.data.labelled_set import Finding, LabelledBox, LabelledImage, LabelledSet

LOG_NAME = "changes.csv"
"""The log, in the folder of the corrected copy."""

_LEFT_OUT = "left out"
_RENAMING_RULES = ("image-suffix", "label-ambiguous")


@dataclass(frozen=True)
class Change:
    """A difference between a set and its corrected copy.

    Attributes:
        file: Posix path in the original.
        rule: Why it was changed.
        before: What it was.
        after: What it is now.
    """

    file: str
    rule: str
    before: str
    after: str


@dataclass(frozen=True)
class _RepairedImage:
    """An image of the copy: what is written of it, from which file, and which rules its file breaks."""

    image: LabelledImage
    source: str
    header: Header | None = None
    rules: tuple[str, ...] = ()
    is_turned: bool = False


def repair_set(labelled: LabelledSet, findings: Sequence[Finding], folder: Path) -> list[Change]:
    """Write a corrected copy of a set in its own format, with `changes.csv` in it.

    Labels that the reader could not take, and boxes that no repair can save, are not in the copy. An image none of
    whose labels is left is there without labels, not as one without faces. Findings without a repair stay as they are:
    a person has to decide.

    Args:
        labelled: The set.
        findings: What is to be repaired, as `audit_set` returns them; others of the set are left alone.
        folder: Where to: absent or empty, outside the set.

    Returns:
        The changes, in the order of the findings.

    Raises:
        ValueError: If the folder is taken, or if the format cannot hold the set. Nothing is written then.
        OSError: If a file cannot be read or written; nothing is left then.
    """
    of_image = _by_image(findings)
    left_out = {name for name, found in of_image.items() if any(_drops_picture(one) for one in found.values())}
    kept = [image for image in labelled.images if image.file_name not in left_out]
    changes = {
        place: Change(one.file, one.rule, one.detail, _LEFT_OUT if _drops_picture(one) else one.repair)
        for place, one in enumerate(findings)
        if one.repair
    }
    repaired = [_repaired_image(labelled, image, of_image.get(image.file_name, {}), changes) for image in kept]
    repaired = _named_apart(repaired, labelled.format, of_image, changes)
    listed = [changes[place] for place in sorted(changes)]
    check_target(folder, labelled.root)
    with atomic_folder(folder) as temporary:
        _write(labelled, repaired, temporary)
        write_changes(listed, temporary / LOG_NAME)
    return listed


def write_changes(changes: Iterable[Change], path: Path) -> None:
    """Write changes as CSV: `file, rule, before, after`."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "rule", "before", "after"])
        writer.writerows([change.file, change.rule, change.before, change.after] for change in changes)


def _by_image(findings: Iterable[Finding]) -> Mapping[str, dict[int, Finding]]:
    """Return picture → place in the list → finding."""
    found = defaultdict(dict)
    for place, finding in enumerate(findings):
        found[getattr(finding, "image", "") or finding.file][place] = finding
    return found


def _drops_picture(finding: Finding) -> bool:
    return finding.rule in LEFT_OUT_RULES or (finding.rule == "duplicate-exact" and bool(finding.repair))


def _repaired_image(
    labelled: LabelledSet,
    image: LabelledImage,
    findings: Mapping[int, Finding],
    changes: dict[int, Change],
) -> _RepairedImage:
    """Return an image of the copy; what becomes of its boxes is told in `changes`, by the finding's place."""
    rules = tuple(finding.rule for finding in findings.values() if finding.rule in FILE_RULES)
    header = read_header(labelled.root / image.file_name) if rules else None
    checked, is_turned = checked_boxes(image, header, AuditOptions())
    name = repaired_name(image.file_name, header) if "image-suffix" in rules else image.file_name
    boxes = _repaired_boxes(image, checked, findings, changes)
    image_wh = header.turned_wh if is_turned else image.image_wh
    copy = replace(image.with_boxes_left(boxes), file_name=name, image_wh=image_wh)
    return _RepairedImage(copy, image.file_name, header, rules, is_turned)


def _named_apart(
    repaired: Sequence[_RepairedImage],
    format_name: str,
    of_image: Mapping[str, Mapping[int, Finding]],
    changes: dict[int, Change],
) -> list[_RepairedImage]:
    """Return the images with names that do not meet in the copy, and tell new names in `changes`."""
    is_by_stem = format_name in WRITERS and WRITERS[format_name].has_file_per_stem
    names = apart({one.source: one.image.file_name for one in repaired}, is_by_stem=is_by_stem)
    for source, name in names.items():
        for place, finding in of_image.get(source, {}).items():
            if finding.rule in _RENAMING_RULES and name != source:
                changes[place] = Change(finding.file, finding.rule, source, name)
    return [replace(one, image=replace(one.image, file_name=names[one.source])) for one in repaired]


def _repaired_boxes(
    image: LabelledImage, checked: CheckedBoxes, findings: Mapping[int, Finding], changes: dict[int, Change]
) -> tuple[LabelledBox, ...]:
    """Return the boxes of the copy: those that a finding with a repair names are repaired, the others stay."""
    after: dict[int, LabelledBox | None] = dict(enumerate(image.boxes))
    for place, finding in findings.items():
        if isinstance(finding, AuditFinding) and finding.boxes and finding.repair:
            position = finding.boxes[0]
            box, mended = image.boxes[position], checked.repaired[position]
            after[position] = None if mended is None else replace(box, box_xyxy=mended)
            text = _LEFT_OUT if mended is None else box_text(mended)
            before = f"{box.place} {box.class_name} {box_text(box.box_xyxy)}".strip()
            changes[place] = Change(finding.file, finding.rule, before, text)
    return tuple(box for box in after.values() if box is not None)


def _write(labelled: LabelledSet, repaired: Sequence[_RepairedImage], folder: Path) -> None:
    by_name = {one.image.file_name: one for one in repaired}

    def write_image(image: LabelledImage, path: Path) -> None:
        one = by_name[image.file_name]
        source = labelled.root / one.source
        if one.rules:
            path.write_bytes(repaired_content(source, one.header, one.rules, is_turned=one.is_turned))
        else:
            shutil.copyfile(source, path)

    copy = replace(labelled, images=tuple(one.image for one in repaired), findings=())
    if labelled.format in WRITERS:
        write_labelled_set(copy, folder, labelled.format, write_image)
        return
    for one in repaired:
        path = folder / one.image.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(one.image, path)
