"""Subgroups of faces by hand, and that each property parts all faces."""

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.subgroups import SHARPNESS_GROUPS, face_outcomes, recall_by_subgroup

NUMBERS = ["num_faces", "num_missed", "num_misnamed"]


@pytest.fixture
def world(table) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return three images: two faces of which one is misnamed, one face at the border, none."""
    names = ["a.png", "b.png", "none.png"]
    images = pd.DataFrame({"file_name": names, "width": [400, 300, 100], "height": [300, 400, 100]})
    annotations = table(
        ("a.png", "with_mask", (10, 10, 30, 30)),
        ("a.png", "without_mask", (100, 100, 200, 200)),
        ("b.png", "with_mask", (250, 50, 300, 100)),
        scored=False,
    )
    predictions = table(
        ("a.png", "with_mask", (10, 10, 30, 30), 0.9),
        ("a.png", "with_mask", (100, 100, 200, 200), 0.8),
        ("b.png", "with_mask", (250, 50, 300, 100), 0.2),
        ("none.png", "with_mask", (0, 0, 10, 10), 0.9),
    )
    return images, annotations, predictions


def of_property(rows: pd.DataFrame, name: str) -> dict[str, list[int]]:
    part = rows[rows["property"] == name]
    return dict(zip(part["subgroup"], part[NUMBERS].to_numpy().tolist(), strict=True))


def test_by_hand(world):
    outcomes = face_outcomes(*world, score_threshold=0.3)
    assert outcomes["is_found"].tolist() == [True, False, False]
    assert outcomes["is_located"].tolist() == [True, True, False]
    assert outcomes["size_px"].tolist() == [20, 100, 50]
    assert outcomes["faces_in_image"].tolist() == [2, 2, 1]
    assert outcomes["is_truncated"].tolist() == [False, False, True]
    assert outcomes["image_wh"].tolist() == ["400 x 300", "400 x 300", "300 x 400"]
    rows = recall_by_subgroup(outcomes)
    assert of_property(rows, "all") == {"all": [3, 2, 1]}
    assert of_property(rows, "class") == {"with_mask": [2, 1, 0], "without_mask": [1, 1, 1]}
    assert of_property(rows, "size_coco") == {"small": [1, 0, 0], "medium": [1, 1, 0], "large": [1, 1, 1]}
    assert of_property(rows, "size") == {
        "up to 40 px": [1, 0, 0],
        "40 to 66.7 px": [1, 1, 0],
        "over 66.7 px": [1, 1, 1],
    }
    assert of_property(rows, "crowding") == {"1 face": [1, 1, 0], "2 to 4 faces": [2, 1, 1]}
    assert of_property(rows, "truncation") == {"at the border": [1, 1, 0], "whole": [2, 1, 1]}
    assert of_property(rows, "orientation") == {"landscape": [2, 1, 1], "portrait": [1, 1, 0]}
    named = ["all", "class", "size", "size_coco", "crowding", "truncation", "orientation", "image_size"]
    assert list(dict.fromkeys(rows["property"])) == named


def test_intervals_are_wilsons(world):
    row = recall_by_subgroup(face_outcomes(*world, score_threshold=0.3)).iloc[0]
    z, n, p = 1.959964, 3, 1 / 3
    centre, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (row["low"], row["high"]) == (
        pytest.approx((centre - half) / (1 + z * z / n), abs=1e-6),
        pytest.approx((centre + half) / (1 + z * z / n), abs=1e-6),
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_property_parts_all_faces(seed, random_tables):
    images, annotations, predictions = random_tables(seed, num_images=30)
    images = images.assign(width=600, height=[400, 600, 800] * 10)
    quality = pd.DataFrame({"sharpness": np.arange(len(annotations)) % 7, "brightness": 100.0}, annotations.index)
    outcomes = face_outcomes(images, annotations, predictions, 0.3, quality=quality)
    rows = recall_by_subgroup(outcomes)
    totals = rows.groupby("property")[NUMBERS].sum()
    assert (totals == totals.loc["all"]).all(axis=None)
    np.testing.assert_allclose(rows["recall"], 1 - rows["num_missed"] / rows["num_faces"])
    assert rows["recall"].between(rows["low"] - 1e-12, rows["high"] + 1e-12).all()
    hits = match_detections(annotations, predictions[predictions["score"] >= 0.3])["is_tp"].sum()
    assert totals.loc["all", "num_missed"] == len(annotations) - hits
    assert (outcomes["is_located"] | ~outcomes["is_found"]).all()
    assert of_property(rows, "brightness").keys() == {"up to 100"}  # all alike: one group


def test_sharpness_is_compared_among_faces_of_one_size(table):
    """Ever larger, ever sharper faces: without regard to size all small ones would be blurred."""
    sides = np.linspace(10, 100, 120)
    annotations = table(*[("a.png", "with_mask", (0, 0, side, side)) for side in sides], scored=False)
    images = pd.DataFrame({"file_name": ["a.png"], "width": [200], "height": [200]})
    quality = pd.DataFrame({"sharpness": sides, "brightness": np.nan})
    outcomes = face_outcomes(images, annotations, table(), 0.3, quality=quality)
    rows = recall_by_subgroup(outcomes)
    assert of_property(rows, "sharpness") == {name: [40, 40, 0] for name in SHARPNESS_GROUPS}
    assert of_property(rows, "brightness") == {}  # not measured anywhere


def test_without_faces_there_are_no_groups(table, world):
    images, _, predictions = world
    quality = pd.DataFrame({"sharpness": [], "brightness": []}, index=pd.RangeIndex(0), dtype=float)
    outcomes = face_outcomes(images, table(scored=False), predictions, 0.3, quality=quality)
    assert outcomes.empty
    assert recall_by_subgroup(outcomes).empty


def test_without_detections_every_face_is_missed(table, world):
    images, annotations, _ = world
    rows = recall_by_subgroup(face_outcomes(images, annotations, table(), 0.3))
    assert (rows["recall"] == 0).all()
    assert (rows["num_missed"] == rows["num_faces"]).all()


def test_bad_input_is_named(world):
    images, annotations, predictions = world
    with pytest.raises(ValueError, match="quality: expected the index of the 3 annotations, got 1 rows"):
        face_outcomes(*world, 0.3, quality=pd.DataFrame({"sharpness": [1.0], "brightness": [1.0]}))
    with pytest.raises(ValueError, match=r"expected files of the images table, got 'none\.png'"):
        face_outcomes(images[:2], annotations, predictions, 0.3)
    with pytest.raises(ValueError, match=r"confidence: expected a share in \(0, 1\), got 95"):
        recall_by_subgroup(face_outcomes(*world, 0.3), confidence=95)
