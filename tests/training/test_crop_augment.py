"""Crops are augmented as a function of a generator, and transforms do not copy each other's decisions."""

import albumentations
import numpy as np
from hydra.utils import instantiate

from crop_world import SIZE, classify_config, drawn_crop
from maskdet.training.crop_augment import CropAugmentation


def test_generators_in_one_state_give_one_crop_and_the_original_stays():
    augmentation = instantiate(classify_config().classifier.augment, _convert_="all")
    crop = drawn_crop(0, seed=0)
    before = crop.copy()
    results = [augmentation(crop, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    assert results[0].shape == (SIZE, SIZE, 3)
    assert results[0].dtype == np.uint8
    np.testing.assert_array_equal(crop, before)
    assert not np.shares_memory(CropAugmentation([albumentations.NoOp()])(crop, np.random.default_rng(0)), crop)


def test_transforms_are_applied_independently_of_each_other():
    """Mirroring (half) and turning upside down (a quarter) coincide as often as chance has it."""
    augmentation = CropAugmentation([albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.25)])
    crop = drawn_crop(1, seed=5)
    variants = {(h, v): crop[:: -1 if v else 1, :: -1 if h else 1].tobytes() for h in (0, 1) for v in (0, 1)}
    found = [augmentation(crop, np.random.default_rng([7, draw])).tobytes() for draw in range(2000)]
    for (mirrored, upside_down), picture in variants.items():
        expected = 0.5 * (0.25 if upside_down else 0.75)
        deviation = (expected * (1 - expected) / len(found)) ** 0.5
        assert abs(found.count(picture) / len(found) - expected) < 4 * deviation, (mirrored, upside_down)
