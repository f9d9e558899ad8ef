"""Pairs of pictures that may be copies, found in less than quadratic time and in blocks of bounded size.

Two ways: perceptual hashes that differ in few bits, which need no detail in the picture; and key points that have near
neighbours in another picture, which need no common frame, so that crops and turned copies are found too. Both are only
candidates: `maskdet.data.audit.placing` decides.

Reference:
    Ke, Sukthankar and Huston (2004), Efficient Near-duplicate Detection and Sub-image Retrieval (nearest neighbours of
    local descriptors of reduced dimension vote for pictures); Muja and Lowe (2009), Fast Approximate Nearest Neighbors
    with Automatic Algorithm Configuration (the randomized trees).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from maskdet.data.audit.looks import Look, mirrored_descriptors, mirrored_thumbnails, unit_descriptors
from maskdet.data.duplicates import HASH_BITS, MIN_CORRELATION, THUMBNAIL_PX, hash_distances
from maskdet.data.formats.progress import tracked
from maskdet.data.shared_points import MIN_SIMILARITY

MAX_HASH_DISTANCE = 6
"""Bits of 64 in which the hashes of two copies may differ, as in `conf/split`."""

_MIN_VOTES = 3  # points of a picture with a near neighbour in the other
_NUM_NEIGHBOURS = 6  # of each point, its own one among them
_NUM_DIMENSIONS = 32  # of the descriptors' 128, that hold 85 % of their variance
_NUM_TREES, _NUM_CHECKS = 4, 32  # finds two of three nearest neighbours; copies share dozens of points
_BLOCK_ROWS = 1024  # pictures
_BLOCK_POINTS = 1 << 15
_NUM_SAMPLED_POINTS = 50_000
_SEED = 0


@dataclass(frozen=True, order=True)
class Candidate:
    """Two pictures that may be copies.

    Attributes:
        first: Position of one that is audited.
        second: Position of the other.
        is_mirrored: The one looks like the other in a mirror.
    """

    first: int
    second: int
    is_mirrored: bool


def find_candidates(looks: Sequence[Look], num_audited: int) -> list[Candidate]:
    """Return the pairs that may be copies.

    Args:
        looks: Of all pictures, the audited ones first.
        num_audited: How many of them are audited; pairs of two others are not looked for.

    Returns:
        Sorted, each pair once as it is and once mirrored at most, `first < second` and `first < num_audited`.
    """
    return sorted({*_hash_candidates(looks, num_audited), *_point_candidates(looks, num_audited)})


def _hash_candidates(looks: Sequence[Look], num_audited: int) -> Iterator[Candidate]:
    """Yield pairs with near hashes and correlated thumbnails, as `duplicates.near_hash_pairs` finds them."""
    hashes = np.array([look.hash_bits for look in looks], bool).reshape(-1, 2, HASH_BITS)  # (N, 2, 64)
    thumbnails = np.array([look.thumbnail for look in looks], np.float32).reshape(-1, THUMBNAIL_PX**2)  # (N, 1024)
    for start in range(0, num_audited, _BLOCK_ROWS):
        block = slice(start, min(start + _BLOCK_ROWS, num_audited))
        for is_mirrored in (False, True):
            views = mirrored_thumbnails(looks[block]) if is_mirrored else thumbnails[block]  # (B, 1024)
            is_near = hash_distances(hashes[block, int(is_mirrored)], hashes[:, 0]) <= MAX_HASH_DISTANCE  # (B, N)
            is_near &= views @ thumbnails.T >= MIN_CORRELATION
            for row, second in np.argwhere(is_near).tolist():
                if start + row < second:
                    yield Candidate(start + row, second, is_mirrored)


def _point_candidates(looks: Sequence[Look], num_audited: int) -> Iterator[Candidate]:
    """Yield pairs of which several points of the first are near neighbours of points of the second."""
    descriptors = np.concatenate([np.empty((0, 128), np.uint8), *(look.descriptors for look in looks)])  # (P, 128)
    owners = np.repeat(np.arange(len(looks)), [len(look.descriptors) for look in looks])  # (P,)
    if len(descriptors) <= _NUM_NEIGHBOURS:
        return
    index, num_queries = _Neighbours(descriptors), int(np.searchsorted(owners, num_audited))
    # Millions of pairs have a vote or two; as numbers they take a twentieth of what objects would.
    keys, counts = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for start in tracked(range(0, num_queries, _BLOCK_POINTS), "look for copies"):
        block = slice(start, min(start + _BLOCK_POINTS, num_queries))
        for is_mirrored in (False, True):
            pairs, votes = _votes(index, descriptors[block], owners[block], owners, len(looks), is_mirrored)
            keys.append(2 * pairs + is_mirrored)
            counts.append(votes)
    key_of, places = np.unique(np.concatenate(keys), return_inverse=True)
    num_votes = np.bincount(places, weights=np.concatenate(counts), minlength=len(key_of))
    for key in key_of[num_votes >= _MIN_VOTES].tolist():
        first, second = divmod(key // 2, len(looks))
        yield Candidate(first, second, bool(key % 2))


def _votes(
    index: "_Neighbours",
    queries: np.ndarray,
    query_owners: np.ndarray,
    owners: np.ndarray,
    num_pictures: int,
    is_mirrored: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Count the near neighbours of points in other pictures.

    Returns:
        Pairs of pictures, (V,) int64: the lower position times the number of pictures, plus the higher one; and how
        many neighbours each pair has, (V,) int64.
    """
    views = mirrored_descriptors(queries) if is_mirrored else queries
    rows, neighbours = index.near(views)  # (M,), (M,)
    ends = np.sort(np.stack([query_owners[rows], owners[neighbours]]), axis=0)  # (2, M)
    lower, higher = ends[:, ends[0] != ends[1]].astype(np.int64)
    return np.unique(lower * num_pictures + higher, return_counts=True)


