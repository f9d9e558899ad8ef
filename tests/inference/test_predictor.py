"""The predictor against the way that evaluation goes: torch, its loader, its table; and what people hand it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import supervision
from PIL import Image
from torch.utils.data import DataLoader

import maskdet
from exported_model import SCORE_THRESHOLDS, SIZE, released, scene_images
from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.data.framing import Letterbox
from maskdet.data.image import read_image
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES
from maskdet.training.prediction import predict_batches
from table_rows import face_rows

NUM_IMAGES = 6


@pytest.fixture(scope="module")
def predictor():
    return maskdet.Predictor(released().onnx_path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of scenes as 16-bit RGBA PNG, 8-bit PNG and JPEG in turn."""
    folder = tmp_path_factory.mktemp("scenes")
    for index, image in enumerate(scene_images(NUM_IMAGES)):
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if index % 3 == 0:
            alpha = np.full(image.shape[:2], 2**16 - 1, np.uint16)
            pixels = np.dstack([pixels.astype(np.uint16) * 257, alpha])
        assert cv2.imwrite(str(folder / f"{index}.{'jpg' if index % 3 == 2 else 'png'}"), pixels)
    return folder


@pytest.fixture(scope="module")
def torch_table(folder):
    """Return the table `predictions` as the stage `predict` makes it, down to a score of 0.001."""
    names = sorted(path.name for path in folder.iterdir())
    images = LabelledImages.from_tables(folder, names, face_rows([]))
    loader = DataLoader(EvaluationSet(images, Letterbox(SIZE)), batch_size=2, collate_fn=collate)
    return predict_batches(released().detector, loader, fold=0)


def table_of(file_name: str, found: Detections) -> pd.DataFrame:
    table = pd.DataFrame(found.boxes_xyxy, columns=BOX_COLUMNS).assign(score=found.scores, file_name=file_name)
    return table.assign(class_name=[CLASS_NAMES[index] for index in found.class_indices])


def partner_share(table: pd.DataFrame, others: pd.DataFrame) -> float:
    """Return the share of rows with score >= 0.05 that have a row of their own among others: box, class and score."""
    free, matched, asked = np.ones(len(others), bool), 0, table[table["score"] >= 0.05]
    for row in asked.itertuples():
        near = np.abs(others[BOX_COLUMNS].to_numpy() - [row.x_min, row.y_min, row.x_max, row.y_max]).max(axis=1) < 0.5
        same = (others["file_name"] == row.file_name) & (others["class_name"] == row.class_name)
        partners = np.flatnonzero(free & near & same & (np.abs(others["score"] - row.score) < 1e-3))
        if len(partners):
            free[partners[0]], matched = False, matched + 1
    assert len(asked) > 100 * NUM_IMAGES
    return matched / len(asked)


def test_torch_and_the_file_find_the_same_faces(predictor, folder, torch_table):
    found = pd.concat(
        table_of(path.name, predictor.detect(read_image(path), 0.001)) for path in sorted(folder.iterdir())
    )
    assert partner_share(found, torch_table) >= 0.995
    assert partner_share(torch_table, found) >= 0.995


