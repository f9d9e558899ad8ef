"""Masks drawn on a real face: what changes, what stays, and how the photo's light and colours show in it."""

import cv2
import numpy as np
import pytest

from maskdet.data.mask_fabric import Fabric
from maskdet.data.mask_overlay import MaskChoice, draw_mask, random_mask
from maskdet.data.mask_shapes import SHAPES, WEARINGS
from portrait import portrait, portrait_points, turned

BRIDGE, NOSE_TIP, MOUTH, CHIN, EYES = 6, 4, 14, 199, (159, 386)
SCALE = 0.5
PHOTO = cv2.resize(portrait(), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_AREA)
POINTS = portrait_points() * SCALE
WIDTH_PX = 92  # of the face in it


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn(
    worn: str = "over_nose", shape: str = "surgical", colour: str = "light_blue", **options: object
) -> np.ndarray:
    """Draw on the portrait; `photo`, `points` and `seed` may be replaced."""
    photo, points = options.pop("photo", PHOTO), options.pop("points", POINTS)
    seed = options.pop("seed", 0)
    return draw_mask(photo, points, MaskChoice(shape, worn, Fabric(colour, cord=colour, **options)), rng(seed))


def colours_at(image: np.ndarray, *points: int) -> np.ndarray:
    """Return the mean colours of 3 x 3 px at points of the face, (N, 3)."""
    centres = np.round(POINTS[list(points), :2]).astype(int)
    return np.array([image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(axis=0) for x, y in centres]).reshape(
        -1, 3
    )


def is_changed(image: np.ndarray, *points: int) -> list[bool]:
    return (np.abs(colours_at(image, *points) - colours_at(PHOTO, *points)).max(axis=1) > 25).tolist()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("worn", "covered", "bare"),
    [
        ("over_nose", [NOSE_TIP, MOUTH, CHIN], []),
        ("below_nose", [MOUTH, CHIN], [BRIDGE, NOSE_TIP]),
        ("below_mouth", [CHIN], [BRIDGE, NOSE_TIP, MOUTH]),
        ("under_chin", [], [BRIDGE, NOSE_TIP, MOUTH]),
        ("from_one_ear", [], [BRIDGE, NOSE_TIP, MOUTH, CHIN]),
    ],
)
def test_a_mask_covers_what_it_should_and_never_the_eyes(shape, worn, covered, bare):
    for seed in range(2):
        masked = drawn(worn, shape, "green", seed=seed)
        assert all(is_changed(masked, *covered))
        assert not any(is_changed(masked, *bare, *EYES))
        assert 0.01 < (masked != PHOTO).any(axis=2).mean() < 0.35


def test_the_photo_is_not_modified_and_stays_as_it_is_away_from_the_mask():
    photo = PHOTO.copy()
    masked = drawn("below_nose", photo=photo)
    assert (photo == PHOTO).all()
    assert (masked.shape, masked.dtype) == (PHOTO.shape, np.uint8)
    rows, columns = np.nonzero((masked != PHOTO).any(axis=2))
    low, high = POINTS[:, :2].min(axis=0), POINTS[:, :2].max(axis=0)
    reach = 0.3 * WIDTH_PX
    assert rows.min() > POINTS[list(EYES), 1].min() - 0.1 * WIDTH_PX  # the loops reach up to the ears
    assert rows.max() < high[1] + reach
    assert columns.min() > low[0] - reach
    assert columns.max() < high[0] + reach


def test_equal_generators_draw_equal_masks_and_others_do_not():
    assert (drawn(seed=4) == drawn(seed=4)).all()
    assert (drawn(seed=4) != drawn(seed=5)).any()


def test_the_mask_shows_its_colour():
    black, white = (colours_at(drawn(colour=colour), MOUTH)[0] for colour in ("black", "white"))
    assert black.max() < 70
    assert white.min() > 150
    blue = colours_at(drawn(colour="light_blue"), MOUTH)[0]
    assert blue[2] > blue[0] + 15


