"""What the labels of a set show, as findings."""

from collections import Counter
from collections.abc import Iterator

from maskdet.data.audit.boxes_of_image import CheckedBoxes
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.rules import AuditFinding, audit_finding
from maskdet.data.labelled_set import LabelledImage, LabelledSet


def label_findings(image: LabelledImage, checked: CheckedBoxes) -> Iterator[AuditFinding]:
    """Yield what is wrong with the boxes of an image.

    Args:
        image: With its boxes as written.
        checked: Of these boxes.
    """
    where = f"{image.label_file}, " if image.label_file else ""
    for problem in checked.problems:
        yield audit_finding(problem.rule, image.file_name, f"{where}{problem.detail}", boxes=problem.boxes)
    if image.label_file is not None and not image.boxes and not image.has_lost_labels:
        yield audit_finding("image-without-faces", image.file_name, f"expected faces, got none in {image.label_file}")


def imbalance_findings(labelled: LabelledSet, options: AuditOptions) -> Iterator[AuditFinding]:
    """Yield a finding if a class is rare beside the commonest one; a declared class without an example is rarest."""
    counts = Counter(dict.fromkeys(labelled.class_names, 0))
    counts.update(box.class_name for image in labelled.images for box in image.boxes)
    if len(counts) < 2 or not max(counts.values()):
        return
    (_, most), *_, (_, least) = ranked = counts.most_common()
    if least * options.imbalance_ratio <= most:
        listed = ", ".join(f"{count} {name}" for name, count in ranked)
        limit = f"expected fewer than {options.imbalance_ratio:g} of the commonest class for each of the rarest"
        yield audit_finding("class-imbalance", ".", f"{limit}, got {listed}")
