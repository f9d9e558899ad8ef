"""A small finished experiment: drawn images, tables, predictions with known faults, the files of the evaluation."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from playwright.sync_api import Browser

from chromium import started_chromium
from maskdet.evaluation.anchor_fit import best_anchors
from maskdet.evaluation.errors import classify_errors, error_costs, most_confident_errors
from maskdet.evaluation.label_errors import likely_label_errors, write_label_errors
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.subgroups import face_outcomes, recall_by_subgroup
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, write_table
from maskdet.stages import evaluate, report
from maskdet.stages.entry import Workspace
from maskdet.stages.held_out_tables import read_held_out
from table_rows import detection_rows, face_rows

CONF = Path(__file__).parents[2] / "conf"
NUM_IMAGES = 12
IMAGE_WH = (160, 120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started_chromium() as browser:
        yield browser


def _write_inputs(root: Path) -> None:
    """Write 12 images: image i has i % 3 faces; every face is found but those of images 4 and 5.

    Image 3, without a face, has a confident detection: an error, and likely a missing label.
    """
    rng = np.random.default_rng(0)
    (root / "build/raw/images").mkdir(parents=True)
    images, faces, detections = [], [], []
    for i in range(NUM_IMAGES):
        name, num_faces = f"scene_{i:02d}.png", i % 3
        pixels = rng.integers(0, 255, (IMAGE_WH[1] // 8, IMAGE_WH[0] // 8, 3), dtype=np.uint8)  # (H / 8, W / 8, 3)
        Image.fromarray(pixels).resize(IMAGE_WH).save(root / "build/raw/images" / name)
        images.append((name, "drawn", *IMAGE_WH, num_faces, f"{i:064x}"))
        for j in range(num_faces):
            box = (10 + 60 * j, 20, 40 + 60 * j, 60)
            class_name = CLASS_NAMES[2 if i == 8 else j]
            faces.append((name, class_name, *box))
            if i not in (4, 5):
                detections.append((name, class_name, 0.9 - 0.01 * i, *box))
        detections.append((name, CLASS_NAMES[0], 0.95 if i == 3 else 0.1, 100, 80, 140, 110))
    images = pd.DataFrame(images, columns=list(IMAGES.columns))
    folds = pd.DataFrame({"file_name": images["file_name"], "group": range(NUM_IMAGES), "split_role": "fold"})
    folds["fold"] = folds.index % 2
    write_table(images, root / "build/table/images.parquet", IMAGES)
    write_table(face_rows(faces), root / "build/table/annotations.parquet", ANNOTATIONS)
    write_table(folds, root / "build/folds.parquet", FOLDS)
    predictions = detection_rows(detections)
    predictions["fold"] = predictions["file_name"].map(folds.set_index("file_name")["fold"])
    for fold in (0, 1):
        rows = predictions[predictions["fold"] == fold]
        write_table(rows, root / f"build/predictions/{fold}.parquet", PREDICTIONS)


def _write_reports(root: Path) -> None:
    """Write a history of fold 0 with an empty cell; fold 1 has none."""
    (root / "reports/history").mkdir(parents=True)
    history = pd.DataFrame({"epoch": [0, 1], "step": [5, 10], "train/loss": [2.0, 1.0], "val/map": [np.nan, 0.5]})
    history.to_csv(root / "reports/history/0.csv", index=False)
    (root / "reports/data").mkdir()
    (root / "reports/data/table.json").write_text(json.dumps({"num_images": NUM_IMAGES, "repairs": {"clipped": []}}))


def _write_analysis(tables: EvaluationTables, folder: Path) -> None:
    """Write what the stage `analyse` does, from the same functions."""
    folder.mkdir(parents=True)
    sources = (tables.images, tables.annotations, tables.predictions)
    errors = classify_errors(*sources)
    anchors = best_anchors(tables.annotations, tables.images, 128, scales=(2.0, 3.0), scales_per_octave=(1, 3))
    rows = {
        "errors": error_costs(errors),
        "subgroups": recall_by_subgroup(face_outcomes(*sources, 0.3)),
        "confident_errors": most_confident_errors(errors, 5),
        "anchor_fit": anchors.assign(is_in_use=anchors.index == 1),
    }
    for name, table in rows.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    write_label_errors(likely_label_errors(*sources), folder / "label_errors.csv")
    (folder / "anchors.yaml").write_text(anchors["yaml"].iloc[0])


@pytest.fixture(scope="session")
def config() -> DictConfig:
    """Return the groups that the report reads, as committed, with few pictures."""
    groups = {name: OmegaConf.load(CONF / name / "default.yaml") for name in ("evaluate", "report")}
    cfg = OmegaConf.create(
        {
            **groups,
            "split": {"strategy": "kfold", "num_folds": 2, "train_folds": [0, 1]},
            "data": {"name": "drawn <scenes>"},
            "model": {"architecture": "tf_efficientdet_lite0"},
            "trainer": {"checkpoint": "best"},
            "logger": OmegaConf.load(CONF / "logger/wandb.yaml"),
        }
    )
    cfg.report.num_images = 3
    cfg.evaluate.bootstrap.num_replicates = 50
    return cfg


@pytest.fixture(scope="session")
def workspace(config: DictConfig, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a root on which `evaluate` and `report` have run."""
    root = tmp_path_factory.mktemp("experiment")
    place = Workspace(root, root)
    _write_inputs(root)
    _write_reports(root)
    evaluate.run(config, place)
    _write_analysis(read_held_out(config, place).pool(), root / "reports/analysis")
    report.run(config, place)
    return place
