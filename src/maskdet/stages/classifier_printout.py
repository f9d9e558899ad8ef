"""What `score_classifiers` prints: a table a set of crops that fits into 100 columns."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from maskdet.evaluation.summary import Summary
from maskdet.reporting.two_phase_files import OTHER_FOLDS
from maskdet.stages.evaluation_printout import figure_text, interval_text, literal

WIDTH = 100


def print_classifiers(summary: Summary) -> None:
    """Print the headlines of every classifier and protocol, and how far each protocol lies above the grouped one.

    Args:
        summary: What `stages.score_classifiers.run` returns.
    """
    console = Console(highlight=False, width=WIDTH)
    for data, scored in summary.items():
        console.print(_figures_table(data, scored["figures"]))
        for classifier, protocols in scored["inflation"].items():
            for protocol, headlines in protocols.items():
                console.print(_inflation_line(classifier, protocol, headlines["accuracy"]), markup=False)
    console.print(
        "[low, high]: 95 % intervals over groups of look-alike photos; -: undefined; other folds: those on which no "
        "recipe was tried",
        markup=False,
    )


def _figures_table(data: str, figures_of: Summary) -> Table:
    table = Table("classifier and protocol", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.title, table.title_justify = f"Crops of {data}, judged by classifiers that did not see them", "left"
    for heading in ("faces", "accuracy", "balanced accuracy", "macro F1", "AUC"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "faces" else "left")
    for classifier, protocols in figures_of.items():
        table.add_row(classifier)
        for protocol, figures in protocols.items():
            ends = {end: figures[end] for end in ("value", "low", "high")}
            plain = (figure_text(figures["value"][metric]) for metric in ("macro_f1", "macro_auc"))
            table.add_row(f"  {protocol}", str(figures["num_faces"]), *_interval_cells(ends), *plain)
            if OTHER_FOLDS in figures:
                others = {end: of_metric[OTHER_FOLDS] for end, of_metric in ends.items()}
                table.add_row("    other folds", str(figures[OTHER_FOLDS]["num_faces"]), *_interval_cells(others))
    return table


def _interval_cells(ends: Summary) -> list[str]:
    """Return accuracy and balanced accuracy from `value, low, high`."""
    return [
        literal(interval_text(*(of_metric[metric] for of_metric in ends.values())))
        for metric in ("accuracy", "balanced_accuracy")
    ]


def _inflation_line(classifier: str, protocol: str, accuracy: Summary) -> str:
    low, high = (f"{100 * accuracy[end]:+.1f}" for end in ("low", "high"))
    return (
        f"{classifier}: accuracy {protocol} - grouped {100 * accuracy['difference']:+.1f} points [{low}, {high}] "
        f"on {accuracy['num_faces']} faces"
    )
