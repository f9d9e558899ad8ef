"""Counts of classes, crowds and classes that share an image, on the made set and on sets without faces."""

from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explored_set import BARE, FACES, IMAGES_WH, MASK, WRONG, annotations_table, images_table
from maskdet.evaluation.exploration import classes
from maskdet.schema import CLASS_NAMES


def tables(faces_of_image: list[list[str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return images and annotations from the classes of the faces of each image."""
    images = pd.DataFrame({"file_name": [f"{index}.png" for index in range(len(faces_of_image))]})
    rows = [(f"{i}.png", name) for i, faces in enumerate(faces_of_image) for name in faces]
    return images, pd.DataFrame(rows, columns=["file_name", "class_name"], dtype=str)


SETS = st.lists(st.lists(st.sampled_from(CLASS_NAMES), max_size=15), min_size=1, max_size=12)


def test_classes_of_the_made_set():
    topic = classes.class_distribution(images_table(), annotations_table())
    counts = Counter(face[1] for face in FACES)
    table = topic.table.set_index("class_name")
    assert table["num_faces"].to_dict() == counts
    assert table.loc[MASK, "num_images"] == len({face[0] for face in FACES if face[1] == MASK})
    assert table.loc[WRONG, "image_share"] == pytest.approx(1 / len(IMAGES_WH))
    assert topic.numbers["imbalance"] == pytest.approx(counts[MASK] / counts[WRONG])
    assert topic.numbers["num_images_without_faces"] == 1


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(SETS)
def test_every_face_and_every_image_is_counted_once(faces_of_image):
    images, annotations = tables(faces_of_image)
    distribution = classes.class_distribution(images, annotations)
    assert distribution.table["num_faces"].sum() == len(annotations) == distribution.numbers["num_faces"]
    occurring = set(annotations["class_name"])
    assert set(distribution.numbers["classes_without_faces"]) == set(CLASS_NAMES) - occurring
    crowding = classes.crowding(images, annotations)
    assert crowding.table["num_images"].sum() == len(images)
    assert crowding.table["num_faces"].sum() == len(annotations)
    sizes = [len(faces) for faces in faces_of_image]
    assert crowding.table["faces_to"].iloc[-1] == max(sizes) == crowding.numbers["largest"]["num_faces"]
    for row in crowding.table.itertuples():
        assert row.num_images == sum(row.faces_from <= size <= row.faces_to for size in sizes)
    assert crowding.numbers["crowded"]["face_share"] == pytest.approx(max(sizes) / max(sum(sizes), 1))  # one image


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(SETS)
def test_co_occurrence_is_what_counting_says(faces_of_image):
    images, annotations = tables(faces_of_image)
    topic = classes.co_occurrence(images, annotations)
    occurring = [name for name in CLASS_NAMES if name in set(annotations["class_name"])]
    if len(occurring) < 2:
        assert topic is None
        return
    table = topic.table.set_index(["class_a", "class_b"])
    num_with_faces = sum(bool(faces) for faces in faces_of_image)
    for a, b in product(occurring, occurring):
        both = sum(a in faces and b in faces for faces in faces_of_image)
        of_a, of_b = (sum(name in faces for faces in faces_of_image) for name in (a, b))
        assert table.loc[(a, b), "num_images"] == both
        assert table.loc[(a, b), "share_of_a"] == pytest.approx(both / of_a)
        expected = of_a if a == b else of_a * of_b / num_with_faces
        assert table.loc[(a, b), "num_expected"] == pytest.approx(expected)
    assert topic.numbers["num_several"] == sum(len(set(faces)) > 1 for faces in faces_of_image)
    rarest = topic.numbers["rarest"]
    assert topic.numbers["num_rarest_with_others"] == sum(
        rarest in faces and len(set(faces)) > 1 for faces in faces_of_image
    )


def test_mixes_name_the_classes_of_an_image_once():
    mixes = classes.class_mixes(*tables([[BARE, MASK, MASK], [], [WRONG]]))
    assert mixes.tolist() == [f"{MASK}+{BARE}", classes.NO_FACE, WRONG]


def test_a_set_without_faces_has_counts_but_no_classes():
    images, annotations = tables([[], []])
    topic = classes.class_distribution(images, annotations)
    assert topic.table.empty
    assert topic.numbers["num_images_without_faces"] == 2
    assert "rarest" not in topic.numbers
    assert classes.crowding(images, annotations).table["num_images"].tolist() == [2]
    assert not np.isnan(classes.crowding(images, annotations).numbers["crowded"]["face_share"])
