"""Find images that show the same thing apart from framing: crops, mirrored copies, the next photo of a series.

SIFT key points of two images agree; one similarity transform (scale, small turn, shift) explains where they lie.
What only shares a watermark or a caption has its points on one narrow strip, and does not count.

Reference:
    Lowe (2004), Distinctive Image Features from Scale-Invariant Keypoints; Arandjelović and Zisserman (2012), Three
    things everyone should know to improve object retrieval, section 3 (square root of the descriptors).
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from maskdet.data.image import read_image

LONG_SIDE_PX = 400  # larger images are shrunk to it; all lengths below are at this size
NUM_POINTS = 120  # strongest key points of an image
MIN_SIMILARITY = 0.93  # cosine of two descriptors
MAX_RESIDUAL_PX = 3.0
MIN_SPREAD_PX = 12  # shared points must span this much both ways; a watermark's or caption's letters span 6 to 11
MAX_TURN_DEGREES = 15.0
MAX_SCALE = 3.3
_NUM_READERS = 2
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class KeyPoints:
    """Key points of a set of images; the first axis of all three arrays is the point.

    Attributes:
        image_index: (P,) int, ascending; the image of each point.
        positions: (P, 2) float64, x and y in pixels of the shrunk image.
        descriptors: (P, 128) float32 of length 1.
    """

    image_index: np.ndarray
    positions: np.ndarray
    descriptors: np.ndarray


@dataclass(frozen=True)
class Placement:
    """How one image lies in another.

    Attributes:
        num_points: Different points that agree.
        transform: (2, 3) float64, takes (x, y, 1) of the one to (x, y) of the other, in pixels of the shrunk images.
    """

    num_points: int
    transform: np.ndarray


def shared_point_pairs(
    paths: list[Path], min_shared_points: int, max_turn_degrees: float = MAX_TURN_DEGREES
) -> list[tuple[int, int]]:
    """Return the pairs of images that share key points, as they are or with one of them mirrored.

    Args:
        paths: Image files.
        min_shared_points: Different points, at least 3, that one transform must explain.
        max_turn_degrees: The most that one image may be turned against the other; photos are framed level, copies made
            to enlarge a set are turned by more.

    Returns:
        Sorted pairs (i, j) of positions in `paths`, i < j, each once.

    Raises:
        ValueError: If an image cannot be read, or if `min_shared_points` is below 3.
    """
    if min_shared_points < 3:
        raise ValueError(f"expected min_shared_points of at least 3, got {min_shared_points}")
    plain, mirrored = _key_points(paths, is_mirrored=False), _key_points(paths, is_mirrored=True)
    pairs = {
        pair
        for query in (plain, mirrored)
        for pair in _matching_pairs(query, plain, min_shared_points, max_turn_degrees)
    }
    return sorted(pairs)


def _key_points(paths: list[Path], is_mirrored: bool) -> KeyPoints:
    def detect(path: Path) -> tuple[np.ndarray, np.ndarray]:
        grey = shrunk_grey(read_image(path))
        return detect_points(np.ascontiguousarray(grey[:, ::-1]) if is_mirrored else grey)

    with ThreadPoolExecutor(_NUM_READERS) as pool:
        found = list(pool.map(detect, paths))
    return KeyPoints(
        image_index=np.repeat(np.arange(len(paths)), [len(positions) for positions, _ in found]),
        positions=np.concatenate([np.empty((0, 2)), *(positions for positions, _ in found)]),
        descriptors=np.concatenate([np.empty((0, 128), np.float32), *(descriptors for _, descriptors in found)]),
    )


def shrunk_grey(image: np.ndarray) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8 RGB, as grey (H', W') uint8 whose longer side is at most `LONG_SIDE_PX`."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # (H, W)
    scale = LONG_SIDE_PX / max(grey.shape)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey


def detect_points(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the strongest key points of an image.

    Args:
        grey: (H, W) uint8.

    Returns:
        Positions (P, 2) float64, x and y in pixels, and descriptors (P, 128) float32 of length 1: SIFT's, each value
        under the square root. P is at most `NUM_POINTS` and may be 0.
    """
    points, descriptors = cv2.SIFT_create(nfeatures=NUM_POINTS, contrastThreshold=0.01).detectAndCompute(grey, None)
    if descriptors is None:
        return np.empty((0, 2)), np.empty((0, 128), np.float32)
    descriptors = np.sqrt(descriptors / descriptors.sum(axis=1, keepdims=True).clip(1e-7))[:NUM_POINTS]
    return np.array([point.pt for point in points[:NUM_POINTS]]), descriptors.astype(np.float32)


