"""The page of an audit: every finding with a picture, within its size, readable on a phone."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from chromium import open_page, started_chromium
from damaged_set import encoded, scene, write_clean_set, write_other_set, write_voc_set
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.rules import RULES, audit_finding
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import read_labelled_set
from maskdet.data.labelled_set import LabelledBox, LabelledImage, LabelledSet
from maskdet.reporting import audit_page
from maskdet.reporting.audit_page import AuditPage, build_audit_page, write_audit_page
from maskdet.reporting.audit_pictures import FindingPictures

WITHOUT_PICTURE = {"image-unreadable", "image-truncated", "image-huge", "labels-without-image"}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> tuple[LabelledSet, list]:
    """Return a set with every defect of pictures and boxes, and its findings."""
    root = tmp_path_factory.mktemp("page")
    labelled = read_labelled_set(write_voc_set(root / "voc").folder)
    other = read_labelled_set(write_other_set(root / "other").folder)
    return labelled, audit_set(labelled, AuditOptions(num_workers=1), [other])


@pytest.fixture(scope="module")
def page(damaged) -> AuditPage:
    return build_audit_page(*damaged, "a <damaged> set")


def test_a_section_a_rule_in_their_order_with_every_finding(damaged, page):
    found = {finding.rule for finding in damaged[1]}
    assert [section.rule.name for section in page.sections] == [name for name in RULES if name in found]
    assert [rule.name for rule in page.silent] == [name for name in RULES if name not in found]
    assert sum(section.count for section in page.sections) == len(damaged[1]) == sum(page.counts.values())


def test_every_finding_that_can_be_shown_is(page):
    for section in page.sections:
        for card in section.cards:
            is_lost = section.rule.name in WITHOUT_PICTURE
            assert bool(card.pictures) != is_lost, (section.rule.name, card.finding.file)
            if not is_lost:
                has_boxes = bool(getattr(card.finding, "boxes", ()))
                numbers = {2} if section.rule.subject == "copies" else {1, 2} if has_boxes else {1}
                assert len(card.pictures) in numbers


def test_the_file_holds_everything_escaped_and_needs_nothing_else(page, tmp_path):
    size = write_audit_page(page, tmp_path / "audit.html")
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert size == len(text.encode()) < 30_000_000
    assert "a &lt;damaged&gt; set" in text
    assert "<damaged>" not in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text)
    for section in page.sections:
        assert f'id="{section.rule.name}"' in text
        assert all(card.finding.file in text for card in section.cards)


def test_more_findings_than_cards_are_listed_then_counted(damaged, monkeypatch):
    labelled, _ = damaged
    monkeypatch.setattr(audit_page, "MAX_CARDS_PER_RULE", 2)
    monkeypatch.setattr(audit_page, "_MAX_LINES_PER_RULE", 3)
    findings = [audit_finding("box-tiny", "images/clean0.png", f"number {i}", boxes=(0,)) for i in range(9)]
    (section,) = build_audit_page(labelled, findings, "set").sections
    assert (section.count, len(section.cards), len(section.lines), section.num_unlisted) == (9, 2, 3, 4)


def test_pictures_stop_at_the_limit_and_rules_take_turns(damaged):
    labelled, findings = damaged
    page = build_audit_page(labelled, findings, "set", max_picture_bytes=60_000)
    shown = [len([card for card in section.cards if card.pictures]) for section in page.sections]
    embedded = sum(len(uri) for section in page.sections for card in section.cards for _, uri in card.pictures)
    assert 0 < embedded <= 60_000
    assert max(shown) == 1
    assert f"{sum(shown)} of {len(findings)} findings are shown" in page.picture_note


def test_nothing_found(tmp_path):
    labelled = read_labelled_set(write_clean_set(tmp_path / "set", 1).folder)
    page = build_audit_page(labelled, [], "set")
    write_audit_page(page, tmp_path / "audit.html")
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert (page.sections, len(page.silent)) == ([], len(RULES))
    assert "Nothing." in text
    assert "<script>" not in text


@pytest.mark.parametrize("box", [(150.0, 20.0, 200.0, 60.0), (60.0, 20.0, 10.0, 70.0), (5.0, -500.0, 9.0, 900.0)])
def test_a_box_out_of_the_picture_is_drawn_in_a_margin(tmp_path, box):
    (tmp_path / "a.png").write_bytes(encoded(scene(0)))
    image = LabelledImage("a.png", (160, 120), (LabelledBox("mask", box),), "a.xml")
    pictures = FindingPictures(LabelledSet(tmp_path, "voc", ("mask",), (image,), ()))
    shown = pictures.of(audit_finding("box-outside", "a.png", "", boxes=(0,)))
    assert [picture.caption for picture in shown] == ["whole", "from near"][: len(shown)]
    whole, grey = shown[0], np.array([118, 118, 118])  # of a class that is not ours
    for picture in shown:
        assert max(picture.pixels.shape) <= 420
        assert (np.abs(picture.pixels.astype(int) - grey).max(axis=-1) < 4).sum() > 10
    height, width = whole.pixels.shape[:2]
    ratio = (120 + min(max(-box[1], 0), 60) + min(max(box[3] - 120, 0), 60)) / (160 + max(max(box[::2]) - 160, 0))
    assert height / width == pytest.approx(ratio, rel=0.02)


def test_a_small_box_is_shown_from_near(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(scene(0, 640, 480)))
    image = LabelledImage("a.png", (640, 480), (LabelledBox("mask", (600.0, 400.0, 610.0, 412.0)),), "a.xml")
    pictures = FindingPictures(LabelledSet(tmp_path, "voc", ("mask",), (image,), ()))
    whole, near = pictures.of(audit_finding("box-tiny", "a.png", "", boxes=(0,)))
    assert (whole.pixels.shape, near.caption) == ((315, 420, 3), "from near")
    assert near.pixels.shape == (144, 144, 3)  # 72 pixels, twice their size


def test_a_picture_that_is_gone_is_not_shown(damaged):
    labelled, _ = damaged
    gone = replace(labelled, root=Path("/nonexistent"))
    assert FindingPictures(gone).of(audit_finding("image-dark", "images/clean0.png", "")) == []
    assert FindingPictures(labelled).of(audit_finding("class-imbalance", ".", "")) == []


def visible(page: Page) -> list[str]:
    return page.locator(".rule:visible").evaluate_all("(sections) => sections.map((section) => section.id)")


@pytest.mark.browser
def test_on_a_phone_and_filtered(page, tmp_path):
    write_audit_page(page, tmp_path / "audit.html")
    with started_chromium() as browser:
        for size, scheme in (((390, 844), "dark"), ((1280, 900), "light")):
            shown, troubles = open_page(browser, tmp_path / "audit.html", size, scheme)
            assert shown.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert visible(shown) == [section.rule.name for section in page.sections]
            shown.get_by_label("Rule", exact=True).select_option("box-inverted")
            assert visible(shown) == ["box-inverted"]
            assert shown.locator("#shown").inner_text() == "2 findings"
            shown.get_by_role("link", name="image-dark", exact=True).click()
            assert "image-dark" in visible(shown)
            shown.get_by_label("Severity", exact=True).select_option("note")
            assert {RULES[name].severity for name in visible(shown)} == {"note"}
            assert troubles == []
            shown.close()
