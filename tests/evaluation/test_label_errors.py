"""Planted label errors come out on top; each suspicion by hand."""

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.label_errors import (
    MISPLACED_BOX,
    MISSING_LABEL,
    SPURIOUS_LABEL,
    WRONG_CLASS,
    likely_label_errors,
    write_label_errors,
)
from maskdet.schema import CLASS_NAMES

FACE, SECOND, FAR = (0, 0, 10, 10), (100, 0, 110, 10), (500, 500, 510, 510)
A = pd.DataFrame({"file_name": ["a.png"]})


def suspicions(errors: pd.DataFrame) -> dict[str, list[float]]:
    return {kind: part["suspicion"].round(6).tolist() for kind, part in errors.groupby("kind")}


def test_a_confident_other_class_on_the_label(table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    predictions = table(
        ("a.png", "without_mask", FACE, 0.9),
        ("a.png", "mask_weared_incorrect", FACE, 0.6),
        ("a.png", "with_mask", (0, 0, 10, 8), 0.2),
    )
    errors = likely_label_errors(A, annotations, predictions, min_suspicion=0.01)
    assert suspicions(errors)["wrong_class"] == [pytest.approx(0.9 * 0.8)]
    top = errors.iloc[0]
    assert (top["label"], top["predicted"], top["annotation"], top["iou"]) == ("with_mask", "without_mask", 0, 1)
    assert top["reason"] == "labelled with_mask, predicted without_mask with 0.90 (with_mask: 0.20)"


def test_a_face_that_nobody_labelled_counts_once(table):
    predictions = table(
        ("a.png", "with_mask", FAR, 0.9), ("a.png", "without_mask", FAR, 0.7), ("a.png", "with_mask", SECOND, 0.4)
    )
    errors = likely_label_errors(A, table(scored=False), predictions, min_suspicion=0.3)
    assert suspicions(errors) == {"missing_label": [pytest.approx(0.9), pytest.approx(0.4)]}
    assert errors["annotation"].tolist() == [-1, -1]
    assert errors["label"].isna().all()
    assert errors[["predicted_x_min", "predicted_y_max"]].to_numpy().tolist() == [[500, 510], [100, 10]]
    assert errors.filter(like="label_").isna().all(axis=None)


def test_a_box_beside_its_face(table):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    errors = likely_label_errors(A, annotations, table(("a.png", "with_mask", (0, 0, 10, 25), 0.9)), 0.0)
    assert suspicions(errors)["misplaced_box"] == [pytest.approx(0.9 * 0.6)]
    assert suspicions(errors)["spurious_label"] == [0]  # no face of this size is found
    found_too = table(("a.png", "with_mask", (0, 0, 10, 25), 0.9), ("a.png", "with_mask", FACE, 0.3))
    assert "misplaced_box" not in suspicions(likely_label_errors(A, annotations, found_too, 0.0))


def test_a_label_that_no_detection_supports(table):
    """Of 100 faces of one size 98 are found; one is not seen at all, one only by a detection of its neighbour."""
    boxes = [(20 * i, 0, 20 * i + 10, 10) for i in range(99)]
    annotations = table(*[("a.png", "with_mask", box) for box in [*boxes, (986, 0, 996, 10)]], scored=False)
    found = [("a.png", "with_mask", box, 0.9) for box in boxes[:50]]
    misnamed = [("a.png", "without_mask", box, 0.8) for box in boxes[51:]]
    predictions = table(*found, *misnamed)
    errors = likely_label_errors(A, annotations, predictions, 0.95)
    assert errors["kind"].tolist() == ["spurious_label"] * 2
    assert sorted(errors["annotation"]) == [50, 99]
    assert errors["suspicion"].tolist() == pytest.approx([0.98, 0.98])
    assert errors["fold"].isna().all()


def test_planted_errors_are_ranked_first(table):
    rng = np.random.default_rng(0)
    corners = [(int(x), int(y)) for x in range(0, 400, 40) for y in range(0, 400, 40)]
    boxes = {i: (x, y, x + 20 + rng.integers(8), y + 24) for i, (x, y) in enumerate(corners)}
    truth = {i: CLASS_NAMES[i % 2] for i in boxes}
    swapped, dropped = {3, 44, 81}, {10, 60}
    labels = {i: CLASS_NAMES[1 - i % 2] if i in swapped else name for i, name in truth.items() if i not in dropped}
    annotations = table(
        *[("a.png", labels[i], boxes[i]) for i in labels], ("a.png", "with_mask", (600, 600, 622, 624)), scored=False
    )
    predictions = table(*[("a.png", truth[i], boxes[i], 0.6 + 0.3 * rng.uniform()) for i in boxes])
    errors = likely_label_errors(A, annotations, predictions)
    assert errors["kind"].value_counts().to_dict() == {"wrong_class": 3, "missing_label": 2, "spurious_label": 1}
    accused = {
        tuple(row) for row in errors.loc[errors["kind"] == "wrong_class", ["label_x_min", "label_y_min"]].to_numpy()
    }
    assert accused == {tuple(map(float, corners[i])) for i in swapped}


@pytest.mark.parametrize("seed", range(4))
def test_promises_on_random_tables(seed, random_tables):
    images, annotations, predictions = random_tables(seed, num_images=20)
    annotations.index = annotations.index + 100
    errors = likely_label_errors(images, annotations, predictions, 0.2)
    assert errors["suspicion"].between(0.2, 1).all()
    assert errors["suspicion"].is_monotonic_decreasing
    assert set(errors["kind"]) <= {WRONG_CLASS, MISPLACED_BOX, MISSING_LABEL, SPURIOUS_LABEL}
    labelled = errors[errors["annotation"] != -1]
    assert not labelled[["annotation", "kind"]].duplicated().any()
    assert (annotations.loc[labelled["annotation"], "class_name"].to_numpy() == labelled["label"].to_numpy()).all()
    assert (annotations.loc[labelled["annotation"], "file_name"].to_numpy() == labelled["file_name"].to_numpy()).all()
    assert (errors["label"].isna() == (errors["kind"] == "missing_label")).all()
    assert (errors["predicted"].isna() == (errors["kind"] == "spurious_label")).all()
    wrong = errors[errors["kind"] == "wrong_class"]
    assert (wrong["label"] != wrong["predicted"]).all()
    assert len(likely_label_errors(images, annotations, predictions, 0.0)) >= len(errors)


@pytest.mark.parametrize("without", ["faces", "detections", "both"])
def test_empty_tables_accuse_nobody(without, table, tmp_path):
    annotations = table(scored=False) if without != "detections" else table(("a.png", "with_mask", FACE), scored=False)
    predictions = table() if without != "faces" else table(("a.png", "with_mask", FACE, 0.2))
    errors = likely_label_errors(A, annotations, predictions)
    assert errors.empty
    write_label_errors(errors, tmp_path / "labels.csv")
    assert pd.read_csv(tmp_path / "labels.csv").columns[0] == "decision"


def test_csv_reads_back(table, tmp_path):
    annotations = table(("a.png", "with_mask", FACE), scored=False)
    errors = likely_label_errors(A, annotations, table(("a.png", "without_mask", FACE, 0.9)))
    write_label_errors(errors, tmp_path / "labels.csv")
    read = pd.read_csv(tmp_path / "labels.csv")
    assert read["decision"].isna().all()
    pd.testing.assert_frame_equal(read.drop(columns="decision"), errors, check_dtype=False, rtol=1e-3)


def test_an_image_predicted_by_models_that_saw_it_is_refused(table):
    predictions = table(("a.png", "with_mask", FACE, 0.9), ("a.png", "with_mask", FAR, 0.9)).assign(fold=[0, 1])
    with pytest.raises(ValueError, match=r"in the one fold that holds it out, got 2 folds for 'a\.png'"):
        likely_label_errors(A, table(scored=False), predictions)


@pytest.mark.parametrize("thresholds", [(0.5, 0.0), (0.5, 0.6), (1.1, 0.1)])
def test_thresholds_are_checked(thresholds, table):
    with pytest.raises(ValueError, match="expected 0 < background_iou <= iou_threshold <= 1, got"):
        likely_label_errors(A, table(scored=False), table(), 0.5, *thresholds)
