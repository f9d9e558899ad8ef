"""Copies are found whatever was done to them, and different pictures are not."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damaged_set import encoded, scene
from maskdet.data.audit.candidates import Candidate, find_candidates
from maskdet.data.audit.copies import Copy, find_copies
from maskdet.data.audit.looks import look_at, mirrored_descriptors, mirrored_positions, unit_descriptors
from maskdet.data.audit.placing import compare_looks
from maskdet.data.duplicates import near_hash_pairs
from maskdet.data.shared_points import detect_points, shrunk_grey

SIZE = (240, 180)
NUM_PLANTED = 20


def picture(seed: int) -> np.ndarray:
    return scene(seed, *SIZE)


def reencoded(image: np.ndarray, quality: int = 70) -> np.ndarray:
    code = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


def cropped(image: np.ndarray, x: float = 0.5, y: float = 0.5, share: float = 0.8) -> np.ndarray:
    """Return a part of `share` of the sides, its free place given as shares of what is left."""
    height, width = image.shape[:2]
    new_h, new_w = round(height * share), round(width * share)
    top, left = round((height - new_h) * y), round((width - new_w) * x)
    return image[top : top + new_h, left : left + new_w]


def mirrored(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[:, ::-1])


CHANGES = {
    "encoded": (reencoded, "near"),
    "cropped": (lambda image: reencoded(cropped(image, 0.1, 0.9)), "near"),
    "mirrored": (mirrored, "mirrored"),
    "cropped and mirrored": (lambda image: reencoded(mirrored(cropped(image, 1.0, 0.0))), "mirrored"),
    "cropped, enlarged": (lambda image: cv2.resize(reencoded(cropped(image)), None, fx=1.5, fy=1.5), "near"),
    "shrunk": (lambda image: cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), "near"),
    "quarter turn": (lambda image: np.ascontiguousarray(np.rot90(image)), "near"),
    "upside down": (lambda image: np.ascontiguousarray(image[::-1]), "mirrored"),
    "brighter": (lambda image: cv2.convertScaleAbs(image, alpha=0.8, beta=30), "near"),
    "half of a collage": (lambda image: np.hstack([image[:, :150], picture(99)[:, :90]]), "near"),
}


@pytest.fixture(scope="module")
def looks():
    return [look_at(picture(seed)) for seed in range(NUM_PLANTED)]


@pytest.mark.parametrize(("change", "kind"), CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(looks, change, kind):
    copies = find_copies([*looks[:6], look_at(change(picture(3)))], 7, range(7))
    assert [(copy.kind, copy.picture, copy.other) for copy in copies] == [(kind, 6, 3)]


def test_twenty_planted_pictures_are_all_found_in_another_set(looks):
    rng = np.random.default_rng(0)
    planted = [cropped(picture(seed), *rng.uniform(0, 1, 2)) for seed in range(NUM_PLANTED)]
    planted = [reencoded(mirrored(part) if seed % 2 else part) for seed, part in enumerate(planted)]
    others = [look_at(image) for image in planted] + [look_at(picture(seed)) for seed in range(500, 510)]
    copies = find_copies([*looks, *others], NUM_PLANTED, range(NUM_PLANTED))
    expected = [("mirrored" if seed % 2 else "near", seed, NUM_PLANTED + seed) for seed in range(NUM_PLANTED)]
    assert [(copy.kind, copy.picture, copy.other) for copy in copies] == expected


def test_of_equal_pictures_the_lowest_rank_is_kept_and_stands_for_all(looks):
    near = look_at(reencoded(picture(0)))
    copies = find_copies([looks[0], looks[1], looks[0], near, looks[0]], 4, [2, 1, 0, 3])
    kinds = [(copy.kind, copy.picture, copy.other, copy.num_more) for copy in copies]
    assert kinds == [("exact", 0, 2, 0), ("exact", 2, 4, 0), ("near", 3, 2, 0), ("near", 3, 4, 0)]


def test_a_series_is_told_once_a_picture(looks):
    series = [looks[0], *(look_at(reencoded(picture(0), quality)) for quality in (90, 80, 70))]
    copies = find_copies(series, 4, range(4))
    assert [(copy.picture, copy.num_more) for copy in copies] == [(1, 0), (2, 1), (3, 2)]


def test_a_watermark_or_a_coat_in_common_is_no_copy():
    images = [picture(0), picture(1)]
    badge = scene(77, 48, 40)
    for image, (x, y) in zip(images, ((10, 10), (150, 110)), strict=True):
        cv2.putText(image, "PHOTO AGENCY 1234567", (4, 172), 0, 0.5, (255, 255, 255), 1)
        image[y : y + 40, x : x + 48] = badge
    assert find_copies([look_at(image) for image in images], 2, range(2)) == []


def test_plain_pictures_are_compared_by_their_thumbnails():
    shapes = ([[40, 30], [200, 60], [90, 150]], [[230, 20], [230, 170], [150, 170]])
    plain, other = (np.full((SIZE[1], SIZE[0], 3), 200, np.uint8) for _ in shapes)
    for image, shape in zip((plain, other), shapes, strict=True):
        cv2.fillPoly(image, [np.array(shape)], (40, 40, 90))
        image[:] = cv2.GaussianBlur(image, (0, 0), 3)
    shown = [look_at(image) for image in (plain, other, reencoded(plain), mirrored(other))]
    copies = find_copies(shown, 4, range(4))
    assert [(copy.kind, copy.picture, copy.other) for copy in copies] == [("near", 2, 0), ("mirrored", 3, 1)]
    assert "too plain for key points" in copies[0].evidence


def test_flat_pictures_and_no_picture():
    flat = [look_at(np.full((40, 40, 3), grey, np.uint8)) for grey in (0, 99, 99)]
    assert find_copies(flat, 3, range(3)) == [Copy("exact", 2, 1, "equal pixels")]
    assert find_copies([], 0, []) == []
    assert find_copies(flat[:1], 1, [0]) == []


def test_the_same_pictures_give_the_same_candidates(looks):
    again = [*looks, *(look_at(reencoded(picture(seed))) for seed in range(6))]
    first = find_candidates(again, len(again))
    assert first == find_candidates(again, len(again))
    assert first == sorted(set(first))
    assert {(pair.first, pair.second) for pair in first} >= {(seed, NUM_PLANTED + seed) for seed in range(6)}


def test_candidates_by_hash_hold_those_of_the_split(tmp_path):
    """The search in blocks finds what `near_hash_pairs` finds at once, on pictures without key points to vote."""
    rng = np.random.default_rng(0)
    soft = [
        cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), SIZE, interpolation=cv2.INTER_CUBIC) for _ in range(5)
    ]
    images = [*soft, reencoded(soft[0]), mirrored(soft[1]), mirrored(reencoded(soft[2]))]
    paths = []
    for place, image in enumerate(images):
        paths.append(tmp_path / f"{place}.png")
        paths[-1].write_bytes(encoded(image))
    found = find_candidates([look_at(image) for image in images], len(images))
    assert {(pair.first, pair.second) for pair in found} >= set(near_hash_pairs(paths, 6)) == {(0, 5), (1, 6), (2, 7)}


def test_mirrored_descriptors_are_those_of_the_mirrored_picture():
    shares = []
    for seed in range(4):
        look, mirror = look_at(picture(seed)), shrunk_grey(mirrored(picture(seed)))
        positions, descriptors = detect_points(mirror)
        cosines = unit_descriptors(mirrored_descriptors(look.descriptors)) @ descriptors.T  # (P, Q)
        gaps = np.linalg.norm(mirrored_positions(look)[:, None] - positions, axis=2)  # (P, Q)
        best = np.where(gaps < 1.5, cosines, 0).max(axis=1)
        shares.append((best[best > 0] > 0.93).mean())
    assert min(shares) > 0.85


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_mirroring_descriptors_twice_changes_nothing(seed):
    descriptors = np.random.default_rng(seed).integers(0, 256, (5, 128), np.uint8)
    once = mirrored_descriptors(descriptors)
    assert np.array_equal(mirrored_descriptors(once), descriptors)
    assert np.array_equal(np.sort(once), np.sort(descriptors))


def test_what_is_kept_of_a_picture_is_small():
    look = look_at(scene(0, 2400, 1800))
    arrays = (look.hash_bits, look.thumbnail, look.preview, look.positions, look.descriptors)
    assert sum(array.nbytes for array in arrays) < 32_000
    assert (look.image_wh, look.shrunk_wh, max(look.preview.shape)) == ((2400, 1800), (400, 300), 96)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7])
def test_scale_and_turn_are_measured(scale):
    center = (SIZE[0] / 2, SIZE[1] / 2)
    turned = cv2.warpAffine(picture(0), cv2.getRotationMatrix2D(center, 20, 1.0), SIZE)
    resized = cv2.resize(cropped(turned, share=0.6), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    likeness = compare_looks(look_at(picture(0)), look_at(resized), Candidate(0, 1, is_mirrored=False))
    assert likeness.is_copy
    assert likeness.scale == pytest.approx(scale, rel=0.03)
    assert likeness.turn_degrees == pytest.approx(-20, abs=1.5)
    assert "turned by -20 degrees" in likeness.words
