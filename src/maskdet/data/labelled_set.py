"""Labelled images of any origin: what a reader of VOC, YOLO, COCO or CSV files found, and what is wrong with it.

Readers take what they can and note the rest as findings; who wants all or nothing calls `refuse_errors`. So one reader
serves a conversion, which must be right, and an audit, which must see everything.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ERROR, WARNING, NOTE = "error", "warning", "note"
"""Severities: an error makes a label or a picture wrong or unusable; a warning may; a note is worth knowing."""

UNLABELLED = "images"
"""The format of a set of pictures that nothing labels."""

ROUNDING_PX = 0.01
"""How far a box may reach out of its image and is meant to end there: six decimals of a share are less."""

_NUM_LISTED = 5


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a set, or worth knowing.

    Attributes:
        file: Posix path relative to the set's root.
        rule: Short name with hyphens, `box-outside`; `maskdet.data.audit.rules` says what each means.
        severity: One of `ERROR`, `WARNING`, `NOTE`.
        detail: What was expected and what was found, with the place in the file.
        repair: What a repair does about it; empty: nothing, a person has to decide.
    """

    file: str
    rule: str
    severity: str
    detail: str
    repair: str = ""


@dataclass(frozen=True)
class LabelledBox:
    """An object as written.

    Attributes:
        class_name: As written; of files that count classes, the name of that number.
        box_xyxy: (x_min, y_min, x_max, y_max) in pixels of the stored image (an EXIF orientation is ignored), maximum
            exclusive, neither clipped nor ordered; finite.
        is_difficult: VOC's flag; False where the format has none.
        place: Where it stands in its file: `line 3`, `object 2`, `annotation 17`.
    """

    class_name: str
    box_xyxy: tuple[float, float, float, float]
    is_difficult: bool = False
    place: str = ""


@dataclass(frozen=True)
class LabelledImage:
    """An image with its objects.

    Attributes:
        file_name: Posix path relative to the set's root.
        image_wh: Width and height of the stored pixels, from the file's header; None: no image that can be read.
        boxes: Objects in the order of the file; none: an image without faces, or one without labels.
        label_file: Posix path relative to the root of the file that labels it; None: there is none.
        declared_wh: Width and height that its labels declare; None: they declare none.
        has_lost_labels: Whether a label of it could not be taken: that few boxes or none are left then says nothing.
    """

    file_name: str
    image_wh: tuple[int, int] | None
    boxes: tuple[LabelledBox, ...]
    label_file: str | None
    declared_wh: tuple[float, float] | None = None
    has_lost_labels: bool = False

    def with_boxes_left(self, boxes: Iterable["LabelledBox"]) -> "LabelledImage":
        """Return the image with what is left of its boxes; where labels were lost and none is left, without labels."""
        left = tuple(boxes)
        has_lost_all = not left and (self.boxes or self.has_lost_labels)
        return replace(self, boxes=left, label_file=None if has_lost_all else self.label_file)


@dataclass(frozen=True)
class LabelledSet:
    """A data set as its files say it.

    Attributes:
        root: The folder that file names are relative to.
        format: `voc`, `yolo`, `coco`, `csv`, or `images` (no labels).
        class_names: All that the set declares, in its order; of formats that declare none, those that occur, sorted.
        images: Sorted by file name.
        findings: Of reading: labels that could not be taken, images and labels without each other.
        number_of: Class → its number in the files, of a format that counts classes from 0; others have none.
    """

    root: Path
    format: str
    class_names: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    findings: tuple[Finding, ...]
    number_of: Mapping[str, int] = field(default_factory=dict)


def refuse_errors(origin: str, findings: Iterable[Finding]) -> None:
    """Raise if there is an error among the findings.

    Args:
        origin: What the message calls the set.
        findings: Of a reader or an audit.

    Raises:
        ValueError: The message counts the errors by rule and lists the first with file and detail.
    """
    errors = [finding for finding in findings if finding.severity == ERROR]
    if not errors:
        return
    counts = ", ".join(f"{count} {rule}" for rule, count in Counter(error.rule for error in errors).most_common())
    listed = "".join(f"\n  {error.file}: {error.detail}" for error in errors[:_NUM_LISTED])
    more = f"\n  and {len(errors) - _NUM_LISTED} more" if len(errors) > _NUM_LISTED else ""
    raise ValueError(f"{origin}: expected labels without errors, got {counts}:{listed}{more}")
