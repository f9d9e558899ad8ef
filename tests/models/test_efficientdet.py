"""The adapter of effdet against anchors, targets and detections that are computed on paper."""

import math

import numpy as np
import pytest
import torch
from effdet.anchors import AnchorLabeler
from effdet.config import set_config_writeable
from effdet.loss import DetectionLoss
from safetensors.torch import save_file
from torch import nn

from maskdet.boxes import box_iou
from training_world import MODEL, tiny_detector

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


def levels_of(matched: torch.Tensor, image_px: int) -> list[np.ndarray]:
    """Return the assignment of one image as (h, w, A) a level."""
    sides = [image_px // stride for stride in (8, 16, 32, 64, 128)]
    parts = matched.split([side * side * ANCHORS_PER_CELL for side in sides])
    return [part.reshape(side, side, ANCHORS_PER_CELL).numpy() for part, side in zip(parts, sides, strict=True)]


def test_a_box_equal_to_an_anchor_goes_to_that_anchor_and_its_neighbours_along_x(detector):
    matched = detector.assign((256, 256), [torch.tensor([(0.0, 0.0, 20.0, 20.0), ANCHOR_XYXY])])
    assert matched.shape == (1, (32**2 + 16**2 + 8**2 + 4**2 + 2**2) * ANCHORS_PER_CELL)
    level = levels_of(matched[0], 256)[CELL["level"]][:, :, CELL["a"]]
    assert level[3, 4] == level[3, 5] == level[3, 6] == 1  # 16 of 67.9 px away: IoU 0.62
    assert level[2, 5] == level[4, 5] == -1  # 16 of 33.9 px away: IoU 0.36


def test_every_anchors_box_follows_the_iou(detector):
    box = (20.0, 70.0, 100.0, 112.0)  # wider than high, left of the middle, below it
    matched = detector.assign((128, 128), [torch.tensor([box])])
    for found, anchors in zip(levels_of(matched[0], 128), paper_anchors(128), strict=True):
        iou = box_iou(anchors.reshape(-1, 4), np.array([box]))[:, 0].reshape(anchors.shape[:3])
        np.testing.assert_array_equal(found, np.where(iou >= 0.5, 0, -1))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_are_those_of_effdet(smoothing):
    """Its labeler wants yxyx and labels from 1. It leaves out codes that are exactly 0, hence no anchor's centre."""
    generator = torch.Generator().manual_seed(1)
    detector = tiny_detector(loss=MODEL["loss"] | {"label_smoothing": smoothing})
    config = detector.config
    set_config_writeable(config)
    config.alpha, config.gamma, config.delta, config.box_loss_weight = 0.25, 1.5, 0.1, 50.0
    config.label_smoothing = smoothing
    images = torch.randint(0, 256, (3, 3, 128, 128), dtype=torch.uint8, generator=generator)
    corners = torch.rand(12, 2, generator=generator) * 80
    boxes = torch.cat([corners, corners + 5 + torch.rand(12, 2, generator=generator) * 40], dim=1)
    classes = torch.randint(0, 3, (12,), generator=generator)
    per_image = [boxes[:7], boxes[:0], boxes[7:]], [classes[:7], classes[:0], classes[7:]]
    ours = detector.loss(images, *per_image)
    labeler = AnchorLabeler(detector.anchors_for((128, 128)), 3, 0.5)
    targets = labeler.batch_label_anchors(
        [each[:, [1, 0, 3, 2]] for each in per_image[0]], [each.float() + 1 for each in per_image[1]]
    )
    theirs = DetectionLoss(config)(*detector(images), *targets)
    for name, value in zip(("loss", "loss_class", "loss_box"), theirs, strict=True):
        torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("box_loss", ["giou", "diou", "ciou"])
@pytest.mark.parametrize("class_loss", ["focal", "quality_focal"])
@pytest.mark.parametrize("assignment", ["iou", "atss"])
def test_a_perfect_answer_costs_nothing(box_loss, class_loss, assignment):
    """Logits and codes written from the assignment, by hand: a mistake in axes or classes would cost."""
    loss = MODEL["loss"] | {"box_loss": box_loss, "class_loss": class_loss}
    detector = tiny_detector(loss=loss, anchors=MODEL["anchors"] | {"assignment": assignment})
    boxes, classes = torch.tensor([ANCHOR_XYXY, (150.0, 20.0, 240.0, 130.0)]), torch.tensor([2, 0])
    cells = []
    anchors = paper_anchors(256)
    for level, matched in enumerate(levels_of(detector.assign((256, 256), [boxes])[0], 256)):
        for y, x, a in zip(*np.nonzero(matched >= 0), strict=True):
            index = matched[y, x, a]
            code = paper_code(boxes[index].numpy(), anchors[level][y, x, a])
            cells.append((level, y, x, a, int(classes[index]), 12.0, code))
    network, images = FixedOutput(256, cells), torch.zeros(1, 3, 256, 256)
    detector.network = network
    perfect = detector.loss(images, [boxes], [classes])
    assert perfect["loss_box"] < 1e-4
    assert perfect["loss_class"] < 1e-3
    wrong_class = detector.loss(images, [boxes], [2 - classes])
    assert wrong_class["loss_class"] > 1
    moved = detector.loss(images, [boxes + torch.tensor([10.0, 0, 10, 0])], [classes])
    assert moved["loss_box"] > 0.02


def paper_code(box_xyxy: np.ndarray, anchor_xyxy: np.ndarray) -> list[float]:
    """Return ty, tx, th, tw by their definition."""
    (x0, y0, x1, y1), (ax0, ay0, ax1, ay1) = box_xyxy, anchor_xyxy
    height, width = ay1 - ay0, ax1 - ax0
    shift_y, shift_x = (y0 + y1 - ay0 - ay1) / 2 / height, (x0 + x1 - ax0 - ax1) / 2 / width
    return [shift_y, shift_x, math.log((y1 - y0) / height), math.log((x1 - x0) / width)]


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


def test_unknown_rules_and_losses_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"model.anchors.assignment: expected one of .*'atss'.*got 'hungarian'"):
        tiny_detector(anchors=MODEL["anchors"] | {"assignment": "hungarian"})
    with pytest.raises(ValueError, match=r"model.loss.box_loss: expected one of .*'ciou'.*got 'l1'"):
        tiny_detector(loss=MODEL["loss"] | {"box_loss": "l1"})
    with pytest.raises(ValueError, match=r"model.loss.class_loss: expected one of .*got 'bce'"):
        tiny_detector(loss=MODEL["loss"] | {"class_loss": "bce"})


