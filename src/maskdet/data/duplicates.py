"""Group images that must share a fold: exact and near duplicates, mirrored ones, photos of one scene."""

from pathlib import Path

import cv2
import imagehash
import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maskdet.data.image import read_image
from maskdet.data.shared_points import shared_point_pairs

HASH_BITS = 64
THUMBNAIL_PX = 32
MIN_CORRELATION = 0.9  # of two thumbnails; below it an equal hash is a coincidence of coarse shapes


def find_groups(paths: list[Path], max_hash_distance: int, min_shared_points: int) -> np.ndarray:
    """Give images that look alike the same group number, along chains of look-alikes too.

    Two images are linked if their perceptual hashes are near and their thumbnails agree, or if they share key points;
    in both cases as they are or mirrored.

    Args:
        paths: Image files.
        max_hash_distance: Bits, 0 to 64, in which two perceptual hashes may differ; more joins more.
        min_shared_points: Key points that two images must share, at least 3; fewer joins more; 0 turns this off.

    Returns:
        (N,) int, 0-based, numbered in the order of first appearance; an image like no other is its own group.

    Raises:
        ValueError: If an image cannot be read or a setting is out of range.
    """
    if not 0 <= max_hash_distance <= HASH_BITS:
        raise ValueError(f"split.max_hash_distance: expected 0 to {HASH_BITS} bits, got {max_hash_distance}")
    pairs = near_hash_pairs(paths, max_hash_distance)
    if min_shared_points:
        pairs += shared_point_pairs(paths, min_shared_points)
    return connected_groups(len(paths), pairs)


def join_series(groups: np.ndarray, image_sizes_wh: np.ndarray, series_wh: tuple[int, int] | None) -> np.ndarray:
    """Make one group of all images of exactly one size, with whatever is in a group with one of them.

    A size is a crude sign of a common origin, but an honest one where a data set mixes web photos of all sizes with
    one camera's: the same people, rooms and clothes do not look alike pixel by pixel.

    Args:
        groups: (N,) int, as `find_groups` returns them.
        image_sizes_wh: (N, 2) int, width and height in pixels.
        series_wh: The size; None changes nothing.

    Returns:
        (N,) int, numbered in the order of first appearance.

    >>> join_series(np.array([0, 1, 2, 1]), np.array([[3, 4], [5, 5], [3, 4], [3, 4]]), (3, 4))
    array([0, 0, 0, 0])
    """
    if series_wh is None:
        return groups
    in_series = np.unique(groups[(np.asarray(image_sizes_wh) == np.asarray(series_wh)).all(axis=1)])
    joined = np.where(np.isin(groups, in_series), in_series.min(initial=len(groups)), groups)
    return _renumbered(joined)


def connected_groups(num_images: int, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Return the connected components of a graph.

    Args:
        num_images: Nodes.
        pairs: Edges, as positions of images.

    Returns:
        (N,) int, numbered in the order of first appearance.

    >>> connected_groups(4, [(1, 3)])
    array([0, 1, 2, 1])
    """
    ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)  # (E, 2)
    links = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(num_images, num_images))
    _, labels = connected_components(links, directed=False)
    return _renumbered(labels)


def _renumbered(labels: np.ndarray) -> np.ndarray:
    """Return labels (N,) as numbers from 0 in the order of first appearance."""
    _, first, groups = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[groups]  # (N,)


def near_hash_pairs(paths: list[Path], max_hash_distance: int) -> list[tuple[int, int]]:
    """Return the pairs of images with near perceptual hashes and equal-looking thumbnails, mirrored ones included.

    Args:
        paths: Image files.
        max_hash_distance: Bits in which two hashes may differ.

    Returns:
        Sorted pairs (i, j) of positions in `paths`, i < j.
    """
    looks = [_look(path) for path in paths]
    hashes = np.array([hash_bits for hash_bits, _, _, _ in looks]).reshape(-1, HASH_BITS)  # (N, 64)
    mirrored = np.array([hash_bits for _, hash_bits, _, _ in looks]).reshape(-1, HASH_BITS)  # (N, 64)
    thumbnails = np.array([values for _, _, values, _ in looks]).reshape(-1, THUMBNAIL_PX**2)  # (N, 1024)
    flipped = np.array([values for _, _, _, values in looks]).reshape(-1, THUMBNAIL_PX**2)  # (N, 1024)
    near = hash_distances(hashes, hashes) <= max_hash_distance  # (N, N)
    near &= thumbnails @ thumbnails.T >= MIN_CORRELATION
    near_mirrored = hash_distances(mirrored, hashes) <= max_hash_distance
    near_mirrored &= flipped @ thumbnails.T >= MIN_CORRELATION
    firsts, seconds = np.nonzero(np.triu(near | near_mirrored | near_mirrored.T, k=1))
    return list(zip(firsts.tolist(), seconds.tolist(), strict=True))


def _look(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return an image's hash bits (64,) plain and mirrored, and its normalized grey thumbnail (1024,) likewise."""
    image = read_image(path)  # (H, W, 3)
    mirror = np.ascontiguousarray(image[:, ::-1])
    return *(hash_bits(view) for view in (image, mirror)), *(thumbnail(view) for view in (image, mirror))


def hash_bits(image: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of a picture, (64,) bool.

    Args:
        image: (H, W, 3) uint8, RGB.
    """
    return imagehash.phash(Image.fromarray(image)).hash.ravel()


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return a small grey copy with mean 0 and length 1, so that a dot product is a correlation; flat images give 0.

    Args:
        image: (H, W, 3) uint8, RGB.

    Returns:
        (1024,) float64, row by row.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)  # (H, W)
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)  # (32, 32)
    values = small.ravel().astype(np.float64) - small.mean()  # (1024,)
    length = np.linalg.norm(values)
    return values / length if length else values


def hash_distances(bits_a: np.ndarray, bits_b: np.ndarray) -> np.ndarray:
    """Return the number of differing bits of every pair of hashes.

    Args:
        bits_a: (N, 64) bool.
        bits_b: (M, 64) bool.

    Returns:
        (N, M) int, 0 to 64.
    """
    signs_a, signs_b = (2.0 * bits - 1 for bits in (bits_a, bits_b))
    return ((HASH_BITS - signs_a @ signs_b.T) / 2).round().astype(int)
