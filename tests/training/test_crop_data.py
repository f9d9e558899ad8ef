"""How faces are dealt into parts, and the examples a classifier gets."""

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from crop_world import SIZE, classify_config, drawn_crop, face_index_table, write_faces, write_overlays
from maskdet.data.sampling import Draw, EpochSampler
from maskdet.models.classifiers import CropClassifier
from maskdet.schema import CLASS_NAMES
from maskdet.training.crop_data import (
    NEVER_HELD_OUT,
    AugmentedCrops,
    CachedViews,
    FaceCrops,
    PlainCrops,
    compute_views,
    deal_parts,
)

CLASSES = [0] * 24 + [1] * 12 + [2] * 12


def augmentation():
    return instantiate(classify_config().classifier.augment, _convert_="all")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("faces") / "crops", CLASSES)


def test_grouped_parts_are_the_folds():
    index = face_index_table(CLASSES)
    np.testing.assert_array_equal(deal_parts(index, "grouped", 0), index["fold"])


@settings(max_examples=30, deadline=None)
@given(counts=st.tuples(st.integers(5, 60), st.integers(5, 30), st.integers(5, 12)), seed=st.integers(0, 1000))
def test_by_face_parts_hold_each_face_out_once_with_equal_shares(counts, seed):
    classes = [index for index, count in enumerate(counts) for _ in range(count)]
    index = face_index_table(classes)
    parts = deal_parts(index, "by_face_80_20", seed)
    table = pd.crosstab(parts, index["class_name"]).reindex(range(5), fill_value=0)
    assert set(parts) == set(range(5))
    assert (table.max() - table.min() <= 1).all()  # of each class
    assert (np.bincount(parts) / len(parts)).max() < 0.2 + 3 / len(parts)
    np.testing.assert_array_equal(parts, deal_parts(index, "by_face_80_20", seed))


@settings(max_examples=20, deadline=None)
@given(counts=st.tuples(st.integers(20, 60), st.integers(10, 30), st.integers(10, 12)), seed=st.integers(0, 1000))
def test_three_of_ten_faces_are_one_part(counts, seed):
    classes = [index for index, count in enumerate(counts) for _ in range(count)]
    index = face_index_table(classes)
    parts = deal_parts(index, "by_face_70_30", seed)
    assert set(parts) == {NEVER_HELD_OUT, 0}
    assert (parts == 0).sum() == np.ceil(0.3 * len(parts))
    held_out = index["class_name"][parts == 0].value_counts()
    for name, count in zip(CLASS_NAMES, counts, strict=True):
        assert abs(held_out[name] - 0.3 * count) <= 1


def test_dealing_by_face_tears_photos_apart_and_dealing_by_group_does_not():
    index = face_index_table(CLASSES)
    torn = {
        protocol: index.assign(part=deal_parts(index, protocol, 0)).groupby("group")["part"].nunique().max()
        for protocol in ("grouped", "by_face_80_20", "by_face_70_30")
    }
    assert torn == {"grouped": 1, "by_face_80_20": 2, "by_face_70_30": 2}


def test_seeds_deal_differently_and_unknown_protocols_or_rare_classes_are_refused():
    index = face_index_table(CLASSES)
    assert (deal_parts(index, "by_face_80_20", 0) != deal_parts(index, "by_face_80_20", 1)).any()
    with pytest.raises(ValueError, match=r"expected one of \('grouped', .*, got 'random'"):
        deal_parts(index, "random", 0)
    with pytest.raises(ValueError, match=r"by_face_80_20: expected at least 5 faces of each class, got .*: 4"):
        deal_parts(face_index_table([0] * 9 + [1] * 4), "by_face_80_20", 0)


def test_a_part_trains_on_all_faces_but_its_own(store):
    faces = FaceCrops(store, "grouped", 0)
    assert faces.held_out_parts == [0, 1, 2]
    assert faces.class_names == CLASS_NAMES
    for part in faces.held_out_parts:
        training, held_out = faces.training(part), faces.held_out(part)
        assert set(training.places) | set(held_out.places) == set(range(len(store)))
        assert not set(training.places) & set(held_out.places)
        for crops in (training, held_out):
            assert len(crops) == len(crops.pixels) == len(crops.places)
            for number, place in enumerate(crops.places):
                np.testing.assert_array_equal(crops.pixels[number], store.pixels[place])
                assert CLASS_NAMES[crops.class_indices[number]] == store.index["class_name"][place]


def test_faces_kept_for_the_test_take_no_part(tmp_path):
    store = write_faces(tmp_path / "crops", CLASSES)
    store.index.loc[store.index["fold"] == 0, "fold"] = -1
    for protocol in ("grouped", "by_face_80_20"):
        faces = FaceCrops(store, protocol, 0)
        assert len(faces.index) == (store.index["fold"] >= 0).sum() == len(faces.everything)
        kept = set(store.index["file_name"][store.index["fold"] < 0])
        assert not kept & set(faces.index["file_name"])
        first = faces.held_out(faces.held_out_parts[0])
        name = faces.index["class_name"][first.places[0]]
        assert CLASS_NAMES[first.class_indices[0]] == name