def test_frozen_batch_norms_keep_their_statistics():
    detector = tiny_detector(frozen_norms=["backbone.bn1", "backbone.blocks.0"]).train()
    before = {name: value.clone() for name, value in detector.state_dict().items() if "running_mean" in name}
    detector(torch.randint(0, 256, (2, 3, 128, 128), dtype=torch.uint8))
    after = detector.state_dict()
    kept = {name.split("network.")[1] for name, value in before.items() if torch.equal(value, after[name])}
    frozen = {
        n for n in (name.split("network.")[1] for name in before) if n.startswith(("backbone.bn1", "backbone.blocks.0"))
    }
    assert kept == frozen
    with pytest.raises(ValueError, match=r"model.frozen_norms: .*got 'neck'"):
        tiny_detector(frozen_norms=["neck"])


def test_weights_of_a_file_are_taken_where_they_fit(tmp_path, capsys):
    torch.manual_seed(3)
    source = tiny_detector()
    path = tmp_path / "weights.safetensors"
    save_file(source.state_dict(), path)
    whole = tiny_detector(pretrained=str(path))
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in source.state_dict().items())
    assert capsys.readouterr().out == ""
    other = tiny_detector(pretrained=str(path), anchors=MODEL["anchors"] | {"aspect_ratios": [1.0]})
    backbone = "network.backbone.conv_stem.weight"
    assert torch.equal(other.state_dict()[backbone], source.state_dict()[backbone])
    assert "start afresh: network.box_net.predict" in capsys.readouterr().out


def test_a_file_that_holds_no_such_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model.pretrained: expected one of .*safetensors file, got '.*absent"):
        tiny_detector(pretrained=str(tmp_path / "absent"))
    text = tmp_path / "text.safetensors"
    text.write_text("no tensors")
    with pytest.raises(ValueError, match=r"expected a .safetensors file, got .*text.safetensors"):
        tiny_detector(pretrained=str(text))
    save_file({"something": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other.safetensors: expected weights of tf_efficientdet_lite0"):
        tiny_detector(pretrained=str(tmp_path / "other.safetensors"))
