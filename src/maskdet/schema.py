"""The tables that stages hand each other: their columns, types and checks, and how they are read and written.

Boxes are absolute pixels, float32, xyxy, origin top left, maximum exclusive, clipped to the image.
A class travels as its name; `class_index` (0-based) is its place in `CLASS_NAMES`.
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrors

from maskdet.atomic import atomic_file

CLASS_NAMES = ("with_mask", "without_mask", "mask_weared_incorrect")
"""The one class list; the order is that of class indices. The spelling is the Kaggle set's."""

BOX_COLUMNS = ["x_min", "y_min", "x_max", "y_max"]

GROUPED = "grouped"
"""Of the protocols of judged crops the one that holds look-alikes out together; the others are held against it."""


def _coordinates() -> dict[str, pa.Column]:
    return {name: pa.Column("float32", pa.Check.ge(0), coerce=True) for name in BOX_COLUMNS}


_HAS_AREA = pa.Check(
    lambda table: (table["x_max"] > table["x_min"]) & (table["y_max"] > table["y_min"]),
    error="expected x_min < x_max and y_min < y_max",
)


def _table(name: str, columns: dict[str, pa.Column], **options: object) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, name=name, strict=True, ordered=True, **options)


IMAGES = _table(
    "images",
    {
        "file_name": pa.Column(str, unique=True),
        "source": pa.Column(str),
        "width": pa.Column("int32", pa.Check.gt(0), coerce=True),
        "height": pa.Column("int32", pa.Check.gt(0), coerce=True),
        "num_faces": pa.Column("int32", pa.Check.ge(0), coerce=True),
        "sha256": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$")),  # of the RGB pixels
    },
)
ANNOTATIONS = _table(
    "annotations",
    {
        "file_name": pa.Column(str),
        "class_name": pa.Column(str, pa.Check.isin(CLASS_NAMES)),
        **_coordinates(),
        "is_difficult": pa.Column(bool, coerce=True),
    },
    checks=_HAS_AREA,
)
FOLDS = _table(
    "folds",
    {
        "file_name": pa.Column(str, unique=True),
        "group": pa.Column("int32", pa.Check.ge(0), coerce=True),
        # copy: of the image in `group` that it was turned from; trained on where that is, never judged
        "split_role": pa.Column(str, pa.Check.isin(["fold", "test", "copy"])),
        "fold": pa.Column("int32", pa.Check.ge(-1), coerce=True),  # -1: in no fold, as images with the role test
    },
)
PREDICTIONS = _table(
    "predictions",
    {
        "file_name": pa.Column(str),
        "fold": pa.Column("int32", pa.Check.ge(-1), coerce=True),
        "class_name": pa.Column(str, pa.Check.isin(CLASS_NAMES)),
        "score": pa.Column("float32", pa.Check.in_range(0, 1), coerce=True),
        **_coordinates(),
    },
    checks=_HAS_AREA,
)
QUALITY = _table(
    "quality",
    {
        "file_name": pa.Column(str),
        **_coordinates(),  # of the true box, as in ANNOTATIONS and in its order
        "sharpness": pa.Column("float32", pa.Check.ge(0), coerce=True),  # edges over contrast, of the face at 32 px
        "brightness": pa.Column("float32", pa.Check.in_range(0, 255), coerce=True),  # mean luminance
    },
    checks=_HAS_AREA,
)
_FACE = {
    "file_name": pa.Column(str),
    "face": pa.Column("int32", pa.Check.ge(0), coerce=True),  # its place among the file's rows of ANNOTATIONS
    "class_name": pa.Column(str, pa.Check.isin(CLASS_NAMES)),
}
_ONE_ROW_A_FACE = ["file_name", "face"]
CROPS = _table(
    "crops",
    {
        **_FACE,
        "group": pa.Column("int32", pa.Check.ge(0), coerce=True),
        "fold": pa.Column("int32", pa.Check.ge(-1), coerce=True),  # -1: kept for the test
        **_coordinates(),  # of the true box, in the photo that the crop was cut from
    },
    checks=_HAS_AREA,
    unique=_ONE_ROW_A_FACE,
)
OVERLAYS = _table(
    "overlays",
    {
        **CROPS.columns,  # of the face that was masked; `class_name` is what it shows now
        "mask_shape": pa.Column(str),
        "mask_colour": pa.Column(str),
        "worn": pa.Column(str),
    },
    checks=_HAS_AREA,
)
PROBABILITY_COLUMNS = [f"probability_{name}" for name in CLASS_NAMES]
CROP_PREDICTIONS = _table(
    "crop_predictions",
    {
        **_FACE,  # `class_name` is the true class
        "fold": pa.Column("int32", pa.Check.ge(0), coerce=True),  # the part that was held out
        **{name: pa.Column("float32", pa.Check.in_range(0, 1), coerce=True) for name in PROBABILITY_COLUMNS},
    },
    unique=_ONE_ROW_A_FACE,
)
FACES = _table(
    "faces",
    {
        "file_name": pa.Column(str),
        "score": pa.Column("float32", pa.Check.in_range(0, 1), coerce=True),
        **_coordinates(),
    },
    checks=_HAS_AREA,
)


def validate(table: pd.DataFrame, schema: pa.DataFrameSchema, origin: str) -> pd.DataFrame:
    """Return the table with the schema's dtypes, or say which column and value break it.

    Args:
        table: Rows to check; not modified.
        schema: One of this module's schemas, such as `IMAGES`.
        origin: What the message calls the table: a path or a stage.

    Returns:
        A new table with a fresh integer index.

    Raises:
        ValueError: If a column is missing, unknown or of another type, or if a value fails its check.
    """
    try:
        return schema.validate(table.reset_index(drop=True), lazy=True)
    except (SchemaError, SchemaErrors) as error:
        found = "; ".join(_failures(error.failure_cases, table.reset_index(drop=True))[:5])
        raise ValueError(f"{origin}: expected a table of '{schema.name}', got {found}") from error


def _failures(cases: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Say what is wrong: of a check of whole rows each row once, with its file and its box."""
    told = {}
    for case in cases.itertuples():
        if case.schema_context == "DataFrameSchema" and pd.notna(case.index):
            row = table.loc[int(case.index)]
            values = ", ".join(f"{name} {row[name]}" for name in ("file_name", *BOX_COLUMNS) if name in table)
            told[case.index, case.check] = f"row {int(case.index)}: {case.check}, got {values}"
        else:
            told[case.Index, case.check] = f"{case.column}: {case.check}, got {case.failure_case!r}"
    return list(told.values())


def read_table(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a Parquet table and check it.

    Raises:
        FileNotFoundError: If the file is absent; the message says which table was expected.
        ValueError: If it is no Parquet file or breaks the schema.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: expected the table '{schema.name}', found no file")
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a Parquet file, got {error}") from error
    return validate(table, schema, str(path))


def write_table(table: pd.DataFrame, path: Path, schema: pa.DataFrameSchema) -> None:
    """Check a table and write it as Parquet, under a temporary name first.

    The bytes depend on the rows alone, so that an equal result is an equal file for DVC.

    Raises:
        ValueError: If it breaks the schema; nothing is written then.
    """
    checked = validate(table[list(schema.columns)], schema, str(path))
    with atomic_file(path) as temporary:
        checked.to_parquet(temporary, index=False)
