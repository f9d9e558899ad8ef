"""Masks as surfaces on a face: what each covers, whichever way the head is turned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from maskdet.data.mask_shapes import (
    MIDLINE,
    NUM_COLUMNS,
    NUM_ROWS,
    SHAPES,
    WEARINGS,
    FaceFrame,
    _taut,
    fit_mask,
)
from portrait import portrait_points, turned

MIDDLE = NUM_COLUMNS // 2
NOSE_TIP, NOSE_BASE, UPPER_LIP, LOWER_LIP, CHIN = 4, 2, 0, 17, 152
FACE = FaceFrame.from_points(portrait_points())
ANGLES = st.tuples(st.floats(-40, 40), st.floats(-30, 30), st.floats(-60, 60))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def edges(shape: str, worn: str, seed: int) -> tuple[float, float]:
    """Return the height of the upper and the lower edge at the middle of the face, y down."""
    surface = fit_mask(FACE, SHAPES[shape], WEARINGS[worn], rng(seed)).surface
    return float(surface[0, MIDDLE, 1]), float(surface[-1, MIDDLE, 1])


def height_of(point: int) -> float:
    return float(FACE.points[point, 1])


@settings(max_examples=20, deadline=None)
@given(ANGLES, st.floats(5, 500), st.floats(-100, 900))
def test_a_frame_takes_a_heads_turn_size_and_place_away(angles, width, place):
    frontal = FaceFrame(FACE.points, np.full(3, place), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, -1]]), width)
    points = turned(frontal.to_image(FACE.points), *angles)
    frame = FaceFrame.from_points(points)
    assert frame.points == pytest.approx(FACE.points, abs=1e-6)
    assert frame.width_px == pytest.approx(width)
    assert frame.axes @ frame.axes.T == pytest.approx(np.eye(3), abs=1e-9)
    assert frame.to_image(frame.points) == pytest.approx(points, abs=1e-5 * width)


@pytest.mark.parametrize("yaw", [-70, -30, 0, 25, 80])
def test_yaw_is_the_angle_that_the_head_was_turned_by(yaw):
    frontal = FaceFrame(FACE.points, np.zeros(3), np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, -1]]), 100)
    points = turned(frontal.to_image(FACE.points), yaw, 0, 0)
    assert FaceFrame.from_points(points).yaw_degrees == pytest.approx(yaw)
    left_ear_is_far = points[454, 2] > points[234, 2]
    assert left_ear_is_far == (yaw > 0)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros((468, 3)), r"expected the points of a face, got one 0 px wide"),
        (np.zeros((5, 3)), r"expected points of shape \(468, 3\), got \(5, 3\)"),
    ],
)
def test_points_of_no_face_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        FaceFrame.from_points(points)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 100), st.integers(-100, 100)),
        min_size=3,
        max_size=12,
        unique_by=lambda point: point[0],
    )
)
def test_a_taut_cloth_is_the_front_of_the_convex_hull(points):
    """The reference is Qhull: of the hull's corners, those with nothing in front of them."""
    profile = np.array([(0, 0.0, 0.0), *((0, y, z) for y, z in points)])
    cloth = _taut(profile)
    assert (np.diff(cloth[:, 1]) > 0).all()
    assert (cloth[0] == profile[0]).all()
    covered = np.interp(profile[:, 1], cloth[:, 1], cloth[:, 2])
    assert (profile[:, 2] <= covered + 1e-9).all()
    far_behind = [(0.0, -900.0), (float(profile[:, 1].max()), -900.0)]
    outline = np.concatenate([profile[:, 1:], far_behind])
    corners = outline[ConvexHull(outline).vertices]
    for y, z in cloth[1:-1, 1:]:
        assert np.abs(corners - (y, z)).sum(axis=1).min() < 1e-9


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_each_way_of_wearing_covers_what_its_class_says(shape, seed):
    upper, lower = edges(shape, "over_nose", seed)
    assert upper < height_of(NOSE_TIP)
    assert height_of(LOWER_LIP) < lower < height_of(CHIN) + 0.15
    upper, lower = edges(shape, "below_nose", seed)
    assert height_of(NOSE_TIP) < upper < height_of(UPPER_LIP)
    assert lower > height_of(LOWER_LIP)
    assert edges(shape, "below_mouth", seed)[0] >= height_of(LOWER_LIP) - 1e-9
    upper, lower = edges(shape, "under_chin", seed)
    assert upper > (height_of(LOWER_LIP) + height_of(CHIN)) / 2
    assert lower > height_of(CHIN)


