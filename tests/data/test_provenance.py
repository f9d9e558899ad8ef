"""What a model says that it was trained on changes with any pixel, label or fold, and other tables are refused."""

import pytest

from maskdet.data.provenance import check_trained_on, data_facts, training_facts
from maskdet.schema import CLASS_NAMES
from training_world import annotations_table, folds_table, images_table


def test_the_fingerprint_changes_with_pixels_and_labels_and_not_with_order():
    images, annotations = images_table(), annotations_table()
    same = data_facts(images, annotations)
    assert data_facts(images[::-1], annotations[::-1]) == same
    assert len(same["fingerprint"]) == 16
    assert data_facts(images.assign(sha256="0" * 64), annotations)["fingerprint"] != same["fingerprint"]
    relabelled = annotations.assign(class_name=CLASS_NAMES[0])
    assert data_facts(images, relabelled)["fingerprint"] != same["fingerprint"]


def test_folds_are_the_same_until_an_image_changes_its_fold_or_role():
    images, annotations, folds = images_table(), annotations_table(), folds_table()
    same = training_facts(images, annotations, folds)
    assert training_facts(images, annotations, folds[::-1]) == same
    assert training_facts(images, annotations, folds.assign(group=folds["group"] + 1)) == same
    moved = folds.assign(fold=folds["fold"].where(folds.index > 0, 1 - folds["fold"]))
    kept_back = folds.assign(split_role=folds["split_role"].where(folds.index > 0, "test"))
    assert len({training_facts(images, annotations, table)["folds"] for table in (folds, moved, kept_back)}) == 3


def test_a_model_of_other_tables_is_refused_by_name():
    images, annotations, folds = images_table(), annotations_table(), folds_table()
    facts = training_facts(images, annotations, folds)
    check_trained_on(facts, facts, "build/train/0")
    check_trained_on(None, facts, "build/train/0")
    other = training_facts(images, annotations, folds.assign(fold=1 - folds["fold"]))
    with pytest.raises(ValueError, match=r"build/train/0: expected a model trained on the folds of build/ \(.*again"):
        check_trained_on(other, facts, "build/train/0")
    with pytest.raises(ValueError, match=r"expected a model trained on the data of build/ \(.*, got .*digits"):
        check_trained_on(facts | {"fingerprint": "other digits"}, facts, "build/train/0")
