"""Compare raw files with a committed list of known ones, by content."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from maskdet.data.image import pixel_hash, read_image

_MANIFEST_DIR = Path(__file__).parent / "manifests"
_NUM_READERS = 2


@dataclass(frozen=True)
class Verification:
    """How raw files compare with a manifest; paths are `images/…` and `annotations/…`, every list sorted.

    Attributes:
        known: Files whose content is the manifest's.
        altered: Files of a known name with other content.
        unknown: Files that the manifest does not name.
        missing: Files that only the manifest names.
    """

    known: tuple[str, ...]
    altered: tuple[str, ...]
    unknown: tuple[str, ...]
    missing: tuple[str, ...]


def read_manifest(name: str) -> dict[str, str]:
    """Return the SHA-256 of every file of a known set.

    Args:
        name: A file name in `maskdet/data/manifests` without `.csv`.

    Returns:
        From `images/<file>` to the hash of its RGB pixels, from `annotations/<file>` to the hash of its bytes.

    Raises:
        ValueError: If there is no such manifest; the message lists the known names.
    """
    path = _MANIFEST_DIR / f"{name}.csv"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _MANIFEST_DIR.glob("*.csv")))
        raise ValueError(f"data.manifest: expected null or one of {known}, got {name!r}")
    table = pd.read_csv(path, dtype=str)
    hashes = {f"images/{row.file_name}": row.rgb_sha256 for row in table.itertuples()}
    return hashes | {f"annotations/{Path(row.file_name).stem}.xml": row.xml_sha256 for row in table.itertuples()}


def hash_files(raw_dir: Path) -> dict[str, str]:
    """Return the SHA-256 of every image's RGB pixels and of every annotation's bytes.

    Args:
        raw_dir: A folder with `images/` and `annotations/`.

    Returns:
        Keys as in `read_manifest`, sorted.

    Raises:
        ValueError: If an image cannot be read; the message names it.
    """
    files = sorted([*raw_dir.glob("images/*"), *raw_dir.glob("annotations/*")])
    with ThreadPoolExecutor(_NUM_READERS) as pool:
        hashes = list(pool.map(_hash_file, files))
    return dict(sorted(zip((file.relative_to(raw_dir).as_posix() for file in files), hashes, strict=True)))


def verify(found: dict[str, str], expected: dict[str, str]) -> Verification:
    """Sort files into known, altered, unknown and missing.

    Args:
        found: Path to hash, from `hash_files`.
        expected: Path to hash, from `read_manifest`.

    Returns:
        Every path of either side in exactly one list.
    """
    both = found.keys() & expected.keys()
    known = {path for path in both if found[path] == expected[path]}
    return Verification(
        known=tuple(sorted(known)),
        altered=tuple(sorted(both - known)),
        unknown=tuple(sorted(found.keys() - expected.keys())),
        missing=tuple(sorted(expected.keys() - found.keys())),
    )


def refuse_altered(verification: Verification) -> None:
    """Raise an error that lists the altered files, if there are any.

    Args:
        verification: As `verify` returns it.

    Raises:
        ValueError: If a file of a known name has other content than the manifest says.
    """
    if verification.altered:
        raise ValueError(
            f"expected files as in the manifest, got {len(verification.altered)} altered: "
            f"{', '.join(verification.altered)}; set data.allow_altered=true to take them as they are"
        )


def _hash_file(file: Path) -> str:
    if file.parent.name == "images":
        return pixel_hash(read_image(file))
    return hashlib.sha256(file.read_bytes()).hexdigest()