class _Neighbours:
    """Approximate nearest neighbours among descriptors; the same input gives the same answer."""

    def __init__(self, descriptors: np.ndarray) -> None:
        """Build the trees.

        Args:
            descriptors: (P, 128) uint8, P > `_NUM_NEIGHBOURS`.
        """
        self._descriptors = descriptors
        sample = unit_descriptors(descriptors[:: -(-len(descriptors) // _NUM_SAMPLED_POINTS)])  # (S, 128)
        self._mean = sample.mean(axis=0)
        _, axes = np.linalg.eigh(np.cov(sample.T))  # by rising variance
        self._axes = axes[:, ::-1][:, :_NUM_DIMENSIONS].astype(np.float32)  # (128, 32)
        blocks = range(0, len(descriptors), _BLOCK_POINTS)
        self._points = np.concatenate([self._reduced(descriptors[start : start + _BLOCK_POINTS]) for start in blocks])
        cv2.setRNGSeed(_SEED)  # the trees draw their axes
        self._trees = cv2.flann_Index(self._points, {"algorithm": 1, "trees": _NUM_TREES})  # 1: randomized k-d trees

    def _reduced(self, descriptors: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((unit_descriptors(descriptors) - self._mean) @ self._axes)  # (B, 32) float32

    def near(self, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (row of the query, position of a point) of all neighbours that are similar enough.

        Args:
            queries: (B, 128) uint8.
        """
        found, _ = self._trees.knnSearch(self._reduced(queries), _NUM_NEIGHBOURS, params={"checks": _NUM_CHECKS})
        rows, columns = np.nonzero((found >= 0) & (found < len(self._descriptors)))  # fewer may be found
        points = found[rows, columns]  # (M,)
        cosines = np.einsum(
            "md,md->m", unit_descriptors(queries)[rows], unit_descriptors(self._descriptors[points])
        )  # (M,)
        is_similar = cosines > MIN_SIMILARITY
        return rows[is_similar], points[is_similar]
