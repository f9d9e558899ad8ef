"""A repaired set audits clean of all that has a repair; the original is not touched; every change is in the log."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from damaged_set import FACE, HEIGHT, MASK, WIDTH, encoded, oriented_jpeg, scene, write_clean_set
from maskdet.data.audit import repair
from maskdet.data.audit.headers import read_header
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.repair import LOG_NAME, repair_set
from maskdet.data.audit.repair_pictures import apart, repaired_name, without_exif
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import read_labelled_set, write_labelled_set
from maskdet.data.image import read_image
from maskdet.data.labelled_set import ERROR, LabelledBox, LabelledImage, LabelledSet
from raw_archive import voc_xml


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def audit(labelled: LabelledSet) -> list:
    return audit_set(labelled, AuditOptions(num_workers=1))


def log_of(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG_NAME).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def repaired(audits, tmp_path_factory):
    """Return a folder with the repaired copy of each damaged set, and the originals' contents from before."""
    folder = tmp_path_factory.mktemp("repaired")
    before = {name: contents(one.damaged.folder) for name, one in audits.items()}
    for name, one in audits.items():
        repair_set(one.labelled, one.findings, folder / name)
    return folder, before


@pytest.mark.parametrize("name", ["voc", "lines", "unnamed", "differing"])
def test_the_copy_has_nothing_left_to_repair(repaired, name):
    findings = audit(read_labelled_set(repaired[0] / name))
    assert [(finding.rule, finding.file) for finding in findings if finding.repair or finding.severity == ERROR] == []


@pytest.mark.parametrize("name", ["voc", "lines", "unnamed", "differing"])
def test_what_needs_a_person_stays(audits, repaired, name):
    def rules(findings):
        return Counter(one.rule for one in findings if not one.repair and "across" not in one.rule)

    left, again = rules(audits[name].findings), rules(audit(read_labelled_set(repaired[0] / name)))
    left["image-without-labels"] += name == "voc"  # of whose labels none could be taken
    for counts in (left, again):
        del counts["image-odd-size"]  # compared with pictures of which some are gone
    assert again == left


def test_the_original_is_not_touched(audits, repaired):
    for name, one in audits.items():
        assert contents(one.damaged.folder) == repaired[1][name]


@pytest.mark.parametrize("name", ["voc", "lines"])
def test_every_finding_with_a_repair_is_in_the_log(audits, repaired, name):
    rows = [(row["file"], row["rule"]) for row in log_of(repaired[0] / name)]
    assert rows == [(one.file, one.rule) for one in audits[name].findings if one.repair]
    assert all(row["before"] and row["after"] for row in log_of(repaired[0] / name))


def test_the_log_says_what_became_of_boxes_and_pictures(repaired):
    rows = {(row["file"], row["rule"]): (row["before"], row["after"]) for row in log_of(repaired[0] / "voc")}
    edge = rows["images/box-edge-off-by-one.png", "box-edge-off-by-one"]
    assert edge == ("object 0 mask (120, 20, 161, 70)", "(120, 20, 160, 70)")
    assert rows["images/box-zero.png", "box-zero"] == ("object 0 mask (20, 20, 20, 70)", "left out")
    assert rows["images/several.png", "box-inverted"][1] == "(120, 20, 160, 70)"
    assert rows["images/jpeg.png", "image-suffix"] == ("images/jpeg.png", "images/jpeg.jpg")
    assert rows["images/gif.jpg", "image-suffix"] == ("images/gif.jpg", "images/gif.png")
    assert rows["images/copy_exact.png", "duplicate-exact"][1] == "left out"
    assert rows["images/truncated.png", "image-truncated"][1] == "left out"
    assert rows["images/turned.jpg", "image-exif-rotated"][1] == "pixels turned, tag dropped"


