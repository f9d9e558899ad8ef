"""A data set as a user names it: a folder, or a zip archive that is unpacked for as long as it is read."""

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from maskdet.data.archive import copy_members, opened_members

MAX_UNPACKED_MB = 20_000.0
"""Default limit of an unpacked archive in MB, 10**6 bytes."""


@contextmanager
def opened_source(source: Path, max_unpacked_mb: float = MAX_UNPACKED_MB) -> Iterator[Path]:
    """Yield the folder of a data set.

    Args:
        source: A folder, yielded as it is, or a zip archive, unpacked to a temporary folder (see `TMPDIR`) that is
            removed when the block ends.
        max_unpacked_mb: Largest size of an unpacked archive: declared, and written.

    Raises:
        ValueError: If it is neither, such as a web address or a link to nothing, or if the archive is damaged,
            encrypted or too large, or has a member that is a link, occurs twice or leaves the archive's folder.
    """
    if source.is_dir():
        yield source
        return
    if not source.is_file() or not zipfile.is_zipfile(source):
        if str(source).startswith(("http:/", "https:/")):  # a path keeps one of the slashes
            raise ValueError(f"{source}: expected a folder or a zip archive, got a web address: download it first")
        found = "another file" if source.is_file() else "a link to nothing" if source.is_symlink() else "nothing"
        raise ValueError(f"{source}: expected a folder or a zip archive, found {found}")
    with tempfile.TemporaryDirectory(prefix="maskdet-") as scratch:
        folder = Path(scratch, source.stem)
        folder.mkdir()
        with opened_members(source) as members:
            copy_members(source, members, members, PurePosixPath("."), folder, max_unpacked_mb)
        yield folder
