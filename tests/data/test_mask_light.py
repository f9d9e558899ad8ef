"""Light, blur and noise, estimated where the truth is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.data.mask_light import estimate_blur, estimate_noise, measure_light
from maskdet.data.mask_shapes import FaceFrame
from portrait import portrait, portrait_points

FACE = FaceFrame.from_points(portrait_points())


def rectangles(contrast: float = 150.0) -> np.ndarray:
    """Return a picture with sharp edges both ways, (80, 80, 3) float64."""
    picture = np.full((80, 80, 3), 40.0)
    picture[20:60, 25:55] += contrast
    return picture


def with_noise(picture: np.ndarray, deviation: float) -> np.ndarray:
    return picture + np.random.default_rng(0).normal(0, deviation, picture.shape[:2])[..., None]


@pytest.mark.parametrize("blur", [0.6, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("contrast", [60, 150])
@pytest.mark.parametrize("noise", [0, 3])
def test_the_blur_of_an_edge_is_found_whatever_its_contrast(blur, contrast, noise):
    blurred = cv2.GaussianBlur(rectangles(contrast), (0, 0), blur)
    assert estimate_blur(with_noise(blurred, noise)) == pytest.approx(blur, abs=0.25)


def test_blur_stays_in_its_range():
    assert estimate_blur(rectangles()) == 0.4
    assert estimate_blur(cv2.GaussianBlur(rectangles(), (0, 0), 8)) <= 3
    assert estimate_blur(np.full((9, 9, 3), 100.0)) == 0.6  # nothing to judge by
    assert 0.4 <= estimate_blur(rectangles()[:3, :3]) <= 3


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 7.5), st.integers(0, 1000))
def test_noise_is_found_in_spite_of_edges(deviation, seed):
    noise = np.random.default_rng(seed).normal(0, deviation, (80, 80, 1))
    assert estimate_noise(rectangles() + noise) == pytest.approx(deviation, rel=0.12)


def test_noise_stays_in_its_range():
    assert estimate_noise(rectangles()) == 0
    assert estimate_noise(with_noise(rectangles(), 40)) == 8
    assert estimate_noise(np.zeros((2, 2, 3))) == 0


def darkened(factors: np.ndarray) -> np.ndarray:
    """Return the portrait with the brightness of each column multiplied."""
    return (portrait() * np.reshape(factors, (1, -1, 1))).astype(np.uint8)


def test_a_darker_photo_has_less_light():
    bright, dim = (measure_light(darkened(np.full(512, factor)), FACE) for factor in (1.0, 0.4))
    assert dim.level.mean() < 0.75 * bright.level.mean()
    assert (bright.level > 0.4).all()
    assert (bright.level < 1.3).all()


def test_light_from_a_side_brightens_what_faces_it():
    even = measure_light(portrait(), FACE).slope
    from_the_right = measure_light(darkened(np.linspace(0.2, 1.0, 512)), FACE).slope  # of the picture
    from_the_left = measure_light(darkened(np.linspace(1.0, 0.2, 512)), FACE).slope
    assert from_the_left < even - 0.2 < even + 0.2 < from_the_right


def test_a_colour_cast_is_seen_and_a_grey_photo_has_none():
    blue = (portrait() * (0.6, 0.8, 1.0)).astype(np.uint8)
    plain = measure_light(portrait(), FACE)
    assert measure_light(blue, FACE).level[2] / measure_light(blue, FACE).level[0] > plain.level[2] / plain.level[0]
    grey = np.repeat(cv2.cvtColor(portrait(), cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    light = measure_light(grey, FACE)
    assert light.is_grey
    assert not plain.is_grey
    assert light.level == pytest.approx(np.full(3, light.level[0]))


def test_a_face_beyond_the_photo_is_judged_by_the_photo():
    beyond = FaceFrame.from_points(portrait_points() + (5000, 0, 0))
    light = measure_light(portrait(), beyond)
    assert np.isfinite(light.level).all()
