"""Which image files a command line means, and what each is called in the results."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskdet.data.image import IMAGE_SUFFIXES


@dataclass(frozen=True)
class SourceImage:
    """An image file.

    Attributes:
        path: Where it lies.
        file_name: What results call it: its path below the folder that holds all sources, with `/`. No two images of
            one search share it.
    """

    path: Path
    file_name: str


def find_images(sources: Sequence[Path], ignored_dir: Path | None = None) -> list[SourceImage]:
    """Return the image files that paths name or hold, each once.

    A named file is taken whatever its suffix. A folder is searched to its depth for `IMAGE_SUFFIXES` in any case;
    hidden files and folders are left out, links to folders are not followed.

    Args:
        sources: Files and folders.
        ignored_dir: Not searched, e.g. the output folder inside a source; may not exist.

    Returns:
        Sorted by `file_name`. With one source folder the names are relative to it.

    Raises:
        FileNotFoundError: If a source does not exist, or a folder holds no image.
        ValueError: If there is no source.
    """
    if not sources:
        raise ValueError("expected image files or folders, got none")
    absolute = [_absolute(source) for source in sources]
    ignored = None if ignored_dir is None else _absolute(ignored_dir)
    found: set[Path] = set()
    for source, given in zip(absolute, sources, strict=True):
        found |= _images_at(source, given, ignored)
    root = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in absolute]))
    images = [SourceImage(path, path.relative_to(root).as_posix()) for path in found]
    return sorted(images, key=lambda image: image.file_name)


def _absolute(path: Path) -> Path:
    """Return a path from the root without `..`; links stay: a linked image keeps the name that it was given."""
    return Path(os.path.normpath(Path.cwd() / path))


def _images_at(source: Path, given: Path, ignored: Path | None) -> set[Path]:
    """Return the images of one source; messages call it what the user did."""
    if source.is_file():
        return {source}
    if not source.is_dir():
        raise FileNotFoundError(f"{given}: expected an image file or a folder, found neither")
    found = set(_walk(source, ignored))
    if not found:
        raise FileNotFoundError(f"{given}: expected a folder with images ({', '.join(IMAGE_SUFFIXES)}), found none")
    return found


def _walk(folder: Path, ignored: Path | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(parent, name) != ignored]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(parent, name)
