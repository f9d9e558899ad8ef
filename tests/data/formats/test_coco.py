"""COCO sets: images found wherever they lie, every malformed entry named, predictions and traps refused."""

import json

import pytest

from foreign_sets import coco_members, faces_of, rules_of
from maskdet.data.formats import read_labelled_set
from raw_archive import noise_png, write_folder

GOOD = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [4, 5, 16, 20.5]}
FACES = [("mask", (4.0, 5.0, 20.0, 25.5), False)]


def read(tmp_path, members, name=None):
    return read_labelled_set(write_folder(tmp_path / "set", members), name)


def test_categories_have_any_numbers_and_segmentations_are_ignored(tmp_path):
    rle = {"size": [48, 64], "counts": "broken"}
    labelled = read(tmp_path, coco_members([GOOD | {"segmentation": rle}, GOOD | {"id": 2, "category_id": 90}]))
    assert labelled.format == "coco"
    assert labelled.class_names == ("mask", "none")
    assert faces_of(labelled) == {"a": [*FACES, ("none", *FACES[0][1:])]}
    assert [box.place for box in labelled.images[0].boxes] == ["annotation 1", "annotation 2"]
    assert labelled.images[0].label_file == "labels.json"
    assert rules_of(labelled) == [("labels.json", "label-reduced")]


@pytest.mark.parametrize(
    ("image", "json_file", "name"),
    [
        ("a.png", "labels.json", "a.png"),
        ("images/a.png", "annotations/instances.json", "a.png"),
        ("images/a.png", "annotations/instances.json", "../images/a.png"),
        ("images/a.png", "annotations/instances.json", "images\\a.png"),
        ("train2017/x/a.png", "annotations/instances.json", "x/a.png"),
        ("train/a.png", "train/_annotations.coco.json", "a.png"),
    ],
)
def test_images_are_found(tmp_path, image, json_file, name):
    content = json.loads(coco_members([GOOD])["labels.json"])
    content["images"][0]["file_name"] = name
    labelled = read(tmp_path, {image: noise_png(0), json_file: json.dumps(content).encode()})
    assert [(item.file_name, len(item.boxes)) for item in labelled.images] == [(image, 1)]
    assert labelled.findings == ()


def test_equal_names_are_told_apart_by_the_folder_of_the_file(tmp_path):
    members = {f"{split}/a.png": noise_png(number) for number, split in enumerate(("train", "valid"))}
    for split, x_min in (("train", 1), ("valid", 2)):
        content = coco_members([GOOD | {"bbox": [x_min, 1, 5, 5]}])["labels.json"]
        members[f"{split}/_annotations.coco.json"] = content
    labelled = read(tmp_path, members)
    assert {name: faces[0][1][0] for name, faces in faces_of(labelled).items()} == {"train/a": 1, "valid/a": 2}
    elsewhere = {"x/a.png": noise_png(0), "y/a.png": noise_png(1), "labels.json": coco_members([])["labels.json"]}
    ambiguous = read_labelled_set(write_folder(tmp_path / "ambiguous", elsewhere))
    assert "found 2 of this name, x/a.png and y/a.png" in ambiguous.findings[0].detail


@pytest.mark.parametrize(
    ("change", "rule", "detail"),
    [
        ({"bbox": [1, 2, 3]}, "label-columns", "annotation 5: expected bbox with 4 numbers, got 3"),
        ({"bbox": None}, "label-columns", "annotation 5: expected bbox as list, got None"),
        ({"bbox": [1, 2, 3, "4"]}, "label-number", "annotation 5: expected a number, got '4'"),
        ({"bbox": [1, 2, 3, True]}, "label-number", "annotation 5: expected a number, got True"),
        ({"bbox": [1, 2, 3, float("nan")]}, "label-number", "annotation 5: expected a finite number, got nan"),
        ({"bbox": [1, 2, 3, float("inf")]}, "label-number", "annotation 5: expected a finite number, got inf"),
        ({"bbox": [10**400, 2, 3, 4]}, "label-number", "annotation 5: expected a finite number"),
        ({"category_id": 4}, "class-unknown", "annotation 5: expected a category (3 mask, 90 none), got 4"),
        ({"category_id": None}, "label-columns", "annotation 5: expected category_id as a whole number, got None"),
        ({"image_id": 8}, "labels-without-image", "annotation 5: expected the id of a listed image, got 8"),
        ({"image_id": [7]}, "label-columns", "annotation 5: expected image_id as a whole number, got [7]"),
    ],
)
def test_a_malformed_annotation_is_named_and_the_others_are_taken(tmp_path, change, rule, detail):
    labelled = read(tmp_path, coco_members([GOOD | {"id": 5} | change, GOOD]))
    assert faces_of(labelled) == {"a": FACES}
    [finding] = labelled.findings
    assert (finding.file, finding.rule, finding.severity) == ("labels.json", rule, "error")
    assert finding.detail.startswith(detail)


