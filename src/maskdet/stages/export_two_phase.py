"""Stage `export_two_phase`: face detector and classifier of crops as one model file that the predictor runs.

Reads the weights `build/classifiers/<classifier>-grouped/<fold>.safetensors` and, for the thresholds and the metrics,
what the two phases found out of fold, `build/two_phase/<face detector>.parquet`. Writes
`build/release/two_phase.onnx`; as `src/maskdet/reference/two_phase.onnx` it is the model of the name `two_phase`.
"""

from collections.abc import Sequence
from importlib.metadata import metadata as package_metadata
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from maskdet.atomic import atomic_file
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.evaluation.thresholds import BEST_F1, choose_thresholds
from maskdet.inference.two_phase import FACE_DETECTORS
from maskdet.inference.two_phase_metadata import TWO_PHASE_KEY, TwoPhaseMetadata
from maskdet.models.classifiers import CropClassifier, load_classifier
from maskdet.models.export.classifier_onnx import export_classifiers, largest_probability_difference
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, read_table
from maskdet.stages.entry import Workspace, stage_main

OUTPUT = "build/release/two_phase.onnx"

MAX_DIFFERENCE = 1e-3
"""A file whose probabilities are farther from torch is not written."""

_NUM_PROBES = 8  # crops of noise


def run(cfg: DictConfig, workspace: Workspace) -> Path:
    """Write the model.

    Args:
        cfg: Reads `fold` (its classifier alone, which has not seen that fold; null: the mean of all classifiers),
            `two_phase`, `crops`, `face_detector`, `split.train_folds`, `evaluate` and `data.name`.
        workspace: Holds the weights, `build/two_phase/`, `build/table/` and `build/folds.parquet`.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If weights or tables are absent.
        ValueError: If the face detector needs torch, or the file is too far from torch; nothing is written.
    """
    folds = list(cfg.split.train_folds) if cfg.fold is None else [cfg.fold]
    weights_dir = workspace.input(f"build/classifiers/{cfg.two_phase.classifier}-grouped")
    classifiers = [load_classifier(weights_dir / f"{fold}.safetensors") for fold in folds]
    metadata = _metadata(cfg, workspace, classifiers, folds)
    path = workspace.output(OUTPUT)
    crops = np.random.default_rng(0).integers(0, 256, (_NUM_PROBES, *[cfg.crops.size] * 2, 3), dtype=np.uint8)
    with atomic_file(path) as temporary:
        export_classifiers(classifiers, temporary, cfg.crops.size, {TWO_PHASE_KEY: metadata.to_json()})
        difference = largest_probability_difference(classifiers, temporary, crops)
        if difference > MAX_DIFFERENCE:
            raise ValueError(f"expected probabilities within {MAX_DIFFERENCE} of torch, got {difference:.2g}")
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, classifiers of the folds {folds}")
    print(f"torch and ONNX differ by at most {difference:.2g} in probability")
    return path


def _metadata(
    cfg: DictConfig, workspace: Workspace, classifiers: Sequence[CropClassifier], folds: Sequence[int]
) -> TwoPhaseMetadata:
    package = package_metadata("maskdet")
    thresholds, metrics = _operating_points(cfg, workspace)
    return TwoPhaseMetadata(
        class_names=classifiers[0].class_names,
        crop_margin=cfg.crops.margin,
        crop_size=cfg.crops.size,
        face_detector=_face_detector(cfg.face_detector),
        min_face_score=cfg.two_phase.min_face_score,
        class_weight=cfg.two_phase.class_weight,
        score_thresholds=thresholds,
        details={
            "licence": package["License-Expression"] or package["License"],
            "code": {"package": package["Name"], "version": package["Version"]},
            "data": {"name": cfg.data.name},
            "operating_points": metrics,
            "classifier": {"name": cfg.two_phase.classifier, "folds": list(folds)},
        },
    )


def _face_detector(settings: DictConfig) -> dict:
    """Return the kind and the options of a face detector that the predictor can run."""
    options = OmegaConf.to_container(settings)
    target = options.pop("_target_")
    kinds = [kind for kind, cls in FACE_DETECTORS.items() if target == f"{cls.__module__}.{cls.__qualname__}"]
    if not kinds:
        raise ValueError(f"face_detector: expected one of {', '.join(FACE_DETECTORS)}, got {target}")
    return {"kind": kinds[0], "options": options}


def _operating_points(cfg: DictConfig, workspace: Workspace) -> tuple[dict[str, float], dict[str, dict]]:
    """Return each class's threshold of the best F1 out of fold, and what it gives; see `likeliest_classes`."""
    tables = _held_out(cfg, workspace)
    matches = match_detections(tables.annotations, likeliest_classes(tables.predictions), cfg.evaluate.iou_threshold)
    chosen = choose_thresholds(matches, tables.annotations, cfg.evaluate.min_precision, cfg.evaluate.min_recall)
    best = chosen[chosen["goal"] == BEST_F1].set_index("class_name")
    known = best[best["score_threshold"].notna()]
    thresholds = dict.fromkeys(CLASS_NAMES, float(cfg.evaluate.score_threshold))
    thresholds |= {
        name: round(float(value), 6) for name, value in known["score_threshold"].items() if name in thresholds
    }
    columns = ["precision", "recall", "f1"]
    return thresholds, known.loc[known.index.isin(CLASS_NAMES), columns].astype(float).round(6).to_dict("index")


def likeliest_classes(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return of each box its best row: what the predictor shows of a face that has a row a class.

    Args:
        predictions: Columns as `schema.PREDICTIONS`.

    Returns:
        The same columns, at most a row a box, in the order of the rows, with a fresh index.
    """
    ranked = predictions.sort_values("score", ascending=False, kind="stable")
    return ranked.drop_duplicates(["file_name", *BOX_COLUMNS]).sort_index().reset_index(drop=True)


def _held_out(cfg: DictConfig, workspace: Workspace) -> EvaluationTables:
    predictions = read_table(workspace.input(f"build/two_phase/{cfg.face_detector.name}.parquet"), PREDICTIONS)
    return pool_folds(
        read_table(workspace.input("build/table/images.parquet"), IMAGES),
        read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS),
        read_table(workspace.input("build/folds.parquet"), FOLDS),
        {fold: predictions[predictions["fold"] == fold] for fold in cfg.split.train_folds},
        list(cfg.split.train_folds),
    )


if __name__ == "__main__":
    stage_main(run)