def test_pictures_left_out_and_kept(repaired):
    names = {image.file_name for image in read_labelled_set(repaired[0] / "voc").images}
    gone = (
        "empty.png",
        "prose.png",
        "truncated.png",
        "cut.jpg",
        "spoilt.png",
        "huge.png",
        "bomb.png",
        "copy_exact.png",
    )
    assert not names & {f"images/{name}" for name in gone}
    assert {f"images/clean{seed}.png" for seed in range(6)} <= names
    assert len(names) == 52 - len(gone)


def test_of_equal_pictures_with_other_labels_none_is_left_out(tmp_path):
    clean = write_clean_set(tmp_path / "set", 1)
    for name, faces in (("a.png", [FACE]), ("b.png", [FACE, (MASK, 90, 30, 130, 80)])):
        clean.add(name, encoded(scene(500)), voc_xml(*faces, width=WIDTH, height=HEIGHT))
    labelled = read_labelled_set(clean.folder)
    assert repair_set(labelled, audit(labelled), tmp_path / "copy") == []
    copy = read_labelled_set(tmp_path / "copy")
    assert [len(image.boxes) for image in copy.images] == [1, 2, 2]


def test_labels_that_could_not_be_read_do_not_become_no_faces(repaired):
    labelled = read_labelled_set(repaired[0] / "voc")
    of_name = {image.file_name: image for image in labelled.images}
    assert of_name["images/label-unreadable.png"].label_file is None
    assert of_name["images/entity-in-xml.png"].label_file is None
    assert of_name["images/label-columns.png"].label_file is None  # its one object lacks a corner
    assert of_name["images/faceless.png"].label_file is not None
    assert [box.box_xyxy for box in of_name["images/label-number.png"].boxes] == [FACE[1:]]


def test_untouched_pictures_are_the_same_bytes(audits, repaired):
    for name in ("clean0.png", "sixteen.png", "box-zero.png", "faceless.png"):
        original = audits["voc"].damaged.folder / "images" / name
        assert (repaired[0] / "voc/images" / name).read_bytes() == original.read_bytes()


def test_pixels_stay_wherever_they_can(audits, repaired):
    old, new = audits["voc"].damaged.folder / "images", repaired[0] / "voc/images"
    same = {
        "tagged.jpg": "tagged.jpg",
        "flipped.jpg": "flipped.jpg",
        "jpeg.png": "jpeg.jpg",
        "webp.webp": "webp.png",
        "gif.jpg": "gif.png",
        "animated.png": "animated.png",
    }
    for before, after in same.items():
        assert np.array_equal(read_image(old / before), read_image(new / after)), before
    cmyk = np.abs(read_image(old / "cmyk.jpg").astype(int) - read_image(new / "cmyk.jpg"))
    assert cmyk.mean() < 4  # encoded anew


def test_a_turned_picture_is_turned_as_pillow_does(audits, repaired):
    old, new = audits["voc"].damaged.folder / "images/turned.jpg", repaired[0] / "voc/images/turned.jpg"
    with Image.open(old) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    assert np.abs(read_image(new) - expected).mean() < 3
    labelled = read_labelled_set(repaired[0] / "voc")
    assert next(image.image_wh for image in labelled.images if image.file_name == "images/turned.jpg") == (120, 160)


@pytest.mark.parametrize("format_name", ["coco", "csv", "yolo"])
def test_sets_of_other_formats_are_repaired_too(audits, tmp_path, format_name):
    clean = read_labelled_set(write_clean_set(tmp_path / "voc", 3).folder)
    (tmp_path / "voc/annotations/clean0.xml").write_bytes(
        voc_xml((MASK, 120, 20, 170, 70), FACE, width=160, height=120)
    )
    labelled = read_labelled_set(tmp_path / "voc")
    write_labelled_set(labelled, tmp_path / "set", format_name)
    labelled = read_labelled_set(tmp_path / "set", format_name)
    findings = audit(labelled)
    assert {finding.rule for finding in findings} >= {"box-outside"}
    changes = repair_set(labelled, findings, tmp_path / "copy")
    copy = read_labelled_set(tmp_path / "copy")
    assert (copy.format, len(copy.images)) == (format_name, len(clean.images))
    assert copy.images[0].boxes[0].box_xyxy == (120.0, 20.0, 160.0, 70.0)
    assert [change.rule for change in changes] == [finding.rule for finding in findings if finding.repair]
    assert not [finding for finding in audit(copy) if finding.repair]


