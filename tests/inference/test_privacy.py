"""Blurring keeps no detail of a face and every byte of the rest."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.boxes import box_iou
from maskdet.inference.privacy import BlurWindow, blur_faces, blurred_rects, merged_boxes
from portrait import BOX, portrait

NO_BOXES = np.empty((0, 4), np.float32)


def noise(height: int = 120, width: int = 160) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def inside(rects: list, image: np.ndarray) -> np.ndarray:
    mask = np.zeros(image.shape[:2], bool)
    for left, top, right, bottom in rects:
        mask[top:bottom, left:right] = True
    return mask


def test_without_faces_nothing_changes():
    image = noise()
    blurred = blur_faces(image, NO_BOXES)
    assert (blurred == image).all()
    assert blurred is not image


boxes_strategy = st.lists(
    st.tuples(st.floats(-50, 200), st.floats(-50, 150), st.floats(0, 120), st.floats(0, 120)), max_size=4
).map(lambda rows: np.array([[x, y, x + w, y + h] for x, y, w, h in rows], np.float32).reshape(-1, 4))


@settings(max_examples=60, deadline=None)
@given(boxes_strategy, st.floats(0, 1))
def test_outside_of_the_faces_every_byte_stays(boxes, margin):
    image = noise()
    before = image.copy()
    blurred = blur_faces(image, boxes, margin)
    assert (image == before).all()  # not modified
    is_inside = inside(blurred_rects(boxes, (160, 120), margin), image)
    assert (blurred[~is_inside] == image[~is_inside]).all()


def high_frequency_share(image: np.ndarray) -> float:
    """Return the share of a picture's variance that more than eight waves across hold."""
    spectrum = np.abs(np.fft.fft2(image.mean(axis=2))) ** 2
    rows, columns = (np.abs(np.fft.fftfreq(side, 1 / side)) for side in spectrum.shape)
    spectrum[0, 0] = 0
    return float(spectrum[(rows[:, None] > 8) | (columns[None] > 8)].sum() / spectrum.sum())


@pytest.mark.parametrize("scale", [0.2, 1, 3])
def test_a_blurred_face_has_low_frequencies_alone_whatever_its_size(scale):
    image = cv2.resize(portrait(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    box = BOX * scale
    left, top, right, bottom = blurred_rects(box[None], image.shape[1::-1])[0]
    before, after = (picture[top:bottom, left:right] for picture in (image, blur_faces(image, box[None])))
    assert high_frequency_share(after) < 0.03
    assert high_frequency_share(after) < 0.2 * high_frequency_share(before)


def test_two_faces_with_equal_patches_cannot_be_told_apart():
    """What differs below the scale of a patch is gone, bit for bit: no filter brings it back."""
    rng = np.random.default_rng(1)
    patches = rng.integers(60, 200, (4, 4, 3), np.uint8)
    flat = cv2.resize(patches, (80, 80), interpolation=cv2.INTER_NEAREST)
    waves = (40 * np.cos(np.arange(80) * np.pi)).astype(np.int16)  # every second pixel lighter: no mean changes
    textured = (flat.astype(np.int16) + waves[None, :, None]).astype(np.uint8)
    box = np.array([[0, 0, 80, 80]], np.float32)
    assert (blur_faces(flat, box) == blur_faces(textured, box)).all()


def test_one_patch_is_one_colour():
    blurred = blur_faces(noise(), np.array([[20, 20, 60, 70]], np.float32), margin=0, num_patches=1)
    assert len(np.unique(blurred[20:70, 20:60].reshape(-1, 3), axis=0)) == 1


def test_a_face_of_one_pixel_and_one_outside_are_no_trouble():
    boxes = np.array([[5, 5, 6, 6], [-40, -40, -20, -20], [300, 10, 310, 20]], np.float32)
    assert len(blurred_rects(boxes, (160, 120))) == 1
    assert blur_faces(noise(), boxes).shape == (120, 160, 3)


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros((4, 4), np.uint8), {}, r"shape \(H, W, 3\) and type uint8, got \(4, 4\)"),
        (np.zeros((4, 4, 3)), {}, "type uint8, got .* float64"),
        (noise(), {"margin": -0.1}, "expected a margin >= 0"),
        (noise(), {"num_patches": 0}, "at least 1 patch"),
    ],
)
def test_wrong_arguments_are_refused(image, options, message):
    with pytest.raises(ValueError, match=message):
        blur_faces(image, NO_BOXES, **options)


@settings(max_examples=60, deadline=None)
@given(boxes_strategy)
def test_merged_boxes_cover_every_box(boxes):
    merged = merged_boxes(boxes)
    assert len(merged) <= len(boxes)
    for box in boxes.astype(np.float64):
        assert ((merged[:, :2] <= box[:2]) & (merged[:, 2:] >= box[2:])).all(axis=1).any()


def test_boxes_of_one_face_become_one_and_neighbours_stay_two():
    boxes = np.array([[0, 0, 40, 40], [4, 2, 44, 42], [60, 0, 100, 40]], np.float32)
    assert merged_boxes(boxes).tolist() == [[0, 0, 44, 42], [60, 0, 100, 40]]
    assert box_iou(*np.split(merged_boxes(boxes), 2)).max() == 0


def windows(reach: int, num_frames: int) -> list[tuple[int, set[int]]]:
    """Send frames whose one box lies by itself at 100 times the frame's number; return whose boxes each gets."""
    window = BlurWindow[int](reach)
    done = [pair for frame in range(num_frames) for pair in window.add(frame, [[100 * frame, 0, 100 * frame + 9, 9]])]
    done += list(window.rest())
    return [(frame, {int(box[0]) // 100 for box in boxes}) for frame, boxes in done]


@pytest.mark.parametrize("reach", [0, 1, 5])
@pytest.mark.parametrize("num_frames", [0, 1, 3, 12])
def test_each_frame_gets_the_boxes_of_its_neighbours_in_time(reach, num_frames):
    expected = [
        (frame, set(range(max(0, frame - reach), min(num_frames, frame + reach + 1)))) for frame in range(num_frames)
    ]
    assert windows(reach, num_frames) == expected
