"""Photos reduced: light, sharpness, squares and thumbnails."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskdet.data.image_traits import evenly_spread, image_traits, look_at_images


def checkered(cell: int, low: int = 0, high: int = 255) -> np.ndarray:
    rows, columns = np.indices((256, 256)) // cell
    return np.where((rows + columns) % 2, high, low).astype(np.uint8)[..., None].repeat(3, axis=2)


def test_brightness_is_the_mean_luminance():
    assert image_traits(np.full((9, 7, 3), 80, np.uint8))[0] == pytest.approx(80, abs=0.5)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert image_traits(red)[0] == pytest.approx(0.299 * 200, abs=0.6)


def test_finer_detail_is_sharper_and_contrast_does_not_count():
    sharpness = [image_traits(checkered(cell))[1] for cell in (2, 8, 32)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert image_traits(checkered(8, 100, 150))[1] == pytest.approx(image_traits(checkered(8))[1], rel=1e-5)
    assert image_traits(np.full((30, 40, 3), 7, np.uint8))[1] == 0


def test_a_larger_copy_is_not_less_sharp():
    small = checkered(16)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    assert image_traits(large)[1] == pytest.approx(image_traits(small)[1], rel=1e-6)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 60), st.integers(0, 70))
def test_places_are_spread_over_the_list(num_items, max_chosen):
    chosen = sorted(evenly_spread(num_items, max_chosen))
    assert len(chosen) == min(num_items, max_chosen)
    assert set(chosen) <= set(range(num_items))
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (0, num_items - 1)
        assert max(np.diff(chosen)) - min(np.diff(chosen)) <= 1


def test_looks_come_in_order_with_thumbnails_for_some(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for index, path in enumerate(paths):
        Image.new("RGB", (300, 100 + index), (40 * index,) * 3).save(path)
    looks = list(look_at_images(paths, 48, 64, 3))
    assert [round(look.brightness / 40) for look in looks] == [0, 1, 2, 3, 4]
    assert {look.square.shape for look in looks} == {(48, 48, 3)}
    assert [look.thumbnail is not None for look in looks] == [True, False, True, False, True]
    assert looks[0].thumbnail.shape == (21, 64, 3)
    assert looks[0].thumbnail.dtype == np.uint8


def test_a_small_photo_is_not_enlarged(tmp_path):
    Image.new("RGB", (20, 10)).save(tmp_path / "small.png")
    look = next(look_at_images([tmp_path / "small.png"], 32, 64, 1))
    assert look.thumbnail.shape == (10, 20, 3)


def test_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png"):
        list(look_at_images([tmp_path / "absent.png"], 32, 64, 1))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png"):
        list(look_at_images([tmp_path / "text.png"], 32, 64, 1))
    with pytest.raises(ValueError, match=r"explore\.features\.size: expected at least 32 px, got 16"):
        list(look_at_images([tmp_path / "text.png"], 16, 64, 1))