def test_pictures_without_labels_are_repaired_too(tmp_path):
    for name, content in {"a.png": encoded(scene(0)), "b/c.png": encoded(scene(1), "JPEG"), "d.png": b"x"}.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(content)
    labelled = read_labelled_set(tmp_path / "set")
    repair_set(labelled, audit(labelled), tmp_path / "copy")
    assert set(contents(tmp_path / "copy")) == {"a.png", "b/c.jpg", LOG_NAME}


def test_a_copy_without_its_log_is_never_left(tmp_path, monkeypatch):
    clean = write_clean_set(tmp_path / "set", 1)
    for name in ("labelled", "plain"):
        labelled = read_labelled_set(clean.folder, None if name == "labelled" else "images")
        with monkeypatch.context() as patch:
            patch.setattr(repair, "LOG_NAME", "no/such\0name.csv")
            with pytest.raises(ValueError, match="null"):
                repair_set(labelled, [], tmp_path / name)
        assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_only_what_is_asked_for_is_repaired(audits, tmp_path):
    one = audits["voc"]
    wanted = [finding for finding in one.findings if finding.rule == "box-outside"]
    changes = repair_set(
        LabelledSet(
            one.labelled.root,
            "voc",
            one.labelled.class_names,
            tuple(image for image in one.labelled.images if "box-" in image.file_name),
            (),
        ),
        [finding for finding in wanted if "box-" in finding.file],
        tmp_path / "copy",
    )
    assert [(change.file, change.after) for change in changes] == [("images/box-outside.png", "(120, 20, 160, 70)")]
    again = {finding.rule for finding in audit(read_labelled_set(tmp_path / "copy"))}
    assert again >= {"box-inverted", "box-edge-off-by-one", "box-repeated"}
    assert "box-outside" not in again


def test_a_taken_folder_and_one_inside_the_set_are_refused(audits, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    for folder in (tmp_path, audits["lines"].damaged.folder / "copy"):
        with pytest.raises(ValueError, match=r"expected (no folder or an empty one|a folder outside the set)"):
            repair_set(audits["lines"].labelled, audits["lines"].findings, folder)
    assert (tmp_path / "note.txt").read_text() == "mine"
    assert not (tmp_path / LOG_NAME).exists()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "MPO"])
def test_a_file_without_exif_is_the_same_picture(tmp_path, format_name):
    exif = Image.Exif()
    exif[0x0112] = 6
    if format_name == "MPO":
        frames = [Image.fromarray(scene(seed)) for seed in range(2)]
        frames[0].save(tmp_path / "a", "MPO", save_all=True, append_images=frames[1:], exif=exif)
    else:
        (tmp_path / "a").write_bytes(encoded(scene(0), format_name, exif=exif))
    (tmp_path / "b").write_bytes(without_exif((tmp_path / "a").read_bytes()))
    assert (read_header(tmp_path / "a").orientation, read_header(tmp_path / "b").orientation) == (6, 1)
    assert np.array_equal(read_image(tmp_path / "a"), read_image(tmp_path / "b"))
    assert 0 < (tmp_path / "a").stat().st_size - (tmp_path / "b").stat().st_size < 400


def test_no_exif_in_what_is_neither():
    assert without_exif(oriented_jpeg(scene(0), 6)[:2]) == b"\xff\xd8"
    with pytest.raises(ValueError, match="expected a PNG or JPEG file, got one that starts with b'GIF8'"):
        without_exif(b"GIF89a")


def test_a_name_follows_the_content(tmp_path):
    (tmp_path / "a").write_bytes(encoded(scene(0), "JPEG"))
    header = read_header(tmp_path / "a")
    assert repaired_name("x/a.b.png", header) == "x/a.b.jpg"
    assert repaired_name("x/a.JPEG", header) == "x/a.JPEG"


