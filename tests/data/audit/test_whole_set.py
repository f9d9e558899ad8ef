"""The audit of a whole set: pictures are decoded once, bombs never, and the number of threads changes nothing."""

from collections import Counter
from dataclasses import replace

import pytest

from damaged_set import encoded, scene, write_clean_set, write_other_set
from maskdet.data.audit import scan
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.scan import scan_pictures
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import read_labelled_set
from maskdet.data.labelled_set import LabelledImage, LabelledSet
from raw_archive import voc_xml


@pytest.fixture
def decoded(monkeypatch):
    """Return how often each picture was decoded."""
    counts: Counter = Counter()
    read = scan.read_image

    def counting(path):
        counts[path.name] += 1
        return read(path)

    monkeypatch.setattr(scan, "read_image", counting)
    return counts


def test_each_picture_is_decoded_once_and_a_huge_one_never(audits, decoded):
    labelled = audits["voc"].labelled
    audit_set(labelled, AuditOptions(num_workers=1))
    assert set(decoded.values()) == {1}
    names = {image.file_name.split("/")[-1] for image in labelled.images}
    assert names - set(decoded) == {"huge.png", "bomb.png", "empty.png", "prose.png"}


def test_the_limit_of_pixels_is_an_option(audits, decoded):
    labelled = audits["clean"].labelled
    findings = audit_set(labelled, AuditOptions(num_workers=1, max_megapixels=0.01))
    assert Counter(finding.rule for finding in findings) == {"image-huge": 6}
    assert not decoded
    assert "expected at most 0.01 megapixels (max_megapixels), the header claims 160 x 120" in findings[0].detail


def test_the_number_of_threads_changes_nothing(audits):
    labelled = audits["lines"].labelled
    one, three = (audit_set(labelled, AuditOptions(num_workers=workers)) for workers in (1, 3))
    assert one == three


def test_a_reader_who_stops_early_is_not_waited_for(audits):
    labelled = audits["voc"].labelled
    scans = scan_pictures(labelled.root, [image.file_name for image in labelled.images], AuditOptions(num_workers=1))
    assert next(scans).file_name == labelled.images[0].file_name
    scans.close()


def test_copies_can_be_left_out(tmp_path):
    clean, other = write_clean_set(tmp_path / "set", 2), write_other_set(tmp_path / "other")
    sets = [read_labelled_set(one.folder) for one in (clean, other)]
    assert audit_set(sets[0], AuditOptions(num_workers=1, copies=False), sets[1:]) == []
    found = audit_set(sets[0], AuditOptions(num_workers=1), sets[1:])
    assert [finding.rule for finding in found] == ["duplicate-exact-across-sets", "duplicate-near-across-sets"]


def test_equal_pictures_with_other_labels_are_told(audits):
    exact = next(one for one in audits["voc"].findings if one.rule == "duplicate-exact")
    assert not exact.detail.endswith("their labels differ")
    labelled = audits["voc"].labelled
    images = [image for image in labelled.images if image.file_name in (exact.file, exact.twin.file_name)]
    without = replace(images[1], boxes=images[1].boxes[:1])
    findings = audit_set(replace(labelled, images=(images[0], without), findings=()), AuditOptions(num_workers=1))
    assert findings[0].detail.endswith("their labels differ")
    assert findings[0].repair == ""  # a person has to choose


def test_a_set_without_pictures(tmp_path):
    empty = LabelledSet(tmp_path, "images", (), (), ())
    assert audit_set(empty, AuditOptions()) == []
    absent = LabelledSet(tmp_path, "images", (), (LabelledImage("gone.png", None, (), None),), ())
    assert [(finding.rule, finding.file) for finding in audit_set(absent, AuditOptions())] == [
        ("image-unreadable", "gone.png")
    ]


def test_of_equal_pictures_one_with_boxes_that_a_repair_leaves_is_kept(tmp_path):
    clean = write_clean_set(tmp_path / "set", 2)
    pixels = (clean.folder / "images/clean1.png").read_bytes()
    beyond = voc_xml(("mask", 900, 20, 950, 70), width=160, height=120)
    clean.add("a_beyond.png", pixels, beyond)  # first by name, and its one box is lost
    clean.add("b_half.png", pixels, voc_xml(("mask", 20, 20, 60, 70), ("mask", "nan", 1, 2, 3), width=160, height=120))
    findings = audit_set(read_labelled_set(clean.folder), AuditOptions(num_workers=1))
    copies = [one.file for one in findings if one.rule == "duplicate-exact"]
    assert copies == ["images/a_beyond.png", "images/b_half.png"]


def test_an_unlabelled_picture_never_stands_for_a_labelled_one(tmp_path):
    clean = write_clean_set(tmp_path / "set", 2)
    pixels = encoded(scene(400))
    clean.add("a.png", pixels, None)
    clean.add("b.png", pixels, voc_xml(width=160, height=120))  # no face
    findings = audit_set(read_labelled_set(clean.folder), AuditOptions(num_workers=1))
    [copy] = [one for one in findings if one.rule == "duplicate-exact"]
    assert (copy.file, copy.twin.file_name) == ("images/a.png", "images/b.png")
    assert copy.repair
