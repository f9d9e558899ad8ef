"""Every committed augmentation survives every box, and is a function of its seed."""

from pathlib import Path

import albumentations
import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from maskdet.data.augment import Augmentation

CONFIGS = sorted((Path(__file__).parents[2] / "conf/augment").glob("*.yaml"))
S = 96
BORDER_BOXES = np.array(
    [
        (0, 0, 96, 96),  # the whole image
        (0, 20, 30, 60),  # touches the left border, then the top, the right, the bottom
        (20, 0, 60, 30),
        (66, 20, 96, 60),
        (20, 66, 60, 96),
        (-10, 20, 30, 60),  # crosses them
        (20, -10, 60, 30),
        (66, 20, 106, 60),
        (20, 66, 60, 106),
        (0, 0, 1, 1),  # one pixel in corners and in the middle
        (95, 95, 96, 96),
        (40, 40, 41, 41),
        (-20, -20, -5, -5),  # outside
        (50.5, 50.25, 50.75, 50.5),  # thinner than a pixel
    ],
    np.float32,
)


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def augmentation(request):
    return instantiate(OmegaConf.load(request.param), _convert_="all")


def load(name: str):
    return instantiate(OmegaConf.load(CONFIGS[0].with_name(f"{name}.yaml")), _convert_="all")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (S, S, 3), dtype=np.uint8)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 2**32 - 1])
def test_border_boxes_come_out_inside(augmentation, image, seed):
    before, boxes_before = image.copy(), BORDER_BOXES.copy()
    classes = np.arange(len(BORDER_BOXES)) % 3
    pixels, boxes, kept = augmentation(image, BORDER_BOXES, classes, seed)
    assert (pixels.shape, pixels.dtype) == ((S, S, 3), np.uint8)
    assert (boxes.dtype, kept.dtype) == (np.float32, np.int64)
    assert len(boxes) == len(kept) <= len(BORDER_BOXES)
    assert (boxes >= 0).all()
    assert (boxes <= S).all()
    assert ((boxes[:, 2:] - boxes[:, :2]) > 0.9).all()
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(BORDER_BOXES, boxes_before)


@pytest.mark.parametrize("box", BORDER_BOXES.tolist())
def test_each_box_alone_passes(augmentation, image, box):
    for seed in (5, 6):
        _, boxes, classes = augmentation(image, np.array([box], np.float32), np.array([2]), seed)
        assert classes.tolist() == [2] * len(boxes)


def test_an_image_without_faces_passes(augmentation, image):
    pixels, boxes, classes = augmentation(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), 3)
    assert pixels.shape == image.shape
    assert (boxes.shape, boxes.dtype, classes.shape, classes.dtype) == ((0, 4), np.float32, (0,), np.int64)


def test_equal_seeds_give_equal_results(augmentation, image):
    classes = np.zeros(len(BORDER_BOXES), np.int64)
    first = augmentation(image, BORDER_BOXES, classes, 11)
    augmentation(image, BORDER_BOXES, classes, 12)  # in between, so that no state is left over
    for ours, theirs in zip(first, augmentation(image, BORDER_BOXES, classes, 11), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["soft", "strong"])
def test_another_seed_gives_another_image(name, image):
    empty = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    results = {load(name)(image, *empty, seed)[0].tobytes() for seed in range(8)}
    assert len(results) >= 6


def test_none_changes_nothing(image):
    boxes = np.array([(0, 0, 96, 96), (3, 4, 4, 5), (10.5, 20.25, 40.75, 60)], np.float32)
    pixels, found, classes = load("none")(image, boxes, np.array([2, 1, 0]), 0)
    np.testing.assert_array_equal(pixels, image)
    np.testing.assert_allclose(found, boxes, atol=1e-4)
    assert classes.tolist() == [2, 1, 0]


def test_none_keeps_every_face_of_one_pixel(image):
    rng = np.random.default_rng(1)
    corners = rng.integers(0, S - 1, (200, 2))
    boxes = np.hstack([corners, corners + 1]).astype(np.float32)
    assert len(load("none")(image, boxes, np.zeros(200, np.int64), 0)[1]) == 200


def test_a_flip_moves_boxes_with_pixels():
    image = np.zeros((S, S, 3), np.uint8)
    image[20:50, 5:30] = 255
    box, soft = np.array([(5, 20, 30, 50)], np.float32), load("soft")
    seen = set()
    for seed in range(12):
        pixels, boxes, _ = soft(image, box, np.array([0]), seed)
        rows, columns = np.nonzero(pixels[..., 0] > 60)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        np.testing.assert_allclose(boxes[0], found, atol=1e-3)
        seen.add(int(found[0]))
    assert seen == {5, S - 30}


def test_transforms_are_applied_independently_of_each_other(image):
    """Mirroring (half) and turning upside down (a quarter) coincide as often as chance has it."""
    transforms = [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.25)]
    augmentation, none = Augmentation(transforms), np.zeros((0, 4), np.float32)
    variants = {(h, v): image[:: -1 if v else 1, :: -1 if h else 1].tobytes() for h in (0, 1) for v in (0, 1)}
    found = [augmentation(image, none, np.zeros(0, np.int64), seed)[0].tobytes() for seed in range(2000)]
    for (mirrored, upside_down), picture in variants.items():
        expected = 0.5 * (0.25 if upside_down else 0.75)
        deviation = (expected * (1 - expected) / len(found)) ** 0.5
        assert abs(found.count(picture) / len(found) - expected) < 4 * deviation, (mirrored, upside_down)