def test_names_that_would_meet_are_told_apart():
    names = {"a.jpg": "a.jpg", "a.png": "a.jpg", "a_.jpg": "a_.jpg", "images/b.png": "images/b.png", "b.png": "b.png"}
    assert apart(names, is_by_stem=False) == names | {"a.png": "a__.jpg", "b.png": "b_.png"}
    assert apart({"a.jpg": "a.jpg", "a.png": "a.png"}, is_by_stem=False) == {"a.jpg": "a.jpg", "a.png": "a.png"}
    assert apart({"a.jpg": "a.jpg", "a.png": "a.png"}, is_by_stem=True) == {"a.jpg": "a.jpg", "a.png": "a_.png"}
    assert apart({}, is_by_stem=True) == {}


@pytest.mark.parametrize("format_name", ["coco", "csv", "yolo", "voc"])
def test_an_image_whose_only_label_is_broken_is_no_negative(tmp_path, format_name):
    for name in ("a.png", "b.png", "c.png"):
        path = tmp_path / "set" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(scene(ord(name[0]))))
    whole = LabelledSet(
        tmp_path / "set",
        "csv",
        ("mask",),
        tuple(
            LabelledImage(name, (WIDTH, HEIGHT), boxes, "x")
            for name, boxes in (
                ("a.png", (LabelledBox("mask", (10.0, 10.0, 40.0, 40.0)),)),
                ("b.png", ()),
                ("c.png", (LabelledBox("mask", (12.0, 12.0, 40.0, 40.0)),)),
            )
        ),
        (),
    )
    write_labelled_set(whole, tmp_path / "written", format_name)
    broken = {"coco": ("[10.0, 10.0", "[NaN, 10.0"), "csv": ("mask,10,", "mask,nan,"), "voc": (">10<", ">nan<")}
    for path in (tmp_path / "written").rglob("*"):
        if path.suffix in (".json", ".csv", ".xml") or path.name == "a.txt":
            text = path.read_text()
            path.write_text("0 nan 0.5 0.1 0.1\n" if path.name == "a.txt" else text.replace(*broken[format_name]))
    labelled = read_labelled_set(tmp_path / "written")
    findings = audit(labelled)
    faceless = [finding.file for finding in findings if finding.rule == "image-without-faces"]
    assert [Path(name).name for name in faceless] == ["b.png"]
    repair_set(labelled, findings, tmp_path / "repaired")
    copy = {Path(image.file_name).name: image for image in read_labelled_set(tmp_path / "repaired").images}
    assert [copy[name].label_file is None for name in ("a.png", "b.png", "c.png")] == [True, False, False]


def test_the_evidence_of_another_picture_or_beyond_many_findings_is_not_mixed_up(tmp_path):
    turned = voc_xml((MASK, 20, 20, 60, 70), width=HEIGHT, height=WIDTH)
    upright = voc_xml((MASK, 20, 20, 60, 70), width=WIDTH, height=HEIGHT)
    (tmp_path / "set").mkdir()
    for name, xml in (("1", upright), ("11", turned)):
        (tmp_path / f"set/{name}.jpg").write_bytes(oriented_jpeg(scene(0), 6))
        (tmp_path / f"set/{name}.xml").write_bytes(xml)
    write_labelled_set(read_labelled_set(tmp_path / "set"), tmp_path / "coco", "coco")
    content = json.loads((tmp_path / "coco/annotations.json").read_text())
    for entry in content["images"]:
        if entry["file_name"] == "11.jpg":
            entry["width"], entry["height"] = HEIGHT, WIDTH
    (tmp_path / "coco/annotations.json").write_text(json.dumps(content))
    for folder in ("set", "coco"):
        found = [one for one in audit(read_labelled_set(tmp_path / folder)) if one.rule == "image-exif-rotated"]
        told = {Path(one.file).name: (one.detail, one.repair) for one in found}
        assert len(told) == len(set(told.values())) == 2, told
