"""Find the copies of one photo in a set that was enlarged by copying.

Sets of sorted faces hold one file twice; turned, mirrored, blurred or noisy copies made to enlarge them; and photos
with a mask drawn on beside the photo without. All of these must share a group: else a test has seen its answers.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from maskdet.data.duplicates import near_hash_pairs
from maskdet.data.shared_points import shared_point_pairs


def look_alike_pairs(
    table: pd.DataFrame,
    root: Path,
    max_hash_distance: int,
    min_shared_points: int,
    max_turn_degrees: float,
    twin_marks: Sequence[str],
) -> dict[str, list[tuple[int, int]]]:
    """Return the pairs of pictures that must share a group, by what shows it.

    Args:
        table: As `Pictures.table`.
        root: Folder of the files.
        max_hash_distance: See `maskdet.data.duplicates.find_groups`.
        min_shared_points: Likewise; 0 turns it off. The time grows with the square of the number of pictures.
        max_turn_degrees: The most that a copy may be turned against another.
        twin_marks: See `twin_pairs`.

    Returns:
        Pairs of row positions under `equal_pixels`, `near_hash`, `shared_points` and `twin_name`.
    """
    paths = [root / name for name in table["file_name"]]
    return {
        "equal_pixels": equal_pairs(table["sha256"].tolist()),
        "near_hash": near_hash_pairs(paths, max_hash_distance),
        "shared_points": shared_point_pairs(paths, min_shared_points, max_turn_degrees) if min_shared_points else [],
        "twin_name": twin_pairs(table["file_name"].tolist(), twin_marks),
    }


def equal_pairs(values: Sequence[str]) -> list[tuple[int, int]]:
    """Return (position of its first occurrence, position) of every value that occurred before.

    >>> equal_pairs(["a", "b", "a", "a"])
    [(0, 2), (0, 3)]
    """
    first: dict[str, int] = {}
    return [(first[value], row) for row, value in enumerate(values) if first.setdefault(value, row) != row]


def twin_pairs(file_names: Sequence[str], twin_marks: Sequence[str]) -> list[tuple[int, int]]:
    """Return the pairs of files whose names call one the altered copy of the other, in different folders.

    A name alone may mislead: two unlike pictures then share a group, which costs nothing. A twin that is missed leaks.

    Args:
        file_names: Paths relative to the set, `with_mask/7-with-mask.jpg`.
        twin_marks: What the stem of a copy ends with and that of its original lacks.

    Returns:
        (position of the copy, position of the original).

    >>> twin_pairs(["with_mask/7-with-mask.jpg", "with_mask/7.jpg", "without_mask/7.jpg"], ["-with-mask"])
    [(0, 2)]
    """
    paths = [PurePosixPath(name) for name in file_names]
    rows_of_stem: dict[str, list[int]] = {}
    for row, path in enumerate(paths):
        rows_of_stem.setdefault(path.stem, []).append(row)
    marked = [
        (row, path.stem.removesuffix(mark))
        for row, path in enumerate(paths)
        for mark in twin_marks
        if path.stem.endswith(mark)
    ]
    return [
        (row, other)
        for row, stem in marked
        for other in rows_of_stem.get(stem, [])
        if paths[other].parts[0] != paths[row].parts[0]
    ]
