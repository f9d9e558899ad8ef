"""What `evaluate` prints: three tables that fit into 80 columns."""

import math

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.curves import operating_point
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import TERTILES
from maskdet.evaluation.summary import Summary
from maskdet.evaluation.thresholds import BEST_F1
from maskdet.schema import CLASS_NAMES

HEADLINES = ("map", "map_50", "map_75", "map_small", "map_medium", "map_large")
HEADLINES += (*(f"map_{tertile}" for tertile in TERTILES), "ar_100", "precision", "recall", "f1")
WIDTH = 80


def print_evaluation(
    summary: Summary,
    pooled: EvaluationTables,
    matches: pd.DataFrame,
    chosen: pd.DataFrame,
    score_threshold: float,
    iou_threshold: float,
) -> None:
    """Print headlines, AP by class, and operating points and calibration by class.

    Args:
        summary: What `stages.evaluate.run` returns.
        pooled: The tables that were evaluated.
        matches: Their detections, matched at `iou_threshold`.
        chosen: What `choose_thresholds` returns for them.
        score_threshold: Of `precision, recall, f1`.
        iou_threshold: The same.
    """
    console = Console(highlight=False, width=WIDTH)
    console.print(_headline_table(summary))
    console.print(_class_table(summary, pooled))
    operating = operating_point(matches, pooled.annotations, score_threshold).set_index("class_name")
    console.print(_threshold_table(operating, chosen, summary["calibration"], score_threshold))
    console.print(
        f"precision, recall, f1: score >= {score_threshold}, IoU >= {iou_threshold}; [low, high]: 95 % intervals "
        "over groups of look-alike images; D-ECE: raw → cross-fitted scores; -: undefined",
        markup=False,
    )


def figure_text(value: float) -> str:
    """Return a figure with three decimals, a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def interval_text(value: float, low: float, high: float) -> str:
    """Return a figure and, where it is known, its interval.

    >>> interval_text(0.6461, 0.589, 0.7), interval_text(0.5, float("nan"), float("nan"))
    ('0.646 [0.59, 0.70]', '0.500')
    """
    known = not math.isnan(low + high)
    return figure_text(value) + (f" [{low:.2f}, {high:.2f}]" if known else "")


def _headline_table(summary: Summary) -> Table:
    pooled, low, high = (summary[key] for key in ("val", "val_low", "val_high"))
    title = f"{pooled['num_images']} images, {pooled['num_faces']} faces, {pooled['num_detections']} detections"
    table = _table("metric", title=title, title_justify="left")
    table.add_column("pooled")
    table.add_column(f"mean ± SD of {len(summary['fold'])} fold(s)", justify="right")
    extents = _tertile_extents(pooled["size_bound_px"])
    for key in HEADLINES:
        spread = f"{figure_text(summary['fold_mean'][key])} ± {figure_text(summary['fold_sd'][key])}"
        name = key + extents.get(key, "")
        table.add_row(name, literal(interval_text(pooled[key], low[key], high[key])), spread)
    return table


def _tertile_extents(bounds_px: Summary) -> dict[str, str]:
    lower, upper = (f"{bounds_px[key]:.0f}" for key in ("1", "2"))
    extents = (f" (up to {lower} px)", f" ({lower} to {upper} px)", f" (from {upper} px)")
    return {f"map_{tertile}": extent for tertile, extent in zip(TERTILES, extents, strict=True)}


def _class_table(summary: Summary, pooled: EvaluationTables) -> Table:
    table = _table("class")
    table.add_column("faces", justify="right")
    table.add_column("ap", justify="right")
    table.add_column("ap_50")
    table.add_column("ap_50 by fold", justify="right", no_wrap=True)
    metrics, low, high = (summary[key] for key in ("val", "val_low", "val_high"))
    faces = pooled.annotations["class_name"].value_counts()
    for name in CLASS_NAMES:
        interval = interval_text(*(tree["ap_50"][name] for tree in (metrics, low, high)))
        spread = " ± ".join(figure_text(summary[key]["ap_50"][name]) for key in ("fold_mean", "fold_sd"))
        counted = str(faces.get(name, 0))
        table.add_row(name, counted, figure_text(metrics["ap"][name]), literal(interval), spread)
    return table


def _threshold_table(
    operating: pd.DataFrame, chosen: pd.DataFrame, calibration: Summary, score_threshold: float
) -> Table:
    """Return precision, recall and F1 at the display threshold, beside the best F1 and D-ECE."""
    table = _table("class", title=f"At score {score_threshold:g}; the best F1 and where it lies", title_justify="left")
    for column in ("prec.", "rec.", "f1", "best", "score", "D-ECE"):
        table.add_column(column, justify="right", no_wrap=True)
    best = chosen[chosen["goal"] == BEST_F1].set_index("class_name")
    for name, row in operating.iterrows():
        ratios = (row["precision"], row["recall"], row["f1"], *best.loc[name, ["f1", "score_threshold"]])
        errors = (calibration[kind]["d_ece"][name] for kind in ("raw", "cross_fitted"))
        table.add_row(name, *map(figure_text, ratios), " → ".join(map(figure_text, errors)))
    return table


def _table(first_column: str, **options: object) -> Table:
    return Table(first_column, box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, **options)


def literal(text: str) -> str:
    """Keep rich from reading an interval's bracket as markup."""
    return text.replace("[", r"\[")
