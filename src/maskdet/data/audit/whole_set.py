"""Audit a labelled set: every rule, every picture decoded once."""

from collections.abc import Iterator, Sequence

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

    Time grows with the number of pictures and a little faster for the search of copies; memory is some 60 KB a picture
    of all sets, and `num_workers` decoded pictures.

    Args:
        labelled: As a reader of `maskdet.data.formats` returns it; its findings are taken over.
        options: Limits.
        others: Sets to look for copies in; nothing else of them is audited.

    Returns:
        In the order of `maskdet.data.audit.rules.RULES`, then by file. Those of the audit itself are `AuditFinding`s.
    """
    scans = list(scan_pictures(labelled.root, [image.file_name for image in labelled.images], options))
    findings: list[Finding] = [
        finding
        for image, scan in zip(labelled.images, scans, strict=True)
        for finding in _image_findings(image, scan, options)
    ]
    findings += odd_picture_findings(scans)
    findings += imbalance_findings(labelled, options)
    if options.copies:
        findings += _copy_findings(labelled, scans, others, options)
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


def _image_findings(image: LabelledImage, scan: Scan, options: AuditOptions) -> Iterator[AuditFinding]:
    checked, is_turned = checked_boxes(image, scan.header, options)
    yield from picture_findings(scan, options, is_turned=is_turned)
    yield from label_findings(image, checked)


def _copy_findings(
    labelled: LabelledSet, scans: Sequence[Scan], others: Sequence[LabelledSet], options: AuditOptions
) -> Iterator[AuditFinding]:
    """Yield the copies within the set and of its pictures in other sets."""
    image_of = {image.file_name: image for image in labelled.images}
    seen = [scan for scan in scans if scan.look is not None]
    looks, twins = [scan.look for scan in seen], [Twin(labelled.root, scan.file_name) for scan in seen]
    for other in others:
        names = [image.file_name for image in other.images]
        for scan in scan_pictures(other.root, names, options, measures=False):
            if scan.look is not None:
                looks.append(scan.look)
                twins.append(Twin(other.root, scan.file_name))
    images = [image_of[scan.file_name] for scan in seen]
    labels = [_labels_left(image, scan, options) for image, scan in zip(images, seen, strict=True)]
    ranks = [_rank(image, found) for image, found in zip(images, labels, strict=True)]
    for copy in find_copies(looks, len(seen), ranks):
        yield _copy_finding(copy, twins, labels)


def _labels_left(image: LabelledImage, scan: Scan, options: AuditOptions) -> _Labels | None:
    """Return what a repair leaves of an image's labels, in no order of theirs; None: nothing says what is on it."""
    checked, _ = checked_boxes(image, scan.header, options)
    pairs = zip(image.boxes, checked.repaired, strict=True)
    left = sorted((box.class_name, mended) for box, mended in pairs if mended is not None)
    has_lost_all = not left and (image.boxes or image.has_lost_labels)
    return None if image.label_file is None or has_lost_all else left


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
