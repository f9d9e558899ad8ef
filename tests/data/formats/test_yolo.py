"""YOLO sets: every layout in use gives the same set, and every malformed line is named."""

import re

import pytest

from foreign_sets import faces_of, rules_of, yolo_members
from maskdet.data.formats import read_labelled_set
from raw_archive import noise_png, write_folder

LINE = "1 0.25 0.5 0.25 0.5"  # of 64 x 48 pixels: (8, 12, 24, 36)
BOX = ("mask", (8.0, 12.0, 24.0, 36.0), False)
NAMES = "no_mask\nmask\n"
YAML = "path: /home/someone/sets\ntrain: ../train/images\nval: images/val\nnc: 2\nnames: {}\n"


def read(tmp_path, members):
    return read_labelled_set(write_folder(tmp_path / "set", members))


@pytest.mark.parametrize(
    ("image", "label", "lists"),
    [
        ("obj/a.png", "obj/a.txt", {"obj.names": NAMES}),
        ("data/obj/a.png", "data/obj/a.txt", {"data/obj.names": NAMES, "data/obj.data": "classes = 2\n"}),
        ("images/train/a.png", "labels/train/a.txt", {"data.yaml": YAML.format("[no_mask, mask]")}),
        ("images/train/a.png", "labels/train/a.txt", {"data.yaml": YAML.format("{0: no_mask, 1: mask}")}),
        ("train/images/a.b.png", "train/labels/a.b.txt", {"data.yaml": YAML.format("\n- no_mask\n- mask")}),
        ("a.png", "a.txt", {"classes.txt": NAMES}),
        ("Images/a.png", "Labels/a.txt", {"Labels/classes.txt": "\ufeffno_mask\r\nmask\r\n"}),
        ("pictures/a.png", "boxes/a.txt", {"classes.txt": NAMES}),
    ],
)
def test_layouts(tmp_path, image, label, lists):
    members = {image: noise_png(0), label: LINE.encode(), "README.txt": b"1. Unpack\n"}
    labelled = read(tmp_path, members | {name: text.encode() for name, text in lists.items()})
    assert labelled.format == "yolo"
    assert labelled.class_names == ("no_mask", "mask")
    assert [(item.file_name, item.label_file, item.image_wh) for item in labelled.images] == [(image, label, (64, 48))]
    assert list(faces_of(labelled).values()) == [[BOX]]
    assert labelled.findings == ()


def test_no_face_is_not_the_same_as_no_label(tmp_path):
    labelled = read(tmp_path, yolo_members("", "  ") | {"obj/b.png": noise_png(1), "obj/c.txt": b""})
    assert faces_of(labelled) == {"obj/a": [], "obj/b": None}
    assert rules_of(labelled) == [("obj/b.png", "image-without-labels"), ("obj/c.txt", "labels-without-image")]


def test_a_set_of_images_without_faces_alone(tmp_path):
    members = {"a.png": noise_png(0), "a.txt": b"", "b.png": noise_png(1)}
    labelled = read(tmp_path / "listed", members | {"classes.txt": NAMES.encode()})
    assert (labelled.format, faces_of(labelled)) == ("yolo", {"a": [], "b": None})
    assert read(tmp_path / "unlisted", members).format == "images"  # an empty text may be anything
    notes = {"a.png": noise_png(0), "notes.txt": b"", "classes.txt": NAMES.encode()}
    assert read(tmp_path / "notes", notes).format == "images"


