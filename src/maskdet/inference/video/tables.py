"""Tables of the faces of a video, written as they come: however long it is, they take no memory."""

import csv
import json
from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from maskdet.boxes import box_area, xyxy_to_xywh
from maskdet.inference.video.faces import VideoFace
from maskdet.inference.video.frames import VideoInfo

COLUMNS = ("file_name", "frame", "seconds", "person", "class_name", "score", "x_min", "y_min", "x_max", "y_max")
"""Of the CSV and the Parquet table, a row a face of an inferred frame; `person` is empty where nobody is followed."""

_TEXT = {"encoding": "utf-8", "errors": "surrogateescape"}  # a file name that is no UTF-8 comes out as it is
_PARQUET_ROWS = 10_000  # at once


class FaceTable(AbstractContextManager, Protocol):
    """A table that is open for writing; whole once the block is left."""

    def add(self, frame_index: int, seconds: float, faces: Sequence[VideoFace]) -> None:
        """Write the faces of an inferred frame; there may be none."""
        ...


class CsvTable:
    """`COLUMNS` as CSV; numbers are the shortest that read back as the same float32.

    Args:
        path: Replaced if it is there.
        info: Of the video.
        class_names: In the order of class indices.
    """

    def __init__(self, path: Path, info: VideoInfo, class_names: Sequence[str]) -> None:
        self._name, self._class_names = info.name, class_names
        self._stream = path.open("w", newline="", **_TEXT)
        self._writer = csv.writer(self._stream, lineterminator="\n")
        self._writer.writerow(COLUMNS)

    def add(self, frame_index: int, seconds: float, faces: Sequence[VideoFace]) -> None:
        """Write a row a face."""
        for face in faces:
            person = "" if face.person is None else face.person
            start = [self._name, frame_index, round(seconds, 6), person, self._class_names[face.class_index]]
            self._writer.writerow([*start, str(face.score), *map(str, face.box_xyxy)])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


class ParquetTable:
    """`COLUMNS` as Parquet; see `CsvTable` for the arguments."""

    def __init__(self, path: Path, info: VideoInfo, class_names: Sequence[str]) -> None:
        import pyarrow
        from pyarrow import parquet

        numbers = dict.fromkeys(COLUMNS[5:], pyarrow.float32())
        types = [pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.int32(), pyarrow.string()]
        self._schema = pyarrow.schema([*zip(COLUMNS[:5], types, strict=True), *numbers.items()])
        self._name, self._class_names = info.name, class_names
        self._writer = parquet.ParquetWriter(path, self._schema)
        self._rows: list[tuple] = []

    def add(self, frame_index: int, seconds: float, faces: Sequence[VideoFace]) -> None:
        """Write a row a face."""
        for face in faces:
            start = (self._name, frame_index, seconds, face.person, self._class_names[face.class_index])
            self._rows.append((*start, face.score, *face.box_xyxy))
        if len(self._rows) >= _PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        columns = list(zip(*self._rows, strict=True)) or [()] * len(COLUMNS)
        arrays = [pyarrow.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            if error is None:
                self._flush()
        finally:
            self._writer.close()


class CocoTable:
    """One JSON object of COCO's form: each inferred frame is an image, each face an annotation with its score.

    Ids count from 1. Images have `frame` (0-based) and `seconds` besides, annotations `person` where people are
    followed. Images without a face are listed too: they were looked at. See `CsvTable` for the arguments.
    """

    def __init__(self, path: Path, info: VideoInfo, class_names: Sequence[str]) -> None:
        self._info, self._num_annotations = info, 0
        self._frames, self._seconds = array("q"), array("d")
        categories = [{"id": index, "name": name} for index, name in enumerate(class_names, start=1)]
        self._stream = path.open("w", **_TEXT)
        self._stream.write(f'{{"categories": {_json(categories)}, "annotations": [')

    def add(self, frame_index: int, seconds: float, faces: Sequence[VideoFace]) -> None:
        """Write the annotations; the images come at the end."""
        self._frames.append(frame_index)
        self._seconds.append(round(seconds, 6))
        for face in faces:
            self._num_annotations += 1
            comma = "" if self._num_annotations == 1 else ","
            self._stream.write(f"{comma}\n{_json(self._annotation(face))}")

    def _annotation(self, face: VideoFace) -> dict[str, Any]:
        box = face.box_xyxy[None]
        row = {
            "id": self._num_annotations,
            "image_id": len(self._frames),
            "category_id": face.class_index + 1,
            "bbox": [_short(value) for value in xyxy_to_xywh(box)[0]],
            "area": _short(box_area(box)[0]),
            "iscrowd": 0,
            "score": _short(face.score),
        }
        return row if face.person is None else {**row, "person": face.person}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        width, height = self._info.image_wh
        self._stream.write('\n], "images": [')
        for row, (frame, seconds) in enumerate(zip(self._frames, self._seconds, strict=True), start=1):
            name = f"{self._info.name}#{frame}"
            place = {"frame": frame, "seconds": seconds}
            image = {"id": row, "file_name": name, "width": width, "height": height, **place}
            self._stream.write(f"{',' if row > 1 else ''}\n{_json(image)}")
        self._stream.write("\n]}\n")
        self._stream.close()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _short(value: np.float32) -> float:
    """Return a float32 as the float with the fewest digits that is the same float32."""
    return float(str(np.float32(value)))


@dataclass(frozen=True)
class TableFormat:
    """A kind of table.

    Attributes:
        suffix: Of its file, after the video's name.
        open: `open(path, info, class_names)`.
    """

    suffix: str
    open: Callable[[Path, VideoInfo, Sequence[str]], FaceTable]


TABLE_FORMATS = {
    "csv": TableFormat(".csv", CsvTable),
    "parquet": TableFormat(".parquet", ParquetTable),
    "coco": TableFormat(".coco.json", CocoTable),
}
"""What a video's faces can be written as."""


def check_formats(names: Sequence[str]) -> None:
    """Refuse formats that a video has no table in, e.g. those of one file an image.

    Raises:
        ValueError: If a name is unknown.
    """
    unknown = [name for name in names if name not in TABLE_FORMATS]
    if unknown:
        raise ValueError(f"expected formats of a video out of {', '.join(TABLE_FORMATS)}, got {', '.join(unknown)}")
