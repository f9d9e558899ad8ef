"""Every rule of an audit in one place: name, severity, what it means, what a repair does.

The rules of the readers stand with the readers (`maskdet.data.formats.reader_rules`) and are listed here with the
others: the page, the command's table and the documentation come from this one list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from maskdet.data.formats.reader_rules import READER_RULES
from maskdet.data.labelled_set import ERROR, NOTE, WARNING, Finding

LABELS, PICTURES, COPIES, WHOLE_SET = "labels", "pictures", "copies", "whole set"
SUBJECTS = (LABELS, PICTURES, COPIES, WHOLE_SET)
"""What a rule is about, in the order of the page."""

SEVERITIES = (ERROR, WARNING, NOTE)
"""The worst first."""

_READERS_ON_PICTURES = ("image-unreadable", "path-outside")


@dataclass(frozen=True)
class Rule:
    """A rule of the audit.

    Attributes:
        name: Short name with hyphens.
        subject: One of `SUBJECTS`.
        severity: `ERROR`, `WARNING` or `NOTE`.
        meaning: A sentence or two.
        repair: What a repair does; empty: nothing, a person has to decide.
    """

    name: str
    subject: str
    severity: str
    meaning: str
    repair: str = ""


_LEFT_OUT = "the picture is left out"
_OWN_RULES = (
    Rule("box-inverted", LABELS, ERROR, "A minimum is larger than its maximum.", "minimum and maximum swapped"),
    Rule("box-zero", LABELS, ERROR, "A box has no width or no height.", "the box is left out"),
    Rule("box-beyond", LABELS, ERROR, "A box lies outside of the image altogether.", "the box is left out"),
    Rule("box-outside", LABELS, ERROR, "A box reaches more than a pixel out of the image.", "clipped to the image"),
    Rule(
        "box-repeated",
        LABELS,
        ERROR,
        "A box stands twice, with the same class and the same corners up to rounding.",
        "the first is kept",
    ),
    Rule(
        "box-edge-off-by-one",
        LABELS,
        WARNING,
        "A box reaches up to a pixel out of the image: the habit of formats that count pixels from 1.",
        "clipped to the image",
    ),
    Rule("box-tiny", LABELS, WARNING, "A side of a box is so short that nothing can be seen in it."),
    Rule(
        "box-doubled",
        LABELS,
        WARNING,
        "Two boxes of one class overlap so much that they may mean one face. They may also be two faces, one behind "
        "the other, and of two outlines only a person can say which is right.",
    ),
    Rule("class-conflict", LABELS, WARNING, "Two boxes of different classes mean the same face."),
    Rule("image-without-faces", LABELS, NOTE, "Labelled as an image without faces: right only if there is none."),
    Rule(
        "image-truncated", PICTURES, ERROR, "The header is whole, the pixels are not: cut short or damaged.", _LEFT_OUT
    ),
    Rule(
        "image-huge",
        PICTURES,
        ERROR,
        "The header claims more pixels than max_megapixels; nothing was decoded.",
        _LEFT_OUT,
    ),
    Rule(
        "image-suffix",
        PICTURES,
        WARNING,
        "The content is of another format than the name says, or of one that the pipeline does not read.",
        "renamed after its content; what is neither PNG nor JPEG is written as PNG",
    ),
    Rule(
        "image-animated",
        PICTURES,
        WARNING,
        "A file of several pictures, of which decoders show the first.",
        "the first picture is kept",
    ),
    Rule(
        "image-exif-rotated",
        PICTURES,
        WARNING,
        "An EXIF tag asks viewers to turn the picture; the pipeline reads the pixels as they are stored, other tools "
        "do not. The size that the labels declare, or a box that reaches far out of the stored picture where all fit "
        "the turned one, tell which was labelled; else it is taken to be the stored one, which the pipeline has always "
        "read.",
        "the tag is dropped, and where the turned picture was labelled the pixels are turned",
    ),
    Rule(
        "image-cmyk",
        PICTURES,
        WARNING,
        "Four printing colours, which decoders turn into RGB each in its own way.",
        "written as RGB, in the colours that the pipeline reads",
    ),
    Rule("image-tiny", PICTURES, WARNING, "A side is shorter than min_side_px."),
    Rule("image-blurred", PICTURES, WARNING, "Blurred by some two pixels or more, seen at 400 pixels."),
    Rule("image-dark", PICTURES, WARNING, "Even its brightest parts are dark (cleanvision)."),
    Rule("image-bright", PICTURES, WARNING, "Even its darkest parts are bright (cleanvision)."),
    Rule("image-low-information", PICTURES, WARNING, "Nearly one colour (cleanvision)."),
    Rule("image-odd-size", PICTURES, NOTE, "Much larger or smaller than the others of the set (cleanvision)."),
    Rule("image-odd-ratio", PICTURES, NOTE, "Much longer than wide, or wider than long (cleanvision)."),
    Rule("image-16-bit", PICTURES, NOTE, "16 bits a channel, of which the pipeline reads the upper 8."),
    Rule(
        "duplicate-exact",
        COPIES,
        WARNING,
        "Equal pixels, whatever the file. Where their labels differ, no repair chooses: a person has to.",
        "where labels agree, one is kept: with boxes, else with labels, if possible all readable, else the first",
    ),
    Rule(
        "duplicate-near",
        COPIES,
        WARNING,
        "Shows the same picture: re-encoded, resized, cropped, turned, retouched, or the next photo of one scene.",
    ),
    Rule("duplicate-mirrored", COPIES, WARNING, "Shows the same picture mirrored, maybe cropped and re-encoded too."),
    Rule("duplicate-exact-across-sets", COPIES, WARNING, "Equal pixels in another set: a leak if one tests the other."),
    Rule("duplicate-near-across-sets", COPIES, WARNING, "Shows the same picture as one of another set."),
    Rule("duplicate-mirrored-across-sets", COPIES, WARNING, "Shows the same picture as one of another set, mirrored."),
    Rule("class-imbalance", WHOLE_SET, NOTE, "The rarest class has few examples for each one of the commonest."),
)


def _registry() -> dict[str, Rule]:
    """Return the readers' rules and the audit's, by name: the worst first within a subject."""
    of_readers = [
        Rule(name, PICTURES if name in _READERS_ON_PICTURES else LABELS, rule.severity, rule.meaning, rule.repair)
        for name, rule in READER_RULES.items()
    ]
    rules = sorted(
        [*of_readers, *_OWN_RULES],
        key=lambda rule: (SUBJECTS.index(rule.subject), SEVERITIES.index(rule.severity)),
    )
    return {rule.name: rule for rule in rules}


RULES: Mapping[str, Rule] = MappingProxyType(_registry())
"""All rules by name, in the order in which they are shown."""


@dataclass(frozen=True)
class Twin:
    """The other picture of a pair.

    Attributes:
        root: Folder of its set.
        file_name: Posix path relative to it.
        is_mirrored: It shows the picture mirrored.
    """

    root: Path
    file_name: str
    is_mirrored: bool = False


@dataclass(frozen=True)
class AuditFinding(Finding):
    """A finding with what it takes to show and to repair it.

    Attributes:
        image: Posix path of the picture concerned; empty: the whole set.
        boxes: Positions of the boxes concerned in `LabelledImage.boxes`; the first is the one that is wrong.
        twin: The other picture, of copies alone.
    """

    image: str = ""
    boxes: tuple[int, ...] = ()
    twin: Twin | None = None


def audit_finding(
    rule: str,
    image: str,
    detail: str,
    *,
    boxes: tuple[int, ...] = (),
    twin: Twin | None = None,
    repair: str | None = None,
) -> AuditFinding:
    """Return a finding with the severity and the repair of its rule.

    Args:
        rule: A key of `RULES`.
        image: The picture; `.` for the whole set.
        detail: What was expected and what was found.
        boxes: See `AuditFinding`.
        twin: See `AuditFinding`.
        repair: If another than the rule's.
    """
    known = RULES[rule]
    text = known.repair if repair is None else repair
    return AuditFinding(image, rule, known.severity, detail, text, "" if image == "." else image, boxes, twin)


def in_order(findings: list[Finding]) -> list[Finding]:
    """Return findings as they are shown: by rule in the order of `RULES`, then by file, then as they came."""
    places = {name: place for place, name in enumerate(RULES)}
    return sorted(findings, key=lambda finding: (places[finding.rule], finding.file))
