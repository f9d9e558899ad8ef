"""VOC sets: every layout in use, one parser for the strict and the lenient reader, and malicious XML."""

import re

import pytest

from foreign_sets import faces_of, rules_of
from maskdet.data.formats import read_labelled_set, write_labelled_set
from maskdet.data.voc import MAX_XML_BYTES, read_voc
from raw_archive import WITH, WITHOUT, noise_png, voc_xml, write_folder

GOOD = voc_xml((WITH, 4, 5, 20.5, 25))
FACES = [(WITH, (4.0, 5.0, 20.5, 25.0), False)]


def read(tmp_path, members):
    return read_labelled_set(write_folder(tmp_path, members))


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("images/a.png", "annotations/a.xml"),
        ("VOC2012/JPEGImages/a.png", "VOC2012/Annotations/a.xml"),
        ("images/images/a.png", "annotations/a.xml"),
        ("train/a.PNG", "train/a.XML"),
        ("a b/a.b.png", "a b/a.b.xml"),
        ("pictures/a.png", "xmls/a.xml"),
    ],
)
def test_layouts(tmp_path, image, label):
    labelled = read(tmp_path, {image: noise_png(0), label: GOOD})
    assert labelled.format == "voc"
    assert labelled.class_names == (WITH,)
    assert [(item.file_name, item.label_file) for item in labelled.images] == [(image, label)]
    assert list(faces_of(labelled).values()) == [FACES]
    assert labelled.findings == ()


def test_equal_names_in_different_folders_are_different_images(tmp_path):
    members = {}
    for number, folder in enumerate(("x", "y")):
        members |= {f"{folder}/images/a.png": noise_png(number)}
        members |= {f"{folder}/annotations/a.xml": voc_xml((WITH, number, 1, 9, 9))}
    labelled = read(tmp_path, members)
    assert {name: faces[0][1][0] for name, faces in faces_of(labelled).items()} == {"x/a": 0, "y/a": 1}


def test_a_stem_pairs_only_folders_that_hold_no_other_pair(tmp_path):
    members = {"images/a.png": noise_png(0), "annotations/a.xml": GOOD, "other/b.png": noise_png(1)}
    labelled = read(tmp_path, members | {"annotations/b.xml": GOOD})
    assert rules_of(labelled) == [
        ("annotations/b.xml", "labels-without-image"),
        ("other/b.png", "image-without-labels"),
    ]


def test_images_and_labels_without_each_other(tmp_path):
    members = {"images/a.png": noise_png(0), "images/b.png": noise_png(1), "annotations/a.xml": voc_xml()}
    labelled = read(tmp_path, members | {"annotations/c.xml": GOOD})
    assert faces_of(labelled) == {"a": [], "b": None}
    assert rules_of(labelled) == [
        ("annotations/c.xml", "labels-without-image"),
        ("images/b.png", "image-without-labels"),
    ]


def test_marks_that_are_not_taken_are_told_and_none_is_made_up(tmp_path):
    marks = b"<object><truncated>1</truncated><occluded> 1 </occluded><pose>Left</pose><part>x</part>"
    silent = b"<object><truncated>0</truncated><occluded>0</occluded><pose>Unspecified</pose>"
    members = {"a.png": noise_png(0), "a.xml": GOOD.replace(b"<object>", marks)}
    labelled = read(tmp_path / "set", members | {"b.png": noise_png(1), "b.xml": GOOD.replace(b"<object>", silent)})
    assert [(finding.file, finding.severity, finding.detail) for finding in labelled.findings] == [
        (
            "a.xml",
            "note",
            "expected classes, boxes and difficult alone, got 1 truncated, 1 occluded, 1 with a pose, 1 with parts",
        )
    ]
    write_labelled_set(labelled, tmp_path / "out", "voc")
    text = (tmp_path / "out/annotations/a.xml").read_text()
    assert "<difficult>0</difficult>" in text
    assert not re.search("truncated|occluded|pose|part>", text)


