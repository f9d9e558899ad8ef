"""Recognizing a format, and what a folder may hold besides a set: links, pipes, bombs, nothing."""

import io
import os

import pytest
from PIL import Image

from foreign_sets import coco_members, csv_members, faces_of, png_header, rules_of, yolo_members
from maskdet.data.formats import READER_RULES, READERS, read_labelled_set
from maskdet.data.labelled_set import ERROR, NOTE, WARNING, refuse_errors
from raw_archive import WITH, noise_png, voc_xml, write_folder, write_zip

LINE = "1 0.25 0.5 0.25 0.5"
XML = voc_xml((WITH, 4, 5, 20, 25))


def turned_jpeg() -> bytes:
    """Return a picture of 64 x 48 pixels whose EXIF orientation says that it stands on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.new("RGB", (64, 48)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"a.png": noise_png(0), "a.xml": XML, "notes.txt": b"mask", "obj.json": b"{}"}, "voc"),
        (
            {"a.png": noise_png(0), "a.xml": '<?xml version="1.0" encoding="utf-16"?><annotation/>'.encode("utf-16")},
            "voc",
        ),
        (yolo_members(LINE) | {"pom.xml": b"<project/>", "folds.csv": b"file_name,fold\n"}, "yolo"),
        (yolo_members(), "yolo"),
        ({"a.png": noise_png(0), "data.yaml": b"names: [mask]"}, "yolo"),
        (coco_members([]), "coco"),
        (csv_members(), "csv"),
        ({"a.png": noise_png(0), "b/c.JPEG": noise_png(1), "classes.txt": b"mask", "README.md": b"2"}, "images"),
    ],
)
def test_the_format_is_recognized_and_can_be_named(tmp_path, members, name):
    folder = write_folder(tmp_path, members)
    labelled = read_labelled_set(folder)
    assert labelled.format == name
    assert read_labelled_set(folder, name) == labelled
    assert labelled.root == folder
    assert [image.file_name for image in labelled.images] == sorted(image.file_name for image in labelled.images)


def test_two_formats_have_to_be_told_apart(tmp_path):
    folder = write_folder(tmp_path, yolo_members(LINE) | {"obj/a.xml": XML})
    message = r"expected labels in one format, found voc \(VOC files such as obj/a.xml\), yolo \(.* such as obj/a.txt\)"
    with pytest.raises(ValueError, match=message):
        read_labelled_set(folder)
    assert read_labelled_set(folder, "voc").class_names == (WITH,)
    assert read_labelled_set(folder, "images").findings == ()


def test_what_is_no_set(tmp_path):
    with pytest.raises(ValueError, match=r"set: expected a folder, found nothing"):
        read_labelled_set(tmp_path / "set")
    with pytest.raises(ValueError, match=r"a.zip: expected a folder, found a file"):
        read_labelled_set(write_zip(tmp_path / "a.zip", {}))
    folder = write_folder(tmp_path / "set", {"README.md": b"nothing", ".a.png": noise_png(0), "__MACOSX/a.xml": XML})
    with pytest.raises(ValueError, match=r"expected a data set \(voc: .*; yolo: .*; images: .*\), found none of it"):
        read_labelled_set(folder)
    with pytest.raises(ValueError, match="expected one of the formats voc, yolo, coco, csv, images, got 'xml'"):
        read_labelled_set(folder, "xml")
    write_folder(folder, {"a.png": noise_png(0)})
    with pytest.raises(ValueError, match=r"expected a set in the format voc .*, found images \(1 images\)"):
        read_labelled_set(folder, "voc")


@pytest.mark.parametrize(
    ("name", "members"),
    [("voc", {"a.png": noise_png(0), "a.xml": XML}), ("yolo", yolo_members(LINE)), ("coco", coco_members([]))],
)
def test_links_are_named_and_never_followed(tmp_path, name, members):
    write_folder(tmp_path / "outside", {"x.png": noise_png(5), "x.txt": LINE.encode(), "x.xml": XML, "x.json": b"{}"})
    folder = write_folder(tmp_path / "set", members)
    for file in ("x.png", "x.txt", "x.xml", "x.json"):
        (folder / file).symlink_to(tmp_path / "outside" / file)
    (folder / "more").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    labelled = read_labelled_set(folder, name)
    assert len(labelled.images) == 1
    links = ["loop", "more", "x.json", "x.png", "x.txt", "x.xml"]
    assert [(file, rule) for file, rule in rules_of(labelled) if rule == "path-outside"] == [
        (link, "path-outside") for link in links
    ]


def test_pipes_are_left_alone(tmp_path):
    folder = write_folder(tmp_path, yolo_members(LINE))
    for name in ("obj/b.png", "obj/b.txt", "data.yaml", "b.json"):
        os.mkfifo(folder / name)
    assert len(read_labelled_set(folder).images) == 1


def test_names_that_are_no_utf_8(tmp_path):
    folder = write_folder(tmp_path, yolo_members(LINE))
    name = os.fsencode(str(folder)) + b"/obj/\xff.png"
    with open(name, "wb") as stream:  # noqa: PTH123 - a Path cannot be made of bytes
        stream.write(noise_png(1))
    labelled = read_labelled_set(folder)
    assert [image.file_name for image in labelled.images] == ["obj/a.png"]
    assert rules_of(labelled) == [("obj/\\xff.png", "image-unreadable")]


def test_sizes_come_from_headers_alone(tmp_path):
    members = {
        "big.png": png_header(9_000, 10_000),
        "bomb.png": png_header(60_000, 60_000),
        "cut.png": noise_png(0)[:60],
    }
    members |= {"empty.png": b"", "text.jpg": b"no image", "turned.jpg": turned_jpeg(), "webp.png": noise_png(1)}
    labelled = read_labelled_set(write_folder(tmp_path, members))
    assert {image.file_name: image.image_wh for image in labelled.images} == {
        "big.png": (9_000, 10_000),
        "bomb.png": None,
        "cut.png": (64, 48),
        "empty.png": None,
        "text.jpg": None,
        "turned.jpg": (64, 48),  # of the stored pixels
        "webp.png": (64, 48),
    }
    assert rules_of(labelled) == [(name, "image-unreadable") for name in ("bomb.png", "empty.png", "text.jpg")]
    assert "3600000000 pixels" in labelled.findings[0].detail


def test_rules():
    assert {rule.severity for rule in READER_RULES.values()} == {ERROR, WARNING, NOTE}
    assert all(rule.meaning.endswith(".") for rule in READER_RULES.values())
    assert list(READERS) == ["voc", "yolo", "coco", "csv", "images"]


def test_strict_reading_is_refuse_errors(tmp_path):
    folder = write_folder(tmp_path, yolo_members(LINE, "9 0.5 0.5 0.5 0.5"))
    with pytest.raises(ValueError, match=r"masks: .*, got 1 class-unknown:\n  obj/a.txt: line 2: expected a class of"):
        refuse_errors("masks", read_labelled_set(folder).findings)
    assert faces_of(read_labelled_set(folder))["obj/a"]
