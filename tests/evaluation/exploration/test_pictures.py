"""Sizes, light and sharpness from measured numbers."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from explored_set import FACES, IMAGES_WH, annotations_table, images_table, quality_table
from maskdet.evaluation.exploration import pictures
from table_rows import face_rows

TRAITS = pd.DataFrame(
    {"file_name": list("abcd"), "brightness": [0.0, 63.9, 192, 255], "sharpness": [0.3, 0.0, 1.2, 0.5]}
)


def test_image_sizes_of_the_made_set():
    topic = pictures.image_sizes(images_table())
    sizes = list(IMAGES_WH.values())
    assert topic.table["num_images"].sum() == len(sizes)
    assert topic.table.iloc[0][["width", "height", "num_images"]].tolist() == [200, 100, sizes.count((200, 100))]
    assert topic.numbers["num_sizes"] == len(set(sizes))
    assert topic.numbers["portrait_share"] == pytest.approx(sum(w < h for w, h in sizes) / len(sizes))
    shares = [topic.numbers[f"{name}_share"] for name in ("landscape", "portrait", "square")]
    assert sum(shares) == pytest.approx(1)
    assert (topic.numbers["shortest_side_px"], topic.numbers["longest_side_px"]) == (100, 320)


def test_brightness_counts_the_ends():
    topic = pictures.brightness(TRAITS, face_rows([]), None)
    assert (topic.numbers["num_dark"], topic.numbers["num_bright"]) == (2, 2)
    assert topic.table["count"].sum() == 4
    assert topic.numbers["median_of_faces"] == {}
    annotations = annotations_table()
    quality = quality_table(annotations)
    with_faces = pictures.brightness(TRAITS, annotations, quality)
    assert with_faces.table["count"].sum() == 4 + len(FACES)
    for name, median in with_faces.numbers["median_of_faces"].items():
        assert median == np.median([10.0 * rank for rank, face in enumerate(FACES) if face[1] == name])


def test_the_least_sharp_image_is_named():
    topic = pictures.image_sharpness(TRAITS)
    assert topic.numbers["least"] == {"file_name": "b", "sharpness": 0.0}
    assert topic.table["count"].sum() == 4
    assert topic.table["low"].iloc[0] == 0
    assert topic.table["high"].iloc[-1] > 1.2


def test_sharpness_of_faces_by_size():
    annotations = annotations_table()
    quality = quality_table(annotations)
    topic = pictures.face_sharpness(annotations, quality)
    areas = [(x1 - x0) * (y1 - y0) for _, _, x0, y0, x1, y1 in FACES]
    assert topic.numbers["num_faces"]["large"] == sum(area >= 96**2 for area in areas)
    assert topic.numbers["rank_correlation"] == pytest.approx(spearmanr(areas, quality["sharpness"]).statistic)
    assert topic.table["count"].sum() == len(FACES)


def test_faces_of_one_size_have_no_correlation():
    annotations = annotations_table(["c.png"])
    assert np.isnan(pictures.face_sharpness(annotations, quality_table(annotations)).numbers["rank_correlation"])
    assert pictures.face_sharpness(annotations, None) is None
    assert pictures.face_sharpness(face_rows([]), quality_table(face_rows([]))) is None
