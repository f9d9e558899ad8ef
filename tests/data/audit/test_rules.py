"""Every rule finds its made example, and nothing is found that is not there."""

import pytest

from maskdet.data.audit.rules import RULES, SEVERITIES, SUBJECTS, AuditFinding, audit_finding, in_order
from maskdet.data.formats import READER_RULES
from maskdet.data.labelled_set import ERROR, Finding

SETS = ("voc", "lines", "unnamed", "differing", "clean")


@pytest.mark.parametrize("name", SETS)
def test_each_defect_is_found_and_none_invented(audits, name):
    found = {(finding.rule, finding.file) for finding in audits[name].findings}
    assert found == audits[name].damaged.expected


def test_the_clean_set_has_nothing_to_find_and_is_part_of_the_damaged_one(audits):
    assert audits["clean"].findings == []
    clean = {image.file_name for image in audits["clean"].labelled.images}
    found = [finding for finding in audits["voc"].findings if finding.file in clean]
    assert {finding.rule[-11:] for finding in found} == {"across-sets"}


def test_every_rule_has_a_made_example(audits):
    assert {rule for name in SETS for rule, _ in audits[name].damaged.expected} == set(RULES)


def test_findings_say_what_was_expected_and_carry_the_severity_of_their_rule(audits):
    for name in SETS:
        for finding in audits[name].findings:
            assert finding.severity == RULES[finding.rule].severity
            assert finding.detail


def test_the_readers_rules_are_among_the_rules_as_the_readers_say_them():
    for name, rule in READER_RULES.items():
        assert (RULES[name].severity, RULES[name].meaning, RULES[name].repair) == (
            rule.severity,
            rule.meaning,
            rule.repair,
        )


def test_the_list_is_by_subject_then_the_worst_first():
    places = [(SUBJECTS.index(rule.subject), SEVERITIES.index(rule.severity)) for rule in RULES.values()]
    assert places == sorted(places)
    assert all(rule.meaning.endswith(".") and name == rule.name for name, rule in RULES.items())


def test_findings_are_listed_by_rule_then_file_then_as_they_came():
    findings = [
        audit_finding("class-imbalance", ".", "expected a, got b"),
        Finding("b.xml", "label-number", ERROR, "second"),
        Finding("a.xml", "label-number", ERROR, "first"),
        Finding("b.xml", "label-number", ERROR, "third"),
    ]
    assert [finding.detail for finding in in_order(findings)] == ["first", "second", "third", "expected a, got b"]


def test_a_finding_on_the_whole_set_has_no_image():
    finding = audit_finding("class-imbalance", ".", "")
    assert isinstance(finding, AuditFinding)
    assert (finding.file, finding.image, finding.boxes, finding.twin) == (".", "", (), None)


def test_copies_name_the_other_picture_and_how_it_was_shown(audits):
    copies = {finding.rule: finding for finding in audits["voc"].findings if finding.rule.startswith("duplicate")}
    assert copies["duplicate-exact"].twin.file_name == "images/clean0.png"
    assert "images/clean0.png: equal pixels" in copies["duplicate-exact"].detail
    assert "shared key points" in copies["duplicate-mirrored"].detail
    assert copies["duplicate-mirrored"].twin.is_mirrored
    assert copies["duplicate-exact-across-sets"].detail.startswith(
        "expected a picture of its own, got a copy of other/"
    )


def test_an_oriented_picture_says_which_way_it_was_labelled(audits):
    repairs = {
        finding.file: finding.repair for finding in audits["voc"].findings if finding.rule == "image-exif-rotated"
    }
    assert repairs == {
        "images/flipped.jpg": "tag dropped",
        "images/tagged.jpg": "tag dropped",
        "images/turned.jpg": "pixels turned, tag dropped",
    }
