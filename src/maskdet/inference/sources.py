"""Which pictures and videos a command line means, and what each picture is called in the results."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Pictures that a folder is searched for, in lower case; a file that is named by itself is taken whatever its name."""


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


@dataclass(frozen=True)
class Sources:
    """What a command line means.

    Attributes:
        images: Each once, sorted by `file_name`.
        videos: Paths, numbers of cameras and addresses of streams, each once, as they were named.
    """

    images: tuple[SourceImage, ...]
    videos: tuple[str, ...]


def find_sources(words: Sequence[str | Path], ignored_dir: Path | None = None) -> Sources:
    """Return the pictures that words name, hold or match, and the videos that they name.

    A folder is searched to its depth for `PICTURE_SUFFIXES` in any case; hidden files and folders are left out, links
    to folders are not followed, videos are not looked for. A pattern is one of `glob`, `**` for any folders.

    Args:
        words: Files, folders, patterns; `0` is the first camera, `rtsp://…` a stream. A file that exists goes first.
        ignored_dir: Neither searched nor matched, e.g. the output folder inside a source; may not exist.

    Returns:
        With one source folder the names of its images are relative to it.

    Raises:
        FileNotFoundError: If a source does not exist or is a link to nothing, a pattern matches nothing, or a folder
            holds no picture.
        ValueError: If there is no source, or one is the web address of a picture.
    """
    if not words:
        raise ValueError("expected pictures, folders or videos, got none")
    ignored = None if ignored_dir is None else _absolute(ignored_dir)
    images: set[Path] = set()
    roots, videos = [], []
    for word in words:
        for source in _expanded(str(word), ignored):
            if _is_video(source):
                videos.append(source)
                continue
            path = _absolute(Path(source))
            images |= _images_at(path, source, ignored)
            roots.append(path if path.is_dir() else path.parent)
    return Sources(_named(images, roots), tuple(dict.fromkeys(videos)))


def _absolute(path: Path) -> Path:
    """Return a path from the root without `..`; links stay: a linked image keeps the name that it was given."""
    return Path(os.path.normpath(Path.cwd() / path))


def _expanded(word: str, ignored: Path | None) -> list[str]:
    """Return what a pattern matches, or the word itself."""
    if Path(word).exists() or not glob.has_magic(word) or "://" in word:
        return [word]
    matches = [match for match in sorted(_matches(word)) if not _is_below(match, ignored)]
    found = [match for match in matches if Path(match).is_file()] or matches
    if not found:
        raise FileNotFoundError(f"{word}: expected files that match, found none")
    return found


def _matches(pattern: str) -> list[str]:
    return glob.glob(pattern, recursive=True)  # noqa: PTH207, as Path.glob takes no pattern from the root


def _is_below(match: str, ignored: Path | None) -> bool:
    return ignored is not None and _absolute(Path(match)).is_relative_to(ignored)


def _is_video(source: str) -> bool:
    """Say whether a source is a video; the library that knows their names is loaded only where it may be one."""
    path = Path(source)
    if path.is_dir() or (source.lower().endswith(PICTURE_SUFFIXES) and path.is_file()):
        return False
    from maskdet.inference.video.sources import VIDEO_SUFFIXES, is_video_source, public_address

    if source.startswith(("http://", "https://")) and urlsplit(source).path.lower().endswith(PICTURE_SUFFIXES):
        raise ValueError(f"{public_address(source)}: expected a file, got a web address: download it first")
    if path.is_symlink() and not path.exists():
        raise FileNotFoundError(f"{source}: expected a picture, a folder or a video, found a link to nothing")
    return source.lower().endswith(VIDEO_SUFFIXES) if path.is_file() else is_video_source(source)


def _images_at(path: Path, source: str, ignored: Path | None) -> set[Path]:
    """Return the images of one source; messages call it what the user did."""
    if path.is_file():
        return {path}
    if not path.is_dir():
        raise FileNotFoundError(f"{source}: expected a picture, a folder or a video, found none")
    found = set(_walk(path, ignored))
    if not found:
        raise FileNotFoundError(
            f"{source}: expected a folder with pictures ({', '.join(PICTURE_SUFFIXES)}), found none"
        )
    return found


def _walk(folder: Path, ignored: Path | None) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(parent, name) != ignored]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(PICTURE_SUFFIXES):
                yield Path(parent, name)


def _named(paths: set[Path], roots: Sequence[Path]) -> tuple[SourceImage, ...]:
    if not paths:
        return ()
    root = Path(os.path.commonpath(roots))
    images = [SourceImage(path, path.relative_to(root).as_posix()) for path in paths]
    return tuple(sorted(images, key=lambda image: image.file_name))
