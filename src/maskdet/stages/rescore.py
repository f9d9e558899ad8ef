"""Stage `rescore`: the detector's boxes with scores that the classifier of crops has a say in, out of fold."""

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from maskdet.evaluation.matching import above_threshold
from maskdet.models.two_phase import blended_scores
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.held_out_crops import judge_boxes
from maskdet.stages.held_out_tables import read_held_out
from maskdet.stages.json_report import write_json

_BOX_KEYS = ["file_name", *BOX_COLUMNS]


def run(cfg: DictConfig, workspace: Workspace) -> pd.DataFrame:
    """Write `build/two_phase/rescored.parquet` and what an image cost, `reports/two_phase/rescore.json`.

    Args:
        cfg: Reads `split.train_folds`, `crops` and `two_phase`.
        workspace: Holds the tables of `read_held_out`, `build/raw/images/` and the classifier's weights, see
            `judge_boxes`.

    Returns:
        Table `predictions` of the folds in `split.train_folds`: the detector's rows with a score of
        `two_phase.rescore.min_score` or more, in their order, with new scores.

    Raises:
        FileNotFoundError: If a table, a photo or weights are missing.
        ValueError: If a table breaks its schema, a fold's predictions are of other photos, or a setting lies outside
            its range.
    """
    tables, options = read_held_out(cfg, workspace), cfg.two_phase
    pooled = tables.pool()
    found = above_threshold(pooled.predictions, options.rescore.min_score).reset_index(drop=True)
    boxes = found[_BOX_KEYS].drop_duplicates(ignore_index=True)
    fold_of_file = tables.folds.set_index("file_name")["fold"].to_dict()
    judged = judge_boxes(boxes, fold_of_file, cfg, workspace)
    table = rescored(found, boxes, judged.probabilities, options.rescore.class_weight)
    write_table(table, workspace.output("build/two_phase/rescored.parquet"), PREDICTIONS)
    cost = {"classifier": options.classifier, **judged.report(len(pooled.images))}
    write_json(cost, workspace.output("reports/two_phase/rescore.json"))
    print(
        f"rescored by {options.classifier}: {len(table)} detections of {len(boxes)} boxes in {len(pooled.images)} "
        f"photos; {cost['ms_per_image']:.1f} ms an image to classify"
    )
    return table


def rescored(
    predictions: pd.DataFrame, boxes: pd.DataFrame, probabilities: np.ndarray, class_weight: float
) -> pd.DataFrame:
    """Return the detections with the geometric mean of their scores and the probabilities of their classes.

    Args:
        predictions: Columns as `schema.PREDICTIONS`.
        boxes: N rows, columns `file_name` and the box, each box of the predictions once; a box that is detected as two
            classes is classified once.
        probabilities: (N, C) of the boxes.
        class_weight: See `blended_scores`.
    """
    places = pd.MultiIndex.from_frame(boxes[_BOX_KEYS]).get_indexer(pd.MultiIndex.from_frame(predictions[_BOX_KEYS]))
    classes = pd.Index(CLASS_NAMES).get_indexer(predictions["class_name"])  # (M,)
    scores = predictions["score"].to_numpy(np.float64)  # (M,)
    return predictions.assign(score=blended_scores(scores, probabilities[places, classes], class_weight))


if __name__ == "__main__":
    stage_main(run)
