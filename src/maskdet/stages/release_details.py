"""Stage `details` of a release: what the model that ships will say of itself, gathered from the folds' evaluation.

The model is trained on every image, so nothing is left to measure it on: its thresholds, calibration and figures are
those of the folds' models, which were trained alike on fewer images.
"""

import json

from omegaconf import DictConfig

from maskdet.data.provenance import data_facts
from maskdet.evaluation.summary import flatten_metrics
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, IMAGES, read_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json

METRICS = ("map", "map_50", "map_75", *(f"{key}/{name}" for key in ("ap", "ap_50") for name in CLASS_NAMES))


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/release/details.json`: thresholds and what they give, metrics with intervals, calibrator, data.

    Args:
        cfg: Reads `evaluate.score_threshold`, `split.train_folds`, `split.num_folds`.
        workspace: Holds `reports/{metrics,thresholds,calibrator}.json` and `build/table/`.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If not every fold was evaluated: a part of them is no ground for a release.
    """
    if len(cfg.split.train_folds) < cfg.split.num_folds:
        raise ValueError(
            f"split.train_folds: expected all {cfg.split.num_folds} folds before a release, "
            f"got {list(cfg.split.train_folds)}"
        )
    metrics, thresholds, calibrator = (
        json.loads(workspace.input(f"reports/{name}.json").read_text(encoding="utf-8"))
        for name in ("metrics", "thresholds", "calibrator")
    )
    images = read_table(workspace.input("build/table/images.parquet"), IMAGES)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    details = {
        "score_thresholds": {name: _threshold(thresholds[name], cfg) for name in CLASS_NAMES},
        "operating_points": {name: _operating_point(thresholds[name]) for name in CLASS_NAMES},
        "metrics": _metrics(metrics),
        "metrics_are_of": f"{metrics['val']['num_images']} images, each judged by a model that had not seen its group",
        "calibrator": calibrator,
        "data": data_facts(images, annotations),
    }
    write_json(details, workspace.output("build/release/details.json"))
    return details


def _threshold(choices: dict, cfg: DictConfig) -> float:
    """Return the threshold of best F1; of a class without one, the display threshold."""
    best = choices["best_f1"]["score_threshold"]
    return cfg.evaluate.score_threshold if best is None else best


def _operating_point(choices: dict) -> dict[str, float]:
    """Return precision, recall and F1 out of fold at the threshold of best F1; nothing of a class without one."""
    best = choices["best_f1"]
    return {} if best["score_threshold"] is None else {key: best[key] for key in ("precision", "recall", "f1")}


def _metrics(metrics: dict) -> dict:
    value, low, high = (flatten_metrics(metrics[key]) for key in ("val", "val_low", "val_high"))
    return {key: {"value": value[key], "interval_95": [low.get(key), high.get(key)]} for key in METRICS}


if __name__ == "__main__":
    stage_main(run)
