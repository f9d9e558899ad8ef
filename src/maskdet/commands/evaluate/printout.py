"""What `maskdet evaluate` prints: two tables that fit into 80 columns, or the counts of a set without labels."""

from collections.abc import Mapping

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.commands.evaluate.measures import IOU_THRESHOLD, Measures
from maskdet.evaluation.curves import operating_point
from maskdet.inference.counts import counted_text, share_masked
from maskdet.schema import CLASS_NAMES
from maskdet.stages.evaluation_printout import HEADLINES, WIDTH, figure_text, interval_text, literal


def print_measures(measures: Measures) -> None:
    """Print the headline figures with their intervals, and what was found of each class."""
    console = Console(highlight=False, width=WIDTH)
    metrics, low, high = (measures.metrics[key] for key in ("test", "test_low", "test_high"))
    console.print("{num_images} images, {num_faces} faces, {num_detections} detections".format(**metrics))
    headline = Table("metric", "this set", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for key in HEADLINES:
        headline.add_row(key, literal(interval_text(metrics[key], low[key], high[key])))
    console.print(headline)
    console.print(_class_table(measures))
    thresholds = ", ".join(f"{name} {value:.3g}" for name, value in measures.thresholds.items())
    console.print(
        f"precision, recall, f1: the model's own score thresholds ({thresholds}), IoU >= {IOU_THRESHOLD:g}; "
        f"[low, high]: 95 % intervals over {measures.num_groups} groups of look-alike images; -: undefined",
        markup=False,
    )


def print_found(counts: Mapping[str, int]) -> None:
    """Print how many faces of each class are shown in a set without labels."""
    print(f"faces    {counted_text(counts)}")
    share = share_masked(counts)
    if share is not None:
        print(f"masked   {share:.0%} of the faces")


def _class_table(measures: Measures) -> Table:
    tables, metrics = measures.tables, measures.metrics
    operating = operating_point(measures.judged.detections, tables.annotations, 0.0).set_index("class_name")
    table = Table("class", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("faces", "ap", "ap_50", "prec.", "rec.", "f1"):
        table.add_column(heading, justify="left" if heading == "ap_50" else "right", no_wrap=True)
    faces = tables.annotations["class_name"].value_counts()
    for name in CLASS_NAMES:
        ends = interval_text(*(metrics[key]["ap_50"][name] for key in ("test", "test_low", "test_high")))
        rates = (operating.loc[name, key] for key in ("precision", "recall", "f1"))
        figures = [figure_text(value) for value in rates]
        table.add_row(name, str(faces.get(name, 0)), figure_text(metrics["test"]["ap"][name]), literal(ends), *figures)
    return table
