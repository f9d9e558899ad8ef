"""Which pictures of a set are known already: equal to a listed one in every pixel, or copies of those of another set.

A figure on pictures that a model was trained on says nothing of other pictures; this module finds them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdet.data import manifest
from maskdet.data.audit.copies import EXACT, Copy, find_copies
from maskdet.data.audit.looks import Look
from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.scan import scan_pictures
from maskdet.data.duplicates import connected_groups


@dataclass(frozen=True)
class Pictures:
    """The pictures of a set, each decoded once.

    Attributes:
        looks: Of those that can be read, by file name, in the order given.
        failures: Why the others cannot be read, by file name.
    """

    looks: dict[str, Look]
    failures: dict[str, str]


@dataclass(frozen=True)
class Likenesses:
    """What pictures of a set have to do with each other and with other sets.

    Attributes:
        groups: File name → number of its group of look-alikes, 0-based, in the order of first appearance.
        copies: File name → of which picture of another set it is a copy, and how that was shown.
    """

    groups: dict[str, int]
    copies: dict[str, str]


def look_at_pictures(root: Path, file_names: Sequence[str], options: AuditOptions) -> Pictures:
    """Decode every picture once, with a progress bar on a terminal.

    Args:
        root: Folder of the set.
        file_names: Posix paths relative to it.
        options: Reads `num_workers` and `max_megapixels`; `copies` has to be True.
    """
    looks, failures = {}, {}
    for scan in scan_pictures(root, file_names, options, measures=False):
        if scan.look is None:
            failures[scan.file_name] = scan.detail
        else:
            looks[scan.file_name] = scan.look
    return Pictures(looks, failures)


def listed_pictures(looks: Mapping[str, Look]) -> dict[str, tuple[str, str]]:
    """Return the pictures that a manifest of this package lists.

    Equality is that of all RGB pixels: a picture that was scaled, cropped or saved as JPEG is not recognized.

    Args:
        looks: By file name.

    Returns:
        File name → (name of the manifest, name of the picture in it), in the order of `looks`.
    """
    listed = {}
    for path in sorted((Path(manifest.__file__).parent / "manifests").glob("*.csv")):
        for name, sha256 in manifest.read_manifest(path.stem).items():
            if name.startswith("images/"):
                listed.setdefault(sha256, (path.stem, name.removeprefix("images/")))
    return {name: listed[look.sha256] for name, look in looks.items() if look.sha256 in listed}


def find_likenesses(looks: Mapping[str, Look], others: Mapping[str, Mapping[str, Look]]) -> Likenesses:
    """Find copies among the pictures of a set, and copies of pictures of other sets: equal, near, mirrored.

    Args:
        looks: Of the set, by file name.
        others: Name of another set → its looks by file name.

    Returns:
        Groups of look-alikes along chains, and the copies of others; a picture that equals a copy is one too.
    """
    own = list(looks)
    foreign = [f"{name} of {origin}" for origin, of_set in others.items() for name in of_set]
    every = [*looks.values(), *(look for of_set in others.values() for look in of_set.values())]
    found = find_copies(every, len(own), ranks=range(len(own)))
    within = [(other, copy.picture) for copy in found for other in copy.partners if other < len(own)]
    equal = [copy for copy in found if copy.kind == EXACT and copy.other < len(own)]
    copies = {
        own[copy.picture]: _words(copy, foreign[copy.other - len(own)]) for copy in found if copy.other >= len(own)
    }
    copies |= {own[copy.picture]: copies[own[copy.other]] for copy in equal if own[copy.other] in copies}
    groups = connected_groups(len(own), within) if own else np.empty(0, np.int64)  # (N,)
    return Likenesses(dict(zip(own, groups.tolist(), strict=True)), copies)


def _words(copy: Copy, other: str) -> str:
    """Say what a picture is a copy of.

    >>> _words(Copy("near", 0, 1, "40 shared points"), "a.png of web")
    'near copy of a.png of web (40 shared points)'
    """
    return f"{copy.kind} copy of {other} ({copy.evidence})"