def test_classes_follow_from_the_way_a_mask_is_worn():
    classes = {name: wearing.class_name for name, wearing in WEARINGS.items()}
    assert classes.pop("over_nose") == "with_mask"
    assert set(classes.values()) == {"mask_weared_incorrect"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("worn", WEARINGS)
def test_a_surface_is_whole_and_ordered(shape, worn):
    mask = fit_mask(FACE, SHAPES[shape], WEARINGS[worn], rng())
    assert mask.surface.shape == (NUM_ROWS, NUM_COLUMNS, 3)
    assert np.isfinite(mask.surface).all()
    x, y = mask.surface[..., 0], mask.surface[..., 1]
    if WEARINGS[worn].hangs:
        assert (np.diff(x, axis=0) < 0).all()
        assert (np.diff(y, axis=1) > 0).all()
    else:
        assert (np.diff(x, axis=1) > 0).all()
        assert (np.diff(y[:, MIDDLE]) > 0).all()
        assert (np.abs(x) < 0.55).all()  # not beyond the ears
    assert all(cord.shape[1] == 3 and np.isfinite(cord).all() for cord in mask.cords)


def test_a_mask_worn_right_lies_in_front_of_nose_and_mouth():
    surface = fit_mask(FACE, SHAPES["surgical"], WEARINGS["over_nose"], rng()).surface
    middle = surface[:, MIDDLE]
    for level in MIDLINE[5:12]:
        _, y, z = FACE.points[level]
        assert np.interp(y, middle[:, 1], middle[:, 2]) >= z - 0.01


@settings(max_examples=8, deadline=None)
@given(ANGLES, st.sampled_from(sorted(SHAPES)), st.sampled_from(sorted(set(WEARINGS) - {"from_one_ear"})))
def test_the_cloth_turns_with_the_head(angles, shape, worn):
    frame = FaceFrame.from_points(turned(portrait_points().astype(np.float64), *angles))
    here, there = (fit_mask(face, SHAPES[shape], WEARINGS[worn], rng(3)).surface for face in (FACE, frame))
    assert there == pytest.approx(here, abs=1e-5)


@pytest.mark.parametrize(("yaw", "sides"), [(-35, {1}), (0, {-1, 1}), (35, {-1})])
def test_the_head_hides_the_cords_of_its_far_side(yaw, sides):
    frame = FaceFrame.from_points(turned(portrait_points().astype(np.float64), yaw, 0, 0))
    mask = fit_mask(frame, SHAPES["surgical"], WEARINGS["over_nose"], rng())
    assert {int(np.sign(cord[-1, 0])) for cord in mask.cords} == sides
    assert len(mask.cords) == 2 * len(sides)


@pytest.mark.parametrize("yaw", [-30, 30])
def test_a_mask_hangs_from_the_ear_that_is_seen(yaw):
    frame = FaceFrame.from_points(turned(portrait_points().astype(np.float64), yaw, 0, 0))
    for seed in range(4):
        mask = fit_mask(frame, SHAPES["surgical"], WEARINGS["from_one_ear"], rng(seed))
        assert np.sign(mask.surface[..., 0].mean()) == -np.sign(yaw)  # the left ear, x > 0, is near where yaw < 0
        assert np.abs(mask.surface[..., 0]).min() > 0.2  # beside nose and mouth
