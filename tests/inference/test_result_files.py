"""Result files against those who read them: pandas with the schema, pycocotools, an image decoder."""

import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

from maskdet.data.formats import read_labelled_set
from maskdet.data.image import read_image
from maskdet.data.labelled_set import refuse_errors
from maskdet.inference.result_files import FORMATS, check_names, parse_formats
from maskdet.inference.result_pictures import write_picture
from maskdet.inference.result_tables import CSV_COLUMNS, write_coco, write_csv, write_parquet
from maskdet.inference.results import ImageResult
from maskdet.inference.suppression import Detections
from maskdet.reporting.palette import class_style, hex_to_rgb
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS, validate


def result(name: str, num_faces: int, image_wh: tuple[int, int] = (200, 100)) -> ImageResult:
    """Return random detections; their numbers have as many digits as float32 has."""
    rng = np.random.default_rng(num_faces)
    corners = rng.uniform(0, 40, (num_faces, 2))
    boxes = np.hstack([corners, corners + rng.uniform(5, 50, (num_faces, 2))]).astype(np.float32)
    scores = np.sort(rng.random(num_faces).astype(np.float32))[::-1]
    return ImageResult(name, image_wh, Detections(boxes, scores, rng.integers(0, 3, num_faces)))


RESULTS = [result("a/one.png", 4), result('b/"two", three.jpg', 0), result("c/ü.png", 2)]
FOUND = [(entry, row) for entry in RESULTS for row in range(len(entry.detections))]


def test_the_csv_is_the_table_of_predictions_without_a_fold(tmp_path):
    write_csv(RESULTS, CLASS_NAMES, tmp_path / "deep/out.csv")
    table = pd.read_csv(tmp_path / "deep/out.csv")
    assert tuple(table.columns) == CSV_COLUMNS == tuple(name for name in PREDICTIONS.columns if name != "fold")
    checked = validate(table.assign(fold=-1)[list(PREDICTIONS.columns)], PREDICTIONS, "test")
    assert list(checked["file_name"]) == [entry.file_name for entry, _ in FOUND]
    expected = np.vstack([entry.detections.boxes_xyxy for entry in RESULTS])
    np.testing.assert_array_equal(checked[BOX_COLUMNS].to_numpy(), expected)  # to the last bit
    np.testing.assert_array_equal(checked["score"], np.hstack([entry.detections.scores for entry in RESULTS]))


def test_the_coco_file_is_read_by_pycocotools(tmp_path, capsys):
    write_coco(RESULTS, CLASS_NAMES, tmp_path / "out.json")
    coco = COCO(tmp_path / "out.json")
    capsys.readouterr()
    assert [coco.imgs[i]["file_name"] for i in (1, 2, 3)] == [entry.file_name for entry in RESULTS]
    assert coco.imgs[2] | {"file_name": ""} == {"id": 2, "file_name": "", "width": 200, "height": 100}
    assert [(entry["id"], entry["name"]) for entry in coco.loadCats([1, 2, 3])] == list(enumerate(CLASS_NAMES, start=1))
    assert [len(coco.getAnnIds(imgIds=[i])) for i in (1, 2, 3)] == [4, 0, 2]
    for annotation, (entry, row) in zip(coco.loadAnns(coco.getAnnIds()), FOUND, strict=True):
        found = entry.detections
        x_min, y_min, x_max, y_max = found.boxes_xyxy[row]
        np.testing.assert_allclose(annotation["bbox"], [x_min, y_min, x_max - x_min, y_max - y_min], rtol=1e-6)
        np.testing.assert_allclose(annotation["area"], (x_max - x_min) * (y_max - y_min), rtol=1e-6)
        assert np.float32(annotation["score"]) == found.scores[row]
        assert annotation["category_id"] == found.class_indices[row] + 1
        assert annotation["iscrowd"] == 0


def test_the_parquet_file_is_the_csv_to_the_last_bit(tmp_path):
    write_csv(RESULTS, CLASS_NAMES, tmp_path / "out.csv")
    write_parquet(RESULTS, CLASS_NAMES, tmp_path / "out.parquet")
    expected = pd.read_csv(tmp_path / "out.csv", dtype=dict.fromkeys(["score", *BOX_COLUMNS], np.float32))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), expected)


