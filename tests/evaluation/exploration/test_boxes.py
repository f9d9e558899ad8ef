"""Sizes, shapes and places of boxes, against numbers by hand and other ways to count."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explored_set import FACES, IMAGES_WH, MASK, annotations_table, images_table
from maskdet.evaluation.exploration import boxes
from maskdet.evaluation.sizes import COCO_SIZES
from maskdet.schema import BOX_COLUMNS
from table_rows import face_rows


def box_rows(boxes_xyxy: list[tuple]) -> pd.DataFrame:
    """Return annotations of one image and class, without the checks of `face_rows`: hypothesis makes many."""
    table = pd.DataFrame(boxes_xyxy, columns=BOX_COLUMNS, dtype=np.float32)
    return table.assign(file_name="x.png", class_name=MASK)


EMPTY = face_rows([])
ONE_IMAGE = pd.DataFrame({"file_name": ["x.png"], "width": [400], "height": [300]})
BOXES = st.lists(
    st.tuples(st.integers(0, 350), st.integers(0, 250), st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=20
).map(lambda rows: box_rows([(x, y, x + width, y + height) for x, y, width, height in rows]))


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(BOXES)
def test_histograms_hold_every_face_in_its_bin(annotations):
    widths = (annotations["x_max"] - annotations["x_min"]).to_numpy(float)
    heights = (annotations["y_max"] - annotations["y_min"]).to_numpy(float)
    values = {
        boxes.box_sides: np.minimum(widths, heights),
        boxes.aspect_ratios: np.clip(widths / heights, 0.25, 3.999),
        lambda faces: boxes.relative_sizes(ONE_IMAGE, faces): np.sqrt(widths * heights / 120_000).clip(1 / 64, 0.999),
    }
    for ask, expected in values.items():
        table = ask(annotations).table
        assert table["count"].sum() == len(annotations)
        for row in table.itertuples():
            inside = (expected >= row.low * (1 - 1e-12)) & (expected < row.high * (1 - 1e-12))
            assert row.count == inside.sum()
        assert (table["low"] < table["high"]).all()


def test_sides_of_the_made_set():
    sides = sorted(min(x1 - x0, y1 - y0) for _, _, x0, y0, x1, y1 in FACES)
    numbers = boxes.box_sides(annotations_table()).numbers
    assert numbers["short_side_px"]["median"] == pytest.approx((sides[7] + sides[8]) / 2)
    assert numbers["num_tiny"] == sum(side < 16 for side in sides)
    assert numbers["smallest"] == {"file_name": "f.png", "short_side_px": sides[0]}


@pytest.mark.parametrize(
    ("side", "size"), [(31, "small"), (32, "medium"), (95, "medium"), (96, "large"), (400, "large")]
)
def test_a_square_face_has_its_coco_size(side, size):
    topic = boxes.coco_sizes(face_rows([("x.png", MASK, 0, 0, side, side)]))
    found = topic.table[topic.table["num_faces"] == 1]
    assert found["size"].tolist() == [size, size]  # of all classes and of its own
    assert topic.numbers["share"] == {name: float(name == size) for name in COCO_SIZES}


def test_shapes_by_hand():
    faces = face_rows([("x.png", MASK, 0, 0, 10, 20), ("x.png", MASK, 0, 0, 30, 10), ("x.png", MASK, 0, 0, 9, 20)])
    numbers = boxes.aspect_ratios(faces).numbers
    assert numbers["ratio"]["median"] == 0.5
    assert numbers["num_extreme"] == 2  # 3:1 and 9:20; 1:2 is not beyond
    assert numbers["tall_share"] == pytest.approx(2 / 3)


def test_a_quarter_of_the_image_has_half_its_side():
    numbers = boxes.relative_sizes(ONE_IMAGE, face_rows([("x.png", MASK, 0, 0, 200, 150)])).numbers
    assert numbers["relative_size"]["median"] == 0.5
    assert numbers["median_px_at_reference"] == 256


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(BOXES)
def test_a_heat_map_holds_the_area_of_the_faces(annotations):
    table = boxes.positions(ONE_IMAGE, annotations).table
    areas = (annotations["x_max"] - annotations["x_min"]) * (annotations["y_max"] - annotations["y_min"])
    assert table["coverage"].mean() == pytest.approx((areas / (400 * 300)).mean(), rel=1e-6)
    assert set(table["class_name"]) == {boxes.ALL_CLASSES}  # one class is all classes
    assert table["coverage"].between(0, 1 + 1e-12).all()


def test_a_heat_map_is_where_the_face_is():
    faces = face_rows([("x.png", MASK, 100, 0, 200, 300)])  # the second quarter of the width
    grid = boxes.positions(ONE_IMAGE, faces).table.pivot(index="row", columns="column", values="coverage").to_numpy()
    quarter = boxes.GRID // 4
    expected = np.zeros((boxes.GRID, boxes.GRID))
    expected[:, quarter : 2 * quarter] = 1
    np.testing.assert_allclose(grid, expected, atol=1e-12)


def test_places_of_the_made_set():
    numbers = boxes.positions(images_table(), annotations_table()).numbers
    centres = [((x0 + x1) / 2 / IMAGES_WH[f][0], (y0 + y1) / 2 / IMAGES_WH[f][1]) for f, _, x0, y0, x1, y1 in FACES]
    assert numbers["upper_half_share"] == pytest.approx(sum(y < 0.5 for _, y in centres) / len(FACES))
    assert numbers["middle_third_share"] == pytest.approx(sum(1 / 3 <= x <= 2 / 3 for x, _ in centres) / len(FACES))
    assert numbers["median_centre"]["x"] == pytest.approx(np.median([x for x, _ in centres]))
    near = [x0 < 1 or y0 < 1 or x1 > IMAGES_WH[f][0] - 1 or y1 > IMAGES_WH[f][1] - 1 for f, _, x0, y0, x1, y1 in FACES]
    assert numbers["num_at_border"] == sum(near)


@pytest.mark.parametrize("ask", [boxes.box_sides, boxes.coco_sizes, boxes.aspect_ratios])
def test_without_faces_there_is_no_answer(ask):
    assert ask(EMPTY) is None
    assert boxes.positions(ONE_IMAGE, EMPTY) is None
    assert boxes.relative_sizes(ONE_IMAGE, EMPTY) is None
