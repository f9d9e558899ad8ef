"""Look at every picture of a set once: header, pixels, measures, what its copies are found by."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskdet.data.audit.headers import Header, HugeImageError, has_whole_chunks, read_header
from maskdet.data.audit.looks import Look, look_at
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.traits import picture_traits
from maskdet.data.formats.progress import tracked
from maskdet.data.image import read_image
from maskdet.threads import map_in_order

_AHEAD_PER_WORKER = 3


@dataclass(frozen=True)
class Scan:
    """What was seen of a picture.

    Attributes:
        file_name: Posix path relative to the set's root.
        header: None where it cannot be read.
        problem: Rule of why there are no pixels; empty: there are.
        detail: What that rule found.
        traits: See `picture_traits`; None without pixels, or where only copies are looked for.
        look: See `look_at`; None without pixels, or where no copies are looked for.
    """

    file_name: str
    header: Header | None
    problem: str = ""
    detail: str = ""
    traits: dict[str, float] | None = None
    look: Look | None = None


def scan_pictures(
    root: Path, file_names: Sequence[str], options: AuditOptions, *, measures: bool = True
) -> Iterator[Scan]:
    """Scan pictures in order, with a progress bar on a terminal.

    Memory: a picture a thread is decoded at a time, and what is kept of one has some 30 KB whatever its size.

    Args:
        root: Folder of the set.
        file_names: Posix paths relative to it.
        options: Reads `num_workers`, `max_megapixels`, `copies`.
        measures: Measure blur, brightness and so on too.

    Yields:
        A scan a file; a picture that cannot be read is no error.
    """
    scan = partial(scan_picture, root, options=options, measures=measures)
    num_ahead = options.num_workers * _AHEAD_PER_WORKER
    with closing(map_in_order(scan, file_names, options.num_workers, num_ahead)) as scans:
        for _, one in zip(tracked(file_names, f"pictures of {root.name}"), scans, strict=True):
            yield one


def scan_picture(root: Path, file_name: str, options: AuditOptions, *, measures: bool = True) -> Scan:
    """Scan one picture; arguments as for `scan_pictures`."""
    path, header = root / file_name, None
    try:
        header = read_header(path)
        width, height = header.image_wh
        if width * height > options.max_megapixels * 1e6:
            limit = f"expected at most {options.max_megapixels:g} megapixels (max_megapixels)"
            return Scan(file_name, header, "image-huge", f"{limit}, the header claims {width} x {height}")
        image = read_image(path)  # (H, W, 3)
        if header.format == "PNG" and not has_whole_chunks(path):
            return Scan(file_name, header, "image-truncated", "expected a whole PNG file, a checksum in it is wrong")
    except HugeImageError as error:
        return Scan(file_name, None, "image-huge", _without_path(error, path))
    except (ValueError, OSError) as error:
        rule = "image-truncated" if header else "image-unreadable"
        return Scan(file_name, header, rule, _without_path(error, path))
    traits = picture_traits(image) if measures else None
    return Scan(file_name, header, traits=traits, look=look_at(image) if options.copies else None)


def _without_path(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
