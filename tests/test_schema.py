"""The tables' checks: what passes keeps its types, what does not is named."""

import numpy as np
import pandas as pd
import pytest

from maskdet.schema import (
    ANNOTATIONS,
    BOX_COLUMNS,
    CLASS_NAMES,
    FOLDS,
    IMAGES,
    PREDICTIONS,
    read_table,
    validate,
    write_table,
)
from table_rows import face_rows

ROWS = {
    IMAGES.name: {"file_name": "a.png", "source": "x", "width": 4, "height": 3, "num_faces": 1, "sha256": "0" * 64},
    ANNOTATIONS.name: {
        "file_name": "a.png", "class_name": "with_mask",
        "x_min": 0.0, "y_min": 1.0, "x_max": 2.0, "y_max": 3.0, "is_difficult": False,
    },
    FOLDS.name: {"file_name": "a.png", "group": 0, "split_role": "fold", "fold": 0},
    PREDICTIONS.name: {
        "file_name": "a.png", "fold": 0, "class_name": "with_mask", "score": 0.5,
        "x_min": 0.0, "y_min": 1.0, "x_max": 2.0, "y_max": 3.0,
    },
}  # fmt: skip
ALL = pytest.mark.parametrize("schema", [IMAGES, ANNOTATIONS, FOLDS, PREDICTIONS], ids=lambda schema: schema.name)


def _table(schema, **changes):
    return pd.DataFrame([ROWS[schema.name] | changes])


@ALL
@pytest.mark.parametrize("num_rows", [0, 1])
def test_round_trip(tmp_path, schema, num_rows):
    table = validate(_table(schema), schema, "test")[:num_rows]
    write_table(table, tmp_path / "new/a.parquet", schema)
    again = read_table(tmp_path / "new/a.parquet", schema)
    pd.testing.assert_frame_equal(again, validate(table, schema, "test"))
    assert list(again.columns) == list(ROWS[schema.name])
    assert not list(tmp_path.rglob("*.partial"))


@ALL
def test_equal_tables_are_equal_files_whatever_their_index(tmp_path, schema):
    table = _table(schema)
    write_table(table, tmp_path / "a", schema)
    write_table(table.set_index(np.array([7])), tmp_path / "b", schema)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_boxes_are_float32():
    table = validate(_table(ANNOTATIONS), ANNOTATIONS, "test")
    assert {str(table[name].dtype) for name in BOX_COLUMNS} == {"float32"}


@pytest.mark.parametrize(
    ("schema", "changes", "message"),
    [
        (IMAGES, {"width": 0}, "width: greater_than"),
        (IMAGES, {"num_faces": -1}, "num_faces: greater_than_or_equal_to"),
        (IMAGES, {"sha256": "xyz"}, "sha256: str_matches.*'xyz'"),
        (ANNOTATIONS, {"class_name": "mask"}, "class_name: isin.*got 'mask'"),
        (ANNOTATIONS, {"x_min": -1.0}, "x_min: greater_than_or_equal_to"),
        (ANNOTATIONS, {"x_max": 0.0}, "expected x_min < x_max and y_min < y_max"),
        (ANNOTATIONS, {"y_max": float("nan")}, "expected x_min < x_max and y_min < y_max"),
        (FOLDS, {"split_role": "train"}, "split_role: isin.*got 'train'"),
        (FOLDS, {"fold": -2}, "fold: greater_than_or_equal_to"),
        (PREDICTIONS, {"score": 1.5}, "score: in_range"),
        (PREDICTIONS, {"extra": 1}, "column_in_schema, got 'extra'"),
    ],
)
def test_broken_rows_are_named_and_not_written(tmp_path, schema, changes, message):
    with pytest.raises(ValueError, match=rf"here: expected a table of '{schema.name}', got .*{message}"):
        validate(_table(schema, **changes), schema, "here")
    if "extra" not in changes:
        with pytest.raises(ValueError, match=message):
            write_table(_table(schema, **changes), tmp_path / "a.parquet", schema)
        assert not list(tmp_path.iterdir())


def test_a_broken_box_is_told_once_with_its_file_and_coordinates():
    rows = face_rows([("a.png", CLASS_NAMES[0], 1, 2, 3, 4), ("b.png", CLASS_NAMES[1], 5, 6, 9, 8)])
    with pytest.raises(ValueError, match="got row 1: ") as caught:
        validate(rows.assign(x_max=[3.0, 4.0]), ANNOTATIONS, "test")
    assert "got file_name b.png, x_min 5.0, y_min 6.0, x_max 4.0, y_max 8.0" in str(caught.value)
    assert str(caught.value).count("expected x_min") == 1


def test_a_file_name_twice_and_a_missing_column():
    with pytest.raises(ValueError, match=r"file_name: field_uniqueness, got 'a\.png'"):
        validate(pd.concat([_table(FOLDS)] * 2), FOLDS, "here")
    with pytest.raises(ValueError, match="column_in_dataframe, got 'fold'"):
        validate(_table(FOLDS).drop(columns="fold"), FOLDS, "here")


def test_unreadable_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.parquet: expected the table 'folds', found no file"):
        read_table(tmp_path / "none.parquet", FOLDS)
    (tmp_path / "bad.parquet").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"bad\.parquet: expected a Parquet file, got"):
        read_table(tmp_path / "bad.parquet", FOLDS)


def test_the_class_list():
    assert CLASS_NAMES == ("with_mask", "without_mask", "mask_weared_incorrect")
