"""Tables of labels: CSV and Parquet, a row a box or lists an image, Hydrogen Torch's and our own."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foreign_sets import csv_members, faces_of, rules_of
from maskdet.data.formats import read_labelled_set
from maskdet.schema import ANNOTATIONS, IMAGES, write_table
from raw_archive import noise_png, write_folder

FACES = [("mask", (4.0, 5.0, 20.0, 25.5), False)]
HYDROGEN = ["image", "class_id", "x_min", "y_min", "x_max", "y_max"]


def read(tmp_path, members, name=None):
    return read_labelled_set(write_folder(tmp_path / "set", members), name)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("file_name,class_name,x_min,y_min,x_max,y_max", "a.png,mask,4,5,20,25.5"),
        ("image,name,x_min,y_min,x_max,y_max", "images/a.png, mask ,4,5,20,25.5"),
        ("image,class_id,class_name,x_min,y_min,x_max,y_max", "a.png,0,mask,4,5,20,25.5"),
        ("xmin,ymin,xmax,ymax,Label,extra,filename", '4,5,20,25.5,"mask",?,a.png'),
        ("file_name;class_name;x_min;y_min;x_max;y_max", "a.png;mask;4;5;20;25.5"),
        ("\ufefffile_name,class_name,x_min,y_min,x_max,y_max,is_difficult", "a.png,mask,4,5,20,25.5,False"),
    ],
)
def test_columns_of_csv(tmp_path, header, row):
    labelled = read(tmp_path, csv_members(row, header=header))
    assert labelled.format == "csv"
    assert labelled.class_names == ("mask",)
    assert faces_of(labelled) == {"a": FACES}
    assert [box.place for box in labelled.images[0].boxes] == ["line 2"]
    assert labelled.findings == ()


def test_images_without_faces(tmp_path):
    members = csv_members("a.png,,,,,", "b.png,mask,4,5,20,25.5") | {"images/b.png": noise_png(1)}
    members |= {"images/c.png": noise_png(2), "images/d.png": noise_png(3)}
    labelled = read(tmp_path, members | {"images.csv": b"file_name,width,height\nc.png,64,48\nb.png,65,48\n"})
    assert faces_of(labelled) == {"a": [], "b": FACES, "c": [], "d": None}
    assert [image.label_file for image in labelled.images] == ["labels.csv", "labels.csv", "images.csv", None]
    assert rules_of(labelled) == [("images.csv", "size-differs"), ("images/d.png", "image-without-labels")]


@pytest.mark.parametrize("suffix", ["pq", "parquet"])
def test_hydrogen_torch_has_lists_for_each_image(tmp_path, suffix):
    rows = [("a.png", ["mask", "none"], [4, 0], [5, 0], [20, 9], [25.5, 9]), ("b.png", [], [], [], [], [])]
    folder = write_folder(tmp_path, {"pictures/a.png": noise_png(0), "pictures/b.png": noise_png(1)})
    pd.DataFrame(rows, columns=HYDROGEN).to_parquet(folder / f"train.{suffix}")
    labelled = read_labelled_set(folder)
    assert {image.file_name: len(image.boxes) for image in labelled.images} == {
        "pictures/a.png": 2,
        "pictures/b.png": 0,
    }
    assert [(box.class_name, box.box_xyxy) for box in labelled.images[0].boxes] == [
        ("mask", (4.0, 5.0, 20.0, 25.5)),
        ("none", (0.0, 0.0, 9.0, 9.0)),
    ]
    assert labelled.findings == ()


def test_lists_of_different_lengths_and_missing_cells(tmp_path):
    rows = [
        ("a.png", ["mask", "none"], [4], [5], [20], [25.5]),
        ("a.png", ["mask", None], [4.0, None], [5.0, 5.0], [20.0, 20.0], [25.5, 25.5]),
        ("a.png", None, None, None, None, None),
    ]
    folder = write_folder(tmp_path, {"a.png": noise_png(0)})
    pd.DataFrame(rows, columns=HYDROGEN).to_parquet(folder / "train.pq")
    labelled = read_labelled_set(folder)
    assert faces_of(labelled) == {"a": FACES}
    assert [finding.detail.split(": ")[0] for finding in labelled.findings] == ["row 1", "row 2, box 1"]
    assert {rule for _, rule in rules_of(labelled)} == {"label-columns"}


def test_our_own_tables(tmp_path):
    folder = write_folder(tmp_path, {"raw/images/a.png": noise_png(0), "raw/images/b.png": noise_png(1)})
    images = [(name, "test", 64, 48, count, "0" * 64) for name, count in (("a.png", 1), ("b.png", 0))]
    write_table(pd.DataFrame(images, columns=list(IMAGES.columns)), folder / "table/images.parquet", IMAGES)
    faces = pd.DataFrame([("a.png", "with_mask", 4, 5, 20, 25.5, True)], columns=list(ANNOTATIONS.columns))
    write_table(faces, folder / "table/annotations.parquet", ANNOTATIONS)
    labelled = read_labelled_set(folder)
    assert faces_of(labelled) == {"raw/a": [("with_mask", (4.0, 5.0, 20.0, 25.5), True)], "raw/b": []}
    assert labelled.findings == ()


@pytest.mark.parametrize(
    ("row", "rule", "detail"),
    [
        ("a.png,mask,4,5,20", "label-columns", "line 2: expected 6 columns, got 5"),
        ("a.png,mask,4,5,20,25.5,0.9", "label-columns", "line 2: expected 6 columns, got 7"),
        ("a.png,mask,4,5,20,", "label-columns", "line 2: expected a number in y_max, got none"),
        ("a.png,,4,5,20,25.5", "label-columns", "line 2: expected a class, got none"),
        ("a.png,mask,4,5,20,high", "label-number", "line 2: y_max: expected a number, got 'high'"),
        ("a.png,mask,4,nan,20,25.5", "label-number", "line 2: y_min: expected a finite number, got nan"),
        ("b.png,mask,4,5,20,25.5", "labels-without-image", "line 2: expected one image 'b.png' in the set, found none"),
        (",mask,4,5,20,25.5", "labels-without-image", "line 2: expected the name of an image, got ''"),
        ("../../b.png,mask,4,5,20,25.5", "path-outside", "line 2: expected a path inside the set, got '../../b.png'"),
        ("/etc/passwd,mask,4,5,20,25.5", "path-outside", "line 2: expected a path inside the set, got '/etc/passwd'"),
    ],
)
def test_a_malformed_row_is_named_and_the_others_are_taken(tmp_path, row, rule, detail):
    labelled = read(tmp_path, csv_members(row, "a.png,mask,4,5,20,25.5", ""))
    assert faces_of(labelled) == {"a": FACES}
    [finding] = labelled.findings
    assert (finding.file, finding.rule, finding.detail) == ("labels.csv", rule, detail)


def test_flags(tmp_path):
    header = "file_name,class_name,x_min,y_min,x_max,y_max,difficult"
    rows = [f"a.png,mask,4,5,20,25.5,{flag}" for flag in ("1", "TRUE", "0", "", "maybe")]
    labelled = read(tmp_path, csv_members(*rows, header=header))
    assert [box.is_difficult for box in labelled.images[0].boxes] == [True, True, False, False]
    assert rules_of(labelled) == [("labels.csv", "label-number")]


def test_one_table_labels_an_image(tmp_path):
    members = csv_members("a.png,mask,4,5,20,25.5")
    labelled = read(tmp_path, members | {"val.csv": members["labels.csv"]})
    assert faces_of(labelled) == {"a": FACES}
    assert rules_of(labelled) == [("val.csv", "label-ambiguous")]


def test_tables_of_predictions_are_no_labels(tmp_path):
    members = csv_members("a.png,mask,4,5,20,25.5,0.9", header="file_name,class_name,x_min,y_min,x_max,y_max,score")
    assert read(tmp_path, members).format == "images"
    with pytest.raises(ValueError, match=r"expected a set in the format csv \(.* and no score\), found images"):
        read(tmp_path, members, "csv")


def test_files_that_cannot_be_read(tmp_path):
    members = csv_members("a.png,mask,4,5,20,25.5", 'a.png,"mask\n' + "x" * 200_000 + '",4,5,20,25.5')
    folder = write_folder(tmp_path, members | {"broken.parquet": b"PAR1"})
    table = pa.table({name: ["a.png"] if name == "image" else [[1]] for name in HYDROGEN})
    pq.write_table(table, folder / "cut.pq")
    content = bytearray((folder / "cut.pq").read_bytes())
    content[4:40] = bytes(36)  # the pages, not the footer with the schema
    (folder / "cut.pq").write_bytes(bytes(content))
    labelled = read_labelled_set(folder)
    assert faces_of(labelled) == {"a": FACES}
    assert rules_of(labelled) == [("cut.pq", "label-unreadable"), ("labels.csv", "label-unreadable")]


def test_a_name_that_several_images_have_is_ambiguous(tmp_path):
    members = csv_members("a.png,mask,4,5,20,25") | {"train/a.png": noise_png(0), "val/a.png": noise_png(1)}
    del members["images/a.png"]
    labelled = read(tmp_path, members)
    ambiguous = [finding for finding in labelled.findings if finding.rule == "label-ambiguous"]
    assert [finding.detail for finding in ambiguous] == [
        "line 2: expected one image 'a.png' in the set, found 2 of this name, train/a.png and val/a.png"
    ]
    assert not any(image.boxes for image in labelled.images)
