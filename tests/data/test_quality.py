"""Sharpness and brightness on drawn faces."""

import cv2
import numpy as np
import pandas as pd
import pytest

from maskdet.data.quality import crop_quality, face_quality
from maskdet.schema import BOX_COLUMNS


def texture(side: int) -> np.ndarray:
    """Return a (side, side, 3) picture with detail down to an eighth of its side."""
    blocks = np.random.default_rng(0).integers(40, 216, (8, 8), np.uint8)
    return np.repeat(cv2.resize(blocks, (side, side), interpolation=cv2.INTER_NEAREST)[..., None], 3, axis=2)


def test_blur_lowers_sharpness_step_by_step():
    crop = texture(64)
    sharpness = [crop_quality(crop)[0], *(crop_quality(cv2.GaussianBlur(crop, (0, 0), s))[0] for s in (1, 2, 4, 8))]
    assert (np.diff(sharpness) < 0).all()


def test_sharpness_ignores_exposure_and_contrast_and_brightness_counts_it():
    crop = texture(64)
    darker = (crop // 2).astype(np.uint8)
    (sharpness, brightness), (sharpness_dark, brightness_dark) = crop_quality(crop), crop_quality(darker)
    assert sharpness_dark == pytest.approx(sharpness, rel=0.02)
    assert brightness_dark == pytest.approx(brightness / 2, abs=0.5)


def test_the_size_of_a_photo_changes_little():
    assert crop_quality(texture(64))[0] == pytest.approx(crop_quality(texture(256))[0], rel=0.1)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 3, 3), (200, 2, 3)])
def test_an_even_colour_has_no_sharpness(shape):
    assert crop_quality(np.full(shape, 77, np.uint8)) == (0, pytest.approx(77))


@pytest.fixture
def photo(tmp_path):
    """Return the folder of a photo whose right half is white, its left half black."""
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 40:] = 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    return tmp_path


def boxes(*rows: tuple, index: list[int] | None = None) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=BOX_COLUMNS, dtype=np.float32, index=index).assign(file_name="a.png")


def test_each_face_is_measured_on_its_own_pixels(photo):
    measured = face_quality(
        boxes((0, 0, 40, 40), (40, 0, 80, 40), (30, 0, 50, 40), (40.2, 0, 40.6, 1), index=[5, 3, 9, 1]), photo
    )
    assert measured.index.tolist() == [5, 3, 9, 1]
    assert measured["brightness"].tolist() == pytest.approx([0, 255, 127.5, 255])
    assert (measured["sharpness"] > 0).tolist() == [False, False, True, False]


def test_without_faces_no_photo_is_read(tmp_path):
    assert face_quality(boxes(), tmp_path).shape == (0, 2)


def test_bad_input_is_named(photo):
    with pytest.raises(ValueError, match=r"a\.png: expected boxes inside 80 x 40 px, got \[90\.0, 0\.0, 99\.0, 9\.0\]"):
        face_quality(boxes((90, 0, 99, 9)), photo)
    with pytest.raises(FileNotFoundError, match=r"b\.png"):
        face_quality(boxes((0, 0, 9, 9)).assign(file_name="b.png"), photo)
