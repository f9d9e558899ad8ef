"""Audit a labelled set: every rule, every picture decoded once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from maskdet.data.audit.boxes_of_image import CheckedBoxes, check_boxes_of_image
from maskdet.data.audit.copies import EXACT, MIRRORED, Copy, find_copies
from maskdet.data.audit.headers import UPRIGHT, Header
from maskdet.data.audit.labels import imbalance_findings, label_findings
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.orientation import is_labelled_turned
from maskdet.data.audit.pictures import odd_picture_findings, picture_findings
from maskdet.data.audit.rules import AuditFinding, Twin, audit_finding, in_order
from maskdet.data.audit.scan import Scan, scan_pictures
from maskdet.data.labelled_set import Finding, LabelledImage, LabelledSet

_Labels = list[tuple[str, tuple[float, float, float, float]]]  # class and box, sorted


def audit_set(labelled: LabelledSet, options: AuditOptions, others: Sequence[LabelledSet] = ()) -> list[Finding]:
    """Say what is wrong with a set.

    Time grows with the number of pictures and a little faster for the search of copies. Memory: `num_workers` decoded
    pictures, some 30 KB a picture of all sets, and as much again while copies are looked for.

    Args:
        labelled: As a reader of `maskdet.data.formats` returns it; its findings are taken over.
        options: Limits.
        others: Sets to look for copies in; nothing else of them is audited.

    Returns:
        In the order of `maskdet.data.audit.rules.RULES`, then by file. Those of the audit itself are `AuditFinding`s.
    """
    scans = list(scan_pictures(labelled.root, [image.file_name for image in labelled.images], options))
    checks = [checked_boxes(image, scan.header, options) for image, scan in zip(labelled.images, scans, strict=True)]
    findings: list[Finding] = []
    for image, scan, (checked, is_turned) in zip(labelled.images, scans, checks, strict=True):
        findings += picture_findings(scan, options, is_turned=is_turned)
        findings += label_findings(image, checked)
    findings += odd_picture_findings(scans)
    findings += imbalance_findings(labelled, options)
    if options.copies:
        labels = [_labels_left(image, checked) for image, (checked, _) in zip(labelled.images, checks, strict=True)]
        findings += _copy_findings(labelled, scans, labels, others, options)
    known = {(finding.rule, finding.file) for finding in labelled.findings}
    return in_order([*labelled.findings, *(one for one in findings if (one.rule, one.file) not in known)])


def checked_boxes(image: LabelledImage, header: Header | None, options: AuditOptions) -> tuple[CheckedBoxes, bool]:
    """Check the boxes of an image on the picture that they were drawn on.

    Args:
        image: With its boxes as written.
        header: Of the picture; None where it cannot be read.
        options: Limits.

    Returns:
        The check, and whether the picture was labelled as EXIF turns it.
    """
    is_turned = header is not None and header.orientation != UPRIGHT and is_labelled_turned(image, header)
    return check_boxes_of_image(image.boxes, header.turned_wh if is_turned else image.image_wh, options), is_turned


def _copy_findings(
    labelled: LabelledSet,
    scans: Sequence[Scan],
    labels: Sequence[_Labels | None],
    others: Sequence[LabelledSet],
    options: AuditOptions,
) -> Iterator[AuditFinding]:
    """Yield the copies within the set and of its pictures in other sets; `labels` are what a repair leaves of them."""
    rows = [row for row, scan in enumerate(scans) if scan.look is not None]
    looks, twins = [scans[row].look for row in rows], [Twin(labelled.root, scans[row].file_name) for row in rows]
    ranks = [_rank(labelled.images[row], labels[row]) for row in rows]
    labels_of_look = [labels[row] for row in rows]
    for other in others:
        names = [image.file_name for image in other.images]
        for scan in scan_pictures(other.root, names, options, measures=False):
            if scan.look is not None:
                looks.append(scan.look)
                twins.append(Twin(other.root, scan.file_name))
    for copy in find_copies(looks, len(rows), ranks):
        yield _copy_finding(copy, twins, labels_of_look)


def _labels_left(image: LabelledImage, checked: CheckedBoxes) -> _Labels | None:
    """Return what a repair leaves of an image's labels, in no order of theirs; None: nothing says what is on it."""
    pairs = zip(image.boxes, checked.repaired, strict=True)
    left = image.with_boxes_left(replace(box, box_xyxy=mended) for box, mended in pairs if mended is not None)
    return None if left.label_file is None else sorted((box.class_name, box.box_xyxy) for box in left.boxes)


def _rank(image: LabelledImage, labels: _Labels | None) -> tuple[bool, bool, bool, str]:
    """Return what to sort equal pictures by: one with boxes first, then one with labels, then one whose are whole."""
    return not labels, labels is None, image.has_lost_labels, image.file_name


def _copy_finding(copy: Copy, twins: Sequence[Twin], labels: Sequence[_Labels | None]) -> AuditFinding:
    """Return the finding on a copy; `labels` are those of the audited pictures, which come first among `twins`."""
    num_audited = len(labels)
    name, twin, is_across = twins[copy.picture].file_name, twins[copy.other], copy.other >= num_audited
    shown = f"{twin.root.name}/{twin.file_name}" if is_across else twin.file_name
    more = f" (and of {copy.num_more} more)" if copy.num_more else ""
    detail = f"expected a picture of its own, got a copy of {shown}{more}: {copy.evidence}"
    repair = None
    if not is_across and copy.kind == EXACT and _differ(labels[copy.picture], labels[copy.other]):
        detail, repair = f"{detail}; their labels differ", ""
    rule = f"duplicate-{copy.kind}{'-across-sets' if is_across else ''}"
    return audit_finding(rule, name, detail, twin=Twin(twin.root, twin.file_name, copy.kind == MIRRORED), repair=repair)


def _differ(first: _Labels | None, second: _Labels | None) -> bool:
    """Say whether two pictures are labelled differently; one that nothing labels contradicts none."""
    return first is not None and second is not None and first != second
