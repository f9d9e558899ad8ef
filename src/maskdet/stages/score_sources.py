"""Stage `score_sources`: how good the detectors are on each source of a composite, for each way that it was split."""

from collections.abc import Mapping

import pandas as pd
from omegaconf import DictConfig
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.by_source import ALL_SOURCES, RATES, best_common_threshold, metrics_by_source
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.evaluation.summary import Summary, nest_metrics
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, read_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.evaluation_printout import WIDTH, figure_text, interval_text, literal
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json

PUBLISHED = {"num_images": 9982, "map_50": 0.94, "map": 0.53, "precision": 0.93, "recall": 0.89}
"""What the author of the published composite states of YOLOv5s at 640 px, https://github.com/hlydecker/
are-you-wearing-a-mask: on a validation part of those images, dealt by file with their turned copies."""

IOU_THRESHOLD = 0.5


def run(cfg: DictConfig, workspace: Workspace) -> Summary:
    """Write `reports/sources.json` and `reports/sources.csv`, and print a table.

    Args:
        cfg: Reads `score_sources.splits` (name → held-out folds to pool), or, where that is null, the one split with
            `split.train_folds`; and `evaluate.bootstrap`.
        workspace: Holds `build/table/`, and `folds.parquet` and `predictions/<fold>.parquet` in `build/<name>/` for
            each split, in `build/` for the one split.

    Returns:
        What the JSON file holds: `published`, and under `splits` by name (of the one split its strategy) `train_folds`,
        `score_threshold` (the common one of the best mean F1, of the pooled detections) and under `sources` what
        `metrics_by_source` returns, `num_images` and `num_faces` beside the metrics' `value, low, high`. The CSV file
        has the same as rows.

    Raises:
        FileNotFoundError: If a table is missing, that of a fold included.
        ValueError: If a table breaks its schema, or holds predictions for images of another fold.
    """
    splits = cfg.score_sources.splits
    wanted = {cfg.split.strategy: ("build", cfg.split.train_folds)}
    if splits is not None:
        wanted = {name: (f"build/{name}", train_folds) for name, train_folds in splits.items()}
    records, rows = {}, []
    for name, (place, train_folds) in wanted.items():
        record, table = _score(workspace, place, [int(fold) for fold in train_folds], cfg.evaluate.bootstrap)
        records[name] = record
        rows.append(table.assign(split=name)[["split", *table.columns]])
    summary = {"published": PUBLISHED, "splits": records}
    write_rounded_json(summary, workspace.output("reports/sources.json"))
    write_rounded_csv(pd.concat(rows), workspace.output("reports/sources.csv"))
    _print(summary)
    return summary


def _score(
    workspace: Workspace, place: str, train_folds: list[int], bootstrap: DictConfig
) -> tuple[Summary, pd.DataFrame]:
    """Return what is to say of one split, as a record and as rows."""
    folds = read_table(workspace.input(f"{place}/folds.parquet"), FOLDS)
    tables = _pooled(workspace, place, folds, train_folds)
    matches = match_detections(tables.annotations, tables.predictions, IOU_THRESHOLD)
    threshold = best_common_threshold(matches, tables.annotations)
    groups = folds.set_index("file_name")["group"].to_dict()
    rows = metrics_by_source(tables, groups, threshold, bootstrap.num_replicates, bootstrap.seed, IOU_THRESHOLD)
    by_source = {source: _record(part) for source, part in rows.groupby("source", sort=False)}
    return {"train_folds": train_folds, "score_threshold": threshold, "sources": by_source}, rows


def _pooled(workspace: Workspace, place: str, folds: pd.DataFrame, train_folds: list[int]) -> EvaluationTables:
    return pool_folds(
        read_table(workspace.input("build/table/images.parquet"), IMAGES),
        read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS),
        folds,
        {k: read_table(workspace.input(f"{place}/predictions/{k}.parquet"), PREDICTIONS) for k in train_folds},
        train_folds,
    )


def _record(rows: pd.DataFrame) -> Summary:
    """Return the counts of a source and, by metric, `value, low, high`; of each class also its `num_faces`."""
    metrics = {}
    for row in rows.to_dict("records"):
        kept = ("value", "low", "high", *(["num_faces"] if "/" in row["metric"] else []))
        metrics[row["metric"]] = {key: row[key] for key in kept}
    counts = {"num_images": int(rows["num_images"].iloc[0]), "num_faces": int(rows["num_faces"].iloc[0])}
    return counts | nest_metrics(metrics)


def _print(summary: Summary) -> None:
    console = Console(highlight=False, width=WIDTH)
    for name, split in summary["splits"].items():
        console.print(_split_table(name, split))
    published = summary["published"]
    console.print(
        f"precision, recall: means of the classes at one score threshold, that of the best mean F1; [low, high]: 95 % "
        "intervals over groups of look-alike images; -: undefined. Published for another detector on its own "
        f"{published['num_images']:,} images, turned copies on both sides of the split: mAP50 "
        f"{published['map_50']:.2f}, mAP {published['map']:.2f}, precision {published['precision']:.2f}, recall "
        f"{published['recall']:.2f}",
        markup=False,
    )


def _split_table(name: str, split: Summary) -> Table:
    folds = ", ".join(map(str, split["train_folds"]))
    title = f"{name}, folds held out: {folds}; score >= {figure_text(split['score_threshold'])}"
    table = Table("source", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, title=title, title_justify="left")
    classes = [name for name in CLASS_NAMES if split["sources"][ALL_SOURCES]["ap_50"][name]["num_faces"]]
    of_class = [f"AP50_{name}".replace("_", "\n") for name in classes]  # narrow, so that a row fits into 80 columns
    for column in ("images", "mAP50", "mAP", *of_class, "prec.", "rec."):
        table.add_column(column, justify="right", no_wrap=column == "mAP50")
    for source, record in split["sources"].items():
        values = [record["map"], *(record["ap_50"][name] for name in classes), *(record[rate] for rate in RATES[:2])]
        figures = [figure_text(value["value"]) for value in values]
        table.add_row(source, str(record["num_images"]), _interval(record["map_50"]), *figures)
    return table


def _interval(figure: Mapping[str, float]) -> str:
    return literal(interval_text(figure["value"], figure["low"], figure["high"]))


if __name__ == "__main__":
    stage_main(run)