def test_boxes_lie_in_the_image_and_the_best_come_first(predictor):
    for image in scene_images(2):
        found = predictor.detect(image, 0.0)
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy <= [image.shape[1], image.shape[0]] * 2).all()
        assert (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all()
        assert (np.diff(found.scores) <= 0).all()
        assert found.boxes_xyxy.dtype == np.float32


def assert_same(found: Detections, expected: Detections) -> None:
    for ours, theirs in zip(vars(found).values(), vars(expected).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_each_class_has_its_own_threshold_unless_one_is_given(predictor):
    image = scene_images(2)[1]
    everything = predictor.detect(image, 0.001)
    thresholds = np.float32([SCORE_THRESHOLDS[name] for name in CLASS_NAMES])
    found = predictor.detect(image)
    assert 0 < len(found) < len(everything)
    assert_same(found, one_class_per_face(everything[everything.scores >= thresholds[everything.class_indices]]))
    assert_same(predictor.detect(image, 0.4), everything[everything.scores >= np.float32(0.4)])
    assert len(predictor.detect(image, 1.0)) == 0
    assert predictor.thresholds == SCORE_THRESHOLDS


def test_a_threshold_of_one_class_leaves_the_others(predictor):
    name = CLASS_NAMES[0]
    chosen = maskdet.Predictor(released().onnx_path, score_threshold={name: 0.9})
    assert chosen.thresholds == SCORE_THRESHOLDS | {name: 0.9}
    image = scene_images(2)[1]
    found = predictor.detect(image, SCORE_THRESHOLDS)
    expected = found[(found.class_indices != 0) | (found.scores >= np.float32(0.9))]
    assert 0 < len(expected) < len(found)
    assert_same(chosen.detect(image), expected)
    assert_same(predictor.detect(image, {name: 0.9}), expected)


@pytest.mark.parametrize("asked", [None, 0.05])
def test_a_face_has_one_class_where_the_thresholds_are_the_models_own_or_it_is_asked_for(asked, predictor):
    image, path = scene_images(2)[1], released().onnx_path
    every = maskdet.Predictor(path, score_threshold=asked, one_class=False)
    once = maskdet.Predictor(path, score_threshold=asked, one_class=True)
    chosen = maskdet.Predictor(path, score_threshold=asked)
    assert [every.has_one_class, once.has_one_class, chosen.has_one_class] == [False, True, asked is None]
    assert len(once.detect(image)) < len(every.detect(image))
    assert_same(once.detect(image), one_class_per_face(every.detect(image)))
    assert_same(chosen.detect(image), (once if asked is None else every).detect(image))
    for given in (None, 0.05):
        assert_same(predictor.detect_at(image, [given])[0], predictor.detect(image, given))
    assert_same(once.detect_at(image, [0.05])[0], one_class_per_face(every.detect_at(image, [0.05])[0]))


def test_one_run_of_the_model_serves_several_thresholds(predictor):
    image = scene_images(2)[1]
    own, low, high = predictor.detect_at(image, [None, 0.1, {CLASS_NAMES[0]: 0.9}])
    assert_same(own, predictor.detect(image))
    assert_same(low, predictor.detect(image, 0.1))
    assert_same(high, predictor.detect(image, {CLASS_NAMES[0]: 0.9}))


def test_an_image_of_one_pixel_is_an_image(predictor):
    assert (predictor.detect(np.zeros((1, 1, 3), np.uint8), 0.0).boxes_xyxy <= 1).all()


@pytest.mark.parametrize("num_images", [0, 1, 11])
def test_a_batch_gives_what_its_images_give(num_images, predictor):
    images = (scene_images(4) * 3)[:num_images]
    found = predictor.detect_batch(images, 0.2)
    assert len(found) == num_images
    for image, batched in zip(images, found, strict=True):
        alone = predictor.detect(image, 0.2)
        np.testing.assert_allclose(batched.boxes_xyxy, alone.boxes_xyxy, atol=1e-3)
        np.testing.assert_allclose(batched.scores, alone.scores, atol=1e-5)


def test_threads_do_not_meet(predictor):
    images = scene_images(4)
    expected = [predictor.detect(image, 0.1) for image in images]
    start = threading.Barrier(8)

    def detect(worker: int) -> list[Detections]:
        start.wait()
        return [predictor.detect(images[(worker + step) % 4], 0.1) for step in range(4)]

    with ThreadPoolExecutor(8) as pool:
        for worker, found in enumerate(pool.map(detect, range(8))):
            for step, one in enumerate(found):
                assert_same(one, expected[(worker + step) % 4])


def test_pictures_of_any_kind_give_the_same_detections_of_supervision(predictor, tmp_path):
    image = scene_images(1)[0]
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path)
    expected = predictor.detect(image)
    for source in (path, str(path), path.read_bytes(), Image.open(path), image, np.dstack([image, image[:, :, 0]])):
        found = predictor.predict(source)
        assert isinstance(found, supervision.Detections)
        assert_same(Detections(found.xyxy, found.confidence, found.class_id), expected)
        assert list(found.data["class_name"]) == [CLASS_NAMES[index] for index in expected.class_indices]
    nothing = predictor.predict(image, score_threshold=1.0)
    assert (len(nothing), nothing.xyxy.shape, nothing.data["class_name"].shape) == (0, (0, 4), (0,))
    both = predictor.predict_batch([path, image])
    np.testing.assert_allclose(both[0].xyxy, both[1].xyxy, atol=1e-3)


def test_boxes_lie_in_the_picture_as_it_is_shown(predictor, tmp_path):
    image = scene_images(1)[0]
    exif = Image.Exif()
    exif[0x0112] = 6  # to be seen a quarter turn to the right
    path = tmp_path / "turned.png"
    Image.fromarray(image).save(path, exif=exif)
    shown = np.ascontiguousarray(np.rot90(image, -1))
    assert_same_boxes = np.testing.assert_array_equal
    assert_same_boxes(predictor.predict(path).xyxy, predictor.detect(shown).boxes_xyxy)
    assert_same_boxes(predictor.predict(path, apply_exif=False).xyxy, predictor.detect(image).boxes_xyxy)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"expected an image \(H, W, 3\) of uint8, got \(4, 4\) of uint8"),
        (np.zeros((4, 4, 3), np.float32), "got .* of float32"),
        (np.zeros((0, 4, 3), np.uint8), "at least a pixel"),
        ([[0]], "got list"),
    ],
)
def test_detect_wants_rgb(image, message, predictor):
    with pytest.raises(ValueError, match=message):
        predictor.detect(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_threshold": 2.0}, r"score_threshold: expected a number in \[0, 1\] for with_mask, got 2.0"),
        ({"score_threshold": {"mask": 0.1}}, "score_threshold: expected classes out of with_mask, .*, got 'mask'"),
        ({"runtime": "tensorrt"}, "runtime: expected one of onnx, openvino, torch, got 'tensorrt'"),
        ({"runtime": "torch"}, r"expected a runtime that runs it \(onnx, openvino\), got 'torch'"),
        ({"num_threads": 0}, "num_threads: expected at least 1, got 0"),
        ({"calibrated": True}, "calibrated: expected a model with a calibrator in its metadata, got one without"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        maskdet.Predictor(released().onnx_path, **options)


def test_the_package_offers_the_predictor_and_nothing_else():
    assert maskdet.Predictor.__module__ == "maskdet.inference.predictor"
    with pytest.raises(AttributeError, match="module 'maskdet' has no attribute 'Detector'"):
        _ = maskdet.Detector


def test_a_model_is_remembered_by_its_place():
    assert maskdet.Predictor(str(released().onnx_path)).model_path == Path(released().onnx_path)
