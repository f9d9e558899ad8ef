"""The training and evaluation sets and the sampler: pure functions of (seed, epoch, place)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskdet.data.augment import Augmentation
from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages, TrainingSet
from maskdet.data.framing import Letterbox, RandomCrop
from maskdet.data.sampling import Draw, EpochSampler, class_weights, image_weights
from maskdet.schema import CLASS_NAMES
from table_rows import face_rows
from training_world import FACES, annotations_table, draw_images, file_name

NUM_IMAGES = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images"
    draw_images(path)
    return path


@pytest.fixture(scope="module")
def source(folder):
    return LabelledImages.from_tables(folder, [file_name(i) for i in range(NUM_IMAGES)], annotations_table())


def training_set(source, seed: int = 0) -> TrainingSet:
    return TrainingSet(source, RandomCrop(128, (100, 200), 0.8), Augmentation([]), np.ones(3), seed)


def test_tables_become_arrays(source):
    assert len(source) == NUM_IMAGES
    assert [len(boxes) for boxes in source.boxes_xyxy] == [2, 1, 1, 0, 1, 2, 1, 0]
    assert source.boxes_xyxy[5].tolist() == [[0, 0, 50, 60], [70, 40, 140, 100]]
    assert [indices.tolist() for indices in source.class_indices[4:6]] == [[1], [0, 2]]
    assert (source.boxes_xyxy[3].shape, source.class_indices[3].dtype) == ((0, 4), np.int64)


def test_an_absent_image_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"expected 2 images, 1 absent: \['lost\.png'\]"):
        LabelledImages.from_tables(folder, [file_name(0), "lost.png"], annotations_table())


def test_images_in_memory_are_the_files(folder, source):
    kept = LabelledImages.from_tables(folder, source.file_names, annotations_table(), in_memory=True)
    kept.preload()
    for index in range(NUM_IMAGES):
        np.testing.assert_array_equal(kept.image(index), source.image(index))
        assert kept.image(index) is kept.image(index)
        assert source.image(index) is not source.image(index)


def test_an_example_is_a_function_of_its_draw(source):
    draws = [Draw(0, 0, 0), Draw(1, 0, 0), Draw(0, 1, 0)]
    first = [training_set(source)[draw].frame for draw in draws]
    again = [training_set(source)[draw].frame for draw in reversed(draws)][::-1]
    assert first == again
    assert len({*first, training_set(source, seed=1)[draws[0]].frame}) == 4


def test_training_pixels_agree_with_training_boxes(source):
    for place in range(6):
        example = training_set(source)[Draw(0, place, 2)]  # image 2 has one face, in the colour of class 2
        if len(example.boxes_xyxy):
            image = example.image.permute(1, 2, 0).numpy().astype(int)
            is_face = (abs(image - (200, 60, 90)).sum(axis=2) < 60).nonzero()
            found = (is_face[1].min(), is_face[0].min(), is_face[1].max() + 1, is_face[0].max() + 1)
            np.testing.assert_allclose(example.boxes_xyxy[0], found, atol=1.6)
            assert example.class_indices.tolist() == [2]


def test_evaluation_keeps_every_box(source):
    examples = list(map(EvaluationSet(source, Letterbox(128)).__getitem__, range(NUM_IMAGES)))
    assert [example.file_name for example in examples] == source.file_names
    for example, boxes in zip(examples, source.boxes_xyxy, strict=True):
        assert example.image.shape == (3, 128, 128)
        np.testing.assert_allclose(example.frame.to_image(example.boxes_xyxy.numpy()), boxes, atol=1e-3)
    np.testing.assert_allclose(examples[0].boxes_xyxy, np.array([(10, 20, 60, 80), (90, 10, 140, 70)]) * 0.8)
    assert examples[0].image_wh == (160, 100)


def test_115_faces_are_115_boxes(tmp_path):
    Image.new("RGB", (400, 400)).save(tmp_path / "crowd.png")
    boxes = [(x, y, x + 20, y + 24) for y in range(0, 360, 30) for x in range(0, 375, 34)][:115]
    table = face_rows([("crowd.png", CLASS_NAMES[i % 3], *box) for i, box in enumerate(boxes)])
    crowd = LabelledImages.from_tables(tmp_path, ["crowd.png"], table)
    batch = collate([EvaluationSet(crowd, Letterbox(256))[0]] * 2)
    assert [len(boxes) for boxes in batch.boxes_xyxy] == [115, 115]
    whole = TrainingSet(crowd, Letterbox(256), Augmentation([]), np.ones(3), 0)
    assert len(whole[Draw(0, 0, 0)].boxes_xyxy) == 115


def draws_of(sampler: EpochSampler, epoch: int) -> list[Draw]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_without_weights_an_epoch_is_a_permutation():
    sampler = EpochSampler(10, None, None, seed=0)
    first, second = draws_of(sampler, 0), draws_of(sampler, 1)
    assert sorted(draw.image_index for draw in first) == list(range(10))
    assert [draw.place for draw in first] == list(range(10))
    assert {draw.epoch for draw in second} == {1}
    assert [draw.image_index for draw in first] != [draw.image_index for draw in second]


@pytest.mark.parametrize("num_samples", [1, 7, 10, 25])
def test_an_epoch_is_cut_or_repeated(num_samples):
    sampler = EpochSampler(10, num_samples, None, seed=0)
    counts = np.bincount([draw.image_index for draw in draws_of(sampler, 3)], minlength=10)
    assert (len(sampler), counts.sum()) == (num_samples, num_samples)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 11.0)])
def test_draws_depend_on_seed_and_epoch_alone(weights):
    sampler = EpochSampler(10, 20, weights, seed=4)
    later_first = [draws_of(sampler, epoch) for epoch in (5, 0)]
    assert later_first == [draws_of(EpochSampler(10, 20, weights, seed=4), epoch) for epoch in (5, 0)]
    assert draws_of(sampler, 0) != draws_of(EpochSampler(10, 20, weights, seed=5), 0)


def test_weights_raise_the_share_of_rare_images():
    weights = np.array([1.0] * 9 + [9.0])
    drawn = [draw.image_index for draw in draws_of(EpochSampler(10, 4000, weights, seed=0), 0)]
    assert abs(np.mean(np.array(drawn) == 9) - 0.5) < 0.03  # 9 / 18; the standard error is 0.008


@dataclass(frozen=True)
class Weighing:
    power: float
    by_class: tuple[float, float, float]
    by_image: tuple[float, ...]


@pytest.mark.parametrize(
    "case",
    [
        Weighing(0, (1, 1, 1), (1, 1, 1, 1, 1)),
        Weighing(1, (1, 2, 8), (1, 1, 2, 4, 1)),
        Weighing(0.5, (1, 2**0.5, 8**0.5), (1, 1, 2**0.5, 2, 1)),
    ],
)
def test_weights_by_hand(case):
    """Faces: 8, 4, 1. Images with each class: 4, 2, 1."""
    faces = [[0, 0, 0, 0, 0], [0], [0, 1, 1, 1], [0, 2, 1], []]
    indices = [np.array(of_image, np.int64) for of_image in faces]
    np.testing.assert_allclose(class_weights(indices, case.power), case.by_class)
    np.testing.assert_allclose(image_weights(indices, case.power), case.by_image)


def test_a_class_that_never_occurs_counts_once():
    np.testing.assert_allclose(class_weights([np.array([0, 0, 0])], 1), (1, 3, 3))
    np.testing.assert_allclose(class_weights([], 1), (1, 1, 1))


def test_the_drawn_world_is_what_its_tables_say():
    assert pd.Series([face[1] for face in FACES]).value_counts().to_dict() == {0: 4, 1: 2, 2: 2}
