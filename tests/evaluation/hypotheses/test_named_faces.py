"""What models call faces: by hand, and what does not fit together."""

import pandas as pd
import pytest

from maskdet.evaluation.hypotheses.named_faces import (
    NOT_FOUND,
    check_same_faces,
    from_crop_predictions,
    from_detections,
    groups_of_files,
)
from maskdet.schema import CROP_PREDICTIONS, PROBABILITY_COLUMNS, validate
from table_rows import detection_rows, face_rows

GROUPS = {"a.png": 0, "b.png": 1}
FACES = face_rows(
    [
        ("b.png", "with_mask", 0, 0, 10, 10),
        ("a.png", "without_mask", 0, 0, 10, 10),
        ("a.png", "mask_weared_incorrect", 50, 0, 60, 10),
        ("a.png", "with_mask", 90, 0, 99, 10),
    ]
)


def crop_predictions(rows):
    """Return a table from (file_name, face, class_name, probabilities)."""
    records = [(*row[:3], 0, *row[3]) for row in rows]
    columns = ["file_name", "face", "class_name", "fold", *PROBABILITY_COLUMNS]
    return validate(pd.DataFrame(records, columns=columns), CROP_PREDICTIONS, "test")


def test_a_detection_of_any_class_answers_for_the_face_that_it_hits():
    found = detection_rows(
        [
            ("a.png", "with_mask", 0.9, 0, 0, 10, 10),  # wrong class: an answer all the same
            ("a.png", "without_mask", 0.6, 0, 0, 10, 10),  # the face is taken
            ("a.png", "mask_weared_incorrect", 0.5, 51, 0, 60, 10),
            ("a.png", "with_mask", 0.2, 90, 0, 99, 10),  # below the threshold
            ("b.png", "with_mask", 0.8, 200, 0, 210, 10),  # hits nothing
        ]
    )
    named = from_detections(FACES, found, GROUPS, score_threshold=0.3)
    assert named.faces["file_name"].tolist() == ["a.png"] * 3 + ["b.png"]
    assert named.faces["face"].tolist() == [0, 1, 2, 0]
    assert named.faces["answer"].tolist() == ["with_mask", "mask_weared_incorrect", NOT_FOUND, NOT_FOUND]
    assert named.is_right.tolist() == [False, True, False, False]
    assert named.groups.codes.tolist() == [0, 0, 0, 1]
    assert named.counts == {"faces": 4, "images": 2, "groups": 2}


def test_without_any_detection_no_face_has_an_answer():
    named = from_detections(FACES, detection_rows([]), GROUPS, score_threshold=0.3)
    assert set(named.faces["answer"]) == {NOT_FOUND}
    with pytest.raises(ValueError, match="expected faces of two or more groups of images, got 0"):
        named.answered()


def test_a_classifier_answers_with_its_likeliest_class():
    named = from_crop_predictions(
        crop_predictions([("b.png", 0, "with_mask", (0.2, 0.7, 0.1)), ("a.png", 1, "with_mask", (0.5, 0.2, 0.3))]),
        GROUPS,
    )
    assert named.faces["answer"].tolist() == ["with_mask", "without_mask"]  # by file name
    assert named.is_right.tolist() == [True, False]
    assert len(named.answered().faces) == 2


def test_a_file_without_a_group_is_named():
    with pytest.raises(ValueError, match=r"expected a group of every image, got none of 'b\.png'"):
        groups_of_files(FACES["file_name"], {"a.png": 0})


@pytest.mark.parametrize("change", ["fewer", "class"])
def test_models_of_other_faces_are_told_apart(change):
    rows = [
        ("a.png", 0, "with_mask", (1, 0, 0)),
        ("b.png", 0, "with_mask", (1, 0, 0)),
        ("b.png", 1, "with_mask", (1, 0, 0)),
    ]
    others = {"fewer": rows[:-1], "class": [*rows[:-1], ("b.png", 1, "without_mask", (1, 0, 0))]}
    ours, theirs = (from_crop_predictions(crop_predictions(each), GROUPS) for each in (rows, others[change]))
    check_same_faces(ours.faces, ours.faces, "grey and colour")
    with pytest.raises(
        ValueError, match=r"grey and colour: expected the same faces .*; only one table has face 1 of 'b\.png'"
    ):
        check_same_faces(ours.faces, theirs.faces, "grey and colour")
