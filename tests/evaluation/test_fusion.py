"""Weighted boxes fusion of tables: by hand, and what must hold of any tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.fusion import fuse_predictions
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS, validate
from table_rows import detection_rows

IMAGES = pd.DataFrame({"file_name": ["a.png", "b.png"], "width": [400, 200], "height": [300, 500]})
WH_OF_FILE = {"a.png": (400, 300), "b.png": (200, 500)}


def detection_table(rows: list[tuple]) -> pd.DataFrame:
    """Return a table from (file, class, score, x and y as shares of the free room, width, height)."""
    records = []
    for file_name, class_name, score, x, y, width, height in rows:
        image_width, image_height = WH_OF_FILE[file_name]
        left, top = x * (image_width - width), y * (image_height - height)
        records.append((file_name, class_name, score, left, top, left + width, top + height))
    return detection_rows(records)


ROW = st.tuples(
    st.sampled_from(["a.png", "b.png"]),
    st.sampled_from(CLASS_NAMES),
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(5, 150),
    st.floats(5, 150),
)
TABLES = st.lists(st.lists(ROW, max_size=12).map(detection_table), min_size=1, max_size=3)
QUICK = settings(max_examples=25, deadline=None, derandomize=True, database=None)


def test_two_boxes_of_a_face_become_their_average_weighted_by_score():
    first = detection_rows([("a.png", "with_mask", 0.9, 10, 10, 30, 30)])
    second = detection_rows(
        [("a.png", "with_mask", 0.3, 14, 10, 34, 30), ("a.png", "with_mask", 0.5, 200, 200, 220, 220)]
    )
    fused = fuse_predictions([first, second], IMAGES)
    shared, alone = fused[fused["x_min"] < 100].iloc[0], fused[fused["x_min"] > 100].iloc[0]
    assert shared[BOX_COLUMNS].tolist() == pytest.approx([11, 10, 31, 30], abs=1e-4)  # (0.9 · 10 + 0.3 · 14) / 1.2
    assert shared["score"] == pytest.approx(0.6)
    assert alone["score"] == pytest.approx(0.25)  # one of two tables found it
    assert alone[BOX_COLUMNS].tolist() == pytest.approx([200, 200, 220, 220], abs=1e-4)


def test_classes_are_never_mixed():
    tables = [detection_rows([("a.png", name, 0.5, 10, 10, 30, 30)]) for name in CLASS_NAMES[:2]]
    assert sorted(fuse_predictions(tables, IMAGES)["class_name"]) == sorted(CLASS_NAMES[:2])


@QUICK
@given(TABLES)
def test_what_comes_out_is_a_table_of_predictions_inside_the_images(tables):
    fused = fuse_predictions(tables, IMAGES)
    pd.testing.assert_frame_equal(fused, validate(fused, PREDICTIONS, "fused"))
    assert len(fused) <= sum(map(len, tables))
    sizes = np.array([WH_OF_FILE[name] for name in fused["file_name"]]).reshape(-1, 2)  # (N, 2)
    assert (fused[["x_max", "y_max"]].to_numpy() <= sizes).all()
    assert set(zip(fused["file_name"], fused["class_name"], strict=True)) == {
        pair for table in tables for pair in zip(table["file_name"], table["class_name"], strict=True)
    }


@QUICK
@given(TABLES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(tables, random):
    shuffled = [table.iloc[random.sample(range(len(table)), len(table))] for table in tables]
    pd.testing.assert_frame_equal(fuse_predictions(tables, IMAGES), fuse_predictions(shuffled, IMAGES))


@QUICK
@given(st.lists(ROW, max_size=12).map(detection_table), st.integers(2, 4))
def test_a_table_fused_with_itself_is_the_table_fused_alone(table, copies):
    alone, together = fuse_predictions([table], IMAGES), fuse_predictions([table] * copies, IMAGES)
    order = ["file_name", "class_name", "score", *BOX_COLUMNS]
    if (table.groupby(["file_name", "class_name"]).size() <= 1).all():  # no two boxes of one table can meet
        sides = [side.sort_values(order, ignore_index=True) for side in (alone, together)]
        pd.testing.assert_frame_equal(*sides, rtol=1e-4, atol=1e-3)
        originals = table.sort_values(order, ignore_index=True)
        np.testing.assert_allclose(sides[0][BOX_COLUMNS], originals[BOX_COLUMNS], atol=1e-3)


def test_the_fold_is_kept_where_the_tables_agree_on_it():
    tables = [detection_rows([(name, "with_mask", 0.5, 10, 10, 30, 30) for name in WH_OF_FILE]) for _ in range(2)]
    tables[1].loc[tables[1]["file_name"] == "b.png", "fold"] = 3
    fused = fuse_predictions(tables, IMAGES).set_index("file_name")
    assert fused["fold"].to_dict() == {"a.png": 0, "b.png": -1}


def test_low_scores_are_left_out():
    table = detection_rows(
        [("a.png", "with_mask", score, 50 * i, 0, 50 * i + 20, 30) for i, score in enumerate((0, 0.1, 0.5))]
    )
    assert len(fuse_predictions([table, table], IMAGES)) == 2
    assert len(fuse_predictions([table, table], IMAGES, min_score=0.2)) == 1


def test_empty_tables_give_an_empty_table():
    empty = fuse_predictions([detection_rows([]), detection_rows([])], IMAGES)
    pd.testing.assert_frame_equal(empty, validate(empty, PREDICTIONS, "fused"))
    assert empty.empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tables": []}, "expected one or more prediction tables to fuse, got none"),
        ({"iou_threshold": 1.0}, "expected 0 < iou_threshold < 1, got 1.0"),
        ({"images": IMAGES[1:]}, r"predictions: expected files of the images table, got 'a\.png'"),
        (
            {"tables": [detection_rows([("a.png", "with_mask", 0.5, 0, 0, 9, 9)]).assign(class_name="face")]},
            r"predictions: expected classes among \['with_mask', .*\], got 'face'",
        ),
    ],
)
def test_impossible_requests_are_named(change, message):
    arguments = {"tables": [detection_rows([("a.png", "with_mask", 0.5, 0, 0, 9, 9)])], "images": IMAGES} | change
    with pytest.raises(ValueError, match=message):
        fuse_predictions(**arguments)
