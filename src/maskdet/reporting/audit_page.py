"""The page of an audit: every rule that found something, with pictures, in one HTML file."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskdet.data.audit.rules import RULES, SEVERITIES, Rule, in_order
from maskdet.data.formats.progress import tracked
from maskdet.data.labelled_set import Finding, LabelledSet
from maskdet.reporting.audit_pictures import FindingPictures
from maskdet.reporting.embedding import jpeg_uri
from maskdet.reporting.html import html_template, write_html

MAX_CARDS_PER_RULE = 24
"""Findings of a rule that are shown with pictures."""

MAX_PICTURE_BYTES = 20_000_000
"""Of all embedded pictures together, as text."""

_MAX_LINES_PER_RULE = 200
_JPEG_QUALITY = 80


@dataclass
class AuditCard:
    """A finding as it is shown.

    Attributes:
        finding: What was found.
        pictures: (caption, data URI); empty where nothing can be shown.
    """

    finding: Finding
    pictures: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class RuleSection:
    """The findings of one rule.

    Attributes:
        rule: The rule.
        count: Of all its findings.
        cards: The first of them.
        lines: The next, in words alone.
    """

    rule: Rule
    count: int
    cards: list[AuditCard]
    lines: list[Finding]

    @property
    def num_unlisted(self) -> int:
        """Return how many findings the page leaves to the table."""
        return self.count - len(self.cards) - len(self.lines)


@dataclass(frozen=True)
class AuditPage:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        title: Heading.
        subtitle: What was looked at.
        counts: Severity → findings, the worst first.
        sections: A rule each, in the order of `RULES`.
        silent: Rules that found nothing.
        picture_note: Says how many pictures there are, and why not more.
    """

    title: str
    subtitle: str
    counts: Mapping[str, int]
    sections: list[RuleSection]
    silent: list[Rule]
    picture_note: str


def build_audit_page(
    labelled: LabelledSet,
    findings: Sequence[Finding],
    name: str,
    max_picture_bytes: int = MAX_PICTURE_BYTES,
) -> AuditPage:
    """Return the page of an audit, with the pictures that fit.

    Rules take turns, so that each has its first pictures before any has its last. A picture is decoded at a time.

    Args:
        labelled: The audited set; its folder still has the images.
        findings: What `audit_set` returned.
        name: What the page calls the set.
        max_picture_bytes: Limit on the embedded pictures.
    """
    by_rule = defaultdict(list)
    for finding in in_order(list(findings)):
        by_rule[finding.rule].append(finding)
    sections = [_section(RULES[rule], found) for rule, found in by_rule.items()]
    cards = [
        section.cards[turn] for turn in range(MAX_CARDS_PER_RULE) for section in sections if turn < len(section.cards)
    ]
    num_shown = _embed(cards, FindingPictures(labelled), max_picture_bytes)
    severities = Counter(finding.severity for finding in findings)
    num_boxes = sum(len(image.boxes) for image in labelled.images)
    return AuditPage(
        title=f"Audit of {name}",
        subtitle=f"{len(labelled.images)} images, {num_boxes} boxes, format {labelled.format}",
        counts={severity: severities[severity] for severity in SEVERITIES},
        sections=sections,
        silent=[rule for name, rule in RULES.items() if name not in by_rule],
        picture_note=(
            f"{num_shown} of {len(findings)} findings are shown with pictures: at most {MAX_CARDS_PER_RULE} a rule, "
            f"and {max_picture_bytes / 1e6:g} MB in all"
        ),
    )


def _section(rule: Rule, findings: Sequence[Finding]) -> RuleSection:
    cards = [AuditCard(finding) for finding in findings[:MAX_CARDS_PER_RULE]]
    rest = findings[MAX_CARDS_PER_RULE:]
    return RuleSection(rule, len(findings), cards, list(rest[:_MAX_LINES_PER_RULE]))


def _embed(cards: Sequence[AuditCard], pictures: FindingPictures, max_bytes: int) -> int:
    """Give the cards their pictures until the bytes are used up; return how many have some."""
    left, num_shown = max_bytes, 0
    for card in tracked(cards, "draw findings"):
        embedded = [(picture.caption, jpeg_uri(picture.pixels, _JPEG_QUALITY)) for picture in pictures.of(card.finding)]
        size = sum(len(uri) for _, uri in embedded)
        if size > left:
            break
        left -= size
        card.pictures += embedded
        num_shown += bool(embedded)
    return num_shown


def write_audit_page(page: AuditPage, path: Path) -> int:
    """Write the page as one UTF-8 HTML file that needs nothing but itself, and return its size in bytes."""
    return write_html(html_template("audit.html.j2").render(page=page), path)