@pytest.mark.parametrize("name", ["yolo", "voc"])
def test_label_files_are_read_back_by_the_readers_of_data_sets(name, tmp_path):
    results = [result("a/one.png", 4), result("b/two.jpg", 0, (31, 17)), result("c/ü.png", 2)]
    folder = tmp_path / FORMATS[name].file_name
    FORMATS[name].write(results, CLASS_NAMES, folder)
    for entry in results:
        path = folder / "images" / entry.file_name
        path.parent.mkdir(parents=True)
        width, height = entry.image_wh
        path.write_bytes(cv2.imencode(path.suffix, np.zeros((height, width, 3), np.uint8))[1].tobytes())
    labelled = read_labelled_set(folder, name)
    refuse_errors(str(folder), labelled.findings)
    assert len(labelled.images) == len(results)
    for image, entry in zip(labelled.images, results, strict=True):
        found = entry.detections
        assert image.file_name == f"images/{entry.file_name}"
        assert image.label_file is not None  # also where there is no face
        assert [box.class_name for box in image.boxes] == [CLASS_NAMES[index] for index in found.class_indices]
        boxes_xyxy = np.array([box.box_xyxy for box in image.boxes], np.float32).reshape(-1, 4)
        np.testing.assert_allclose(boxes_xyxy, found.boxes_xyxy, rtol=0, atol=1e-4 if name == "yolo" else 0)


def test_names_that_would_meet_are_refused_in_label_files_alone():
    names = ["a/one.png", "a/one.jpg", "b/one.png"]
    check_names(["csv", "coco", "parquet"], names)
    check_names(["yolo", "voc"], names[1:])
    with pytest.raises(
        ValueError, match=r"--format voc: expected .* got a/one.png and a/one.jpg; .* csv, parquet, coco"
    ):
        check_names(["csv", "voc"], names)


@pytest.mark.parametrize("name", FORMATS)
def test_no_detection_is_a_whole_result_too(name, tmp_path):
    FORMATS[name].write([], CLASS_NAMES, tmp_path / "deep/out")
    out = tmp_path / "deep/out"
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    if name == "csv":
        assert out.read_text() == ",".join(CSV_COLUMNS) + "\n"
    elif name == "parquet":
        table = pd.read_parquet(out)
        assert (tuple(table.columns), len(table)) == (CSV_COLUMNS, 0)
    elif name == "coco":
        assert json.loads(out.read_text())["images"] == json.loads(out.read_text())["annotations"] == []


@pytest.mark.parametrize("name", FORMATS)
def test_a_second_run_replaces_the_first_whole(name, tmp_path):
    for results in (RESULTS[:1], RESULTS[2:]):
        FORMATS[name].write(results, CLASS_NAMES, tmp_path / "out")
    FORMATS[name].write(RESULTS[2:], CLASS_NAMES, tmp_path / "fresh")
    contents = [
        {path.relative_to(root).as_posix(): path.read_bytes() for path in [root, *root.rglob("*")] if path.is_file()}
        for root in (tmp_path / "out", tmp_path / "fresh")
    ]
    assert contents[0] == contents[1]
    assert contents[0]


def test_formats_are_parsed_and_unknown_ones_named():
    assert parse_formats("csv") == ["csv"]
    assert parse_formats("coco, csv ,coco") == ["coco", "csv"]
    with pytest.raises(ValueError, match="expected formats out of csv, parquet, coco, yolo, voc, got 'xml', ''"):
        parse_formats("csv,xml,")


@pytest.mark.parametrize(("name", "written"), [("s/x.PNG", "s/x.PNG"), ("x.jpeg", "x.jpeg"), ("x.bmp", "x.bmp.png")])
def test_a_picture_keeps_name_and_format_and_shows_the_box(name, written, tmp_path):
    image = np.full((100, 200, 3), 90, np.uint8)
    box = np.array([[20, 30, 80, 90]], np.float32)
    found = ImageResult(name, (200, 100), Detections(box, np.float32([0.9]), np.array([1])))
    path = write_picture(image, found, CLASS_NAMES, tmp_path)
    assert path == tmp_path / written
    picture = read_image(path)
    assert picture.shape == (200, 400, 3)  # a small image is doubled
    edge = picture[160, 40].astype(int)  # left edge of the box, below the middle
    assert np.abs(edge - hex_to_rgb(class_style(CLASS_NAMES[1]).color)).max() < 40  # JPEG blurs
    assert (path.read_bytes()[:3] == b"\xff\xd8\xff") == (written == "x.jpeg")
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert image.min() == image.max() == 90


def test_a_large_picture_keeps_its_size(tmp_path):
    image = np.zeros((300, 900, 3), np.uint8)
    path = write_picture(image, result("x.png", 0, (900, 300)), CLASS_NAMES, tmp_path)
    assert cv2.imread(str(path)).shape == (300, 900, 3)
    assert not cv2.imread(str(path)).any()


@pytest.mark.parametrize("name", ["csv", "coco"])
def test_a_file_name_that_is_no_utf8_comes_out_as_it_is(name, tmp_path):
    FORMATS[name].write([result(os.fsdecode(b"caf\xe9.png"), 1)], CLASS_NAMES, tmp_path / "out")
    assert b"caf\xe9.png" in (tmp_path / "out").read_bytes()


def test_parquet_spells_out_what_is_no_utf8(tmp_path):
    write_parquet([result(os.fsdecode(b"caf\xe9.png"), 1)], CLASS_NAMES, tmp_path / "out")
    assert list(pd.read_parquet(tmp_path / "out")["file_name"]) == ["caf\\xe9.png"]
