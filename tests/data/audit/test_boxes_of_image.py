"""Rules on boxes: by hand, and promises that hold for any boxes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.boxes import box_iou
from maskdet.data.audit.boxes_of_image import box_text, check_boxes_of_image
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.rules import RULES
from maskdet.data.labelled_set import LabelledBox

WH = (100, 80)
OPTIONS = AuditOptions()

TABLE = [
    ((10, 10, 50, 50), [], (10, 10, 50, 50)),
    ((0, 0, 100, 80), [], (0, 0, 100, 80)),
    ((50, 10, 10, 50), ["box-inverted"], (10, 10, 50, 50)),
    ((50, 50, 10, 10), ["box-inverted"], (10, 10, 50, 50)),
    ((10, 10, 10, 50), ["box-zero"], None),
    ((10, 10, 10, 10), ["box-zero"], None),
    ((100, 10, 120, 50), ["box-beyond"], None),
    ((-20, 10, 0, 50), ["box-beyond"], None),
    ((10, 90, 50, 80), ["box-inverted", "box-beyond"], None),
    ((80, 10, 101, 50), ["box-edge-off-by-one"], (80, 10, 100, 50)),
    ((-1, 10, 20, 50), ["box-edge-off-by-one"], (0, 10, 20, 50)),
    ((80, 10, 101.5, 50), ["box-outside"], (80, 10, 100, 50)),
    ((120, 10, 80, 50), ["box-inverted", "box-outside"], (80, 10, 100, 50)),
    ((80, 10, 100.005, 50), [], (80, 10, 100.005, 50)),
    ((10, 10, 13, 50), ["box-tiny"], (10, 10, 13, 50)),
    ((97, 10, 101, 50), ["box-edge-off-by-one", "box-tiny"], (97, 10, 100, 50)),
]


def boxes_of(*rows: tuple) -> list[LabelledBox]:
    return [LabelledBox(name, tuple(map(float, box))) for name, box in rows]


@pytest.mark.parametrize(("box", "rules", "repaired"), TABLE)
def test_one_box(box, rules, repaired):
    checked = check_boxes_of_image(boxes_of(("a", box)), WH, OPTIONS)
    assert [problem.rule for problem in checked.problems] == rules
    assert checked.repaired == (repaired,)


def test_no_box_and_no_size():
    assert check_boxes_of_image([], WH, OPTIONS).problems == ()
    checked = check_boxes_of_image(boxes_of(("a", (500, 10, 900, 60))), None, OPTIONS)
    assert (checked.problems, checked.repaired) == ((), ((500.0, 10.0, 900.0, 60.0),))


@pytest.mark.parametrize(
    ("second", "rule"),
    [
        (("a", (10, 10, 50, 50)), "box-repeated"),
        (("a", (10.5, 10, 50, 49.5)), "box-repeated"),
        (("a", (10, 10, 50, 43)), "box-doubled"),
        (("b", (10, 10, 50, 50)), "class-conflict"),
        (("b", (10, 10, 50, 43)), "class-conflict"),
        (("a", (10, 10, 50, 35)), None),
        (("b", (10, 10, 50, 40)), None),
    ],
)
def test_two_boxes(second, rule):
    checked = check_boxes_of_image(boxes_of(("a", (10, 10, 50, 50)), second), WH, OPTIONS)
    assert [(problem.rule, problem.boxes) for problem in checked.problems] == ([(rule, (1, 0))] if rule else [])
    assert checked.repaired[0] is not None
    assert (checked.repaired[1] is None) == (rule == "box-repeated")


def test_boxes_are_compared_as_they_will_be():
    rows = [("a", (60, 10, 100, 50)), ("a", (101, 10, 60, 50))]
    rules = [problem.rule for problem in check_boxes_of_image(boxes_of(*rows), WH, OPTIONS).problems]
    assert rules == ["box-inverted", "box-edge-off-by-one", "box-repeated"]


def test_a_box_three_times_is_told_twice():
    checked = check_boxes_of_image(boxes_of(*[("a", (10, 10, 50, 50))] * 3), WH, OPTIONS)
    assert [problem.boxes for problem in checked.problems] == [(1, 0), (2, 0)]
    assert [box is None for box in checked.repaired] == [False, True, True]


def test_a_detail_names_place_class_and_numbers():
    box = LabelledBox("mask", (80.0, 10.0, 101.0, 50.0), place="object 3")
    detail = check_boxes_of_image([box], WH, OPTIONS).problems[0].detail
    assert detail == "object 3 (mask): expected a box inside 100 x 80 px, got (80, 10, 101, 50)"
    assert box_text((0.1, 1e9, -2.0, 3.25)) == "(0.1, 1000000000, -2, 3.25)"


corner = st.integers(-20, 130).map(float) | st.floats(-20, 130, width=32)
rows = st.lists(st.tuples(st.sampled_from("ab"), st.tuples(corner, corner, corner, corner)), max_size=8)


@given(rows)
def test_repaired_boxes_have_nothing_left_to_repair(rows):
    boxes = boxes_of(*rows)
    repaired = check_boxes_of_image(boxes, WH, OPTIONS).repaired
    assert len(repaired) == len(boxes)
    kept = [
        LabelledBox(box.class_name, mended) for box, mended in zip(boxes, repaired, strict=True) if mended is not None
    ]
    again = check_boxes_of_image(kept, WH, OPTIONS)
    assert all(not RULES[problem.rule].repair for problem in again.problems)
    assert again.repaired == tuple(box.box_xyxy for box in kept)
    for box in kept:
        assert box.box_xyxy[0] < box.box_xyxy[2] <= WH[0] + 0.01
        assert box.box_xyxy[1] < box.box_xyxy[3] <= WH[1] + 0.01
        assert min(box.box_xyxy) >= -0.01


@given(rows)
def test_pairs_are_those_of_the_iou_matrix(rows):
    boxes = boxes_of(*rows)
    checked = check_boxes_of_image(boxes, WH, OPTIONS)
    pairs = {problem.boxes: problem.rule for problem in checked.problems if len(problem.boxes) == 2}
    assert all(first > second for first, second in pairs)
    kept = [position for position, box in enumerate(checked.repaired) if box is not None]
    iou = box_iou(*[np.array([checked.repaired[position] for position in kept]).reshape(-1, 4)] * 2)
    for row, second in enumerate(kept):
        for column, first in enumerate(kept[row + 1 :], start=row + 1):
            is_same = boxes[first].class_name == boxes[second].class_name
            rule = "box-doubled" if is_same else "class-conflict"
            limit = OPTIONS.doubled_iou if is_same else OPTIONS.conflict_iou
            assert pairs.get((first, second)) == (rule if iou[row, column] >= limit else None)


@pytest.mark.parametrize(
    ("name", "value"), [("num_workers", 0), ("tiny_box_px", 0), ("doubled_iou", 1.5), ("conflict_iou", 0)]
)
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"audit\.{name}: expected .*, got {value}"):
        AuditOptions(**{name: value})
