"""Stage `analyse`: why the detector is not better, which faces it misses, which anchors and labels to look at again."""

import pandas as pd
from omegaconf import DictConfig

from maskdet.atomic import atomic_file
from maskdet.evaluation.anchor_fit import AnchorSettings
from maskdet.evaluation.errors import classify_errors, error_costs, most_confident_errors
from maskdet.evaluation.label_errors import likely_label_errors, write_label_errors
from maskdet.evaluation.subgroups import face_outcomes, recall_by_subgroup
from maskdet.stages.analysis_printout import print_analysis
from maskdet.stages.anchor_advice import NetworkInput, anchor_sizes, anchors_yaml, fit_anchors
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.face_quality import read_quality
from maskdet.stages.held_out_tables import HeldOutTables, read_held_out
from maskdet.stages.rounded_files import write_rounded_csv


def run(cfg: DictConfig, workspace: Workspace) -> dict[str, pd.DataFrame]:
    """Write `reports/analysis/*.csv` and `reports/analysis/anchors.yaml`, lines to copy into an experiment.

    Recall and errors are those of the folds in `cfg.split.train_folds`; anchors are fitted to the faces of every fold,
    which they are trained on, but not to those of test images. A row of `label_errors.csv` is for a person to decide:
    its first column is empty. The next run writes the file anew, so fill a copy.

    Args:
        cfg: Reads `split.train_folds`, `analyse`, `evaluate.score_threshold` (of the recall of subgroups),
            `evaluate.iou_threshold`, `predict.framing` and `model.anchors`.
        workspace: Holds `build/table/`, `build/folds.parquet`, `build/quality.parquet` and
            `build/predictions/<fold>.parquet`.

    Returns:
        File name without suffix → table: `errors` (see `error_costs`), `subgroups` (see `recall_by_subgroup`),
        `confident_errors` (see `most_confident_errors`), `label_errors` (see `likely_label_errors`), `anchor_fit` (see
        `best_anchors`, plus `is_in_use`) and `anchor_sizes` (the coverage of anchors in use and of the best ones by the
        faces' size in input pixels). `annotation` and `cause` are row numbers of `build/table/annotations.parquet`.

    Raises:
        FileNotFoundError: If a table is missing, that of a fold included.
        ValueError: If a table breaks its schema or holds predictions for images of another fold, if the table of
            quality is that of other faces, if there is no face, or a setting lies outside its range.
    """
    network_input = _network_input(cfg)
    tables = read_held_out(cfg, workspace)
    quality = read_quality(workspace.input("build/quality.parquet"), tables.annotations)
    results = _judge_detections(cfg, tables, quality)
    faces = tables.annotations[tables.annotations["file_name"].isin(_files_to_train_on(tables))]
    fitted = fit_anchors(faces, tables.images, network_input)
    results |= {"anchor_fit": fitted, "anchor_sizes": anchor_sizes(faces, tables.images, network_input, fitted)}
    folder = workspace.output("reports/analysis")
    for name, table in results.items():
        write = write_label_errors if name == "label_errors" else write_rounded_csv
        write(table, folder / f"{name}.csv")
    with atomic_file(folder / "anchors.yaml") as temporary:
        temporary.write_text(anchors_yaml(fitted, network_input), encoding="utf-8")
    print_analysis(results, cfg.evaluate.score_threshold, cfg.evaluate.iou_threshold)
    return results


def _network_input(cfg: DictConfig) -> NetworkInput:
    anchors = cfg.model.anchors
    settings = AnchorSettings(anchors.scale, anchors.num_scales, tuple(map(float, anchors.aspect_ratios)))
    framing = str(cfg.predict.framing._target_).rpartition(".")[2].lower()
    return NetworkInput(framing, cfg.predict.framing.size, settings, anchors.match_iou_threshold)


def _files_to_train_on(tables: HeldOutTables) -> pd.Series:
    return tables.folds.loc[tables.folds["split_role"] == "fold", "file_name"]


def _judge_detections(cfg: DictConfig, tables: HeldOutTables, quality: pd.DataFrame) -> dict[str, pd.DataFrame]:
    settings, score_threshold, iou_threshold = cfg.analyse, cfg.evaluate.score_threshold, cfg.evaluate.iou_threshold
    pooled = tables.pool()
    # The row numbers of the whole table: those of the pooled one would mean nothing to a reader of the files.
    annotations = tables.annotations[tables.annotations["file_name"].isin(pooled.images["file_name"])]
    sources = (pooled.images, annotations, pooled.predictions)
    errors = classify_errors(*sources, iou_threshold, settings.background_iou)
    outcomes = face_outcomes(*sources, score_threshold, iou_threshold, quality.loc[annotations.index])
    return {
        "errors": error_costs(errors),
        "subgroups": recall_by_subgroup(outcomes),
        "confident_errors": most_confident_errors(errors, settings.num_confident_errors),
        "label_errors": likely_label_errors(*sources, settings.min_suspicion, iou_threshold, settings.background_iou),
    }


if __name__ == "__main__":
    stage_main(run)
