"""Figures of a set: what counts as shown under a merge, which metrics have an interval."""

import numpy as np
import pandas as pd
import pytest

from maskdet.commands.evaluate.classes import ClassPlan
from maskdet.commands.evaluate.measures import measure
from maskdet.commands.evaluate.tables import SetTables
from maskdet.evaluation.bootstrap import bootstrap_metrics
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import size_tertiles
from maskdet.schema import CLASS_NAMES, IMAGES, validate
from table_rows import detection_rows, face_rows

WITH, WITHOUT, WRONG = CLASS_NAMES
BOX, FAR, LARGE = (10, 10, 50, 50), (100, 100, 140, 140), (60, 60, 190, 190)
THRESHOLDS = {WITH: 0.3, WITHOUT: 0.4, WRONG: 0.25}


def set_tables(faces: list[tuple], names: str) -> SetTables:
    """Return the tables of images `names`, a letter each."""
    annotations = face_rows(faces)
    faces_of = annotations["file_name"].value_counts()
    rows = [(name, "web", 200, 200, int(faces_of.get(name, 0)), f"{ord(name):064x}") for name in names]
    return SetTables(validate(pd.DataFrame(rows, columns=list(IMAGES.columns)), IMAGES, "images"), annotations, 0, 0)


@pytest.mark.parametrize(("score", "recall"), [(0.3, 1.0), (0.2, 0.0)])
def test_a_merged_detection_is_shown_by_the_threshold_of_the_class_that_found_it(score, recall):
    plan = ClassPlan({}, (WITH, WITHOUT), {WRONG: WITHOUT}, ())
    found = detection_rows([("a", WRONG, score, *BOX)])
    measures = measure(set_tables([("a", WITHOUT, *BOX)], "a"), found, plan, THRESHOLDS, {"a": 0}, 10)
    assert measures.metrics["test"]["recall"] == recall
    assert measures.metrics["test"]["ap"][WITHOUT] == pytest.approx(1)  # the whole ranking, whatever is shown
    assert measures.judged.faces["is_found"].tolist() == [recall == 1]
    expected = WITHOUT if recall else "background"
    assert measures.confusion.to_numpy().tolist() == [[WITHOUT, expected]]


def test_a_merge_hides_nothing_that_the_model_shows():
    """The better one of two on a face does not reach its own threshold; the other does, and is shown."""
    plan = ClassPlan({}, (WITH, WITHOUT), {WRONG: WITHOUT}, ())
    found = detection_rows([("a", WITHOUT, 0.39, *BOX), ("a", WRONG, 0.26, *BOX)])
    measures = measure(set_tables([("a", WITHOUT, *BOX)], "a"), found, plan, THRESHOLDS, {"a": 0}, 10)
    assert (measures.metrics["test"]["recall"], measures.metrics["test"]["precision"]) == (1, 1)


def world(num_images: int) -> tuple[SetTables, pd.DataFrame]:
    """Return images with two faces each, of one class but for a large one of another class in the first image."""
    names, faces, found = "abcdefgh"[:num_images], [], []
    for place, name in enumerate(names):
        second = FAR if place else LARGE
        faces += [(name, WITH, *BOX), (name, WITH if place else WITHOUT, *second)]
        found += [(name, WITH, 0.9 - place / 20, *BOX), (name, WITHOUT, 0.5 + place / 40, *second)]
    return set_tables(faces, names), detection_rows(found)


def test_intervals_are_those_of_the_bootstrap_where_faces_lie_in_two_groups():
    labels, found = world(6)
    groups = {name: place for place, name in enumerate("abcdef")}
    measures = measure(labels, found, ClassPlan({}, CLASS_NAMES, {}, ()), THRESHOLDS, groups, 50)
    tables = EvaluationTables(labels.images, labels.annotations, found, size_tertiles(labels.annotations))
    expected = bootstrap_metrics(tables, groups, THRESHOLDS, num_replicates=50).set_index("metric")
    metrics, low, high = (measures.metrics[key] for key in ("test", "test_low", "test_high"))
    for key in ("map", "map_50", "map_medium", "ar_100", "precision", "recall", "f1"):
        assert [metrics[key], low[key], high[key]] == pytest.approx(
            expected.loc[key, ["value", "low", "high"]].tolist()
        )
    assert low["recall"] < metrics["recall"] < high["recall"]


def test_a_class_or_a_size_in_one_group_has_no_interval():
    labels, found = world(4)
    groups = {name: place for place, name in enumerate("abcd")}
    measures = measure(labels, found, ClassPlan({}, CLASS_NAMES, {}, ()), THRESHOLDS, groups, 50)
    for end in ("test_low", "test_high"):
        assert np.isnan(measures.metrics[end]["ap_50"][WITHOUT])
        assert np.isnan(measures.metrics[end]["ap"][WITHOUT])
        assert np.isnan(measures.metrics[end]["map_large"])
        assert not np.isnan(measures.metrics[end]["ap_50"][WITH])
        assert not np.isnan(measures.metrics[end]["map_medium"])
    assert not np.isnan([measures.metrics["test"]["ap_50"][WITHOUT], measures.metrics["test"]["map_large"]]).any()
    alone = measure(labels, found, ClassPlan({}, CLASS_NAMES, {}, ()), THRESHOLDS, dict.fromkeys("abcd", 7), 50)
    assert np.isnan(alone.metrics["test_low"]["map"])
    assert alone.metrics["test"]["map"] == pytest.approx(measures.metrics["test"]["map"])
