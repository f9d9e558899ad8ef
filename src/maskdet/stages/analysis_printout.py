"""What `analyse` prints: errors and their costs, the groups of faces that are missed most, anchors, labels."""

from collections.abc import Mapping

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.stages.anchor_advice import anchors_in_use, best_at_no_more_cost
from maskdet.stages.evaluation_printout import WIDTH, figure_text, literal

MIN_FACES = 20
"""Groups with fewer faces are written but not printed: their recall is chance."""

_NUM_SUBGROUPS = 8


def print_analysis(results: Mapping[str, pd.DataFrame], score_threshold: float, iou_threshold: float) -> None:
    """Print tables that fit into 80 columns.

    Args:
        results: What `stages.analyse.run` returns.
        score_threshold: Of the recall.
        iou_threshold: Of recall and errors.
    """
    console = Console(highlight=False, width=WIDTH)
    console.print(_error_table(results["errors"], iou_threshold))
    console.print(_subgroup_table(results["subgroups"], score_threshold))
    fitted = results["anchor_fit"]
    console.print(
        f"anchors: {anchors_in_use(fitted)['covered']:.1%} of the faces covered by those in use, "
        f"{best_at_no_more_cost(fitted)['covered']:.1%} by the best with no more a cell (reports/analysis/anchors.yaml)"
    )
    kinds = results["label_errors"]["kind"].value_counts()
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.sort_index().items())
    console.print(f"likely label errors: {counts or 'none'}")


def _error_table(errors: pd.DataFrame, iou_threshold: float) -> Table:
    title = f"Errors at IoU {iou_threshold:g} and their cost"
    table = Table("error", title=title, title_justify="left", box=SIMPLE)
    table.add_column("count", justify="right")
    table.add_column("mAP gain", justify="right")
    for row in errors[errors["class_name"] == ALL_CLASSES].itertuples():
        table.add_row(row.error, str(row.count), figure_text(row.ap_gain))
    return table


def _subgroup_table(subgroups: pd.DataFrame, score_threshold: float) -> Table:
    shown = subgroups[subgroups["num_faces"] >= MIN_FACES].nsmallest(_NUM_SUBGROUPS, "recall", keep="first")
    title = f"Least recall at score {score_threshold:g}, groups of {MIN_FACES} faces or more"
    table = Table("faces by", "group", title=title, title_justify="left", box=SIMPLE)
    table.add_column("faces", justify="right")
    table.add_column("missed", justify="right")
    table.add_column("recall")
    for row in shown.itertuples():
        recall = f"{row.recall:.3f} [{row.low:.2f}, {row.high:.2f}]"
        table.add_row(row.property, row.subgroup, str(row.num_faces), str(row.num_missed), literal(recall))
    return table