ENTITY = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>'
LAUGHS = (
    b"<!DOCTYPE x [<!ENTITY a 'ha'>"
    + b"".join(b"<!ENTITY %c '&%c;&%c;&%c;'>" % (c, c - 1, c - 1, c - 1) for c in range(98, 123))
    + b"]><annotation>&z;</annotation>"
)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "label-unreadable"),
        (GOOD[:-20], "label-unreadable"),
        (b'<?xml version="1.0" encoding="klingon"?>' + GOOD, "label-unreadable"),
        (b'<?xml version="1.0" encoding="utf-7"?>' + GOOD, "label-unreadable"),
        (b"\xff" + GOOD, "label-unreadable"),
        (b"<svg/>", "label-unreadable"),
        (b"<annotation>" + b" " * MAX_XML_BYTES + b"</annotation>", "label-unreadable"),
        (b"<annotation>" + b"<a>" * 30_000, "label-unreadable"),
        (ENTITY, "entity-in-xml"),
        (LAUGHS, "entity-in-xml"),
    ],
)
def test_files_that_cannot_be_read_label_nothing(tmp_path, content, rule):
    members = {"images/a.png": noise_png(0), "annotations/a.xml": content, "images/b.png": noise_png(1)}
    labelled = read(tmp_path, members | {"annotations/b.xml": GOOD})
    assert faces_of(labelled) == {"a": None, "b": FACES}
    assert rules_of(labelled) == [("annotations/a.xml", rule), ("images/a.png", "image-without-labels")]
    with pytest.raises(ValueError, match=r"a\.xml: expected"):
        read_voc(tmp_path / "annotations/a.xml")


def test_an_element_nested_very_deep_is_read_or_refused(tmp_path):
    content = b"<annotation>" + b"<a>" * 30_000 + b"</a>" * 30_000 + b"</annotation>"
    assert len(content) < MAX_XML_BYTES
    labelled = read(tmp_path, {"images/a.png": noise_png(0), "annotations/a.xml": content})
    assert faces_of(labelled) == {"a": []}


@pytest.mark.parametrize(
    ("bad", "rule", "detail"),
    [
        (GOOD.replace(b"bndbox", b"box"), "label-columns", "object 0: expected <bndbox>, got none"),
        (GOOD.replace(b"<name>with_mask</name>", b""), "label-columns", "object 0: expected <name> with a value"),
        (voc_xml((WITH, 1, 5, "nan", 25)), "label-number", "object 0: expected a finite number in <xmax>, got 'nan'"),
        (voc_xml((WITH, 1, 5, "1e300", 25)), "label-number", "object 0: expected a finite number, got 1e+300"),
    ],
)
def test_a_malformed_object_is_named_and_the_others_are_taken(tmp_path, bad, rule, detail):
    two = bad.replace(b"</annotation>", b"") + GOOD[GOOD.index(b"<object>") :]
    labelled = read(tmp_path, {"images/a.png": noise_png(0), "annotations/a.xml": two})
    assert faces_of(labelled) == {"a": FACES}
    assert labelled.images[0].boxes[0].place == "object 1"
    [finding] = labelled.findings
    assert (finding.file, finding.rule, finding.severity) == ("annotations/a.xml", rule, "error")
    assert finding.detail.startswith(detail)


def test_a_flag_that_says_nothing_costs_no_face(tmp_path):
    content = GOOD.replace(b"t>0</d", b"t>maybe</d")
    labelled = read(tmp_path, {"images/a.png": noise_png(0), "annotations/a.xml": content})
    assert faces_of(labelled) == {"a": FACES}
    assert (labelled.images[0].boxes[0].is_difficult, labelled.images[0].has_lost_labels) == (False, False)
    [finding] = labelled.findings
    assert (finding.rule, finding.severity, finding.repair) == ("flag-unknown", "warning", "taken for 0")
    assert finding.detail == "object 0: expected <difficult> 0 or 1, got 'maybe'"


def test_declared_sizes(tmp_path):
    members = {f"images/{name}.png": noise_png(0) for name in "abc"}
    members |= {"annotations/a.xml": voc_xml(width=0, height=0), "annotations/b.xml": voc_xml(width="wide")}
    labelled = read(tmp_path, members | {"annotations/c.xml": b"<annotation/>"})
    assert rules_of(labelled) == [("annotations/a.xml", "size-differs"), ("annotations/b.xml", "label-number")]
    assert not any(image.has_lost_labels for image in labelled.images)
    assert labelled.findings[0].detail == "expected the size 64 x 48 of images/a.png, got 0 x 0"
    assert [image.image_wh for image in labelled.images] == [(64, 48)] * 3


def test_boxes_are_neither_clipped_nor_ordered(tmp_path):
    boxes = [(-3.0, 5.0, 65.0, 25.0), (20.0, 25.0, 4.0, 5.0), (7.0, 7.0, 7.0, 7.0)]
    members = {"images/a.png": noise_png(0), "annotations/a.xml": voc_xml(*[(WITHOUT, *box) for box in boxes])}
    assert [box.box_xyxy for box in read(tmp_path, members).images[0].boxes] == boxes