@pytest.mark.parametrize(
    ("line", "rule", "detail"),
    [
        ("1 0.5 0.5 0.5", "label-columns", "line 2: expected a class and 4 numbers, .*, got 4 columns"),
        ("1 0.5 0.5 0.5 0.5 0.9", "label-columns", "line 2: .*, got 6 columns"),
        ("1 .1 .1 .2 .1 .2 .2 .3", "label-columns", "line 2: .*, got 8 columns"),
        ("1 0.5 0.5 nan 0.5", "label-number", "line 2: expected a finite number, got nan"),
        ("1 0.5 0.5 0.5 inf", "label-number", "line 2: expected a finite number, got inf"),
        ("1 0.5 0.5 0.5 1e300", "label-number", "line 2: expected a finite number, got 1e.300"),
        ("1 0,5 0.5 0.5 0.5", "label-number", "line 2: expected a number, got '0,5'"),
        ("1 0.5 0.5 0.5 0_1", "label-number", "line 2: expected a number, got '0_1'"),
        ("mask 0.5 0.5 0.5 0.5", "label-number", "line 2: expected the number of a class, got 'mask'"),
        ("0.5 0.5 0.5 0.5 0.5", "label-number", "line 2: expected a whole number of a class, got '0.5'"),
        ("1e999999 0.5 0.5 0.5 0.5", "label-number", "line 2: expected a whole number of a class"),
        ("nan 0.5 0.5 0.5 0.5", "label-number", "line 2: expected a whole number of a class"),
        ("2 0.5 0.5 0.5 0.5", "class-unknown", r"line 2: expected a class of obj.names \(0, 1\), got 2"),
        ("-1 0.5 0.5 0.5 0.5", "class-unknown", r"line 2: expected a class of obj.names \(0, 1\), got -1"),
        ("1 120 80 60 40", "box-outside-unit", r"line 2: .* in \[0, 1\], got 120 80 60 40"),
    ],
)
def test_a_malformed_line_is_named_and_the_others_are_taken(tmp_path, line, rule, detail):
    labelled = read(tmp_path, yolo_members(LINE, line, "1.0 0.25 0.5 0.25 0.5"))
    assert faces_of(labelled) == {"obj/a": [BOX, BOX]}
    assert [box.place for box in labelled.images[0].boxes] == ["line 1", "line 3"]
    [finding] = labelled.findings
    assert (finding.file, finding.rule, finding.severity) == ("obj/a.txt", rule, "error")
    assert re.fullmatch(f"{detail}.*", finding.detail)


def test_a_box_outside_the_unit_square_is_kept_where_it_meets_the_image(tmp_path):
    labelled = read(tmp_path, yolo_members("1 0.5 0.5 1.5 0.5", "1 0.5 0.5 -0.5 0.5", "1 1.6 0.5 0.5 0.5"))
    assert [box.box_xyxy for box in labelled.images[0].boxes] == [(-16, 12, 80, 36), (48, 12, 16, 36)]
    assert [finding.rule for finding in labelled.findings] == ["box-outside-unit"] * 3
    assert [finding.repair for finding in labelled.findings] == ["clipped to the image"] * 2 + ["left out"]


def test_polygons_and_keypoints_become_boxes_with_a_note(tmp_path):
    polygon = "1 0.25 0.25 0.5 0.25 0.5 0.75"
    labelled = read(tmp_path, yolo_members(polygon, polygon))
    assert [box.box_xyxy for box in labelled.images[0].boxes] == [(16, 12, 32, 36)] * 2
    assert [(finding.rule, finding.severity) for finding in labelled.findings] == [("label-reduced", "note")]
    assert "got 2 polygons" in labelled.findings[0].detail
    pose = {"data.yaml": b"names: [no_mask, mask]\nkpt_shape: [1, 2]\n"}  # 7 columns, as a triangle has
    members = yolo_members(f"{LINE} 0.9 0.9", names=None)
    assert faces_of(read(tmp_path / "pose", members | pose)) == {"obj/a": [BOX]}


def test_class_lists(tmp_path):
    yaml = b"names: {0: no, 1: 'on', 3: '007'}  # no booleans, no numbers\n"
    labelled = read(tmp_path, yolo_members("3 0.5 0.5 0.5 0.5", names="no\non\n") | {"data.yaml": yaml})
    assert labelled.class_names == ("no", "on", "007")
    assert labelled.images[0].boxes[0].class_name == "007"
    assert rules_of(labelled) == [("obj.names", "class-list-differs")]
    nameless = read(tmp_path / "nameless", yolo_members(LINE, "0.0 0.5 0.5 0.5 0.5", names=None))
    assert nameless.class_names == ("0", "1")
    assert [finding.severity for finding in nameless.findings] == ["warning"]
    assert rules_of(nameless) == [(".", "class-list-missing")]


