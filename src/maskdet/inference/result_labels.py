"""Detections as label files, a file an image: YOLO and Pascal VOC, as `maskdet convert` writes and reads them.

Such files hold no scores; the tables do. Boxes are in pixels of the picture as it was looked at: where an EXIF
orientation was applied, a reader that ignores it sees them elsewhere.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from maskdet.atomic import atomic_folder
from maskdet.data.formats.label_files import WrittenImage, class_numbers, write_voc_labels, write_yolo_labels
from maskdet.data.labelled_set import LabelledBox, LabelledImage
from maskdet.inference.result_files import MARKER_FILE
from maskdet.inference.results import ImageResult, shortest_floats


def write_yolo(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    """Write the folder `path`: `labels/<image>.txt`, empty where nothing was found, and `data.yaml`."""
    _write_labels(write_yolo_labels, results, class_names, path)


def write_voc(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    """Write the folder `path`: `annotations/<image>.xml`, without an object where nothing was found."""
    _write_labels(partial(write_voc_labels, fills_in=True), results, class_names, path)


def _write_labels(write: Callable, results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(path) as temporary:
        write(temporary, [_labelled(result, class_names) for result in results], class_numbers(class_names))
        (temporary / MARKER_FILE).touch()


def _labelled(result: ImageResult, class_names: Sequence[str]) -> WrittenImage:
    found = result.detections
    boxes = tuple(
        LabelledBox(class_names[index], tuple(shortest_floats(box)), place=f"detection {row}")
        for row, (index, box) in enumerate(zip(found.class_indices, found.boxes_xyxy, strict=True))
    )
    name = PurePosixPath(result.file_name)
    return WrittenImage(str(name), LabelledImage(str(name), result.image_wh, boxes, str(name.with_suffix(".txt"))))
