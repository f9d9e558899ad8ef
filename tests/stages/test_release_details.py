"""What a release says of itself follows from the committed evaluation and the data."""

import json

import pytest

from maskdet.schema import ANNOTATIONS, CLASS_NAMES, IMAGES, write_table
from maskdet.stages import release_details
from maskdet.stages.entry import Workspace
from maskdet.stages.release_details import METRICS
from training_world import annotations_table, images_table, shrunk_config


@pytest.fixture
def workspace(tmp_path):
    nested = {"map": 0.5, "map_50": 0.8, "map_75": 0.6, "ap": {}, "ap_50": {}, "num_images": 8}
    for key in ("ap", "ap_50"):
        nested[key] = {name: 0.4 + i / 10 for i, name in enumerate(CLASS_NAMES)}
    rates = {"precision": 0.9, "recall": 0.8, "f1": 0.847, "tp": 8, "fp": 1, "fn": 2}
    low, high = ({**nested, "map": value} for value in (0.4, 0.6))
    thresholds = {
        name: {"best_f1": {"score_threshold": None if i == 2 else 0.3 + i / 10, **rates}}
        for i, name in enumerate(CLASS_NAMES)
    }
    records = {
        "metrics": {"val": nested, "val_low": low, "val_high": high},
        "thresholds": thresholds,
        "calibrator": {"kind": "logistic"},
    }
    (tmp_path / "reports").mkdir()
    for name, record in records.items():
        (tmp_path / f"reports/{name}.json").write_text(json.dumps(record))
    write_table(images_table(), tmp_path / "build/table/images.parquet", IMAGES)
    write_table(annotations_table(), tmp_path / "build/table/annotations.parquet", ANNOTATIONS)
    return Workspace(tmp_path, tmp_path)


def test_thresholds_metrics_and_data_are_gathered(workspace):
    details = release_details.run(shrunk_config("evaluate.score_threshold=0.25"), workspace)
    assert json.loads((workspace.root / "build/release/details.json").read_text()) == details
    assert list(details["score_thresholds"].values()) == [0.3, 0.4, 0.25]  # the third class has no best F1
    known = {"precision": 0.9, "recall": 0.8, "f1": 0.847}
    assert list(details["operating_points"].values()) == [known, known, {}]
    assert set(details["metrics"]) == set(METRICS)
    assert details["metrics"]["map"] == {"value": 0.5, "interval_95": [0.4, 0.6]}
    assert (details["data"]["num_images"], details["data"]["num_faces"]) == (8, 8)
    assert details["calibrator"] == {"kind": "logistic"}


def test_a_part_of_the_folds_is_no_ground_for_a_release(workspace):
    with pytest.raises(ValueError, match=r"split.train_folds: expected all 2 folds before a release, got \[1\]"):
        release_details.run(shrunk_config("split.train_folds=[1]"), workspace)
    assert not (workspace.root / "build/release").exists()
