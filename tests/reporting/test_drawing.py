"""Boxes, labels, captions: what is where in the picture."""

import numpy as np
import pytest

from maskdet.reporting.contact_sheet import contact_sheet, write_contact_sheet
from maskdet.reporting.drawing import draw_boxes, fit_for_display, label_rect, side_by_side
from maskdet.reporting.palette import CLASS_STYLES, hex_to_rgb
from maskdet.schema import CLASS_NAMES

GREY = np.full((100, 140, 3), 128, np.uint8)


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4))])
def test_no_boxes_leave_the_picture_as_it_is(boxes: object) -> None:
    drawn = draw_boxes(GREY, boxes, [])
    assert np.array_equal(drawn, GREY)
    assert drawn is not GREY


def test_the_outline_lies_inside_the_box_in_the_colour_of_the_class() -> None:
    image = GREY.copy()
    drawn = draw_boxes(image, [[20, 30, 60, 80]], ["without_mask"])
    color = hex_to_rgb(CLASS_STYLES["without_mask"].color)
    assert tuple(drawn[79, 40]) == color  # the last row inside: the maximum is exclusive
    assert tuple(drawn[80, 40]) == (128, 128, 128)
    assert tuple(drawn[50, 20]) == color
    assert tuple(drawn[50, 40]) == (128, 128, 128)  # not filled
    assert np.array_equal(image, GREY)  # not modified


def test_a_dashed_outline_has_gaps() -> None:
    solid, dashed = (draw_boxes(GREY, [[20, 30, 120, 90]], ["with_mask"], is_dashed=[flag]) for flag in (False, True))
    color = np.array(hex_to_rgb(CLASS_STYLES["with_mask"].color))
    columns = slice(20, 120)
    assert (solid[89, columns] == color).all()
    assert 0.3 < (dashed[89, columns] == color).all(axis=1).mean() < 0.8


@pytest.mark.parametrize("box", [[-20, -20, 5, 5], [130, 90, 200, 200], [0, 0, 140, 100], [60, 0, 62, 100]])
def test_boxes_at_and_beyond_the_border_are_drawn(box: list[int]) -> None:
    drawn = draw_boxes(GREY, [box], ["with_mask"], [0.5])
    assert drawn.shape == GREY.shape
    assert not np.array_equal(drawn, GREY)


def test_labels_are_inside_the_picture_and_apart() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        image_wh = tuple(int(side) for side in rng.integers(40, 300, 2))
        taken = []
        for _ in range(12):
            corner = rng.uniform(-20, 300, 2)
            box = np.concatenate([corner, corner + rng.uniform(1, 120, 2)])
            rect = label_rect(box, (int(rng.integers(5, 60)), int(rng.integers(8, 20))), image_wh, taken)
            if rect is not None:
                x_min, y_min, x_max, y_max = rect
                assert 0 <= x_min < x_max <= image_wh[0]
                assert 0 <= y_min < y_max <= image_wh[1]
                assert all(x_max <= a[0] or a[2] <= x_min or y_max <= a[1] or a[3] <= y_min for a in taken)
                taken.append(rect)


def test_a_label_wider_than_the_picture_is_left_out() -> None:
    assert label_rect(np.array([0.0, 0, 10, 10]), (50, 10), (40, 40), []) is None


def test_a_label_goes_above_then_below_then_inside() -> None:
    assert label_rect(np.array([10.0, 30, 50, 60]), (20, 10), (100, 100), []) == (10, 20, 30, 30)
    assert label_rect(np.array([10.0, 5, 50, 60]), (20, 10), (100, 100), []) == (10, 60, 30, 70)
    assert label_rect(np.array([10.0, 0, 50, 100]), (20, 10), (100, 100), []) == (10, 0, 30, 10)


def test_display_size_doubles_at_most_and_moves_the_boxes() -> None:
    image, boxes = fit_for_display(GREY, [[10, 20, 30, 40]], 640)
    assert image.shape == (200, 280, 3)
    assert boxes.tolist() == [[20, 40, 60, 80]]
    image, boxes = fit_for_display(GREY, np.zeros((0, 4)), 70)
    assert image.shape == (50, 70, 3)
    assert boxes.shape == (0, 4)


def test_side_by_side_is_as_wide_as_both_and_higher_by_the_caption() -> None:
    pair = side_by_side([GREY, GREY], ["Truth: 1 face", "x" * 400], gap_px=6)
    assert pair.shape[1] == 2 * 140 + 6
    assert np.array_equal(pair[-100:, :140], GREY)
    assert pair.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "names", "message"),
    [
        (GREY.astype(float), ["with_mask"], "type uint8, got .* float64"),
        (GREY[..., 0], ["with_mask"], r"shape \(H, W, 3\)"),
        (GREY, [], "expected 1 class_names, one per box, got 0"),
    ],
)
def test_wrong_input_is_refused(image: np.ndarray, names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_boxes(image, [[0, 0, 5, 5]], names)


def test_contact_sheet_holds_every_image_in_rows(tmp_path: object) -> None:
    images, boxes = [GREY] * 5, [np.zeros((0, 4)), *[np.array([[10.0, 10, 50, 50]])] * 4]
    names = [[], *[[CLASS_NAMES[0]]] * 4]
    sheet = contact_sheet(images, boxes, names, columns=4, cell_px=100)
    assert sheet.shape == (2 * 106 - 6, 4 * 106 - 6, 3)
    path = tmp_path / "new" / "sheet.jpg"
    write_contact_sheet(images, boxes, names, path)
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"
    with pytest.raises(ValueError, match="got 0 images"):
        contact_sheet([], [], [])
