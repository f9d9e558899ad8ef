"""Copies of one photo are found, whatever was done to them; names count where pictures say nothing."""

import cv2
import numpy as np
import pandas as pd
import pytest

from maskdet.data.copies import equal_pairs, look_alike_pairs, twin_pairs
from maskdet.data.duplicates import connected_groups

HEIGHT, WIDTH = 300, 240


def _portrait(seed: int) -> np.ndarray:
    """Return a picture of 60 shapes, no two seeds alike, around a plain oval in the middle."""
    rng = np.random.default_rng(seed)
    image = np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256, 3), np.uint8)
    for index in range(60):
        x, y, size = rng.integers(0, WIDTH), rng.integers(0, HEIGHT), int(rng.integers(8, 40))
        color = rng.integers(0, 256, 3).tolist()
        if index % 2:
            cv2.circle(image, (x, y), size // 2, color, -1)
        else:
            cv2.rectangle(image, (x, y), (x + size, y + int(rng.integers(8, 40))), color, -1)
    cv2.ellipse(image, (WIDTH // 2, HEIGHT // 2), (45, 60), 0, 0, 360, (120, 150, 200), -1)
    return image


def _turned(image: np.ndarray, degrees: float) -> np.ndarray:
    turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, 1)
    return cv2.warpAffine(image, turn, (WIDTH, HEIGHT))  # black corners, as copies in public sets have them


def _masked(image: np.ndarray) -> np.ndarray:
    masked = image.copy()
    cv2.ellipse(masked, (WIDTH // 2, HEIGHT // 2 + 25), (42, 34), 0, 0, 360, (240, 230, 190), -1)
    return masked


def _noisy(image: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


COPIES = {
    "the same": lambda image: image,
    "mask drawn on": _masked,
    "mirrored": lambda image: image[:, ::-1],
    "mirrored with a mask": lambda image: _masked(image)[:, ::-1],
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 2),
    "noisy": _noisy,
    "turned": lambda image: _turned(image, 25),
    "turned the other way, with a mask": lambda image: _turned(_masked(image), -25),
}


def _table(folder, pictures: dict[str, np.ndarray]) -> pd.DataFrame:
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
    return pd.DataFrame({"file_name": pictures.keys(), "sha256": [str(hash(p.tobytes())) for p in pictures.values()]})


def _groups(folder, pictures: dict[str, np.ndarray]) -> list[int]:
    table = _table(folder, pictures)
    pairs = look_alike_pairs(table, folder, 6, 8, 30, ["-with-mask"])
    return connected_groups(len(table), [pair for found in pairs.values() for pair in found]).tolist()


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_shares_the_group_of_its_original(tmp_path, copy):
    originals = {f"without_mask/{seed}.png": _portrait(seed) for seed in range(4)}
    assert _groups(tmp_path, originals | {"with_mask/copy.png": copy(_portrait(2))}) == [0, 1, 2, 3, 2]


def test_a_picture_turned_by_more_is_another(tmp_path):
    pictures = {"with_mask/a.png": _portrait(0), "with_mask/b.png": _turned(_portrait(0), 40)}
    assert _groups(tmp_path, pictures) == [0, 1]


def test_each_sign_is_told_apart(tmp_path):
    pictures = {
        "with_mask/a.png": _portrait(0),
        "without_mask/b.png": _portrait(0),
        "with_mask/7-with-mask.png": _portrait(1),
        "without_mask/7.png": _portrait(2),
        "without_mask/8.png": _portrait(3)[40:260, 30:200],
        "without_mask/9.png": _portrait(3),
    }
    pairs = look_alike_pairs(_table(tmp_path, pictures), tmp_path, 6, 8, 30, ["-with-mask"])
    assert pairs == {
        "equal_pixels": [(0, 1)],
        "near_hash": [(0, 1)],
        "shared_points": [(0, 1), (4, 5)],
        "twin_name": [(2, 3)],
    }
    assert look_alike_pairs(_table(tmp_path, pictures), tmp_path, 6, 0, 30, [])["shared_points"] == []


def test_equal_pictures_without_any_detail_are_copies_too(tmp_path):
    flat = np.full((20, 20, 3), 90, np.uint8)
    assert _groups(tmp_path, {"with_mask/a.png": flat, "without_mask/b.png": flat, "with_mask/c.png": flat + 9}) == [
        0,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("names", "marks", "pairs"),
    [
        ([], ["-with-mask"], []),
        (["w/7-with-mask.jpg", "o/7.png"], ["-with-mask"], [(0, 1)]),  # the suffix does not count
        (["o/7.png", "w/7-with-mask.jpg", "u/7.jpg"], ["-with-mask"], [(1, 0), (1, 2)]),
        (["w/7-with-mask.jpg", "w/7.jpg"], ["-with-mask"], []),  # of the same class
        (["w/17-with-mask.jpg", "o/7.jpg"], ["-with-mask"], []),
        (["w/augmented_1.jpg", "o/augmented_1.jpg"], ["-with-mask"], []),
        (["w/7_m.jpg", "w/8-surgical.jpg", "o/7.jpg", "o/8.jpg"], ["_m", "-surgical"], [(0, 2), (1, 3)]),
        (["w/7-with-mask.jpg", "o/7.jpg"], [], []),
        (["w/7.+.jpg", "o/7.jpg", "o/7a.jpg"], [".+"], [(0, 1)]),  # a mark is no pattern
    ],
)
def test_twins_by_name(names, marks, pairs):
    assert twin_pairs(names, marks) == pairs


def test_equal_values_point_to_the_first():
    assert equal_pairs([]) == []
    assert equal_pairs(["a", "b", "c"]) == []
    assert equal_pairs(["b", "a", "b", "a", "b"]) == [(0, 2), (1, 3), (0, 4)]
