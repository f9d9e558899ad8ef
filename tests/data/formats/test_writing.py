"""What is written reads back as the same set, in every format and through all of them, and by other people's code."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foreign_sets import faces_of, labelled_set, png_header, yolo_members
from maskdet.data.formats import WRITERS, check_target, read_labelled_set, write_labelled_set
from maskdet.data.formats.coordinates import shortest_float32
from maskdet.data.labelled_set import LabelledSet
from raw_archive import write_folder

FORMATS = list(WRITERS)
FACES = {
    "a.png": [("with mask", (4.0, 5.0, 20.0, 25.0), False), ("none", (0.1, 0.2, 64.0, 48.0), True)],
    "x/a.png": [("none", (1.0, 2.0, 3.0, 4.0), False)],
    "x/without.png": [],
    "x/unlabelled.png": None,
}
NAMES = ("none", "with mask", "never")
WITHOUT_CONTROL = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
CLASS_NAMES = st.text(WITHOUT_CONTROL, min_size=1, max_size=12).map(str.strip).filter(bool)
STEMS = st.text(st.characters(categories=("L", "N"), include_characters=" -_.'&"), min_size=1, max_size=12).filter(
    lambda text: not text.startswith(".") and text == text.strip() and len(text.encode()) < 100
)


@st.composite
def sets(draw):
    """Draw a class list, an image size up to 10,000 px and images with boxes inside; coordinates are float32."""
    width, height = draw(st.integers(1, 10_000)), draw(st.integers(1, 10_000))
    names = draw(st.lists(CLASS_NAMES, min_size=1, max_size=4, unique=True))

    def side(limit: int):
        one = st.one_of(st.integers(0, limit).map(float), st.floats(0, limit, width=32).map(shortest_float32))
        return st.tuples(one, one).map(sorted)

    face = st.tuples(
        st.sampled_from(names),
        st.tuples(side(width), side(height)).map(lambda xy: (xy[0][0], xy[1][0], xy[0][1], xy[1][1])),
        st.booleans(),
    )
    stems = draw(st.lists(STEMS, min_size=1, max_size=3, unique_by=lambda stem: stem.lower()))
    folder = draw(st.sampled_from(["", "train/", "größe/x y/"]))
    faces = {f"{folder}{stem}.png": draw(st.none() | st.lists(face, max_size=4)) for stem in stems}
    return faces, tuple(names), (width, height)


def written(labelled: LabelledSet, folder: Path, name: str) -> LabelledSet:
    write_labelled_set(labelled, folder, name)
    return read_labelled_set(folder)  # recognized; of a set without any label VOC leaves images alone


def same_float32(faces: dict, wanted: dict, keeps_flags: bool) -> bool:
    """Say whether faces are the same with boxes as float32; a coordinate below 1e-5 px may be off by as much."""
    if faces.keys() != wanted.keys():
        return False
    for name, expected in wanted.items():
        if expected is None or faces[name] is None:
            if faces[name] is not expected:
                return False
            continue
        if [(face[0], face[2] and keeps_flags) for face in expected] != [(face[0], face[2]) for face in faces[name]]:
            return False
        found = np.array([face[1] for face in faces[name]], np.float32)
        boxes = np.array([face[1] for face in expected], np.float32)
        if not ((found == boxes) | ((boxes < 1e-5) & (abs(found - boxes) < 1e-5))).all():
            return False
    return True


@settings(max_examples=25, deadline=None)
@given(sets(), st.sampled_from(FORMATS))
def test_every_format_brings_the_same_set_back(drawn, name):
    faces, names, image_wh = drawn
    with tempfile.TemporaryDirectory() as folder:
        labelled = labelled_set(Path(folder, "set"), faces, names, image_wh)
        found = written(labelled, Path(folder, "out"), name)
        assert same_float32(faces_of(found), faces_of(labelled), WRITERS[name].keeps_difficult)
        if name in ("voc", "csv"):
            assert faces_of(found) == faces_of(labelled)  # as double
        labelled_images = [image for image in labelled.images if image.label_file]
        if WRITERS[name].declares_classes:
            assert found.class_names == names
        assert not [finding for finding in found.findings if finding.severity == "error"]
        assert sum(image.label_file is not None for image in found.images) == len(labelled_images)


@settings(max_examples=25, deadline=None)
@given(sets(), st.permutations(FORMATS))
def test_a_chain_of_formats_brings_the_same_set_back(drawn, chain):
    faces, names, image_wh = drawn
    with tempfile.TemporaryDirectory() as folder:
        labelled = found = labelled_set(Path(folder, "set"), faces, names, image_wh)
        for number, name in enumerate([*chain, "voc"]):
            found = written(found, Path(folder, str(number)), name)
        assert same_float32(faces_of(found), faces_of(labelled), keeps_flags=False)
        originals = sorted(path.read_bytes() for path in Path(folder, "set").rglob("*.png"))
        assert originals == sorted(path.read_bytes() for path in Path(folder, str(number)).rglob("*.png"))


def test_losses_are_told(tmp_path):
    labelled = labelled_set(tmp_path / "set", FACES, NAMES)
    losses = {name: write_labelled_set(labelled, tmp_path / name, name).losses for name in FORMATS}
    assert losses == {
        "yolo": ("1 boxes are no longer marked as difficult, since yolo has no such flag",),
        "coco": (),
        "voc": ("classes without a box are not named, since voc has no class list: never",),
        "csv": ("classes without a box are not named, since csv has no class list: never",),
    }


@pytest.mark.parametrize("name", FORMATS)
def test_counts_and_kinds_of_images_survive(tmp_path, name):
    labelled = labelled_set(tmp_path / "set", FACES, NAMES)
    result = write_labelled_set(labelled, tmp_path / "out", name)
    assert (result.num_images, result.num_without_faces, result.num_without_labels) == (4, 1, 1)
    assert result.faces_per_class == {"none": 2, "with mask": 1, "never": 0}
    found = read_labelled_set(tmp_path / "out")
    assert found.format == name
    assert {key: faces and len(faces) for key, faces in faces_of(found).items()} == {
        "a": 2,
        "x/a": 1,
        "x/without": [],
        "x/unlabelled": None,
    }
    assert [finding.rule for finding in found.findings] == ["image-without-labels"]


def test_what_the_files_look_like(tmp_path):
    labelled = labelled_set(tmp_path / "set", FACES, NAMES)
    for name in FORMATS:
        write_labelled_set(labelled, tmp_path / name, name)
    assert (tmp_path / "yolo/labels/a.txt").read_text() == (
        "1 0.18750000 0.31250000 0.25000000 0.41666667\n"  # 12/64, 15/48, 16/64, 20/48
        "0 0.5007812500 0.5020833333 0.9984375000 0.9958333333\n"
    )
    assert (tmp_path / "yolo/labels/x/without.txt").read_text() == ""
    assert not (tmp_path / "yolo/labels/x/unlabelled.txt").exists()
    assert "names:\n  0: none\n  1: with mask\n  2: never\n" in (tmp_path / "yolo/data.yaml").read_text()
    assert (tmp_path / "csv/labels.csv").read_text().splitlines()[1:] == [
        "a.png,with mask,4,5,20,25,0",
        "a.png,none,0.1,0.2,64,48,1",
        "x/a.png,none,1,2,3,4,0",
    ]
    assert "<xmin>0.1</xmin>" in (tmp_path / "voc/annotations/a.xml").read_text()
    coco = json.loads((tmp_path / "coco/annotations.json").read_text())
    assert coco["annotations"][1] == {
        "id": 2, "image_id": 1, "category_id": 1, "bbox": [0.1, 0.2, 63.9, 47.8], "area": 63.9 * 47.8, "iscrowd": 0,
        "is_difficult": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "numbers"), [(None, {"2": 2, "10": 10}), ("names: {10: b, 2: a, 3: c}\n", {"a": 2, "c": 3, "b": 10})]
)
def test_class_numbers_stay_what_they_were(tmp_path, names, numbers):
    members = yolo_members("10 0.25 0.5 0.25 0.5", "2 0.5 0.5 0.5 0.5", names=None)
    labelled = read_labelled_set(
        write_folder(tmp_path / "set", members | ({"data.yaml": names.encode()} if names else {}))
    )
    write_labelled_set(labelled, tmp_path / "out", "yolo")
    lines = (tmp_path / "out/labels/obj/a.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["10", "2"]
    found = read_labelled_set(tmp_path / "out")
    assert labelled.number_of == found.number_of == numbers
    assert list(found.class_names) == list(labelled.class_names) == list(numbers)


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "valid"), ["train: images/train", "val: images/valid"]),
        (("train", "val", "test"), ["train: images/train", "val: images/val", "test: images/test"]),
        (("train", "other"), ["train: images", "val: images"]),
    ],
)
def test_splits_that_the_folders_name(tmp_path, folders, splits):
    labelled = labelled_set(tmp_path / "set", {f"{folder}/a.png": [] for folder in folders}, ["mask"])
    write_labelled_set(labelled, tmp_path / "out", "yolo")
    lines = (tmp_path / "out/data.yaml").read_text().splitlines()
    assert [line for line in lines if "images" in line and not line.startswith("#")] == splits
    assert lines[0].startswith("# The set names no split") == (splits[0] == "train: images")


@pytest.mark.parametrize(
    ("name", "faces", "message"),
    [
        ("yolo", {"a.png": [("m", (-9.0, 5.0, -1.0, 9.0), False)]}, r"images/a.png: .* a box that YOLO can hold, .*"),
        ("yolo", {"a.png": [("m", (9.0, 5.0, 1.0, 9.0), False)]}, r"centre and size in \[0, 1\] .*, got .* -0.125000"),
        ("yolo", {"a.png": [], "a.jpg": []}, "label files of their own, got images/a.jpg and images/a.png; rename one"),
        (
            "voc",
            {"a.png": [], "images/a.jpg": []},
            "label files of their own, got images/a.png and images/images/a.jpg",
        ),
        ("coco", {"a.png": [], "images/a.png": []}, "names of their own, got images/a.png and images/images/a.png"),
        ("csv", {"a.png": [("m\x01", (1.0, 1.0, 2.0, 2.0), False)]}, r"without control characters, got 'm\\x01'"),
        ("xml", {"a.png": []}, "expected one of the formats yolo, coco, voc, csv, got 'xml'"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, name, faces, message):
    labelled = labelled_set(tmp_path / "set", faces)
    with pytest.raises(ValueError, match=message):
        write_labelled_set(labelled, tmp_path / "out", name)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(("name", "is_fine"), [("voc", True), ("csv", True), ("coco", False), ("yolo", False)])
def test_images_of_unknown_size(tmp_path, name, is_fine):
    labelled = labelled_set(tmp_path / "set", FACES)
    labelled = replace(labelled, images=tuple(replace(image, image_wh=None) for image in labelled.images))
    if is_fine:
        write_labelled_set(labelled, tmp_path / "out", name)
        assert faces_of(read_labelled_set(tmp_path / "out")) == faces_of(labelled)
    else:
        with pytest.raises(ValueError, match=r"images/a.png: expected an image of known size"):
            write_labelled_set(labelled, tmp_path / "out", name)


def test_targets(tmp_path):
    labelled = labelled_set(tmp_path / "set", FACES)
    (tmp_path / "empty").mkdir()
    write_labelled_set(labelled, tmp_path / "empty", "voc")
    with pytest.raises(ValueError, match="empty: expected no folder or an empty one, found a folder that is not empty"):
        write_labelled_set(labelled, tmp_path / "empty", "voc")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file: expected no folder or an empty one, found a file"):
        write_labelled_set(labelled, tmp_path / "file", "voc")
    with pytest.raises(ValueError, match="out: expected a folder outside the set that is read"):
        write_labelled_set(labelled, tmp_path / "set/out", "voc")
    (tmp_path / "new").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for folder in (tmp_path / "link", Path(), tmp_path / ".."):
        with pytest.raises(ValueError, match="expected a folder with a name of its own"):
            check_target(folder, tmp_path / "set")
    (tmp_path / "set/images/a.png").unlink()
    with pytest.raises(FileNotFoundError):
        write_labelled_set(labelled, tmp_path / "out", "voc")
    assert not (tmp_path / "out").exists()


def test_other_pixels_can_be_written(tmp_path):
    labelled = labelled_set(tmp_path / "set", FACES)
    write_labelled_set(labelled, tmp_path / "out", "voc", lambda image, path: path.write_bytes(png_header(7, 9)))
    assert {image.image_wh for image in read_labelled_set(tmp_path / "out").images} == {(7, 9)}
