"""Tables of labels as files: which columns they have, and their rows, from CSV or Parquet, within bounds."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from maskdet.data.formats.files import SetFiles, read_text
from maskdet.data.formats.reader_rules import LabelError

BOX_FIELDS = ("class_name", "x_min", "y_min", "x_max", "y_max")
"""What a table of boxes has beside the file name."""

TABLE_SUFFIXES = (".csv", ".parquet", ".pq")

_ALIASES = {
    "file_name": ("file_name", "image", "filename", "image_name", "image_path"),
    "class_name": ("class_name", "name", "class", "label", "class_id"),  # a name tells more than a number
    "x_min": ("x_min", "xmin"),
    "y_min": ("y_min", "ymin"),
    "x_max": ("x_max", "xmax"),
    "y_max": ("y_max", "ymax"),
    "is_difficult": ("is_difficult", "difficult"),
    "width": ("width", "image_width"),
    "height": ("height", "image_height"),
}
_SCORE = "score"
_DELIMITERS = (",", ";", "\t")
_MAX_MEGABYTES = 512
_MAX_UNPACKED_BYTES = 4 * 2**30
_MAX_HEADER_BYTES = 65_536
_BATCH_ROWS = 10_000

Row = Mapping[str, object]
"""Field → cell: a text in CSV; a number, a text, a list or None in Parquet."""


@dataclass(frozen=True)
class TableFile:
    """A table of a set.

    Attributes:
        path: Posix path relative to the set's root.
        column_of: Field → the column that holds it.
        delimiter: Of CSV.
    """

    path: str
    column_of: Mapping[str, str]
    delimiter: str = ","

    @property
    def has_boxes(self) -> bool:
        """Whether a row is a box, or an image with lists of boxes."""
        return "file_name" in self.column_of and all(name in self.column_of for name in BOX_FIELDS)

    @property
    def lists_images(self) -> bool:
        """Whether a row is an image and its size, without boxes."""
        return not self.has_boxes and all(name in self.column_of for name in ("file_name", "width", "height"))


def find_tables(files: SetFiles) -> list[TableFile]:
    """Return the tables of boxes and of images, those nearest to the root first.

    A table with a column `score` holds predictions, which are no labels; it is left out like any other file.
    """
    tables = (_find_columns(files, path) for path in files.with_suffix(*TABLE_SUFFIXES))
    return [table for table in tables if table is not None and (table.has_boxes or table.lists_images)]


def _find_columns(files: SetFiles, path: str) -> TableFile | None:
    if not path.lower().endswith(".csv"):
        try:
            return _with_columns(path, pq.read_schema(files.root / path).names)
        except (pa.ArrowException, OSError):
            return None
    with (files.root / path).open("rb") as stream:
        header = stream.readline(_MAX_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    try:
        rows = [next(csv.reader([header], delimiter=delimiter), []) for delimiter in _DELIMITERS]
    except csv.Error:  # e.g. one line of bare carriage returns: no table of ours
        return None
    candidates = [_with_columns(path, row, delimiter) for row, delimiter in zip(rows, _DELIMITERS, strict=True)]
    return max(candidates, key=lambda table: 0 if table is None else len(table.column_of))


def _with_columns(path: str, columns: Sequence[str], delimiter: str = ",") -> TableFile | None:
    by_name = {column.strip().lower(): column for column in reversed(columns)}
    if _SCORE in by_name:
        return None
    found = {
        field: next((by_name[alias] for alias in aliases if alias in by_name), None)
        for field, aliases in _ALIASES.items()
    }
    return TableFile(path, {field: column for field, column in found.items() if column is not None}, delimiter)


def read_rows(root: Path, table: TableFile) -> Iterator[tuple[str, Row | LabelError]]:
    """Yield the rows of a table, each with its place (`line 3`, `row 3`).

    Args:
        root: The set's folder.
        table: From `find_tables`.

    Yields:
        The known fields of a row, or the error if it has another number of columns than the header.

    Raises:
        LabelError: `label-unreadable`, at any row, if the file cannot be read any further, or is too large.
    """
    if table.path.lower().endswith(".csv"):
        yield from _csv_rows(read_text(root / table.path, _MAX_MEGABYTES), table)
    else:
        yield from _parquet_rows(root / table.path, table)


def _csv_rows(text: str, table: TableFile) -> Iterator[tuple[str, Row | LabelError]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=table.delimiter)
    try:
        header = next(reader)
        position_of = {field: header.index(column) for field, column in table.column_of.items()}
        for cells in reader:
            place = f"line {reader.line_num}"
            if len(cells) == len(header):
                yield place, {field: cells[position] for field, position in position_of.items()}
            elif cells:
                detail = f"expected {len(header)} columns, got {len(cells)}"
                yield place, LabelError("label-columns", detail)
    except csv.Error as error:
        detail = f"expected CSV, got {error} at line {reader.line_num}"
        raise LabelError("label-unreadable", detail) from error


def _parquet_rows(path: Path, table: TableFile) -> Iterator[tuple[str, Row]]:
    names = list(table.column_of.values())
    try:
        with pq.ParquetFile(path) as file:
            groups = (file.metadata.row_group(index) for index in range(file.metadata.num_row_groups))
            num_bytes = sum(group.total_byte_size for group in groups)
            if num_bytes > _MAX_UNPACKED_BYTES:
                detail = f"expected at most {_MAX_UNPACKED_BYTES} bytes unpacked, got {num_bytes}"
                raise LabelError("label-unreadable", detail)
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=names):
                for cells in batch.select(names).to_pylist():
                    number += 1
                    yield f"row {number}", {field: cells[column] for field, column in table.column_of.items()}
    except (pa.ArrowException, OSError) as error:
        raise LabelError("label-unreadable", f"expected Parquet, got {type(error).__name__}: {error}") from error
