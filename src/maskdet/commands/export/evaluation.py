"""What a model file loses of the accuracy: its detections in a fold's held-out photos, scored as `evaluate` does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from maskdet.data.image import read_image
from maskdet.evaluation.coco import coco_metrics
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtime import Runtime
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, FOLDS, IMAGES, PREDICTIONS, read_table, validate

METRICS = ("map_50", "map")
"""What is told of a file, keys of `coco_metrics`."""


@dataclass(frozen=True)
class GroundTruth:
    """The project's photos with their true boxes and folds.

    Attributes:
        image_dir: The photos.
        images: Columns as `schema.IMAGES`.
        annotations: Columns as `schema.ANNOTATIONS`.
        folds: Columns as `schema.FOLDS`.
    """

    image_dir: Path
    images: pd.DataFrame
    annotations: pd.DataFrame
    folds: pd.DataFrame

    @classmethod
    def read(cls, root: Path) -> "GroundTruth":
        """Read the tables under `build/`.

        Raises:
            FileNotFoundError: If the photos or a table are missing; the message says how to get them.
        """
        image_dir = root / "build/raw/images"
        paths = [root / "build/table/images.parquet", root / "build/table/annotations.parquet"]
        missing = [path for path in (image_dir, *paths, root / "build/folds.parquet") if not path.exists()]
        if missing:
            raise FileNotFoundError(f"{missing[0]}: expected what `dvc repro split` makes, found none; run it first")
        images, annotations = read_table(paths[0], IMAGES), read_table(paths[1], ANNOTATIONS)
        return cls(image_dir, images, annotations, read_table(root / "build/folds.parquet", FOLDS))

    def pool(self, predictions: Mapping[int, pd.DataFrame]) -> EvaluationTables:
        """Return the tables of the folds that detections are given of."""
        return pool_folds(self.images, self.annotations, self.folds, predictions, sorted(predictions))


def predict_fold(runtime: Runtime, truth: GroundTruth, fold: int) -> pd.DataFrame:
    """Detect faces in the photos of one fold, down to the lowest score that the model's metadata lets through.

    Args:
        runtime: A loaded model file.
        truth: The photos.
        fold: Whose photos; the model must not have been trained or calibrated on them.

    Returns:
        Table `predictions`.

    Raises:
        ValueError: If the fold has no images.
    """
    names = sorted(truth.folds.loc[truth.folds["fold"] == fold, "file_name"])
    if not names:
        raise ValueError(f"expected a fold with images, got fold {fold}")
    predictor = Predictor.of_runtime(runtime, score_threshold=runtime.metadata.detect.score_threshold)
    rows = [_rows(predictor, truth.image_dir / name, fold) for name in tqdm(names, unit="image", disable=None)]
    table = pd.concat(rows, ignore_index=True).astype({"file_name": "str", "class_name": "str"})
    return validate(table, PREDICTIONS, "predictions")


def _rows(predictor: Predictor, path: Path, fold: int) -> pd.DataFrame:
    found = predictor.detect(read_image(path))
    table = pd.DataFrame(found.boxes_xyxy, columns=BOX_COLUMNS)
    table.insert(0, "score", found.scores)
    table.insert(0, "class_name", np.array(predictor.class_names, dtype=object)[found.class_indices])
    table.insert(0, "fold", fold)
    table.insert(0, "file_name", path.name)
    return table


def fold_metrics(truth: GroundTruth, predictions: Mapping[int, pd.DataFrame]) -> dict[str, float]:
    """Return `METRICS` of the folds that detections are given of, pooled.

    Args:
        truth: The photos.
        predictions: Fold → table `predictions` of a model that has not seen it.
    """
    tables = truth.pool(predictions)
    metrics = coco_metrics(tables.images, tables.annotations, tables.predictions)
    return {name: float(metrics[name]) for name in METRICS}


def loss_lines(metrics_of_file: Mapping[str, Mapping[str, float]], file_names: Sequence[str]) -> list[str]:
    """Return a line a file: its metrics, and how they differ from those of the first.

    Args:
        metrics_of_file: File name → metrics.
        file_names: The files in order, that of full precision first.
    """
    first = metrics_of_file[file_names[0]]
    lines = []
    for name in file_names:
        parts = [
            f"{key} {value:.4f}" + (f" ({value - first[key]:+.4f})" if name != file_names[0] else "")
            for key, value in metrics_of_file[name].items()
        ]
        lines.append(f"{name}: {', '.join(parts)}")
    return lines
