"""Faces are drawn in the colours of their classes, inside the frame, and labels hide no other label."""

import numpy as np
import pytest

from maskdet.inference.video.faces import VideoFace
from maskdet.inference.video.marks import MAX_LABELS, draw_faces
from maskdet.reporting.palette import class_style, hex_to_rgb
from maskdet.schema import CLASS_NAMES

COLORS = [hex_to_rgb(class_style(name).color) for name in CLASS_NAMES]


def face(
    left: float, top: float, side: float = 60, class_index: int = 0, score: float = 0.9, person: int | None = None
):
    box = np.float32([left, top, left + side, top + side])
    return VideoFace(box, class_index, np.float32(score), person)


def drawn(faces, image_wh=(320, 240)) -> np.ndarray:
    image = np.full((image_wh[1], image_wh[0], 3), 200, np.uint8)
    draw_faces(image, faces, CLASS_NAMES)
    return image


def test_without_faces_nothing_is_drawn():
    assert (drawn([]) == 200).all()


@pytest.mark.parametrize("class_index", [0, 1, 2])
def test_the_box_has_its_classs_colour_and_reaches_to_its_edge(class_index):
    image = drawn([face(100, 100, 60, class_index)])
    assert image[100, 130].tolist() == image[159, 130].tolist() == list(COLORS[class_index])
    assert image[130, 100].tolist() == image[130, 159].tolist() == list(COLORS[class_index])
    assert (image[130, 99] == 200).all()
    assert (image[130, 160] == 200).all()
    assert (image[115:145, 115:145] == 200).all()


def labels(image: np.ndarray, color) -> int:
    """Return how many pixels have exactly a class's colour."""
    return int((image == np.array(color, np.uint8)).all(axis=2).sum())


def test_the_label_says_class_score_and_person():
    plain, numbered = drawn([face(100, 100)]), drawn([face(100, 100, person=12)])
    assert labels(plain, COLORS[0]) > labels(drawn([face(100, 100)] * (MAX_LABELS + 1)), COLORS[0])
    assert labels(numbered, COLORS[0]) > labels(plain, COLORS[0])  # longer
    assert (drawn([face(100, 100, score=0.9)]) != drawn([face(100, 100, score=0.91)])).any()
    assert (drawn([face(100, 100, score=0.9)]) == drawn([face(100, 100, score=0.9)])).all()


def test_a_crowd_has_boxes_alone():
    crowd = [face(10 + 18 * k, 100, 14) for k in range(MAX_LABELS + 1)]
    image = drawn(crowd)
    assert (image[:99] == 200).all()
    assert (image[115:] == 200).all()


@pytest.mark.parametrize("corner", [(-30, -30), (290, -30), (-30, 210), (290, 210), (400, 400)])
def test_boxes_beyond_the_frame_are_no_trouble(corner):
    assert drawn([face(*corner)]).shape == (240, 320, 3)


def test_a_face_of_a_pixel_and_a_frame_without_room_for_labels():
    drawn([face(5, 5, 1), face(9.4, 9.4, 0.2)])
    assert drawn([face(2, 2, 8)], image_wh=(16, 12)).shape == (12, 16, 3)


def test_no_label_hides_another():
    """Two faces in one place: the label of the better one is whole."""
    alone, both = drawn([face(100, 100, score=0.9)]), drawn([face(100, 100, score=0.9), face(104, 101, 60, 1, 0.5)])
    assert (alone[80:100, 100:180] == both[80:100, 100:180]).all()
