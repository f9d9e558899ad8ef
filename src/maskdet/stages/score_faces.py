"""Stage `score_faces`: how well each detector finds faces, by size and mask state, and which of them is better."""

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.face_comparison import MeasuredFinder, measure_finder, metric_rows, paired_rows
from maskdet.evaluation.face_finding import ALL, FACE, FaceFindingMetrics, FaceTables, box_habit, metric_name
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.paired import DIFFERENCE_COLUMNS
from maskdet.evaluation.sizes import area_ranges, size_tertiles
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.evaluation.thresholds import BEST_F1, choose_thresholds
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FACES, FOLDS, IMAGES, read_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.evaluation_printout import interval_text
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json

_RATES = ("ap", "precision", "recall", "f1")
_FITS = ("box_scale_wh", "box_shift_xy")
_COSTS = ("ms_per_image", "cpu_ms_per_image", "device", "threads", "num_images_without_face", "num_faces")


@dataclass(frozen=True)
class _Detector:
    """One detector's faces and what was made of them."""

    tables: FaceTables
    score_threshold: float
    description: Summary
    measured: MeasuredFinder


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Write `reports/two_phase/face_detectors.json` and tables beside it; every image of the set counts.

    - `face_detectors.csv`: `detector, metric, subgroup, num_true_faces, value, low, high`;
    - `face_detector_pairs.csv`: `detector_a, detector_b, metric, subgroup`, then `paired.DIFFERENCE_COLUMNS`;
    - `plots/face_precision_recall.csv`: `detector, recall, precision, score` at the first IoU threshold.

    Args:
        cfg: Reads `two_phase.face_detectors`, `score_faces`, of `hypotheses` what their tests by groups read, and of
            `face_detectors.<name>` the operating point `score_threshold` and the correction of boxes `box_scale_wh,
            box_shift_xy`, which the faces already have.
        workspace: Holds `build/table/`, `build/folds.parquet`, `build/faces/<name>.parquet` and
            `reports/two_phase/find_faces/<name>.json`.

    Returns:
        What the JSON file holds: `num_images, num_true_faces` (of each subgroup), `size_bounds_px`, and by name under
        `detectors` the settings named above, what `find_faces` counted and measured, each metric of
        `FaceFindingMetrics` with its interval, `best_f1` (the operating point of the best F1 on these images, at the
        first IoU threshold), and `box_habit`, `box_habit_without_fold` (the same with one fold's images left out):
        what correction the faces still need, or, of a detector without any, which one to set.

    Raises:
        FileNotFoundError: If a table or a report is missing.
        ValueError: If a table breaks its schema, or no detector or one that is not in `face_detectors` is named.
    """
    folds = read_table(workspace.input("build/folds.parquet"), FOLDS)
    names = list(cfg.two_phase.face_detectors)
    if not names:
        raise ValueError("two_phase.face_detectors: expected one or more names, got none")
    detectors = {name: _judged(name, cfg, folds, workspace) for name in names}
    tables = detectors[names[0]].tables
    num_true_faces = _subgroup_sizes(tables)
    iou_threshold, resampling = cfg.score_faces.iou_thresholds[0], _resampling(cfg)
    summary = {
        "num_images": len(tables.images),
        "num_true_faces": num_true_faces,
        "size_bounds_px": list(tables.size_bounds_px),
        "detectors": {name: _record(each, folds, cfg.score_faces, resampling) for name, each in detectors.items()},
    }
    folder = workspace.output("reports/two_phase")
    rows = {name: _metric_table(each.measured, resampling) for name, each in detectors.items()}
    write_rounded_json(summary, folder / "face_detectors.json")
    write_rounded_csv(_one_table(rows, num_true_faces), folder / "face_detectors.csv")
    pairs = _pairs(detectors, list(cfg.score_faces.iou_thresholds), resampling)
    write_rounded_csv(pairs, folder / "face_detector_pairs.csv")
    write_rounded_csv(_curves(detectors, iou_threshold), folder / "plots/face_precision_recall.csv")
    _print(rows, summary, iou_threshold)
    return summary


def _resampling(cfg: DictConfig) -> Resampling:
    """Return the flips of groups and the level of the hypotheses, so that both say the same of the same recalls."""
    tests = cfg.hypotheses
    return Resampling(cfg.score_faces.bootstrap.num_replicates, tests.num_permutations, tests.seed, tests.alpha)


def _judged(name: str, cfg: DictConfig, folds: pd.DataFrame, workspace: Workspace) -> _Detector:
    if name not in cfg.face_detectors:
        raise ValueError(f"two_phase.face_detectors: expected names among {sorted(cfg.face_detectors)}, got {name!r}")
    settings = cfg.score_faces
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    tables = FaceTables(
        read_table(workspace.input("build/table/images.parquet"), IMAGES),
        annotations,
        read_table(workspace.input(f"build/faces/{name}.parquet"), FACES),
        size_tertiles(annotations),
    )
    score_threshold = cfg.face_detectors[name].score_threshold
    groups = folds.set_index("file_name")["group"].to_dict()
    metrics = FaceFindingMetrics(tables, groups, score_threshold, list(settings.iou_thresholds))
    measured = measure_finder(metrics, settings.bootstrap.num_replicates, settings.bootstrap.seed)
    fit = {key: list(cfg.face_detectors[name][key]) for key in _FITS}
    cost = _cost(workspace.input(f"reports/two_phase/find_faces/{name}.json"))
    return _Detector(tables, score_threshold, fit | cost, measured)


def _cost(path: Path) -> Summary:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected what the stage `find_faces` writes, found no file; run it first")
    report = json.loads(path.read_text(encoding="utf-8"))
    return {key: report[key] for key in _COSTS if key in report}


def _subgroup_sizes(tables: FaceTables) -> dict[str, int]:
    """Return the number of true faces of each subgroup."""
    counts = {name: int((tables.annotations["class_name"] == name).sum()) for name in CLASS_NAMES}
    boxes = tables.annotations
    areas = (boxes["x_max"].astype(float) - boxes["x_min"]) * (boxes["y_max"].astype(float) - boxes["y_min"])
    ranges = area_ranges(tables.size_bounds_px)
    return {name: int(areas.between(*limits).sum()) for name, limits in ranges.items()} | counts


def _record(detector: _Detector, folds: pd.DataFrame, settings: DictConfig, resampling: Resampling) -> Summary:
    tables, iou_threshold = detector.tables, settings.habit_iou_threshold
    shown = tables.faces[tables.faces["score"] >= detector.score_threshold]
    habits = {}
    for fold in sorted(set(folds["fold"])):
        others = folds.loc[folds["fold"] != fold, "file_name"]
        parts = (table[table["file_name"].isin(others)] for table in (tables.annotations, shown))
        habits[str(fold)] = box_habit(*parts, iou_threshold)
    rows = metric_rows(detector.measured, resampling).set_index("metric")
    return {
        "score_threshold": detector.score_threshold,
        **detector.description,
        **nest_metrics({name: row.to_dict() for name, row in rows.iterrows()}),
        "best_f1": _best_f1(tables, settings.iou_thresholds[0]),
        "box_habit": box_habit(tables.annotations, shown, iou_threshold),
        "box_habit_without_fold": habits,
    }


def _matched(tables: FaceTables, iou_threshold: float, class_name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the found faces with their hits, and the true ones, all of one class."""
    annotations = tables.annotations.assign(class_name=class_name)
    return match_detections(annotations, tables.faces.assign(class_name=class_name), iou_threshold), annotations


def _best_f1(tables: FaceTables, iou_threshold: float) -> Summary:
    chosen = choose_thresholds(*_matched(tables, iou_threshold, FACE), 1.0, 1.0, (FACE,))
    best = chosen[(chosen["goal"] == BEST_F1) & (chosen["class_name"] == FACE)].iloc[0]
    return {key: float(best[key]) for key in ("score_threshold", "precision", "recall", "f1")}


def _metric_table(measured: MeasuredFinder, resampling: Resampling) -> pd.DataFrame:
    rows = metric_rows(measured, resampling)
    parts = rows["metric"].str.partition("/")
    return rows.assign(metric=parts[0], subgroup=parts[2])


def _one_table(rows: dict[str, pd.DataFrame], num_true_faces: dict[str, int]) -> pd.DataFrame:
    table = pd.concat([part.assign(detector=name) for name, part in rows.items()], ignore_index=True)
    table["num_true_faces"] = table["subgroup"].map(num_true_faces)
    return table[["detector", "metric", "subgroup", "num_true_faces", "value", "low", "high"]]


def _pairs(detectors: dict[str, _Detector], iou_thresholds: list[float], resampling: Resampling) -> pd.DataFrame:
    """Return every two detectors compared: AP and F1 of all faces, recall of every subgroup."""
    parts = []
    for (name_a, a), (name_b, b) in combinations(detectors.items(), 2):
        wanted = {metric_name(rate, iou) for rate in ("ap", "f1") for iou in iou_thresholds}
        names = [name for name in a.measured.resampled.values if name in wanted or name.startswith("recall")]
        rows = paired_rows(a.measured, b.measured, names, resampling)
        parts_of_name = rows["metric"].str.partition("/")
        rows = rows.assign(metric=parts_of_name[0], subgroup=parts_of_name[2], detector_a=name_a, detector_b=name_b)
        parts.append(rows)
    columns = ["detector_a", "detector_b", "metric", "subgroup", *DIFFERENCE_COLUMNS[1:]]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def _curves(detectors: dict[str, _Detector], iou_threshold: float) -> pd.DataFrame:
    parts = [pr_curves(*_matched(each.tables, iou_threshold, name), (name,)) for name, each in detectors.items()]
    return pd.concat(parts, ignore_index=True).rename(columns={"class_name": "detector"})


def _print(rows: dict[str, pd.DataFrame], summary: Summary, iou_threshold: float) -> None:
    table = Table("", *(f"{rate} [95 %]" for rate in _RATES), "CPU ms", box=SIMPLE, pad_edge=False)
    for name, part in rows.items():
        of_metric = part[part["subgroup"] == ALL].set_index("metric")
        figures = (of_metric.loc[metric_name(rate, iou_threshold).split("/")[0]] for rate in _RATES)
        cells = [interval_text(row["value"], row["low"], row["high"]) for row in figures]
        table.add_row(name, *cells, f"{summary['detectors'][name]['cpu_ms_per_image']:.0f}")
    Console(highlight=False, width=100).print(table)


if __name__ == "__main__":
    stage_main(run)
