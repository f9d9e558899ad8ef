"""Find the archive of the raw data and unpack it to a folder, refusing whatever is damaged or unsafe."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from omegaconf import DictConfig
from rich.progress import track

from maskdet.data.image import IMAGE_SUFFIXES

ARCHIVES_VARIABLE = "MASKDET_ARCHIVES"
"""Environment variable that names a folder of archives already on this machine."""

FOLDERS = {"images": IMAGE_SUFFIXES, "annotations": (".xml",)}
"""Folders that are taken from an archive, with the suffixes that count in each."""

_MEGABYTE = 10**6
_CHUNK_BYTES = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file of an archive or folder: its path inside, its declared bytes and how it is opened."""

    path: PurePosixPath
    num_bytes: int
    open: Callable[[], BinaryIO]


@dataclass(frozen=True)
class Unpacked:
    """What was taken from an archive; all lists are sorted.

    Attributes:
        images: File names in `images/`.
        annotations: File names in `annotations/`.
        others: Paths of members that were left out.
        num_bytes: Bytes written.
    """

    images: tuple[str, ...]
    annotations: tuple[str, ...]
    others: tuple[str, ...]
    num_bytes: int


def find_archive(data: DictConfig, root: Path) -> Path:
    """Return where the raw data lies: an archive, or the folder that kagglehub made.

    Looked for in this order: the folder `data.archive_dir` of the project if the config names one, and nowhere else;
    the folder that the environment variable `MASKDET_ARCHIVES` names; a download with kagglehub.

    Args:
        data: The config group `data`.
        root: The project's root; `archive_dir` is relative to it.

    Returns:
        The path of a zip archive or of a folder.

    Raises:
        ValueError: If nothing is found; the message names the places and the remedy.
    """
    if data.archive_dir is not None:
        shipped = root / data.archive_dir / data.archive
        if not shipped.is_file():
            raise ValueError(
                f"{Path(data.archive_dir, data.archive)}: expected the archive of data={data.name}, found no file; "
                f"run `dvc pull {data.archive_dir}.dvc`"
            )
        return shipped
    named = os.environ.get(ARCHIVES_VARIABLE)
    if named and (Path(named) / data.archive).is_file():
        return Path(named) / data.archive
    return _download(data, f"no {data.archive} in {ARCHIVES_VARIABLE}={named or '(not set)'}")


def _download(data: DictConfig, tried: str) -> Path:
    """Fetch the Kaggle set with kagglehub; whatever fails there becomes one message with the remedy."""
    remedy = (
        f"put {data.archive} into a folder and set {ARCHIVES_VARIABLE} to it, or give this machine a network "
        "(and Kaggle credentials, if asked), or use data=sample"
    )
    if data.kaggle_id is None:
        raise ValueError(f"{data.archive}: expected the archive, got {tried} and data.kaggle_id=null; {remedy}")
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(data.kaggle_id))
    except Exception as error:  # kagglehub raises its own, requests' and OS errors alike
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        tried = f"{tried}, and the download of {data.kaggle_id} failed ({reason})"
        raise ValueError(f"{data.archive}: {tried}; {remedy}") from error


def unpack(source: Path, folder: Path, max_unpacked_mb: float) -> Unpacked:
    """Copy `images/` and `annotations/` of an archive into a folder.

    Both may stand at the archive's top or under one common folder. Other members are left out and named in the
    result. After an error the folder may hold a part: call this inside `maskdet.atomic.atomic_folder`.

    Args:
        source: A zip archive, or a folder with the same layout.
        folder: An empty folder.
        max_unpacked_mb: Largest total size of all members in MB, 10**6 bytes: declared ones, and written ones.

    Returns:
        The names of what was taken and left out.

    Raises:
        ValueError: If the archive is damaged, encrypted, of another layout or too large, or if a member is a link,
            occurs twice or leaves the folder. The message names the archive and the member.
    """
    with opened_members(source) as members:
        top = _top_folder(source, members)
        taken = [member for member in members if _is_taken(member.path, top)]
        written = copy_members(source, members, taken, top, folder, max_unpacked_mb)
    names = {name: tuple(sorted(file.name for file in (folder / name).iterdir())) for name in FOLDERS}
    others = tuple(str(member.path) for member in members if not _is_taken(member.path, top))
    return Unpacked(names["images"], names["annotations"], others, written)


@contextmanager
def opened_members(source: Path) -> Iterator[list[Member]]:
    """Open a zip archive or a folder and yield its files, which can be read until the block ends.

    Args:
        source: A zip archive, or a folder.

    Yields:
        The files by path; each lies inside the source and occurs once.

    Raises:
        ValueError: If the archive is damaged or encrypted, or if a member is a link, occurs twice or leaves it.
    """
    if source.is_dir():
        yield _folder_members(source)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            yield _zip_members(source, archive)
    except (*_DAMAGE, struct.error) as error:
        raise ValueError(f"{source.name}: expected a zip archive, got a damaged one: {error}") from error


