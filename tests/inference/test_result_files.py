"""Result files against those who read them: pandas with the schema, pycocotools, an image decoder."""

import json
import os

import cv2
import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

from maskdet.data.image import read_image
from maskdet.inference.result_files import (
    CSV_COLUMNS,
    FORMATS,
    ImageResult,
    parse_formats,
    write_coco,
    write_csv,
    write_picture,
)
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


@pytest.mark.parametrize("name", FORMATS)
def test_no_detection_is_a_whole_file_too(name, tmp_path):
    FORMATS[name].write([], CLASS_NAMES, tmp_path / "out")
    text = (tmp_path / "out").read_text()
    if name == "csv":
        assert text == ",".join(CSV_COLUMNS) + "\n"
    else:
        assert json.loads(text)["images"] == json.loads(text)["annotations"] == []


def test_formats_are_parsed_and_unknown_ones_named():
    assert parse_formats("csv") == ["csv"]
    assert parse_formats("coco, csv ,coco") == ["coco", "csv"]
    with pytest.raises(ValueError, match="expected formats out of csv, coco, got 'voc', ''"):
        parse_formats("csv,voc,")


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


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_name_that_is_no_utf8_comes_out_as_it_is(name, tmp_path):
    FORMATS[name].write([result(os.fsdecode(b"caf\xe9.png"), 1)], CLASS_NAMES, tmp_path / "out")
    assert b"caf\xe9.png" in (tmp_path / "out").read_bytes()
