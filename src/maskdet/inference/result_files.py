"""What `--format` knows: the files that detections are written to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from maskdet.inference.result_tables import write_coco, write_csv, write_parquet
from maskdet.inference.results import ImageResult

Write = Callable[[Sequence[ImageResult], Sequence[str], Path], None]
"""`write(results, class_names, path)`."""


def _write_yolo(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    from maskdet.inference.result_labels import write_yolo  # loads every reader of data sets

    write_yolo(results, class_names, path)


def _write_voc(results: Sequence[ImageResult], class_names: Sequence[str], path: Path) -> None:
    from maskdet.inference.result_labels import write_voc

    write_voc(results, class_names, path)


MARKER_FILE = ".maskdet"
"""In a folder of results: it may be replaced by the next run's."""


@dataclass(frozen=True)
class ResultFormat:
    """A file or a folder of results.

    Attributes:
        file_name: In the output folder.
        write: Writes it whole or not at all.
        has_file_per_stem: It is a folder of files that are named after the image without its suffix. An earlier one
            of ours is replaced, see `check_folders`.
    """

    file_name: str
    write: Write
    has_file_per_stem: bool = False


FORMATS = {
    "csv": ResultFormat("predictions.csv", write_csv),
    "parquet": ResultFormat("predictions.parquet", write_parquet),
    "coco": ResultFormat("predictions.coco.json", write_coco),
    "yolo": ResultFormat("yolo", _write_yolo, has_file_per_stem=True),
    "voc": ResultFormat("voc", _write_voc, has_file_per_stem=True),
}
"""What `--format` knows."""


def parse_formats(text: str) -> list[str]:
    """Return the keys of `FORMATS` that a comma-separated list names, each once.

    Raises:
        ValueError: If a name is unknown, or there is none.

    >>> parse_formats("coco, csv,coco")
    ['coco', 'csv']
    """
    names = list(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise ValueError(f"expected formats out of {', '.join(FORMATS)}, got {', '.join(map(repr, unknown))}")
    return names


def check_folders(formats: Sequence[str], folder: Path) -> None:
    """Refuse to replace a folder of somebody else's, before hours are spent.

    Args:
        formats: Keys of `FORMATS`.
        folder: The output folder.

    Raises:
        ValueError: Names what is in the way.
    """
    for name in formats:
        path = folder / FORMATS[name].file_name
        is_ours = path.is_dir() and (path / MARKER_FILE).is_file()
        if (
            FORMATS[name].has_file_per_stem
            and path.exists()
            and not is_ours
            and (path.is_file() or any(path.iterdir()))
        ):
            raise ValueError(
                f"{path}: expected a new folder or an earlier result, got something else: name another --output"
            )


def check_names(formats: Sequence[str], file_names: Sequence[str]) -> None:
    """Refuse images whose results would meet in one file, before hours are spent on them.

    Args:
        formats: Keys of `FORMATS`.
        file_names: Of the images.

    Raises:
        ValueError: Names the two, and formats that hold them.
    """
    per_stem = [name for name in formats if FORMATS[name].has_file_per_stem]
    taken: dict[PurePosixPath, str] = {}
    for file_name in file_names if per_stem else ():
        stem = PurePosixPath(file_name).with_suffix("")
        if stem in taken:
            others = ", ".join(name for name, kind in FORMATS.items() if not kind.has_file_per_stem)
            raise ValueError(
                f"--format {per_stem[0]}: expected images with label files of their own, got {taken[stem]} and "
                f"{file_name}; rename one, or choose {others}"
            )
        taken[stem] = file_name
