"""Framings: pixels and boxes move alike, whatever the image's shape, and boxes come back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.data.framing import PAD_VALUE, Frame, Letterbox, RandomCrop, Stretch, visible_boxes

SIZE = 128
EXTREME_WH = [(1, 500), (500, 1), (3, 3), (1, 1), (127, 129), (1000, 20)]

sides = st.integers(8, 300)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def images_with_boxes(draw) -> tuple[tuple[int, int], np.ndarray]:
    """Return an image's (width, height) and (N, 4) boxes inside it."""
    width, height = draw(sides), draw(sides)
    rng = np.random.default_rng(draw(seeds))
    corners = rng.uniform(0, 1, (draw(st.integers(0, 6)), 2, 2)) * (width - 1, height - 1)  # (N, 2, 2)
    boxes = np.hstack([corners.min(axis=1), corners.max(axis=1) + 1])
    return (width, height), boxes.astype(np.float32)


def random_frame(image_wh, boxes, seed: int, crop: RandomCrop | None = None) -> Frame:
    crop = crop or RandomCrop(SIZE, (60, 400), 0.5)
    return crop.frame(image_wh, boxes, np.ones(len(boxes)), np.random.default_rng(seed))


@settings(max_examples=60, deadline=None)
@given(case=images_with_boxes(), seed=seeds)
def test_boxes_come_back(case, seed):
    image_wh, boxes = case
    for frame in (Stretch(SIZE).frame(image_wh), Letterbox(SIZE).frame(image_wh), random_frame(image_wh, boxes, seed)):
        back = frame.to_image(frame.to_input(boxes))
        assert (back.shape, back.dtype) == (boxes.shape, np.float32)
        np.testing.assert_allclose(back, boxes, atol=1e-2)


@settings(max_examples=60, deadline=None)
@given(case=images_with_boxes())
def test_letterbox_and_stretch_keep_everything(case):
    image_wh, boxes = case
    whole = np.array([[0, 0, *image_wh]], np.float32)
    longer = max(image_wh)
    expected = {Stretch: (SIZE, SIZE), Letterbox: (SIZE * image_wh[0] / longer, SIZE * image_wh[1] / longer)}
    for framing, corner in expected.items():
        frame = framing(SIZE).frame(image_wh)
        np.testing.assert_allclose(frame.to_input(whole), [[0, 0, *corner]], rtol=1e-5)
        inside = frame.to_input(boxes)
        assert (inside >= -1e-3).all()
        assert (inside <= SIZE + 1e-3).all()


@settings(max_examples=80, deadline=None)
@given(case=images_with_boxes(), seed=seeds)
def test_a_crop_around_a_face_contains_it(case, seed):
    image_wh, boxes = case
    if len(boxes):
        face = boxes[:1]
        frame = random_frame(image_wh, face, seed, RandomCrop(SIZE, (60, 400), face_probability=1))
        found = frame.to_input(face)[0]
        for axis in (0, 1):
            if found[axis + 2] - found[axis] < SIZE - 1e-3:
                assert found[axis] >= -1e-3
                assert found[axis + 2] <= SIZE + 1e-3


@settings(max_examples=80, deadline=None)
@given(case=images_with_boxes(), seed=seeds)
def test_a_crop_stays_inside_the_image_or_around_it(case, seed):
    image_wh, boxes = case
    frame = random_frame(image_wh, boxes, seed)
    assert 60 - 1e-3 <= max(image_wh) * frame.scale_xy[0] <= 400 + 1e-3
    for axis in (0, 1):
        start, end = frame.shift_xy[axis], frame.shift_xy[axis] + image_wh[axis] * frame.scale_xy[axis]
        inside, around = (start <= 1e-3 and end >= SIZE - 1e-3), (start >= -1e-3 and end <= SIZE + 1e-3)
        assert inside or around


