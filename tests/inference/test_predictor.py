"""The predictor against the way that evaluation goes: torch, its loader, its table."""

import cv2
import numpy as np
import pandas as pd
import pytest
from torch.utils.data import DataLoader

from exported_model import SCORE_THRESHOLDS, SIZE, released, scene_images
from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.data.framing import Letterbox
from maskdet.data.image import read_image
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtime import OnnxRuntime
from maskdet.inference.suppression import Detections
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES
from maskdet.training.prediction import predict_batches
from table_rows import face_rows

NUM_IMAGES = 6


@pytest.fixture(scope="module")
def runtime():
    return OnnxRuntime(released().onnx_path)


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


def test_torch_and_the_file_find_the_same_faces(runtime, folder, torch_table):
    predictor = Predictor(runtime, score_threshold=0.001)
    found = pd.concat(table_of(path.name, predictor.predict(read_image(path))) for path in sorted(folder.iterdir()))
    assert partner_share(found, torch_table) >= 0.995
    assert partner_share(torch_table, found) >= 0.995


def test_boxes_lie_in_the_image_and_the_best_come_first(runtime):
    for image in scene_images(2):
        found = Predictor(runtime, score_threshold=0.0).predict(image)
        assert (found.boxes_xyxy >= 0).all()
        assert (found.boxes_xyxy <= [image.shape[1], image.shape[0]] * 2).all()
        assert (found.boxes_xyxy[:, 2:] > found.boxes_xyxy[:, :2]).all()
        assert (np.diff(found.scores) <= 0).all()
        assert found.boxes_xyxy.dtype == np.float32


def test_each_class_has_its_own_threshold_unless_one_is_given(runtime):
    image = scene_images(2)[1]
    everything = Predictor(runtime, score_threshold=0.001).predict(image)
    thresholds = np.float32([SCORE_THRESHOLDS[name] for name in CLASS_NAMES])
    expected = everything[everything.scores >= thresholds[everything.class_indices]]
    found = Predictor(runtime).predict(image)
    assert 0 < len(found) < len(everything)
    np.testing.assert_array_equal(found.boxes_xyxy, expected.boxes_xyxy)
    np.testing.assert_array_equal(found.class_indices, expected.class_indices)
    one = Predictor(runtime, score_threshold=0.4).predict(image)
    np.testing.assert_array_equal(one.scores, everything.scores[everything.scores >= np.float32(0.4)])
    assert len(Predictor(runtime, score_threshold=1.0).predict(image)) == 0


def test_an_image_of_one_pixel_is_an_image(runtime):
    found = Predictor(runtime, score_threshold=0.0).predict(np.zeros((1, 1, 3), np.uint8))
    assert (found.boxes_xyxy <= 1).all()
