"""A plane on which images that a network sees alike lie near each other, and what their nearness says.

The plane is for the eye: distances on it mean little beyond the nearest neighbours. The numbers are therefore taken
from the features themselves, not from the plane.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from maskdet.evaluation.exploration.topic import Topic

NUM_AXES = 50
"""Principal axes that t-SNE starts from, at most: the rest is noise to it and time."""

MIN_IMAGES = 10
"""With fewer, t-SNE has no neighbourhoods to keep: the first two principal axes are drawn."""

_EVEN = 1e-12  # a variance below it is rounding: every image looks the same


@dataclass(frozen=True)
class Projection:
    """Images on a plane.

    Attributes:
        points: (N, 2) float64, no unit.
        method: `t-SNE` or `PCA`.
        num_axes: Principal axes that were kept.
        explained_share: Of the variance of the features, by these axes; in [0, 1], NaN where there is none.
    """

    points: np.ndarray
    method: str
    num_axes: int
    explained_share: float


def project(features: np.ndarray, perplexity: float, seed: int) -> Projection:
    """Lay features out on a plane; equal input gives equal output, whatever the number of threads.

    Args:
        features: (N, F) float, N >= 1; compared by direction, not by length.
        perplexity: Of t-SNE: about how many neighbours an image is kept near to; lowered for a small set.
        seed: Of t-SNE; 0 is a seed like any other.

    Returns:
        t-SNE of the first `NUM_AXES` principal axes; the first two of these with fewer than `MIN_IMAGES` images.

    Raises:
        ValueError: If there is no image, a feature is no finite number, or the perplexity is not positive.

    Reference:
        van der Maaten and Hinton (2008), Visualizing Data using t-SNE, JMLR 9; scikit-learn's implementation.
    """
    if perplexity <= 0:
        raise ValueError(f"explore.perplexity: expected a positive number, got {perplexity}")
    directions = _directions(features)  # (N, F)
    if np.var(directions, axis=0).sum() < _EVEN:
        return Projection(np.zeros((len(directions), 2)), "PCA", 0, float("nan"))
    with threadpool_limits(1):  # sums in another order are other sums, and t-SNE amplifies the difference
        pca = PCA(min(NUM_AXES, *directions.shape), svd_solver="full")
        axes = pca.fit_transform(directions)  # (N, A)
        explained = float(pca.explained_variance_ratio_.sum())
        if len(axes) < MIN_IMAGES:
            return Projection(_two_columns(axes), "PCA", min(axes.shape[1], 2), _explained_by_two(pca))
        tsne = TSNE(perplexity=min(perplexity, (len(axes) - 1) / 3), init="pca", random_state=seed, n_jobs=1)
        return Projection(tsne.fit_transform(axes).astype(np.float64), "t-SNE", axes.shape[1], explained)


def _directions(features: np.ndarray) -> np.ndarray:
    """Return the features as unit vectors in float64; a zero vector stays."""
    features = np.asarray(features, np.float64)
    if features.ndim != 2 or not features.size or not np.isfinite(features).all():
        raise ValueError(f"features: expected finite numbers of shape (N, F) with N, F >= 1, got {features.shape}")
    return features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)


def _two_columns(axes: np.ndarray) -> np.ndarray:
    return np.pad(axes, ((0, 0), (0, 2)))[:, :2]


def _explained_by_two(pca: PCA) -> float:
    return float(pca.explained_variance_ratio_[:2].sum())


def feature_map(images: pd.DataFrame, projection: Projection, features: np.ndarray) -> Topic:
    """Say where images lie on the plane, and how often the image most alike shares their classes or their group.

    Args:
        images: Columns `file_name, source, class_mix`, and `group` where look-alikes are known; N rows.
        projection: Of these images.
        features: (N, F), what was projected; row i is of image i.

    Returns:
        Table: `file_name, source, class_mix`, `group, group_size` where known, `x, y`. Numbers: method, axes and their
        share of the variance; `mix`: the share of images whose most alike image (cosine) has their class mix, and what
        it would be by chance; `groups`, where known and some hold several images: how many such groups and images,
        the largest, and the share of these images whose most alike image is of their group. The shares are absent for
        a single image.
    """
    columns = ["file_name", "source", "class_mix"]
    table = images[columns].reset_index(drop=True)
    if "group" in images:
        groups = images["group"].reset_index(drop=True)
        table = table.assign(group=groups, group_size=groups.groupby(groups).transform("size"))
    table = table.assign(x=projection.points[:, 0], y=projection.points[:, 1])
    numbers = {
        "num_images": len(table),
        "method": projection.method,
        "num_features": int(features.shape[1]),
        "num_axes": projection.num_axes,
        "explained_share": projection.explained_share,
    }
    if len(table) > 1:
        nearest = most_alike(features)  # (N,)
        numbers |= {"mix": _agreement(table["class_mix"], nearest)}
        numbers |= _group_numbers(table, nearest) if "group" in table else {}
    return Topic(table, numbers)


def most_alike(features: np.ndarray) -> np.ndarray:
    """Return for each of (N, F) features, N >= 2, the row of the other one with the highest cosine, (N,) int."""
    directions = _directions(features)
    with threadpool_limits(1):
        found = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(directions)
        return found.kneighbors(return_distance=False)[:, 0]  # without an argument: of others only


def _agreement(labels: pd.Series, nearest: np.ndarray) -> dict[str, float]:
    """Return how often the nearest has one's label, and how often another image drawn at random has."""
    values = labels.to_numpy()
    counts = labels.groupby(labels).transform("size")
    return {
        "share": float((values == values[nearest]).mean()),
        "by_chance": float(((counts - 1) / (len(labels) - 1)).mean()),
    }


def _group_numbers(table: pd.DataFrame, nearest: np.ndarray) -> dict:
    is_shared = (table["group_size"] > 1).to_numpy()  # (N,)
    if not is_shared.any():
        return {}
    groups = table["group"].to_numpy()
    largest = table.loc[table["group_size"].idxmax()]
    return {
        "groups": {
            "num_groups": int(table.loc[is_shared, "group"].nunique()),
            "num_images": int(is_shared.sum()),
            "largest": {"group": int(largest["group"]), "num_images": int(largest["group_size"])},
            "share": float((groups == groups[nearest])[is_shared].mean()),
        }
    }
