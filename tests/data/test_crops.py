"""Crops against a plain reference, and the store that holds them."""

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskdet.data.crops import CropStore, cut_crop, cut_faces, face_index, write_crop_store
from maskdet.schema import BOX_COLUMNS, CROPS, FOLDS, OVERLAYS, validate
from table_rows import face_rows

WITH, WITHOUT = "with_mask", "without_mask"
IMAGES = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24), st.just(3)))


def noise(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@st.composite
def image_and_box(draw):
    """Return an image and a box with area inside it, corners on quarters of a pixel."""
    image = draw(IMAGES)
    corners = []
    for length in (image.shape[1], image.shape[0]):
        low = draw(st.integers(0, 4 * length - 1))
        corners.append((low / 4, draw(st.integers(low + 1, 4 * length)) / 4))
    (x_min, x_max), (y_min, y_max) = corners
    return image, np.array([x_min, y_min, x_max, y_max])


@settings(max_examples=150, deadline=None)
@given(image_and_box(), st.sampled_from([0, 0.25, 0.5, 1.3]))
def test_a_crop_is_a_cut_of_the_image_whose_edge_goes_on(drawn, margin):
    image, box = drawn
    side = max(1, round(max(box[2] - box[0], box[3] - box[1]) * (1 + 2 * margin)))
    crop = cut_crop(image, box, margin, side)
    assert crop.shape == (side, side, 3)
    assert crop.dtype == np.uint8
    pad = 2 * max(image.shape)  # more than any crop reaches beyond the image
    wide = np.pad(image, ((2 * pad, 2 * pad), (2 * pad, 2 * pad), (0, 0)), mode="edge")
    places = [
        (left, top)
        for left in _starts((box[0] + box[2]) / 2, side)
        for top in _starts((box[1] + box[3]) / 2, side)
        if np.array_equal(crop, wide[2 * pad + top :, 2 * pad + left :][:side, :side])
    ]
    assert places, "no square of the padded image with its centre within half a pixel is this crop"


def _starts(centre: float, side: int) -> list[int]:
    """Return where a side of whole pixels may start so that its centre is at most half a pixel off."""
    first = int(np.floor(centre - side / 2))
    return [start for start in (first - 1, first, first + 1) if abs(start + side / 2 - centre) <= 0.5]


@settings(max_examples=60, deadline=None)
@given(image_and_box(), st.sampled_from([0, 0.25]), st.integers(1, 40))
def test_any_size_comes_out_and_the_image_is_left_alone(drawn, margin, size):
    image, box = drawn
    before = image.copy()
    crop = cut_crop(image, box, margin, size)
    assert crop.shape == (size, size, 3)
    crop[:] = 0
    assert np.array_equal(image, before)


def test_shrinking_averages_and_an_even_colour_stays_even():
    image = noise(32, 32)
    blocks = image.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))  # (8, 8, 3)
    assert np.abs(cut_crop(image, (0, 0, 32, 32), 0, 8) - blocks).max() <= 0.5
    even = np.full((20, 20, 3), (10, 100, 200), np.uint8)
    assert (cut_crop(even, (5, 5, 9, 9), 0.25, 96) == (10, 100, 200)).all()


def test_the_margin_is_a_share_of_the_longer_side():
    image = noise()
    assert np.array_equal(cut_crop(image, (20, 10, 30, 30), 0.25, 30), image[5:35, 10:40])
    assert np.array_equal(cut_crop(image, (20, 15, 40, 25), 0, 20), image[10:30, 20:40])


def test_a_box_in_another_format_gives_another_crop():
    image = noise()
    xyxy = cut_crop(image, (10, 5, 30, 25), 0, 20)
    assert np.array_equal(xyxy, image[5:25, 10:30])
    assert not np.array_equal(xyxy, cut_crop(image, (10, 5, 20, 20), 0, 20))  # its xywh
    assert not np.array_equal(xyxy, cut_crop(image, (5, 10, 25, 30), 0, 20))  # its yxyx


