"""Confusion matrices by hand."""

import pytest

from maskdet.evaluation.confusion import BACKGROUND, confusion_counts, confusion_pairs
from maskdet.schema import CLASS_NAMES

FACE, SECOND, FAR = (0, 0, 10, 10), (100, 0, 110, 10), (500, 500, 510, 510)


def test_empty_tables(table):
    pairs = confusion_pairs(table(scored=False), table(), 0.3)
    assert list(pairs.columns) == ["actual", "predicted"]
    assert len(pairs) == 0
    counts = confusion_counts(pairs)
    assert len(counts) == (len(CLASS_NAMES) + 1) ** 2
    assert counts["count"].sum() == 0


def test_every_cell_by_hand(table):
    annotations = table(
        ("a.png", "with_mask", FACE), ("a.png", "without_mask", SECOND), ("b.png", "with_mask", FACE), scored=False
    )
    predictions = table(
        ("a.png", "with_mask", FACE, 0.9),  # right
        ("a.png", "without_mask", FACE, 0.8),  # the same face again: a false alarm
        ("a.png", "mask_weared_incorrect", SECOND, 0.7),  # the wrong class
        ("c.png", "with_mask", FAR, 0.6),  # a false alarm in an image without faces
        ("b.png", "with_mask", FACE, 0.2),  # below the threshold: the face is missed
    )
    pairs = confusion_pairs(annotations, predictions, 0.3)
    assert pairs.to_records(index=False).tolist() == [
        (BACKGROUND, "with_mask"),
        (BACKGROUND, "without_mask"),
        ("with_mask", BACKGROUND),
        ("with_mask", "with_mask"),
        ("without_mask", "mask_weared_incorrect"),
    ]


def test_the_higher_score_decides_the_class(table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    predictions = table(("a.png", "with_mask", FACE, 0.5), ("a.png", "without_mask", (0, 0, 10, 8), 0.6))
    pairs = confusion_pairs(annotations, predictions, 0.3)
    assert pairs.to_records(index=False).tolist() == [(BACKGROUND, "with_mask"), ("with_mask", "without_mask")]


@pytest.mark.parametrize("seed", range(3))
def test_rows_sum_to_faces_and_columns_to_detections(seed, random_tables):
    _, annotations, predictions = random_tables(seed)
    counts = confusion_counts(confusion_pairs(annotations, predictions, 0.3))
    matrix = counts.pivot(index="actual", columns="predicted", values="count")
    faces = annotations["class_name"].value_counts()
    kept = predictions.loc[predictions["score"] >= 0.3, "class_name"].value_counts()
    for name in CLASS_NAMES:
        assert matrix.loc[name].sum() == faces[name]
        assert matrix[name].sum() == kept[name]
    assert matrix.loc[BACKGROUND, BACKGROUND] == 0


def test_each_class_may_have_its_own_threshold(table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    predictions = table(("a.png", "with_mask", FACE, 0.5), ("a.png", "without_mask", FAR, 0.5))
    thresholds = {"with_mask": 0.4, "without_mask": 0.6}
    pairs = confusion_pairs(annotations, predictions, thresholds)
    assert pairs.to_records(index=False).tolist() == [("with_mask", "with_mask")]
