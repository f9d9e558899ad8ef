"""Mosaics and replaced faces: what moves, what stays."""

import numpy as np
import pytest

from maskdet.data.augment import Augmentation
from maskdet.data.mixing import Face, cut_faces, mosaic, replace_faces

RARE = 2


def image_of(value: int, height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_a_mosaic_moves_each_tiles_boxes_with_its_pixels():
    crops = [(image_of(50 * i, 64, 64), np.array([[4, 8, 20, 30]], np.float32), np.array([i])) for i in range(4)]
    image, boxes, classes = mosaic(crops, 128)
    assert image.shape == (128, 128, 3)
    assert [int(image[y, x, 0]) for y, x in ((10, 10), (10, 70), (70, 10), (70, 70))] == [0, 50, 100, 150]
    assert boxes.tolist() == [[4, 8, 20, 30], [68, 8, 84, 30], [4, 72, 20, 94], [68, 72, 84, 94]]
    assert classes.tolist() == [0, 1, 2, 3]


def test_a_mosaic_of_images_without_faces_has_none():
    empty = (image_of(9, 64, 64), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    _, boxes, classes = mosaic([empty] * 4, 128)
    assert (boxes.shape, boxes.dtype, classes.shape) == ((0, 4), np.float32, (0,))


def test_only_whole_large_enough_faces_of_the_classes_are_cut():
    boxes = np.array([[20, 20, 40, 45], [0, 20, 20, 40], [50, 20, 55, 25], [45, 10, 65, 30]], np.float32)
    classes = np.array([RARE, RARE, RARE, 0])
    faces = cut_faces([image_of(7)], [boxes], [classes], {RARE})  # second: the rim is outside; third: 5 px; fourth: 0
    assert [(face.class_index, face.pixels.shape) for face in faces] == [(RARE, (31, 24, 3))]
    assert faces[0].side == pytest.approx(np.sqrt(20 * 25))


def test_a_face_is_replaced_and_nothing_else():
    image, boxes = image_of(100), np.array([[20, 20, 40, 40], [50, 5, 55, 10], [60, 30, 75, 50]], np.float32)
    classes = np.array([0, 0, RARE])
    face = Face(image_of(130, 30, 30), 30.0, RARE)
    before = image.copy()
    mixed, labels = replace_faces(image, boxes, classes, [face], 1.0, np.random.default_rng(0))
    assert (image == before).all()
    assert classes.tolist() == [0, 0, RARE]
    assert labels.tolist() == [RARE, 0, RARE]  # the second is too small, the third already of the class
    changed = np.argwhere((mixed != before).any(axis=2))
    assert changed.min(axis=0).tolist() >= [18, 18]
    assert changed.max(axis=0).tolist() <= [42, 42]
    assert len(changed) > 300


def test_a_blurred_face_is_never_enlarged():
    boxes = np.array([[10, 10, 50, 50]], np.float32)
    small = Face(image_of(200, 12, 12), 10.0, RARE)
    _, labels = replace_faces(image_of(100), boxes, np.array([0]), [small], 1.0, np.random.default_rng(0))
    assert labels.tolist() == [0]


@pytest.mark.parametrize("box", [[-5, -5, 15, 20], [70, 50, 95, 75], [0, 0, 80, 60]])
def test_places_that_stand_out_of_the_image_are_filled_inside_it(box):
    face = Face(np.full((120, 120, 3), 200, np.uint8), 100.0, RARE)
    rng = np.random.default_rng(0)
    mixed, labels = replace_faces(image_of(100), np.array([box], np.float32), np.array([0]), [face], 1.0, rng)
    assert mixed.shape == (60, 80, 3)
    assert labels.tolist() == [RARE]
    assert (mixed != 100).any()


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"augment.mosaic_probability: expected a probability in \[0, 1\], got 2"):
        Augmentation([], mosaic_probability=2)
    with pytest.raises(ValueError, match=r"augment.replaced_faces: expected a probability in \[0, 1\], got -1"):
        Augmentation([], replaced_faces={"probability": -1, "classes": []})
    with pytest.raises(ValueError, match=r"augment.replaced_faces.classes: expected some of .*got \['masked'\]"):
        Augmentation([], replaced_faces={"probability": 0.1, "classes": ["masked"]})