def test_a_dim_photo_gets_a_dim_mask_and_a_grey_photo_a_grey_one():
    dim = (PHOTO * 0.4).astype(np.uint8)
    assert colours_at(drawn(photo=dim), MOUTH).mean() < 0.75 * colours_at(drawn(), MOUTH).mean()
    grey = np.repeat(cv2.cvtColor(PHOTO, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    assert np.ptp(drawn(photo=grey, colour="red").astype(int), axis=2).max() <= 1


def test_the_mask_is_lit_from_the_side_that_the_face_is_lit_from():
    lit = (PHOTO * np.linspace(0.3, 1, PHOTO.shape[1]).reshape(1, -1, 1)).astype(np.uint8)
    right_cheek, left_cheek = colours_at(drawn(photo=lit, shape="cloth", colour="white"), 205, 425).mean(axis=1)
    assert left_cheek > 1.1 * right_cheek  # the face's left is on the right of the picture


def test_edges_are_as_soft_as_the_photo():
    blurred = cv2.GaussianBlur(PHOTO, (0, 0), 2.5)

    def steepest(image: np.ndarray) -> float:
        column = round(float(POINTS[MOUTH, 0]))
        edge = image[round(float(POINTS[BRIDGE, 1])) : round(float(POINTS[MOUTH, 1])), column].astype(int)
        return float(np.abs(np.diff(edge, axis=0)).max())

    assert steepest(drawn(photo=blurred, colour="black")) < 0.7 * steepest(drawn(colour="black"))


def test_a_turned_head_hides_the_far_side_of_its_mask():
    def reach_px(yaw: float) -> np.ndarray:
        """Return how far the mask reaches from the nose to the left and to the right."""
        points = turned(POINTS.astype(np.float64), yaw, 0, 0)
        changed = np.nonzero((drawn(points=points, colour="black") != PHOTO).any(axis=2))[1]
        nose = points[NOSE_TIP, 0]
        return np.array([nose - changed.min(), changed.max() - nose])

    left, right = reach_px(35)  # the nose points to the right of the picture, where the far cheek is
    assert left > 2 * right
    assert reach_px(-35)[1] > 2 * reach_px(-35)[0]


@pytest.mark.parametrize("shift", [(-130, 0), (150, 0), (0, 200), (0, -130), (9000, 0), (-9000, -9000)])
def test_a_face_at_the_border_or_beyond_it_is_no_error(shift):
    masked = drawn(points=POINTS + (*shift, 0))
    assert masked.shape == PHOTO.shape
    is_far_away = max(map(abs, shift)) > 1000
    assert (masked == PHOTO).all() == is_far_away


@pytest.mark.parametrize("scale", [0.12, 2.0])
def test_small_and_large_faces_are_drawn_alike(scale):
    """At 0.12 the face is 11 px wide."""
    photo = cv2.resize(PHOTO, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    masked = drawn(photo=photo, points=POINTS * scale, colour="black")
    x, y = np.round(POINTS[MOUTH, :2] * scale).astype(int)
    assert masked[y, x].max() < 80


def test_masks_are_drawn_with_their_frequencies():
    generator, num_drawn = rng(3), 2000
    shapes, worn = {"surgical": 3, "cloth": 1}, {"over_nose": 1, "below_nose": 1, "from_one_ear": 0}
    drawn_masks = [random_mask(shapes, worn, generator) for _ in range(num_drawn)]
    is_surgical = np.mean([mask.shape == "surgical" for mask in drawn_masks])
    assert is_surgical == pytest.approx(0.75, abs=4.5 * np.sqrt(0.75 * 0.25 / num_drawn))
    assert {mask.worn for mask in drawn_masks} == {"over_nose", "below_nose"}
    assert all((mask.class_name == "with_mask") == (mask.worn == "over_nose") for mask in drawn_masks)
    assert all(mask.fabric.crease == WEARINGS[mask.worn].crease for mask in drawn_masks)


@pytest.mark.parametrize(
    ("shapes", "worn", "message"),
    [
        ({"veil": 1}, {"over_nose": 1}, r"overlay.shapes: expected some of \['cloth', .*\], got \['veil'\]"),
        ({"cloth": 1}, {"inside_out": 1}, r"overlay.worn: expected some of .*, got \['inside_out'\]"),
        ({"cloth": -1}, {"over_nose": 1}, r"overlay.shapes: expected frequencies of 0 or more, not all 0, got"),
        ({"cloth": 1}, {"over_nose": 0}, r"overlay.worn: expected frequencies of 0 or more, not all 0, got"),
        ({}, {"over_nose": 1}, r"overlay.shapes: expected frequencies"),
    ],
)
def test_bad_frequencies_are_refused(shapes, worn, message):
    with pytest.raises(ValueError, match=message):
        random_mask(shapes, worn, rng())


def test_bad_input_is_refused():
    choice = MaskChoice("cloth", "over_nose", Fabric("red"))
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\) of uint8, got \(4, 4\) of uint8"):
        draw_mask(np.zeros((4, 4), np.uint8), POINTS, choice, rng())
    with pytest.raises(ValueError, match="expected the points of a face"):
        draw_mask(PHOTO, np.zeros((468, 3)), choice, rng())
    with pytest.raises(ValueError, match=r"expected one of \['cloth', .*\], got 'veil'"):
        MaskChoice("veil", "over_nose", Fabric("red"))
