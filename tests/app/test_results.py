"""Results are held for a while, under names that nobody guesses, and shown as the model would say it."""

import csv
import io
import json
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exported_model import released, scene_images
from maskdet.app.models import LOWEST_SCORE, above
from maskdet.app.picture_files import FILE_KINDS, View, annotated
from maskdet.app.results import SHOWN_SIDE_PX, ModelAnswer, PictureResult, ResultStore, encode_shown
from maskdet.inference.predictor import Predictor
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.schema import CLASS_NAMES
from running_app import running_app


@dataclass
class Item:
    closed: list = field(default_factory=list)

    def close(self) -> None:
        self.closed.append(1)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(released().onnx_path, num_threads=1)


@pytest.fixture(scope="module")
def found(predictor):
    return predictor.detect(scene_images(1)[0], LOWEST_SCORE)


@pytest.fixture(scope="module")
def result(found) -> PictureResult:
    image = scene_images(1)[0]
    answer = ModelAnswer("reference", CLASS_NAMES, found, 0.1)
    return PictureResult("scene.png", (image.shape[1], image.shape[0]), encode_shown(image), (answer,))


def test_the_oldest_goes_when_there_are_too_many_and_is_closed():
    store, items = ResultStore(2, 100), [Item() for _ in range(3)]
    tokens = [store.add(item) for item in items]
    assert len(set(tokens)) == 3
    assert [len(item.closed) for item in items] == [1, 0, 0]
    assert store.get(tokens[2]) is items[2]
    with pytest.raises(KeyError, match="not held any more"):
        store.get(tokens[0])
    store.clear()
    assert [len(item.closed) for item in items] == [1, 1, 1]
    assert len(store) == 0


def test_a_result_goes_when_its_time_is_over():
    now = [0.0]
    store: ResultStore[Item] = ResultStore(10, 60, clock=lambda: now[0])
    item = Item()
    token = store.add(item)
    now[0] = 60
    assert store.get(token) is item
    now[0] = 60.5
    assert len(store) == 0
    assert item.closed == [1]


def test_what_has_expired_goes_with_the_next_result_and_with_the_next_sweep():
    now = [0.0]
    store: ResultStore[Item] = ResultStore(10, 60, clock=lambda: now[0])
    items = [Item() for _ in range(2)]
    store.add(items[0])
    now[0] = 61
    store.add(items[1])
    assert [item.closed for item in items] == [[1], []]
    now[0] = 122
    store.drop_expired()
    assert [item.closed for item in items] == [[1], [1]]


def test_an_idle_server_holds_nothing_for_longer_than_it_says(monkeypatch):
    service, items = running_app().app.state.service, []
    for store in (service.pictures, service.videos):
        monkeypatch.setattr(store, "_max_seconds", 0.1)
        items.append(Item())
        store.add(items[-1])
    for _ in range(600):
        if all(item.closed for item in items):
            break
        time.sleep(0.05)  # and asks for nothing
    assert [item.closed for item in items] == [[1], [1]]


@settings(max_examples=10, deadline=None)
@given(thresholds=st.lists(st.floats(LOWEST_SCORE, 1), min_size=3, max_size=3))
def test_moving_thresholds_equals_asking_the_model_again(predictor, found, thresholds):
    asked = one_class_per_face(predictor.detect(scene_images(1)[0], dict(zip(CLASS_NAMES, thresholds, strict=True))))
    kept = above(found, thresholds)
    np.testing.assert_array_equal(kept.boxes_xyxy, asked.boxes_xyxy)
    np.testing.assert_array_equal(kept.scores, asked.scores)
    np.testing.assert_array_equal(kept.class_indices, asked.class_indices)


def test_tables_hold_the_faces_above_the_thresholds_in_pixels_of_the_whole_picture(result, found):
    view = View((0.5, 0.9, 0.3))
    kept = above(found, view.thresholds)
    assert 0 < len(kept) < len(found)
    answer = result.answers[0]
    rows = list(csv.DictReader(io.StringIO(FILE_KINDS["faces.csv"].make(result, answer, view).decode())))
    assert [row["class_name"] for row in rows] == [CLASS_NAMES[index] for index in kept.class_indices]
    np.testing.assert_array_equal(np.float32([row["x_max"] for row in rows]), kept.boxes_xyxy[:, 2])
    coco = json.loads(FILE_KINDS["faces.coco.json"].make(result, answer, view))
    assert coco["images"][0] | {"id": 1} == {"id": 1, "file_name": "scene.png", "width": 320, "height": 240}
    assert len(coco["annotations"]) == len(kept)


