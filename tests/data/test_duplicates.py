"""Look-alikes share a group, different pictures do not."""

import cv2
import numpy as np
import pytest

from maskdet.data.duplicates import connected_groups, find_groups, join_series, near_hash_pairs
from maskdet.data.shared_points import shared_point_pairs

WIDTH, HEIGHT = 360, 240


def _scene(seed: int) -> np.ndarray:
    """Return a picture of 60 discs, rectangles and lines, no two seeds alike."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256, 3), np.uint8)
    for index in range(60):
        x, y, size = rng.integers(0, WIDTH), rng.integers(0, HEIGHT), rng.integers(8, 40)
        color = rng.integers(0, 256, 3).tolist()
        if index % 3 == 0:
            cv2.circle(image, (x, y), size // 2, color, -1)
        elif index % 3 == 1:
            cv2.rectangle(image, (x, y), (x + size, y + int(rng.integers(8, 40))), color, -1)
        else:
            cv2.line(image, (x, y), tuple(rng.integers(0, HEIGHT, 2).tolist()), color, 2)
    return image


@pytest.fixture
def write(tmp_path):
    def write_images(images: dict[str, np.ndarray]) -> list:
        for name, image in images.items():
            cv2.imwrite(str(tmp_path / name), image)
        return [tmp_path / name for name in images]

    return write_images


def _resized(image, scale):
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


COPIES = {
    "exact": lambda image: image,
    "smaller": lambda image: _resized(image, 0.6),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=30),
    "mirrored": lambda image: image[:, ::-1],
    "mirrored and smaller": lambda image: _resized(image[:, ::-1], 0.7),
    "cropped": lambda image: image[30:220, 20:300],
    "cropped and larger": lambda image: _resized(image[20:200, 60:330], 1.4),
    "mirrored and cropped": lambda image: image[10:190, 60:340][:, ::-1],
}


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_share_a_group_and_others_do_not(write, copy, suffix):
    images = {f"{seed}.png": _scene(seed) for seed in range(4)}
    paths = write(images | {f"copy.{suffix}": copy(_scene(2))})
    assert find_groups(paths, 6, 8).tolist() == [0, 1, 2, 3, 2]


@pytest.mark.parametrize("copy", [COPIES["exact"], COPIES["smaller"], COPIES["mirrored"]])
def test_hashes_alone_find_whole_copies(write, copy):
    paths = write({"a.png": _scene(0), "b.png": _scene(1), "c.png": copy(_scene(0))})
    assert near_hash_pairs(paths, 6) == [(0, 2)]
    assert find_groups(paths, 6, 0).tolist() == [0, 1, 0]


def test_a_shared_watermark_is_no_shared_scene(write):
    images = {"a.png": _scene(0), "b.png": _scene(1)}
    for image in images.values():
        image[-16:] = 255
        cv2.putText(image, "PHOTO AGENCY 1234567 WWW.AGENCY.COM", (4, HEIGHT - 5), 0, 0.4, (0, 0, 0), 1)
    assert find_groups(write(images), 6, 8).tolist() == [0, 1]


def test_flat_images_have_nothing_in_common(write):
    paths = write({"black.png": np.zeros((40, 40, 3), np.uint8), "grey.png": np.full((40, 40, 3), 99, np.uint8)})
    assert find_groups(paths, 6, 8).tolist() == [0, 1]


def test_no_image():
    assert find_groups([], 6, 8).shape == (0,)
    assert connected_groups(0, []).shape == (0,)


def test_chains_are_one_group_numbered_by_first_appearance():
    assert connected_groups(6, [(4, 5), (1, 4)]).tolist() == [0, 1, 2, 3, 1, 1]


def test_a_series_takes_its_look_alikes_along():
    sizes = np.array([[9, 9], [3, 4], [9, 9], [4, 3], [3, 4]])
    groups = np.array([0, 1, 2, 3, 2])
    assert join_series(groups, sizes, None).tolist() == [0, 1, 2, 3, 2]
    assert join_series(groups, sizes, (3, 4)).tolist() == [0, 1, 1, 2, 1]
    assert join_series(groups, sizes, [5, 5]).tolist() == [0, 1, 2, 3, 2]
    assert join_series(np.empty(0, int), np.empty((0, 2)), (3, 4)).shape == (0,)


def test_settings_out_of_range(write):
    paths = write({"a.png": _scene(0)})
    with pytest.raises(ValueError, match=r"split\.max_hash_distance: expected 0 to 64 bits, got 65"):
        find_groups(paths, 65, 8)
    with pytest.raises(ValueError, match="expected min_shared_points of at least 3, got 2"):
        shared_point_pairs(paths, 2)