def test_what_lies_outside_the_image_does_not_count():
    image = noise()
    inside = cut_crop(image, (40, 20, 60, 40), 0.25, 24)
    assert np.array_equal(cut_crop(image, (40, 20, 1e9, 41), 0.25, 24), inside)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((60, 0, 70, 10), r"expected a box inside the image of 60 x 40 px, got \[60\.0, 0\.0, 70\.0, 10\.0\]"),
        ((-9, -9, 0, 0), r"expected a box inside the image of 60 x 40 px, got \[-9\.0"),
        ((10, 10, 10, 20), r"expected a box with an area \(image of 60 x 40 px\), got \[10\.0, 10\.0, 10\.0, 20\.0\]"),
        ((20, 20, 10, 10), "expected a box with an area"),
        ((float("nan"), 0, 10, 10), "expected a box with an area"),
        ((0, 0, float("inf"), 10), "expected a box with an area"),
    ],
)
def test_a_box_without_pixels_is_an_error(box, message):
    with pytest.raises(ValueError, match=message):
        cut_crop(noise(), box, 0.25, 96)


def test_arguments_out_of_range():
    box = (0, 0, 9, 9)
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\) of uint8, got \(40, 60\) of uint8"):
        cut_crop(noise()[..., 0], box, 0, 9)
    with pytest.raises(ValueError, match=r"of uint8, got .* of float64"):
        cut_crop(noise() / 255, box, 0, 9)
    with pytest.raises(ValueError, match=r"expected a margin of 0 or more, got -0\.1"):
        cut_crop(noise(), box, -0.1, 9)
    with pytest.raises(ValueError, match="expected a size of at least 1 px, got 0"):
        cut_crop(noise(), box, 0, 0)


def folds(*names: str) -> pd.DataFrame:
    rows = pd.DataFrame({"file_name": names, "group": range(len(names)), "split_role": "fold", "fold": 1})
    return validate(rows.astype({"file_name": str}), FOLDS, "test")


def test_faces_are_numbered_by_their_place_among_the_files_rows():
    faces = face_rows([("b", WITH, 0, 0, 9, 9), ("a", WITHOUT, 1, 1, 5, 5), ("b", WITHOUT, 2, 2, 8, 8)])
    index = validate(face_index(faces, folds("a", "b", "c")), CROPS, "test")
    assert index["file_name"].tolist() == ["b", "a", "b"]
    assert index["face"].tolist() == faces.groupby("file_name").cumcount().tolist() == [0, 0, 1]
    assert index["group"].tolist() == [1, 0, 1]
    assert index["x_min"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="expected a fold for every photo with faces, got none for 1: b"):
        face_index(faces, folds("a"))
    assert validate(face_index(face_rows([]), folds("a")), CROPS, "test").empty


@pytest.fixture
def photos(tmp_path):
    """Return a folder of two photos and the index of three faces in them."""
    for name, seed in (("a.png", 1), ("b.png", 2)):
        cv2.imwrite(str(tmp_path / name), cv2.cvtColor(noise(seed=seed), cv2.COLOR_RGB2BGR))
    faces = face_rows([("a.png", WITH, 2, 3, 12, 13), ("b.png", WITHOUT, 0, 0, 20, 20), ("b.png", WITH, 9, 9, 19, 19)])
    return tmp_path, face_index(faces, folds("a.png", "b.png"))


def test_every_face_is_cut_from_its_own_photo(photos):
    folder, index = photos
    crops = list(cut_faces(index, folder, 0, 10))
    assert np.array_equal(crops[0], noise(seed=1)[3:13, 2:12])
    assert np.array_equal(crops[2], noise(seed=2)[9:19, 9:19])
    assert len(crops) == 3