@pytest.mark.parametrize(
    ("images", "rules"),
    [
        ([{"id": 7, "file_name": "../../etc/a.png"}], ["path-outside"]),
        ([{"id": 7, "file_name": "/etc/a.png"}], ["path-outside"]),
        ([{"id": 7, "file_name": "C:\\a.png"}], ["path-outside"]),
        ([{"id": 7, "file_name": "gone.png"}], ["labels-without-image"]),
        ([{"id": 7, "file_name": " "}], ["labels-without-image"]),
        ([{"id": 7, "file_name": "a\0.png"}], ["labels-without-image"]),
        ([{"id": 7}], ["label-columns"]),
        ([{"id": 7, "file_name": 7}], ["label-columns"]),
        ([7], ["label-columns", "labels-without-image"]),
        ([{"file_name": "a.png"}], ["label-columns", "labels-without-image"]),
    ],
)
def test_images_that_cannot_be_found(tmp_path, images, rules):
    labelled = read(tmp_path, coco_members([GOOD], images))
    assert [rule for file, rule in rules_of(labelled) if file == "labels.json"] == rules
    assert faces_of(labelled) == {"a": None}


def test_doubled_entries(tmp_path):
    image = {"id": 7, "file_name": "a.png", "width": 640, "height": 48}
    twice = read(tmp_path, coco_members([GOOD], [image, image, image | {"id": 8}]))
    assert [rule for _, rule in rules_of(twice)] == ["size-differs", "label-ambiguous", "label-ambiguous"]
    assert faces_of(twice) == {"a": FACES}
    members = coco_members([GOOD], categories=[{"id": 3, "name": "mask"}, {"id": 3, "name": "other"}, {"id": 4}])
    assert [rule for _, rule in rules_of(read(tmp_path / "categories", members))] == [
        "label-ambiguous",
        "label-columns",
    ]


def test_several_files_are_one_set(tmp_path):
    members = coco_members([GOOD])
    other = coco_members(
        [GOOD | {"category_id": 1}],
        [{"id": 7, "file_name": "b.png"}],
        [{"id": 1, "name": "none"}, {"id": 2, "name": "z"}],
    )
    members |= {"images/b.png": noise_png(1), "val.json": other["labels.json"], "all.json": members["labels.json"]}
    labelled = read(tmp_path, members)
    assert labelled.class_names == ("mask", "none", "z")
    assert faces_of(labelled) == {"a": FACES, "b": [("none", *FACES[0][1:])]}
    assert rules_of(labelled) == [("labels.json", "label-ambiguous")]  # all.json was first


def test_outlines_and_keypoints_are_told(tmp_path):
    outline = GOOD | {"segmentation": [[1, 1, 9, 1, 9, 9]]}
    annotations = [outline, outline | {"keypoints": [3, 3, 2]}, GOOD | {"segmentation": [], "keypoints": []}]
    labelled = read(tmp_path, coco_members(annotations))
    assert [finding.detail for finding in labelled.findings] == [
        "expected boxes of single objects, got 2 with an outline, 1 with keypoints"
    ]
    assert rules_of(labelled) == [("labels.json", "label-reduced")]


def test_crowds_and_flags_are_difficult_boxes(tmp_path):
    annotations = [GOOD | {"iscrowd": 1}, GOOD | {"is_difficult": 1}, GOOD | {"iscrowd": 0}]
    labelled = read(tmp_path, coco_members(annotations))
    assert [box.is_difficult for box in labelled.images[0].boxes] == [True, True, False]
    assert [(finding.rule, finding.severity) for finding in labelled.findings] == [("label-reduced", "note")]


@pytest.mark.parametrize(
    "content",
    [
        [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.9}],
        {"images": [], "annotations": [{"score": 0.5}]},
    ],
)
@pytest.mark.parametrize("name", [None, "coco"])
def test_predictions_are_refused(tmp_path, content, name):
    members = {"a.png": noise_png(0), "predictions.json": json.dumps(content).encode()}
    with pytest.raises(ValueError, match=r"predictions.json: expected labels .*, got predictions, which are no labels"):
        read(tmp_path, members, name)


@pytest.mark.parametrize(
    "content",
    [
        b'{"images": [',
        b'{"images": {}}',
        b'{"images": [' + b"[" * 200_000,
        b'{"images": [\xff]}',
        b'{"info": ' + b"9" * 5000 + b"}",
    ],
)
def test_files_that_cannot_be_read(tmp_path, content):
    with pytest.raises(ValueError, match="expected a COCO file that can be read, got expected"):
        read(tmp_path, {"a.png": noise_png(0), "labels.json": content})
    labelled = read(tmp_path / "beside", coco_members([GOOD]) | {"broken.json": content})
    assert faces_of(labelled) == {"a": FACES}
    assert rules_of(labelled) == [("broken.json", "label-unreadable")]


def test_other_json_files_are_no_labels(tmp_path):
    labelled = read(tmp_path, coco_members([GOOD]) | {"package.json": b'{"name": "x"}', "b.json": b"[]"})
    assert labelled.findings == ()


def test_ids_of_tables_with_gaps_are_whole_numbers_too(tmp_path):
    labelled = read(tmp_path, coco_members([GOOD | {"image_id": 7.0, "category_id": 3.0}]))
    assert faces_of(labelled) == {"a": FACES}
    assert labelled.findings == ()