def _matching_pairs(
    query: KeyPoints, target: KeyPoints, min_shared_points: int, max_turn_degrees: float
) -> Iterator[tuple[int, int]]:
    """Yield (image of `query`, later image of `target`) where enough points agree."""
    matches = _similar_points(query, target)  # (M, 2)
    firsts, seconds = query.image_index[matches[:, 0]], target.image_index[matches[:, 1]]  # (M,)
    order = np.lexsort((seconds, firsts))
    matches, firsts, seconds = matches[order], firsts[order], seconds[order]
    starts = np.flatnonzero(np.diff(firsts, prepend=-1) | np.diff(seconds, prepend=-1))
    stops = np.append(starts[1:], len(matches)).astype(int)
    is_enough = stops - starts >= min_shared_points
    for start, stop in zip(starts[is_enough], stops[is_enough], strict=True):
        here, there = query.positions[matches[start:stop, 0]], target.positions[matches[start:stop, 1]]  # (K, 2)
        if _num_shared(here, there, min_shared_points, max_turn_degrees) >= min_shared_points:
            yield int(firsts[start]), int(seconds[start])


def _similar_points(query: KeyPoints, target: KeyPoints) -> np.ndarray:
    """Return (M, 2) positions of similar points in `query` and in `target`, the second of a later image."""
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(query.image_index), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        after = int(np.searchsorted(target.image_index, query.image_index[start], side="right"))
        similarity = query.descriptors[block] @ target.descriptors[after:].T  # (B, T)
        rows, columns = np.nonzero(similarity > MIN_SIMILARITY)
        is_later = target.image_index[after + columns] > query.image_index[start + rows]
        found.append(np.stack([start + rows, after + columns], axis=1)[is_later])
    return np.concatenate(found)


def _num_shared(here: np.ndarray, there: np.ndarray, min_shared_points: int, max_turn_degrees: float) -> int:
    """Return how many different points one plausible similarity transform explains; 0 if they lie on a strip."""
    placement = find_placement(here, there, min_shared_points, max_turn_degrees)
    return placement.num_points if placement else 0


def find_placement(
    here: np.ndarray, there: np.ndarray, min_shared_points: int, max_turn_degrees: float = MAX_TURN_DEGREES
) -> Placement | None:
    """Find the similarity transform that takes the most points of one image to those of another.

    Args:
        here: (K, 2) float, x and y of points, in pixels of the shrunk image.
        there: (K, 2) float, of the similar points in the other image.
        min_shared_points: Different positions that there must be to begin with; the transform may explain fewer.
        max_turn_degrees: See `shared_point_pairs`.

    Returns:
        None if there are too few points, if no transform is plausible, or if its points lie on a narrow strip.
    """
    if _num_different(here, there) < min_shared_points:
        return None
    transform, is_inlier = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=MAX_RESIDUAL_PX)
    if transform is None:
        return None
    scale = np.hypot(transform[0, 0], transform[1, 0])
    turn = np.degrees(np.arctan2(transform[1, 0], transform[0, 0]))
    kept = is_inlier.ravel() > 0
    here, there = here[kept], there[kept]
    is_strip = min(*np.ptp(here, axis=0), *np.ptp(there, axis=0)) < MIN_SPREAD_PX
    if is_strip or abs(turn) > max_turn_degrees or not 1 / MAX_SCALE < scale < MAX_SCALE:
        return None
    return Placement(_num_different(here, there), transform)


def _num_different(here: np.ndarray, there: np.ndarray) -> int:
    """Return the number of different positions, on the side with fewer."""
    return min(len(np.unique(here.round(), axis=0)), len(np.unique(there.round(), axis=0)))