def test_two_classes_are_numbered_in_the_order_of_the_class_list(tmp_path):
    faces = FaceCrops(write_faces(tmp_path / "crops", [2, 1] * 6), "grouped", 0)
    assert faces.class_names == ("without_mask", "mask_weared_incorrect")
    assert faces.held_out(0).class_indices.tolist()[:2] == [1, 0]
    with pytest.raises(ValueError, match=r"faces of two classes or more outside the test, got \['with_mask'\]"):
        FaceCrops(write_faces(tmp_path / "one", [0, 0, 0]), "grouped", 0)


@pytest.mark.parametrize("protocol", ["grouped", "by_face_80_20", "by_face_70_30"])
def test_copies_train_only_where_their_face_does_and_are_never_judged(tmp_path, store, protocol):
    rows = [0, 0, 1, 5, 20, 30, 31]  # one face has two copies
    faces = FaceCrops(store, protocol, 0, write_overlays(tmp_path / "overlays", store, rows))
    for part in faces.held_out_parts:
        training = faces.training(part)
        copies = training.places[training.places >= len(store)] - len(store)
        assert sorted(copies) == [n for n, row in enumerate(rows) if faces.parts[row] != part]
        assert (faces.held_out(part).places < len(store)).all()
        for number, place in enumerate(training.places):
            if place >= len(store):
                expected = drawn_crop(2, 1000 + rows[place - len(store)])
                np.testing.assert_array_equal(training.pixels[number], expected)
                assert training.class_indices[number] == 2
    assert len(faces.everything) == len(store) + len(rows)


def test_copies_are_limited_in_number_and_class(tmp_path, store):
    rows = list(range(12))
    overlays = write_overlays(tmp_path / "overlays", store, rows)
    limited = FaceCrops(store, "grouped", 0, overlays, overlay_limit=3)
    chosen = [set(limited.training(part).places[-3:]) for part in limited.held_out_parts]
    assert all(min(places) >= len(store) for places in chosen)
    assert [len(limited.training(part)) for part in (0, 1, 2)] == [32 + 3] * 3
    again = FaceCrops(store, "grouped", 0, overlays, overlay_limit=3)
    assert chosen == [set(again.training(part).places[-3:]) for part in (0, 1, 2)]
    none_fits = FaceCrops(store, "grouped", 0, overlays, overlay_classes=["without_mask"])
    assert len(none_fits.training(0)) == 32
    bigger = write_faces(tmp_path / "bigger", [0, 1])
    object.__setattr__(bigger, "pixels", np.zeros((2, 32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="expected crops of 16 px like the faces, got 32"):
        FaceCrops(store, "grouped", 0, bigger)


def test_an_example_is_a_function_of_its_draw(store):
    examples = AugmentedCrops(FaceCrops(store, "grouped", 0).training(0), augmentation(), seed=3)
    image, class_index = examples[Draw(1, 7, 4)]
    assert image.shape == (3, SIZE, SIZE)
    assert image.dtype == torch.uint8
    assert class_index == examples.crops.class_indices[4]
    torch.testing.assert_close(examples[Draw(1, 7, 4)][0], image)
    for other in (Draw(2, 7, 4), Draw(1, 8, 4)):
        assert not torch.equal(examples[other][0], image)


def test_the_number_of_workers_changes_no_batch(store):
    examples = AugmentedCrops(FaceCrops(store, "grouped", 0).training(0), augmentation(), seed=0)
    sampler = EpochSampler(len(examples), None, None, 0)
    batches = [
        [(images, classes) for images, classes in DataLoader(examples, 8, sampler=sampler, num_workers=workers)]
        for workers in (0, 2)
    ]
    for ours, theirs in zip(*batches, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_cached_views_are_the_features_of_the_crops_they_stand_for(tmp_path, store):
    torch.manual_seed(0)
    classifier = CropClassifier("sequential_cnn", SIZE, frozen="base")
    faces = FaceCrops(store, "grouped", 0, write_overlays(tmp_path / "overlays", store, [3, 9, 30]))
    path = tmp_path / "features.npy"
    views = compute_views(classifier, faces.everything, augmentation(), 3, 0, path, batch_size=5)
    assert views.shape == (3, len(store) + 3, classifier.num_features)
    training = faces.training(1)
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack(list(training.pixels))).permute(0, 3, 1, 2)
        features = classifier.features(pixels)
    plain = PlainCrops(training, views[0])
    for number in range(len(training)):
        found, class_index = plain[number]
        torch.testing.assert_close(found, features[number], rtol=1e-4, atol=1e-5)
        assert class_index == training.class_indices[number]
    assert np.abs(views[1] - views[0]).max() > 0.01
    cached, chosen = CachedViews(training, views, seed=0), set()
    for place in range(40):
        found, class_index = cached[Draw(0, place, 2)]
        (view,) = (v for v in range(3) if np.array_equal(found, views[v, training.places[2]]))
        chosen.add(view)
        torch.testing.assert_close(cached[Draw(0, place, 2)][0], found)
    assert chosen == {0, 1, 2}
    kept = compute_views(None, faces.everything, None, 3, 0, path)  # taken from the file: nothing to compute with
    np.testing.assert_array_equal(kept, views)
