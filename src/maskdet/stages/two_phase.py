"""Stage `two_phase`: the faces that a detector found, classified out of fold, as rows of the table `predictions`."""

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from maskdet.models.two_phase import class_rows
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, FACES, FOLDS, PREDICTIONS, read_table, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.held_out_crops import judge_boxes
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> pd.DataFrame:
    """Write `build/two_phase/<face detector>.parquet` and what an image cost, `reports/two_phase/two_phase/….json`.

    Each photo of a fold is judged by the classifier that held this fold out; photos that are kept for the test are left
    out. A photo without a found face has no row.

    Args:
        cfg: Reads `face_detector.name`, `crops` and `two_phase`.
        workspace: Holds `build/faces/<face detector>.parquet`, `build/folds.parquet`, `build/raw/images/` and the
            classifier's weights, see `judge_boxes`.

    Returns:
        Table `predictions`: by file name, best first within a photo.

    Raises:
        FileNotFoundError: If a table, a photo or weights are missing.
        ValueError: If a table breaks its schema, or a found face lies in a photo that has no fold.
    """
    options, name = cfg.two_phase, cfg.face_detector.name
    folds = read_table(workspace.input("build/folds.parquet"), FOLDS)
    fold_of_file = folds[folds["fold"] >= 0].set_index("file_name")["fold"].to_dict()
    faces = _faces_to_judge(workspace, name, folds, options.min_face_score)
    judged = judge_boxes(faces, fold_of_file, cfg, workspace)
    table = class_table(faces, judged.probabilities, fold_of_file, options.class_weight, options.min_score)
    write_table(table, workspace.output(f"build/two_phase/{name}.parquet"), PREDICTIONS)
    cost = {"classifier": options.classifier, **judged.report(len(fold_of_file))}
    write_json(cost, workspace.output(f"reports/two_phase/two_phase/{name}.json"))
    print(
        f"{name} + {options.classifier}: {len(faces)} faces in {len(fold_of_file)} photos, {len(table)} detections; "
        f"{cost['ms_per_image']:.1f} ms an image to classify"
    )
    return table


def _faces_to_judge(workspace: Workspace, name: str, folds: pd.DataFrame, min_face_score: float) -> pd.DataFrame:
    """Return the found faces of the photos that folds hold out; fainter ones would cost time and rank last anyway."""
    path = workspace.input(f"build/faces/{name}.parquet")
    faces = read_table(path, FACES)
    unknown = faces.loc[~faces["file_name"].isin(folds["file_name"]), "file_name"]
    if len(unknown):
        raise ValueError(f"{path}: expected faces in photos of build/folds.parquet, got {unknown.iloc[0]!r}")
    held_out = folds.loc[folds["fold"] >= 0, "file_name"]
    is_kept = faces["file_name"].isin(held_out) & (faces["score"] >= min_face_score)
    return faces[is_kept].reset_index(drop=True)


def class_table(
    boxes: pd.DataFrame,
    probabilities: np.ndarray,
    fold_of_file: dict[str, int],
    class_weight: float,
    min_score: float,
) -> pd.DataFrame:
    """Return a detection a box and class as table `predictions`, by file name, best first within a photo.

    Args:
        boxes: N rows, columns `file_name`, `score` and the box.
        probabilities: (N, C) of each class.
        fold_of_file: The fold that each photo was held out in.
        class_weight: See `blended_scores`.
        min_score: Detections below it are dropped.
    """
    rows, classes, scores = class_rows(boxes["score"].to_numpy(), probabilities, class_weight, min_score)
    table = boxes.iloc[rows][["file_name", *BOX_COLUMNS]].assign(
        fold=boxes["file_name"].map(fold_of_file).iloc[rows],
        class_name=np.array(CLASS_NAMES, dtype=object)[classes],
        score=scores,
    )
    ranked = table.sort_values(["file_name", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return ranked[list(PREDICTIONS.columns)].astype({"class_name": "str"})  # also where there is no row


if __name__ == "__main__":
    stage_main(run)