def test_a_bad_face_or_photo_is_named(photos):
    folder, index = photos
    outside = index.copy()
    outside.loc[2, BOX_COLUMNS] = [70, 70, 80, 80]
    with pytest.raises(ValueError, match=r"b\.png, face 1: expected a box inside the image of 60 x 40 px, got \[70"):
        list(cut_faces(outside, folder, 0.25, 10))
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:500])
    with pytest.raises(ValueError, match=r"b\.png: expected a whole image, got a file that ends early"):
        list(cut_faces(index, folder, 0.25, 10))
    (folder / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        list(cut_faces(index, folder, 0.25, 10))


def index_of(num_faces: int) -> pd.DataFrame:
    rows = [(f"{number}.png", WITH, 0, 0, 8, 8) for number in range(num_faces)]
    return face_index(face_rows(rows), folds(*(row[0] for row in rows)))


def crops_of(num_faces: int, size: int = 8) -> np.ndarray:
    return np.random.default_rng(num_faces).integers(0, 256, (num_faces, size, size, 3), np.uint8)


def test_a_store_comes_back_as_it_was_written(tmp_path):
    write_crop_store(tmp_path / "store", iter(crops_of(5)), index_of(5))
    store = CropStore.open(tmp_path / "store")
    assert np.array_equal(store.pixels, crops_of(5))
    assert isinstance(store.pixels, np.memmap)
    assert not store.pixels.flags.writeable
    pd.testing.assert_frame_equal(store.index, validate(index_of(5), CROPS, "test"))
    assert store.index.index.tolist() == list(range(len(store))) == [0, 1, 2, 3, 4]
    assert store.size == 8


def test_equal_crops_are_equal_bytes_from_a_generator_and_from_an_array(tmp_path):
    write_crop_store(tmp_path / "a", crops_of(5), index_of(5))
    write_crop_store(tmp_path / "b", (crop for crop in crops_of(5)), index_of(5))
    for name in ("pixels.npy", "index.parquet"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_store_of_overlaid_faces_keeps_what_was_drawn(tmp_path):
    index = index_of(2).assign(mask_shape="cup", mask_colour="blue", worn="chin")
    write_crop_store(tmp_path, crops_of(2), index, OVERLAYS)
    assert CropStore.open(tmp_path).index["worn"].tolist() == ["chin", "chin"]


@pytest.mark.parametrize(("pixels", "size"), [(crops_of(0, 12), 12), (iter(()), 0)])
def test_a_store_without_faces(tmp_path, pixels, size):
    write_crop_store(tmp_path, pixels, index_of(0))
    store = CropStore.open(tmp_path)
    assert len(store) == 0
    assert store.pixels.shape == (0, size, size, 3)
    assert list(store.index.columns) == list(CROPS.columns)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (crops_of(3), "expected a crop for each of 4 rows, got 3 crops"),
        (crops_of(5), "expected a crop for each of 4 rows, got more"),
        ([*crops_of(3), crops_of(1, 9)[0]], r"3\.png: expected a crop \(8, 8, 3\) of uint8, got \(9, 9, 3\)"),
        (crops_of(4) / 255, r"0\.png: expected a crop \(8, 8, 3\) of uint8, got .* float64"),
        ([*crops_of(3), np.zeros((8, 8), np.uint8)], r"3\.png: expected a crop \(8, 8, 3\) of uint8, got \(8, 8\)"),
    ],
)
def test_crops_that_do_not_fit_the_index_leave_the_old_store(tmp_path, pixels, message):
    write_crop_store(tmp_path / "store", crops_of(2), index_of(2))
    with pytest.raises(ValueError, match=message):
        write_crop_store(tmp_path / "store", pixels, index_of(4))
    assert len(CropStore.open(tmp_path / "store")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_an_index_that_breaks_its_schema_is_not_written(tmp_path):
    twice = pd.concat([index_of(1), index_of(1)])
    with pytest.raises(ValueError, match="expected a table of 'crops', got"):
        write_crop_store(tmp_path / "store", crops_of(2), twice)
    assert not (tmp_path / "store").exists()


def test_a_store_that_is_missing_or_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.parquet: expected a store of crops, found no file"):
        CropStore.open(tmp_path)
    write_crop_store(tmp_path, crops_of(3), index_of(3))
    pixels, content = tmp_path / "pixels.npy", (tmp_path / "pixels.npy").read_bytes()
    pixels.write_bytes(content[:-10])
    with pytest.raises(ValueError, match=r"pixels\.npy: expected an array of crops, got a file that NumPy refuses"):
        CropStore.open(tmp_path)
    pixels.write_bytes(b"")
    with pytest.raises(ValueError, match=r"pixels\.npy: expected an array of crops"):
        CropStore.open(tmp_path)
    for wrong in (crops_of(3)[..., :2], crops_of(3)[:, :4], crops_of(3).astype(np.float32)):
        np.save(pixels, wrong)
        with pytest.raises(ValueError, match=r"expected crops \(N, S, S, 3\) of uint8, got"):
            CropStore.open(tmp_path)
    np.save(pixels, crops_of(2))
    with pytest.raises(ValueError, match="expected a crop for each of 3 rows, got 2 crops"):
        CropStore.open(tmp_path)
    pixels.write_bytes(content)
    (tmp_path / "index.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"index\.parquet: expected a Parquet file"):
        CropStore.open(tmp_path)
    (tmp_path / "pixels.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"pixels\.npy: expected a store of crops, found no file"):
        CropStore.open(tmp_path)
