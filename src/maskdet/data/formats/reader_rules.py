"""What readers can find wrong with a set: the names of the rules, their severities, and what a repair does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from maskdet.data.labelled_set import ERROR, NOTE, WARNING, Finding

_LEFT_OUT = "left out"


@dataclass(frozen=True)
class ReaderRule:
    """A rule that a reader may report.

    Attributes:
        severity: `ERROR`, `WARNING` or `NOTE`.
        meaning: One sentence.
        repair: What a rewritten set does about it; empty: nothing, a person has to decide.
    """

    severity: str
    meaning: str
    repair: str = ""


READER_RULES: Mapping[str, ReaderRule] = MappingProxyType(
    {
        "label-unreadable": ReaderRule(ERROR, "A label file is no XML, JSON, table or text, or too large.", _LEFT_OUT),
        "label-columns": ReaderRule(ERROR, "A label has too few or too many columns, or lacks a field.", _LEFT_OUT),
        "label-number": ReaderRule(ERROR, "A label has a value that is no finite number.", _LEFT_OUT),
        "label-ambiguous": ReaderRule(
            ERROR, "Several images or label files claim each other.", "the first is taken, of a name of several none"
        ),
        "class-unknown": ReaderRule(ERROR, "A label's class is not in the set's class list.", _LEFT_OUT),
        "box-outside-unit": ReaderRule(
            ERROR, "A YOLO value lies outside [0, 1].", "kept where it meets the image, otherwise left out"
        ),
        "image-unreadable": ReaderRule(ERROR, "No image, or one whose size its header does not tell.", _LEFT_OUT),
        "labels-without-image": ReaderRule(ERROR, "Labels name an image that is not there.", _LEFT_OUT),
        "entity-in-xml": ReaderRule(ERROR, "An XML file declares entities; it is not read any further.", _LEFT_OUT),
        "path-outside": ReaderRule(ERROR, "A link, or a path that leaves the set's folder; never opened.", _LEFT_OUT),
        "flag-unknown": ReaderRule(WARNING, "A box's flag `difficult` is neither 0 nor 1.", "taken for 0"),
        "image-without-labels": ReaderRule(WARNING, "Nothing says what is on the image, not even that nothing is."),
        "size-differs": ReaderRule(WARNING, "Labels declare another image size than the real one.", "the real one"),
        "class-list-missing": ReaderRule(WARNING, "Classes are numbers that nothing names."),
        "class-name-repeated": ReaderRule(WARNING, "Classes of a list have one name.", "they are one class"),
        "class-list-differs": ReaderRule(WARNING, "Two class lists of the set differ.", "the first is taken"),
        "label-reduced": ReaderRule(
            NOTE, "Labels say more than boxes: outlines, keypoints, crowds, VOC's truncated or pose.", "boxes alone"
        ),
    }
)
"""Every rule that a reader of this package reports, by name."""


class LabelError(ValueError):
    """A label that cannot be taken; becomes a finding.

    Attributes:
        rule: A key of `READER_RULES`.
    """

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule


def reader_finding(file: str, rule: str, detail: str, repair: str | None = None) -> Finding:
    """Return a finding with the severity of its rule.

    Args:
        file: Posix path relative to the set's root.
        rule: A key of `READER_RULES`.
        detail: What was expected and what was found, with the place in the file.
        repair: If another than the rule's.
    """
    known = READER_RULES[rule]
    return Finding(file, rule, known.severity, detail, known.repair if repair is None else repair)