def _zip_members(source: Path, archive: zipfile.ZipFile) -> list[Member]:
    members = []
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        path = _safe_path(source, info.filename)
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError(f"{source.name}: expected files, got the symbolic link {info.filename!r}")
        if not info.is_dir():
            members.append(Member(path, info.file_size, lambda info=info: archive.open(info)))
    _check_unique(source, [str(member.path) for member in members])
    return members


def _folder_members(source: Path) -> list[Member]:
    members = []
    for file in sorted(source.rglob("*")):
        relative = file.relative_to(source).as_posix()
        if file.is_symlink():
            raise ValueError(f"{source.name}: expected files, got the symbolic link {relative!r}")
        if file.is_file():
            members.append(Member(PurePosixPath(relative), file.stat().st_size, lambda file=file: file.open("rb")))
    return members


def _safe_path(source: Path, name: str) -> PurePosixPath:
    """Return a member's path; one that leaves the folder on any system is an error."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        colon = ": a colon names a drive on some systems" if ":" in name else ""
        raise ValueError(f"{source.name}: expected members inside the archive's folder, got {name!r}{colon}")
    return path


def copy_members(
    source: Path,
    members: list[Member],
    taken: list[Member],
    top: PurePosixPath,
    folder: Path,
    max_unpacked_mb: float,
) -> int:
    """Write some members of an archive or folder below another folder; folders are made as needed.

    Args:
        source: Where the members are from, for messages.
        members: All of them; their declared bytes count against the limit.
        taken: Those to write.
        top: Their common folder in the source, left out of the written paths.
        folder: Where they go.
        max_unpacked_mb: Largest total size in MB, 10**6 bytes: declared, and written.

    Returns:
        Bytes written.

    Raises:
        ValueError: If there is too much, or a member is damaged; a part may have been written then.
    """
    _check_size(source, sum(member.num_bytes for member in members), max_unpacked_mb)
    written = 0
    for member in track(taken, description=f"unpack {source.name}", transient=True):
        file = folder / member.path.relative_to(top)
        file.parent.mkdir(parents=True, exist_ok=True)
        written += _copy(source, member, file, max_unpacked_mb * _MEGABYTE - written)
    return written


def _copy(source: Path, member: Member, file: Path, bytes_left: float) -> int:
    """Write one member and return its bytes; the zip reader compares the checksum at the member's end."""
    written = 0
    try:
        with member.open() as reader, file.open("wb") as writer:
            while chunk := reader.read(_CHUNK_BYTES):
                written += len(chunk)
                if written > bytes_left:
                    raise ValueError(
                        f"{source.name}: expected {member.num_bytes} bytes of {member.path}, as declared, "
                        "got more than max_unpacked_mb allows"
                    )
                writer.write(chunk)
    except _DAMAGE as error:
        raise ValueError(f"{source.name}: expected a whole archive, {member.path} cannot be read: {error}") from error
    return written


def _check_size(source: Path, num_bytes: int, max_unpacked_mb: float) -> None:
    if num_bytes > max_unpacked_mb * _MEGABYTE:
        raise ValueError(
            f"{source.name}: expected at most {max_unpacked_mb} MB unpacked (max_unpacked_mb), "
            f"got {num_bytes / _MEGABYTE:.1f} MB"
        )


def _check_unique(source: Path, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"{source.name}: expected each member once, got {', '.join(twice)} twice")


def _is_taken(path: PurePosixPath, top: PurePosixPath) -> bool:
    folder = path.parent.name
    if path.parent.parent != top or folder not in FOLDERS or path.name.startswith("."):
        return False
    return path.suffix.lower() in FOLDERS[folder]


def _top_folder(source: Path, members: list[Member]) -> PurePosixPath:
    """Return the folder that holds `images/` and `annotations/`: the top, or the one common folder."""
    tops = {PurePosixPath(".")} | {PurePosixPath(member.path.parts[0]) for member in members}
    whole = [
        top
        for top in sorted(tops)
        if {member.path.parent.name for member in members if _is_taken(member.path, top)} == set(FOLDERS)
    ]
    if len(whole) != 1:
        names = ", ".join(str(member.path) for member in members[:3]) or "no files"
        found = f"{len(whole)} such folders" if whole else f"{names}{', …' if len(members) > 3 else ''}"
        raise ValueError(
            f"{source.name}: expected images/*.png|jpg|jpeg and annotations/*.xml, at the top or in one folder, "
            f"got {found}"
        )
    return whole[0]