@pytest.mark.parametrize(
    "yaml",
    [
        b"names: [mask",
        b"names: mask\n",
        b"names: [[mask]]\n",
        b"names: {a: mask}\n",
        b"names: [a]\nkpt_shape: [a]\n",
        b"names: &a [*a]\n",
        b"x: " + b"[" * 5000,
        b"names: [" + b"a, " * 100_000 + b"]",
        b"names: [\xff]\n",
    ],
)
def test_an_unreadable_class_list_is_an_error_and_the_next_one_counts(tmp_path, yaml):
    labelled = read(tmp_path, yolo_members(LINE) | {"data.yaml": yaml})
    assert faces_of(labelled) == {"obj/a": [BOX]}
    assert rules_of(labelled) == [("data.yaml", "label-unreadable")]


def test_yaml_cannot_grow_or_build_objects(tmp_path):
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)) + "names: *a59\n"
    labelled = read(tmp_path, yolo_members(LINE) | {"data.yaml": bomb.encode()})
    assert rules_of(labelled) == [("data.yaml", "label-unreadable")]
    evil = b"names: !!python/object/apply:os.system ['touch evil']\n"
    labelled = read(tmp_path / "evil", yolo_members("0 0.5 0.5 0.5 0.5") | {"data.yaml": evil})
    assert labelled.class_names == ("touch evil",)  # a text like any other


def test_unreadable_label_files(tmp_path):
    members = yolo_members(LINE) | {"obj/b.png": noise_png(1), "obj/b.txt": b"\xff\xfe1\x00", "obj/c.png": noise_png(2)}
    members["obj/c.txt"] = b"1 0.5 0.5 0.5 0.5\n" * 300_000
    labelled = read(tmp_path, members)
    assert faces_of(labelled) == {"obj/a": [BOX], "obj/b": None, "obj/c": None}
    assert [rule for rule in rules_of(labelled) if rule[1] == "label-unreadable"] == [
        ("obj/b.txt", "label-unreadable"),
        ("obj/c.txt", "label-unreadable"),
    ]


def test_a_file_of_garbage_does_not_fill_the_memory(tmp_path):
    labelled = read(tmp_path, yolo_members(*["x"] * 5000))
    assert len(labelled.findings) == 1001
    assert labelled.findings[-1].detail == "and 4000 more in this file"


def test_unreadable_images_have_no_boxes(tmp_path):
    labelled = read(tmp_path, yolo_members(LINE) | {"obj/a.png": b"no image"})
    assert labelled.images[0].image_wh is None
    assert labelled.images[0].boxes == ()
    assert rules_of(labelled) == [("obj/a.png", "image-unreadable")]


def test_lists_of_images_are_compared_and_never_followed(tmp_path):
    listed = (
        "/content/darknet/data/obj/a.png\ndata\\obj\\a.png\nobj/gone.png\n../../secret.png\n/etc/b.jpg\nC:\\c.jpg\n"
    )
    labelled = read(tmp_path, yolo_members(LINE) | {"train.txt": listed.encode()})
    assert [(finding.rule, finding.detail.split(":")[0]) for finding in labelled.findings] == [
        ("labels-without-image", "line 3"),
        ("path-outside", "line 4"),
        ("path-outside", "line 5"),
        ("path-outside", "line 6"),
    ]


def test_files_that_share_a_name(tmp_path):
    members = yolo_members(LINE, image="images/a.png") | {"images/a.jpg": noise_png(1), "labels/a.txt": b""}
    labelled = read(tmp_path, members)
    assert rules_of(labelled) == [
        ("images/a.png", "label-ambiguous"),
        ("images/a.png", "image-without-labels"),
        ("labels/a.txt", "label-ambiguous"),
    ]
    assert {image.file_name: image.label_file for image in labelled.images} == {
        "images/a.jpg": "images/a.txt",  # the first of either, by path
        "images/a.png": None,
    }