@settings(max_examples=120, deadline=None)
@given(image_wh=st.tuples(sides, sides), seed=seeds)
def test_pixels_go_where_boxes_go(image_wh, seed):
    rng = np.random.default_rng(seed)
    box_wh = [int(rng.integers(max(4, length // 3), length + 1)) for length in image_wh]
    start = [int(rng.integers(0, length - side + 1)) for length, side in zip(image_wh, box_wh, strict=True)]
    box = np.array([[*start, start[0] + box_wh[0], start[1] + box_wh[1]]], np.float32)
    image = np.zeros((image_wh[1], image_wh[0], 3), np.uint8)
    x_min, y_min, x_max, y_max = box[0].astype(int)
    image[y_min:y_max, x_min:x_max] = (255, 0, 0)
    for frame in (Stretch(SIZE).frame(image_wh), Letterbox(SIZE).frame(image_wh), random_frame(image_wh, box, seed)):
        pixels = frame.apply(image)
        red = (pixels[..., 0] >= 128) & (pixels[..., 1] < 64)
        expected = frame.to_input(box)[0].clip(0, SIZE)
        if (expected[2:] - expected[:2] < 4).any():
            continue  # too thin after clipping or shrinking to be told from its blurred edge
        rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
        found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        np.testing.assert_allclose(found, expected, atol=1.5)


@pytest.mark.parametrize("image_wh", EXTREME_WH)
@pytest.mark.parametrize("seed", range(4))
def test_every_shape_becomes_the_input_size(image_wh, seed):
    image = np.full((image_wh[1], image_wh[0], 3), 7, np.uint8)
    no_face = np.zeros((0, 4), np.float32)
    whole = np.array([[0, 0, *image_wh]], np.float32)
    frames = [
        Stretch(SIZE).frame(image_wh),
        Letterbox(SIZE).frame(image_wh),
        random_frame(image_wh, no_face, seed),
        random_frame(image_wh, whole, seed, RandomCrop(SIZE, (20, 900), 1.0)),
    ]
    for frame in frames:
        pixels = frame.apply(image)
        assert (pixels.shape, pixels.dtype) == ((SIZE, SIZE, 3), np.uint8)
        assert set(np.unique(pixels)) <= {7, PAD_VALUE}


def test_what_the_image_does_not_cover_is_grey():
    pixels = Letterbox(SIZE).frame((200, 100)).apply(np.zeros((100, 200, 3), np.uint8))
    assert (pixels[:64] == 0).all()
    assert (pixels[64:] == PAD_VALUE).all()


def test_faces_of_a_higher_weight_are_chosen_more_often():
    boxes = np.array([[0, 0, 20, 20], [380, 380, 400, 400]], np.float32)
    crop, rng = RandomCrop(SIZE, (400, 400.001), 1.0), np.random.default_rng(0)
    chosen = [crop.frame((400, 400), boxes, np.array([1.0, 9.0]), rng).shift_xy[0] < -100 for _ in range(300)]
    assert 0.85 < np.mean(chosen) < 0.95  # 9 of 10; the standard error is 0.017


@pytest.mark.parametrize(
    ("box", "kept", "clipped"),
    [
        ((-10, 0, 10, 20), True, (0, 0, 10, 20)),  # half of it is inside
        ((-15, 0, 5, 20), False, None),  # a quarter
        ((-10, -10, 128.5, 200), True, (0, 0, 128, 128)),  # larger than the input
        ((10, 10, 10.5, 60), False, None),  # thinner than a pixel
        ((10, 10, 11, 11), True, (10, 10, 11, 11)),
        ((130, 10, 150, 30), False, None),  # outside
    ],
)
def test_boxes_are_dropped_by_their_visible_share(box, kept, clipped):
    boxes, keep = visible_boxes(np.array([box], np.float32), SIZE, min_visible=0.3)
    assert keep.tolist() == [kept]
    np.testing.assert_array_equal(boxes, np.array([clipped] if kept else np.zeros((0, 4)), np.float32))


def test_no_box_stays_no_box():
    boxes, keep = visible_boxes(np.zeros((0, 4), np.float32), SIZE, min_visible=0.3)
    assert (boxes.shape, keep.shape) == ((0, 4), (0,))
    assert Letterbox(SIZE).frame((30, 40)).to_input(np.zeros((0, 4))).shape == (0, 4)
