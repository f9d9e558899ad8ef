"""Sets whose labels are a table, CSV or Parquet: a row a box, or a row an image with lists of boxes.

H2O Hydrogen Torch documents a Parquet file with the columns `image`, `class_id` (names, in spite of its own name),
`x_min`, `y_min`, `x_max`, `y_max`, each cell a list with an entry a box, beside a folder of images that the table does
not name; and a form with a row a box. The columns may be called otherwise there, and so they may here.
The project's own tables (`maskdet.schema`) are read too: `annotations.parquet` with `images.parquet` beside it.

Images without faces are rows without class and box, or with empty lists, or rows of a table of images. No library
reads these tables.

Reference:
    H2O.ai, Hydrogen Torch guide, "Dataset format: Image object detection",
    https://docs.h2o.ai/h2o-hydrogen-torch/guide/datasets/dataset-formats/image/image-object-detection
"""

from maskdet.data.formats.collection import Collection
from maskdet.data.formats.coordinates import check_number, number_text, parse_number
from maskdet.data.formats.files import SetFiles
from maskdet.data.formats.reader_rules import LabelError
from maskdet.data.formats.references import ImageIndex
from maskdet.data.formats.table_file import BOX_FIELDS, Row, TableFile, find_tables, read_rows
from maskdet.data.labelled_set import LabelledBox, LabelledSet

_FLAGS = {"": False, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}


def recognize_csv(files: SetFiles) -> str | None:
    """Say which table of boxes there is, if any."""
    found = next((table.path for table in find_tables(files) if table.has_boxes), None)
    return f"tables such as {found}" if found else None


def read_csv_set(files: SetFiles) -> LabelledSet:
    """Read a set whose labels are tables, of all of them together; an image's boxes come from one table.

    Classes are names; numbers in the column are taken as names. White space around names is dropped.
    """
    collected = Collection.begin(files)
    index = ImageIndex(files.images)
    tables = sorted(find_tables(files), key=lambda table: not table.has_boxes)  # whose label_file an image keeps
    for table in tables:
        try:
            for place, row in read_rows(files.root, table):
                _guarded_row(collected, index, table, place, row)
        except LabelError as error:
            collected.report(table.path, error.rule, str(error))
    return collected.finish("csv")


def _guarded_row(collected: Collection, index: ImageIndex, table: TableFile, place: str, row: Row | LabelError) -> None:
    try:
        if isinstance(row, LabelError):
            raise row
        _collect_row(collected, index, table, place, row)
    except LabelError as error:
        collected.report_lost(table.path, error.rule, f"{place}: {error}", _image_of(index, table, row))


def _image_of(index: ImageIndex, table: TableFile, row: Row | LabelError) -> str | None:
    """Return the image of a row that cannot be taken; None: nobody knows."""
    try:
        return None if isinstance(row, LabelError) else index.find(str(row["file_name"] or ""), table.path)
    except LabelError:
        return None


def _collect_row(collected: Collection, index: ImageIndex, table: TableFile, place: str, row: Row) -> None:
    image = index.find(str(row["file_name"] or ""), table.path)
    is_new = image not in collected.label_files
    if table.has_boxes:
        known_from = collected.label_files.get(image, table.path)
        if known_from != table.path:
            raise LabelError("label-ambiguous", f"expected {image} in one table, known from {known_from}")
        collected.label(image, table.path)
        for number, cells in enumerate(_box_rows(row)):
            _collect_box(collected, image, table, place if number == 0 else f"{place}, box {number}", cells)
    else:
        collected.label(image, table.path)
    if (is_new or table.lists_images) and not (_is_empty(row.get("width")) or _is_empty(row.get("height"))):
        declared_wh = (_number(row["width"], "width"), _number(row["height"], "height"))
        collected.compare_size(image, table.path, declared_wh)


def _box_rows(row: Row) -> list[Row]:
    """Return a row for each box: the row itself, or its lists taken apart; none for an image without faces."""
    cells = [row[name] for name in BOX_FIELDS]
    if not any(isinstance(cell, list) for cell in cells):
        return [] if all(_is_empty(cell) for cell in cells) else [row]
    lengths = {len(cell) if isinstance(cell, list) else -1 for cell in cells}
    if len(lengths) > 1:
        raise LabelError("label-columns", f"expected lists of one length in {', '.join(BOX_FIELDS)}, got others")
    flags = row.get("is_difficult")
    rows = [dict(zip(BOX_FIELDS, values, strict=True)) for values in zip(*cells, strict=True)]
    if isinstance(flags, list) and len(flags) == len(rows):
        rows = [{**values, "is_difficult": flag} for values, flag in zip(rows, flags, strict=True)]
    return rows


def _collect_box(collected: Collection, image: str, table: TableFile, place: str, row: Row) -> None:
    try:
        box_xyxy = tuple(_number(row[name], name) for name in BOX_FIELDS[1:])
        box = LabelledBox(_class_name(row["class_name"]), box_xyxy, _flag(row.get("is_difficult")), place)
    except LabelError as error:
        collected.report_lost(table.path, error.rule, f"{place}: {error}", image)
        return
    collected.label(image, table.path, [box])


def _is_empty(cell: object) -> bool:
    if isinstance(cell, str):
        return not cell.strip()
    return cell is None or cell != cell  # a missing number of Parquet is NaN


def _number(cell: object, name: str) -> float:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        raise LabelError("label-columns", f"expected a number in {name}, got none")
    try:
        return parse_number(cell) if isinstance(cell, str) else check_number(cell)
    except LabelError as error:
        raise LabelError(error.rule, f"{name}: {error}") from error


def _class_name(cell: object) -> str:
    if _is_empty(cell):
        raise LabelError("label-columns", "expected a class, got none")
    return cell.strip() if isinstance(cell, str) else number_text(check_number(cell))


def _flag(cell: object) -> bool:
    text = "" if _is_empty(cell) else str(cell).strip().lower()
    if text not in _FLAGS:
        raise LabelError("label-number", f"expected is_difficult as one of {', '.join(_FLAGS)}, got {text[:40]!r}")
    return _FLAGS[text]
