"""Classes of a set against those of a model: maps, merges, what is left out, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.boxes import box_iou
from maskdet.commands.evaluate.classes import ClassPlan, best_on_each_face, check_model_classes, plan_classes
from maskdet.data.labelled_set import LabelledBox, LabelledImage, LabelledSet
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES
from table_rows import detection_rows

WITH, WITHOUT, WRONG = CLASS_NAMES
BOX = (10.0, 10.0, 30.0, 30.0)


def a_set(*names: str, declared: tuple[str, ...] = ()) -> LabelledSet:
    """Return a set of one image with a box of each class."""
    boxes = tuple(LabelledBox(name, (0, 0, 5, 5)) for name in names)
    return LabelledSet(Path("web"), "yolo", declared, (LabelledImage("a.png", (9, 9), boxes, "a.txt"),), ())


def test_two_classes_leave_the_third_uncounted():
    plan = plan_classes(a_set("mask", "bare"), CLASS_NAMES, [f"mask={WITH}", f"bare={WITHOUT}"])
    assert plan == ClassPlan({"mask": WITH, "bare": WITHOUT}, (WITH, WITHOUT), {}, (WRONG,))


def test_names_of_the_model_need_no_word():
    plan = plan_classes(a_set(WITH, "bare"), CLASS_NAMES, [f"bare={WITHOUT}"])
    assert plan.class_map == {WITH: WITH, "bare": WITHOUT}
    assert plan.known == (WITH, WITHOUT)


def test_a_class_that_is_declared_or_named_belongs_to_the_set():
    assert plan_classes(a_set(WITH, declared=CLASS_NAMES), CLASS_NAMES).left_out == ()
    assert plan_classes(a_set(WITH, WITHOUT), CLASS_NAMES, [f"{WRONG}={WRONG}"]).left_out == ()


def test_a_declared_class_without_boxes_needs_no_target():
    assert plan_classes(a_set(WITH, declared=(WITH, "never")), CLASS_NAMES).class_map == {WITH: WITH}


def test_a_dropped_class_maps_to_nothing():
    plan = plan_classes(a_set(WITH, WITHOUT, "hat"), CLASS_NAMES, drops=["hat"])
    assert plan.class_map["hat"] is None
    assert plan.known == (WITH, WITHOUT)


REFUSED = {
    "no target": ((), (), (), "got none for 'bare', 'mask'; the set holds 'mask' (2 boxes), 'bare' (1 boxes)"),
    "no class of the model": ((f"mask={WITH}x",), (), (), f"expected a class of the model, got '{WITH}x'; the set"),
    "no class of the set": ((f"maks={WITH}",), (), (), "expected a class of the set, got 'maks'"),
    "dropped and mapped": ((f"mask={WITH}",), ("mask",), (), "--drop mask: expected a class of the set, got one that"),
    "dropped nothing": ((), ("hat",), (), "--drop hat: expected a class of the set, got none of it; the set holds"),
    "merge of a labelled one": (
        (f"mask={WITH}", f"bare={WITHOUT}"),
        (),
        (f"{WITH}={WITHOUT}",),
        f"that the set does not label ({WRONG}), each once, got '{WITH}'",
    ),
    "merge into an unlabelled one": (
        (f"mask={WITH}", f"bare={WITH}"),
        (),
        (f"{WRONG}={WITHOUT}",),
        f"expected a class of the set ({WITH}), got '{WITHOUT}'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    renames, drops, merges, message = REFUSED[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        plan_classes(a_set("mask", "mask", "bare"), CLASS_NAMES, renames, drops, merges)


def test_the_message_on_a_missed_class_names_the_models_classes():
    with pytest.raises(ValueError, match=f"the model knows {', '.join(CLASS_NAMES)}; map each by --class OLD=NEW"):
        plan_classes(a_set("mask"), CLASS_NAMES)


def test_a_model_of_other_classes_is_refused():
    check_model_classes(CLASS_NAMES[:2])
    with pytest.raises(ValueError, match="got dog, cat"):
        check_model_classes(["dog", WITH, "cat"])


def test_what_the_set_does_not_label_is_not_counted():
    found = detection_rows([("a.png", WITH, 0.9, *BOX), ("a.png", WRONG, 0.8, *BOX)])
    plan = ClassPlan({}, (WITH, WITHOUT), {}, (WRONG,))
    assert plan.count(found)["class_name"].tolist() == [WITH]
    assert plan.merge(found).equals(found)


def test_a_face_found_as_both_merged_classes_counts_once():
    near = (11.0, 10.0, 31.0, 30.0)
    rows = [
        ("a.png", WITHOUT, 0.5, *BOX),
        ("a.png", WRONG, 0.75, *near),
        ("a.png", WITH, 0.625, *BOX),
        ("b.png", WRONG, 0.25, *BOX),
    ]
    counted = ClassPlan({}, (WITH, WITHOUT), {WRONG: WITHOUT}, ()).count(detection_rows(rows))
    kept = list(zip(counted["file_name"], counted["class_name"], counted["score"], strict=True))
    assert kept == [("a.png", WITHOUT, 0.75), ("a.png", WITH, 0.625), ("b.png", WITHOUT, 0.25)]


def test_a_face_is_shown_once_as_its_likeliest_class():
    rows = [("a.png", WITH, 0.5, *BOX), ("a.png", WRONG, 0.75, *BOX), ("b.png", WITH, 0.25, *BOX)]
    shown = best_on_each_face(detection_rows(rows))
    assert shown.index.tolist() == [1, 2]


def test_no_detection_stays_none():
    plan = ClassPlan({}, (WITH,), {WRONG: WITH}, (WITHOUT,))
    assert plan.count(detection_rows([])).empty


CORNER, SIDE = st.floats(0, 60), st.floats(4, 40)
ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(CLASS_NAMES), st.floats(0.01, 1), CORNER, CORNER, SIDE, SIDE),
    max_size=25,
)


@given(ROWS)
def test_a_merge_keeps_the_best_and_leaves_no_two_on_one_place(rows):
    found = detection_rows([(f, c, s, x, y, x + w, y + h) for f, c, s, x, y, w, h in rows])
    merged = ClassPlan({}, (WITH, WITHOUT), {WRONG: WITHOUT}, ()).merge(found)
    assert set(merged["class_name"]) <= {WITH, WITHOUT}
    same = found[found["class_name"] == WITH].reset_index(drop=True)
    pd.testing.assert_frame_equal(merged[merged["class_name"] == WITH].reset_index(drop=True), same)
    for _, of_image in merged[merged["class_name"] == WITHOUT].groupby("file_name"):
        ious = box_iou(*[of_image[BOX_COLUMNS].to_numpy(np.float64)] * 2)
        assert (ious[~np.eye(len(ious), dtype=bool)] <= 0.5 + 1e-5).all()
    sources = found[found["class_name"] != WITH].groupby("file_name")["score"].max()
    kept = merged[merged["class_name"] == WITHOUT].groupby("file_name")["score"].max()
    assert kept.to_dict() == sources.to_dict()
