"""The plane is deterministic; what is said of nearness is what counting says."""

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from maskdet.evaluation.exploration.feature_map import feature_map, most_alike, project


def clusters(num: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features of two well-parted clusters of so many images each, and their labels."""
    rng = np.random.default_rng(seed)
    centres = np.repeat([[5.0, 0, 0, 0, 1, 0], [0, 5, 0, 1, 0, 0]], num, axis=0)
    return centres + rng.normal(0, 0.1, centres.shape), np.repeat([0, 1], num)


def described(labels: np.ndarray, groups: list[int] | None = None) -> pd.DataFrame:
    table = pd.DataFrame({"file_name": [f"{i}.png" for i in range(len(labels))], "source": "made"})
    table["class_mix"] = [f"mix {label}" for label in labels]
    return table if groups is None else table.assign(group=groups)


def test_clusters_stay_apart_and_equal_features_give_equal_points():
    features, labels = clusters()
    projection = project(features, 30, 0)
    assert projection.method == "t-SNE"
    distances = np.linalg.norm(projection.points[:, None] - projection.points, axis=-1)
    nearest = (distances + np.diag(np.full(len(labels), np.inf))).argmin(axis=1)
    assert (labels[nearest] == labels).all()
    with threadpool_limits(2):
        again = project(features.copy(), 30, 0)
    np.testing.assert_array_equal(projection.points, again.points)
    assert not np.array_equal(projection.points, project(features[:, ::-1] ** 2, 30, 0).points)


def test_length_does_not_count():
    features, _ = clusters()
    lengths = np.random.default_rng(1).integers(1, 9, (len(features), 1))  # small whole numbers round alike
    np.testing.assert_allclose(
        project(features, 5, 0).explained_share, project(features * lengths, 5, 0).explained_share
    )


@pytest.mark.parametrize("num", [1, 2, 3, 9])
def test_few_images_are_laid_out_by_their_principal_axes(num):
    features = np.random.default_rng(0).normal(size=(num, 5))
    projection = project(features, 30, 0)
    assert projection.method == "PCA"
    assert projection.points.shape == (num, 2)
    assert np.isfinite(projection.points).all()
    if num == 9:
        directions = features / np.linalg.norm(features, axis=1, keepdims=True)
        centred = directions - directions.mean(axis=0)
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        np.testing.assert_allclose(np.abs(projection.points), np.abs(centred @ axes[:2].T), atol=1e-9)
        assert projection.explained_share == pytest.approx((lengths[:2] ** 2).sum() / (lengths**2).sum())


def test_equal_images_lie_at_one_point():
    projection = project(np.ones((12, 4)), 30, 0)
    assert (projection.points == 0).all()
    assert np.isnan(projection.explained_share)


def test_the_most_alike_is_never_oneself():
    features = np.repeat(np.eye(3), 2, axis=0)  # three pairs of equal images
    assert most_alike(features).tolist() == [1, 0, 3, 2, 5, 4]


def test_nearness_in_numbers():
    features, labels = clusters(num=5)
    groups = [0, 0, 1, 2, 3, 4, 5, 6, 7, 0]  # the last of the other cluster shares group 0
    topic = feature_map(described(labels, groups), project(features, 30, 0), features)
    directions = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines = directions @ directions.T - 2 * np.eye(10)
    nearest = cosines.argmax(axis=1)
    assert topic.numbers["mix"]["share"] == np.mean(labels == labels[nearest]) == 1
    assert topic.numbers["mix"]["by_chance"] == pytest.approx(4 / 9)
    members = [0, 1, 9]
    expected = np.mean([nearest[i] in members for i in members])
    assert topic.numbers["groups"]["share"] == pytest.approx(expected)
    assert topic.numbers["groups"]["largest"] == {"group": 0, "num_images": 3}
    assert topic.numbers["groups"]["num_groups"] == 1
    assert topic.table["group_size"].tolist() == [3, 3, 1, 1, 1, 1, 1, 1, 1, 3]


def test_without_groups_or_neighbours_nothing_is_said_of_them():
    features, labels = clusters(num=6)
    assert "groups" not in feature_map(described(labels), project(features, 30, 0), features).numbers
    alone = feature_map(described(labels[:1], [0]), project(features[:1], 30, 0), features[:1])
    assert "mix" not in alone.numbers
    assert "groups" not in feature_map(described(labels, list(range(12))), project(features, 30, 0), features).numbers


@pytest.mark.parametrize("features", [np.empty((0, 4)), np.full((3, 4), np.nan), np.ones(3)])
def test_features_that_are_none_are_refused(features):
    with pytest.raises(ValueError, match=r"features: expected finite numbers of shape \(N, F\)"):
        project(features, 30, 0)


def test_a_perplexity_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"explore\.perplexity: expected a positive number, got 0"):
        project(np.ones((3, 4)), 0, 0)