def test_the_annotated_picture_differs_where_boxes_are_and_is_blurred_on_demand(result, found):
    answer, nothing = result.answers[0], View((1.0, 1.0, 1.0))
    plain, boxes = annotated(result, answer, nothing), annotated(result, answer, View((0.3, 0.3, 0.3)))
    assert plain.shape == boxes.shape
    assert (plain != boxes).any()
    best = found.boxes_xyxy[0] * np.tile(np.array(plain.shape[1::-1]) / result.image_wh, 2)
    left, top, right, bottom = best.astype(int)
    blurred = annotated(result, answer, View((1.0, 1.0, 1.0), is_blurred=True))
    inside = np.s_[top:bottom, left:right]
    assert cv2.Laplacian(blurred[inside], cv2.CV_64F).var() < cv2.Laplacian(plain[inside], cv2.CV_64F).var()
    decoded = cv2.imdecode(np.frombuffer(FILE_KINDS["faces.png"].make(result, answer, nothing), np.uint8), 1)
    np.testing.assert_array_equal(decoded[:, :, ::-1], plain)


def test_with_blur_no_shown_face_stays_sharp_however_low_its_threshold():
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    boxes = np.float32([[20, 20, 80, 80], [120, 20, 180, 80], [220, 20, 280, 80], [20, 120, 80, 180]])
    found = Detections(boxes, np.float32([0.9, 0.2, 0.07, 0.06]), np.array([0, 1, 2, 1]))
    answer = ModelAnswer("reference", CLASS_NAMES, found, 0.1)
    result = PictureResult("noise.png", (300, 200), encode_shown(image), (answer,))

    def is_sharp(shown: np.ndarray) -> list[bool]:
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * (shown.shape[1] / 300)  # a small picture is drawn larger
        middles = [shown[int(y) - 9 : int(y) + 9, int(x) - 9 : int(x) + 9] for x, y in centres]
        return [bool(np.abs(np.diff(middle.astype(int), axis=1)).mean() > 20) for middle in middles]

    assert is_sharp(annotated(result, answer, View((1.0, 1.0, 1.0)))) == [True] * 4
    low, high = View((0.05, 0.07, 0.05), is_blurred=True), View((0.95, 0.95, 0.95), is_blurred=True)
    assert is_sharp(annotated(result, answer, low)) == [False, False, False, True]  # the last is neither
    assert is_sharp(annotated(result, answer, high)) == [False, False, True, True]  # doubtful ones are not shown


def test_an_address_has_all_digits_of_a_threshold():
    values = (0.1 + 0.2, 0.34715234567891, 1.0)
    assert tuple(float(part) for part in View(values).query()[2:].split(",")) == values


def test_a_large_picture_is_held_small_and_its_boxes_follow(found):
    image = np.zeros((400, SHOWN_SIDE_PX * 2, 3), np.uint8)
    shown = cv2.imdecode(np.frombuffer(encode_shown(image), np.uint8), 1)
    assert shown.shape == (200, SHOWN_SIDE_PX, 3)
    box = type(found)(np.float32([[1000, 100, 1400, 300]]), np.float32([0.9]), np.array([0]))
    answer = ModelAnswer("reference", CLASS_NAMES, box, 0.1)
    result = PictureResult("wide.png", (SHOWN_SIDE_PX * 2, 400), encode_shown(image), (answer,))
    drawn = annotated(result, answer, View((0.5, 0.5, 0.5)))
    rows, columns = np.nonzero((drawn[:, :, 2] > 128) & (drawn[:, :, 0] < 64))  # the blue of the class
    assert (columns.min(), columns.max()) == pytest.approx((500, 699), abs=1)
    assert rows.max() == pytest.approx(149, abs=30)  # a label may lie below
