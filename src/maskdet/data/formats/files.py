"""The files of a data set: found without following links, read within bounds, sized from their headers."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from maskdet.data.formats.progress import tracked
from maskdet.data.formats.reader_rules import LabelError, reader_finding
from maskdet.data.image import IMAGE_SUFFIXES
from maskdet.data.labelled_set import Finding

SET_IMAGE_SUFFIXES = (*IMAGE_SUFFIXES, ".bmp", ".gif", ".tif", ".tiff", ".webp")
"""Files that count as images of a foreign set, in lower case: more than the pipeline reads, so that they are seen."""

_HEADER_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_IGNORED_FOLDER = "__MACOSX"
_MEGABYTE = 2**20


@dataclass(frozen=True)
class SetFiles:
    """What lies in the folder of a set; hidden files and folders are left out.

    Attributes:
        root: The folder.
        images: Posix paths relative to it, sorted.
        others: All other files, likewise.
        findings: Links, and names that are no UTF-8.
    """

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]
    findings: tuple[Finding, ...]

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the paths among `others` that end so, in any case; those nearest to the root first."""
        found = [path for path in self.others if path.lower().endswith(suffixes)]
        return sorted(found, key=lambda path: (path.count("/"), path))


def scan_files(root: Path) -> SetFiles:
    """List the files below a folder. Symbolic links are named as findings and never followed or opened.

    Raises:
        ValueError: If there is no such folder.
    """
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder, found {'a file' if root.exists() else 'nothing'}")
    images, others, findings = [], [], []
    for parent, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        links = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted([*links, *(name for name in names if not _is_hidden(name))]):
            path = Path(parent, name)
            relative = path.relative_to(root).as_posix()
            problem = _problem_of(path, relative)
            if problem:
                findings.append(problem)
            elif path.is_file():  # no pipe or device: opening one may wait forever
                (images if relative.lower().endswith(SET_IMAGE_SUFFIXES) else others).append(relative)
    return SetFiles(root, tuple(sorted(images)), tuple(sorted(others)), tuple(findings))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == _IGNORED_FOLDER


def _problem_of(path: Path, relative: str) -> Finding | None:
    shown = os.fsencode(relative).decode("utf-8", errors="backslashreplace")
    if path.is_symlink():
        return reader_finding(shown, "path-outside", "expected a file, got a symbolic link")
    if shown != relative:
        return reader_finding(shown, "image-unreadable", "expected a file name in UTF-8, got other bytes")
    return None


def read_text(path: Path, max_megabytes: float) -> str:
    """Return the text of a label file.

    Args:
        path: A regular file.
        max_megabytes: A larger file is not read, 2**20 bytes.

    Raises:
        LabelError: `label-unreadable`, if it is larger, or no UTF-8 (a byte order mark is allowed).
    """
    num_bytes = path.stat().st_size
    if num_bytes > max_megabytes * _MEGABYTE:
        detail = f"expected at most {max_megabytes:g} MB, got {num_bytes / _MEGABYTE:.1f} MB"
        raise LabelError("label-unreadable", detail)
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LabelError("label-unreadable", f"expected UTF-8 text, got {error}") from error


def read_image_sizes(files: SetFiles) -> tuple[dict[str, tuple[int, int] | None], list[Finding]]:
    """Read the size of every image from its header; no pixel is decoded.

    The size is that of the stored pixels: supervision's reader turns it by the EXIF orientation, which moves the boxes
    of every label that was drawn on the stored pixels, as the project's are.

    Returns:
        Path → (width, height), or None where the file is no image; and a finding for each of these.
    """
    sizes: dict[str, tuple[int, int] | None] = {}
    findings = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # large images, odd tags: the size is all that is wanted
        for path in tracked(files.images, f"sizes of {files.root.name}"):
            try:
                with Image.open(files.root / path, formats=_HEADER_FORMATS) as image:
                    sizes[path] = image.size
            # a damaged header raises whatever its plugin stumbles over: SyntaxError, struct.error, EOFError …
            except Exception as error:
                sizes[path] = None
                findings.append(reader_finding(path, "image-unreadable", f"expected an image, got {_said(error)}"))
    return sizes, findings


def _said(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return str(error)
    return f"a file whose header cannot be read ({type(error).__name__})"
