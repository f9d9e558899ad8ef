"""The adapter of effdet against anchors, targets and detections that are computed on paper."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from maskdet.boxes import box_iou
from training_world import MODEL, tiny_detector

NUM_LEVELS = 5
ANCHORS_PER_CELL = 9
CELL = {"level": 1, "y": 3, "x": 5, "a": 1}
"""Level 1 has stride 16, so the centre is (88, 56); anchor 1 is of the first octave with aspect ratio 2."""

HALF_WIDTH, HALF_HEIGHT = 24 * math.sqrt(2), 24 / math.sqrt(2)  # of a 48 px square with the sides' ratio 2
ANCHOR_XYXY = (88 - HALF_WIDTH, 56 - HALF_HEIGHT, 88 + HALF_WIDTH, 56 + HALF_HEIGHT)


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return tiny_detector()


def paper_anchors(image_px: int, scale: float = 3, aspect_ratios: tuple = (1.0, 2.0, 0.5)) -> list[np.ndarray]:
    """Return (h, w, A, 4) xyxy anchors a level, by the definition and not by effdet."""
    levels = []
    for stride in (8, 16, 32, 64, 128):
        cells = image_px // stride
        level = np.empty((cells, cells, 3 * len(aspect_ratios), 4))
        for y, x, octave, ratio_index in np.ndindex(cells, cells, 3, len(aspect_ratios)):
            side, ratio = scale * stride * 2 ** (octave / 3), aspect_ratios[ratio_index]
            half_w, half_h = side * math.sqrt(ratio) / 2, side / math.sqrt(ratio) / 2
            centre_x, centre_y = (x + 0.5) * stride, (y + 0.5) * stride
            box = (centre_x - half_w, centre_y - half_h, centre_x + half_w, centre_y + half_h)
            level[y, x, octave * len(aspect_ratios) + ratio_index] = box
        levels.append(level)
    return levels


def targets_of(detector, image_px: int, boxes: list, classes: list):
    return detector.anchor_targets((image_px, image_px), [torch.tensor(boxes)], [torch.tensor(classes)])


def test_a_box_equal_to_an_anchor_is_that_anchors_target(detector):
    classes, codes, num_positives = targets_of(detector, 256, [ANCHOR_XYXY], [2])
    place = (0, CELL["y"], CELL["x"])
    assert [tuple(level.shape) for level in classes] == [(1, s, s, ANCHORS_PER_CELL) for s in (32, 16, 8, 4, 2)]
    assert classes[CELL["level"]][place][CELL["a"]] == 2
    codes_there = codes[CELL["level"]][place].reshape(ANCHORS_PER_CELL, 4)
    np.testing.assert_allclose(codes_there[CELL["a"]], np.zeros(4), atol=1e-5)
    half_ln2 = math.log(2) / 2
    np.testing.assert_allclose(codes_there[0], [0, 0, -half_ln2, half_ln2], atol=1e-5)  # ty, tx, th, tw of the square
    assert num_positives.tolist() == [sum(int((level == 2).sum()) for level in classes)]


def test_the_neighbours_are_positive_along_x_and_not_along_y(detector):
    classes, codes, _ = targets_of(detector, 256, [ANCHOR_XYXY], [2])
    level = classes[CELL["level"]][0, :, :, CELL["a"]]
    assert level[3, 4] == level[3, 6] == 2  # 16 of 67.9 px away: IoU 0.62
    assert level[2, 5] == level[4, 5] == -1  # 16 of 33.9 px away: IoU 0.36
    right = codes[CELL["level"]][0, 3, 6].reshape(ANCHORS_PER_CELL, 4)[CELL["a"]]
    np.testing.assert_allclose(right, [0, -16 / (2 * HALF_WIDTH), 0, 0], atol=1e-5)


@pytest.mark.parametrize("class_index", [0, 1, 2])
def test_every_anchors_target_follows_the_iou(detector, class_index):
    box = (20.0, 70.0, 100.0, 112.0)  # wider than high, left of the middle, below it
    classes, _, _ = targets_of(detector, 128, [box], [class_index])
    for found, anchors in zip(classes, paper_anchors(128), strict=True):
        iou = box_iou(anchors.reshape(-1, 4), np.array([box]))[:, 0].reshape(anchors.shape[:3])
        np.testing.assert_array_equal(found[0].numpy(), np.where(iou >= 0.5, class_index, -1))


def test_a_box_that_fits_no_anchor_gets_the_best_one(detector):
    box = (60.0, 61.0, 66.0, 65.0)  # 6 x 4 px, the smallest anchor has 24
    classes, _, num_positives = targets_of(detector, 128, [box], [1])
    assert num_positives.item() == 1
    iou = [box_iou(level.reshape(-1, 4), np.array([box])).max() for level in paper_anchors(128)]
    assert int((classes[int(np.argmax(iou))] == 1).sum()) == 1


def test_settings_of_the_anchors_reach_them():
    anchors = MODEL["anchors"] | {"scale": 2, "aspect_ratios": [1.0, 0.8]}
    detector = tiny_detector(anchors=anchors)
    boxes = detector.anchors_for((128, 128)).boxes[:, [1, 0, 3, 2]]
    expected = np.vstack([level.reshape(-1, 4) for level in paper_anchors(128, 2, (1.0, 0.8))])
    np.testing.assert_allclose(boxes, expected, atol=1e-4)
    class_out, box_out = detector(torch.zeros(1, 3, 128, 128))
    assert (class_out[0].shape[1], box_out[0].shape[1]) == (6 * 3, 6 * 4)


class FixedOutput(nn.Module):
    """Stands for the network: background everywhere but in the cells that a test names."""

    def __init__(self, image_px: int, cells: list[tuple]) -> None:
        super().__init__()
        sides = [image_px // stride for stride in (8, 16, 32, 64, 128)]
        self.logits = [torch.full((1, ANCHORS_PER_CELL * 3, side, side), -12.0) for side in sides]
        self.codes = [torch.zeros(1, ANCHORS_PER_CELL * 4, side, side) for side in sides]
        for level, y, x, a, class_index, logit, code in cells:
            self.logits[level][0, a * 3 + class_index, y, x] = logit
            self.codes[level][0, 4 * a : 4 * a + 4, y, x] = torch.tensor(code)

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return self.logits, self.codes


def detections_of(cells: list[tuple], image_px: int = 256, **options: float):
    detector = tiny_detector(detect=MODEL["detect"] | options)
    detector.network = FixedOutput(image_px, cells)
    return detector.detect(torch.zeros(1, 3, image_px, image_px))[0]


AT_ANCHOR = (CELL["level"], CELL["y"], CELL["x"], CELL["a"])
STILL = [0.0, 0.0, 0.0, 0.0]


def test_a_detection_is_decoded_from_its_anchor():
    code = [0.25, -0.5, math.log(2), math.log(0.5)]  # a quarter height down, half a width left, twice as high
    found = detections_of([(*AT_ANCHOR, 2, 1.5, code)])
    centre_x, centre_y = 88 - HALF_WIDTH, 56 + HALF_HEIGHT / 2
    box = (centre_x - HALF_WIDTH / 2, centre_y - 2 * HALF_HEIGHT, centre_x + HALF_WIDTH / 2, centre_y + 2 * HALF_HEIGHT)
    np.testing.assert_allclose(found.boxes_xyxy, [box], atol=1e-3)
    np.testing.assert_allclose(found.scores, [1 / (1 + math.exp(-1.5))], atol=1e-6)
    assert found.class_indices.tolist() == [2]


def test_suppression_stays_within_a_class():
    neighbour = (1, 3, 6, 1)  # IoU 0.62 with the anchor
    cells = [(*AT_ANCHOR, 0, 1.0, STILL), (*neighbour, 0, 2.0, STILL), (1, 3, 4, 1, 1, 0.5, STILL)]
    found = detections_of(cells)
    assert found.class_indices.tolist() == [0, 1]  # best first; the weaker one of class 0 is gone
    np.testing.assert_allclose(found.boxes_xyxy[0, 0], 104 - HALF_WIDTH, atol=1e-3)
    assert len(detections_of(cells, nms_iou_threshold=0.65).scores) == 3


def test_one_anchor_may_be_two_classes():
    found = detections_of([(*AT_ANCHOR, 0, 1.0, STILL)])
    assert found.class_indices.tolist() == [0]
    detector = tiny_detector()
    detector.network = FixedOutput(256, [(*AT_ANCHOR, 0, 1.0, STILL), (*AT_ANCHOR, 2, 2.0, STILL)])
    assert detector.detect(torch.zeros(1, 3, 256, 256))[0].class_indices.tolist() == [2, 0]


def test_limits_keep_the_best():
    far_apart = [(0, 4 * i, 4 * i, 0, i % 3, float(i), STILL) for i in range(8)]
    assert len(detections_of(far_apart).scores) == 8
    found = detections_of(far_apart, max_detections=3)
    np.testing.assert_allclose(found.scores, [1 / (1 + math.exp(-i)) for i in (7, 6, 5)], atol=1e-6)
    assert len(detections_of(far_apart, score_threshold=0.9).scores) == 5  # sigmoid(3) = 0.95, sigmoid(2) = 0.88
    assert len(detections_of(far_apart, max_candidates=2).scores) == 2


def test_nothing_above_the_threshold_is_an_empty_detection():
    found = detections_of([])
    assert (found.boxes_xyxy.shape, found.scores.shape, found.class_indices.shape) == ((0, 4), (0,), (0,))


def test_boxes_are_clipped_to_the_input():
    found = detections_of([(4, 0, 0, 0, 1, 2.0, STILL)], image_px=128)  # a 384 px square around the middle
    np.testing.assert_allclose(found.boxes_xyxy, [[0, 0, 128, 128]])


@pytest.mark.parametrize("hw", [(128, 100), (200, 256), (64, 64)])
def test_a_size_off_the_stride_is_refused(detector, hw):
    with pytest.raises(ValueError, match=rf"multiples of 128, got {hw[0]}x{hw[1]}"):
        detector(torch.zeros(1, 3, *hw))


def test_one_network_takes_every_size():
    detector = tiny_detector(detect=MODEL["detect"] | {"score_threshold": 0.0})
    images = torch.randint(0, 256, (1, 3, 128, 128), dtype=torch.uint8)
    assert torch.isfinite(detector.loss(images, [torch.tensor([[10.0, 10, 60, 60]])], [torch.tensor([0])])["loss"])
    larger = detector.detect(torch.zeros(1, 3, 256, 128))[0]
    assert (larger.boxes_xyxy[:, [0, 2]] <= 128).all()
    assert larger.boxes_xyxy[:, 3].max() > 128  # somewhere in the lower half, of anchors made for this size
    assert len(detector.anchors_for((256, 128)).boxes) == 2 * len(detector.anchors_for((128, 128)).boxes)


def test_images_without_faces_have_a_finite_loss(detector):
    images = torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8)
    none, no_class = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    empty = detector.loss(images, [none, none], [no_class, no_class])
    assert torch.isfinite(torch.stack(list(empty.values()))).all()
    assert empty["loss_box"] == 0
    mixed = detector.loss(images, [none, torch.tensor([[20.0, 10, 90, 60]])], [no_class, torch.tensor([2])])
    assert torch.isfinite(mixed["loss"])
    assert mixed["loss_box"] > 0


def test_the_loss_is_the_weighted_sum(detector):
    images = torch.full((1, 3, 128, 128), 77, dtype=torch.uint8)
    losses = detector.loss(images, [torch.tensor([[20.0, 10, 90, 60]])], [torch.tensor([1])])
    torch.testing.assert_close(losses["loss"], losses["loss_class"] + 50 * losses["loss_box"])


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"model.architecture: expected one of .*'tf_efficientdet_lite0'.*got 'yolo'"):
        tiny_detector(architecture="yolo")
    with pytest.raises(ValueError, match=r"model.pretrained: expected one of .*imagenet.*hub.*none.*got 'coco'"):
        tiny_detector(pretrained="coco")
