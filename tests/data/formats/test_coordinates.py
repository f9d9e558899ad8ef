"""Numbers of labels keep their float32 through every format."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.boxes import xywh_to_xyxy, xyxy_to_xywh
from maskdet.data.formats.coordinates import (
    check_number,
    cxcywh_norm_to_xyxy,
    number_text,
    parse_number,
    shortest_float32,
    xywh_to_xyxy_box,
    xyxy_to_cxcywh_norm_text,
    xyxy_to_xywh_box,
)
from maskdet.data.formats.reader_rules import LabelError

SIDES = st.integers(1, 10_000)
COORDINATES = st.floats(-20_000, 20_000, width=32)
BOXES = st.tuples(COORDINATES, COORDINATES, COORDINATES, COORDINATES)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_text_is_the_same_double(value):
    assert float(number_text(value)) == value


@given(st.floats(-1e9, 1e9))
def test_shortest_float32(value):
    short = shortest_float32(value)
    assert np.float32(short) == np.float32(value)
    assert shortest_float32(short) == short


@given(BOXES, SIDES, SIDES)
def test_yolo_is_within_a_thousandth_of_a_pixel_and_mostly_exact(box_xyxy, width, height):
    texts = xyxy_to_cxcywh_norm_text(box_xyxy, (width, height))
    found = np.array(cxcywh_norm_to_xyxy(tuple(map(float, texts)), (width, height)))
    assert np.abs(found - box_xyxy).max() < 1e-3
    is_tiny = np.abs(box_xyxy) < 1e-4
    assert ((found.astype(np.float32) == np.array(box_xyxy, np.float32)) | is_tiny).all()


@given(st.tuples(*[st.integers(0, 1_000)] * 4), st.sampled_from([100, 128, 400, 1_000]))
def test_whole_pixels_come_back_whole(box, side):
    texts = xyxy_to_cxcywh_norm_text(box, (side, side))
    assert cxcywh_norm_to_xyxy(tuple(map(float, texts)), (side, side)) == box
    assert max(map(len, texts)) <= 10 + 1  # a sign


@given(BOXES)
def test_coco_agrees_with_the_arrays_and_brings_float32_back(box_xyxy):
    box_xywh = xyxy_to_xywh_box(box_xyxy)
    assert box_xywh == pytest.approx(xyxy_to_xywh(np.array([box_xyxy]))[0], rel=1e-9)
    found = xywh_to_xyxy_box(box_xywh)
    assert found == pytest.approx(xywh_to_xyxy(np.array([box_xywh]))[0], rel=1e-9, abs=1e-9)
    is_tiny = np.abs(box_xyxy) < 1e-4
    assert ((np.array(found, np.float32) == np.array(box_xyxy, np.float32)) | is_tiny).all()


SPANS = st.tuples(*[st.decimals(0, 10_000, places=4)] * 2).map(sorted)


@given(SPANS, SPANS)
def test_coco_brings_the_decimals_of_an_ordered_box_back(x, y):
    box_xyxy = tuple(map(float, (x[0], y[0], x[1], y[1])))
    assert xywh_to_xyxy_box(xyxy_to_xywh_box(box_xyxy)) == box_xyxy


@pytest.mark.parametrize("text", ["", "x", "1,5", "1_0", "nan", "-inf", "1e10", "0x10", "\0"])
def test_what_is_no_number(text):
    with pytest.raises(LabelError, match=r"expected a (finite )?number") as caught:
        parse_number(text)
    assert caught.value.rule == "label-number"


@pytest.mark.parametrize("value", [None, True, "1", [1], {}, float("nan"), 10**400, np.float32("inf")])
def test_what_is_no_number_in_json(value):
    with pytest.raises(LabelError, match=r"expected a (finite )?number"):
        check_number(value)


def test_numbers():
    assert parse_number(" -1.5e1 ") == -15
    assert check_number(np.float32(0.5)) == 0.5
