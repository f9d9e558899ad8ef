"""The page's part on the classifiers of crops: each set of crops with its tables, figures, and a block a classifier."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from maskdet.reporting.classifier_tables import (
    METRIC_NAMES,
    figures_table,
    inflation_table,
    overlays_table,
    pairs_table,
    protocol_name,
    report_table,
)
from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.html import FigureBlock
from maskdet.reporting.number_texts import number
from maskdet.reporting.palette import class_style
from maskdet.reporting.summary_tables import TextTable
from maskdet.reporting.two_phase_figures import (
    EstimateAxis,
    estimate_rows,
    plot_estimates,
    plot_precision_recall,
    plot_roc,
    plot_training,
)
from maskdet.reporting.two_phase_files import FOLDERS, OTHER_FOLDS, PHOTOS, Study
from maskdet.schema import CLASS_NAMES, GROUPED

_TITLES = {
    PHOTOS: "Faces of the photos",
    FOLDERS: "Crops sorted into a folder a class",
}
_DRAWN = ("accuracy", "balanced_accuracy")


@dataclass(frozen=True)
class Confusion:
    """Which class is called which.

    Attributes:
        names: Short names of the classes, the columns.
        rows: (short name of the true class, (share in percent, count) for each column).
    """

    names: list[str]
    rows: list[tuple[str, list[tuple[float, int]]]]


@dataclass(frozen=True)
class ClassifierBlock:
    """One classifier under the grouped protocol.

    Attributes:
        title: Its name.
        text: Its headlines.
        is_open: Whether the block is unfolded at first.
        report: A row a class.
        confusion: Shares and counts.
        figures: ROC, precision and recall, training.
    """

    title: str
    text: str
    is_open: bool
    report: TextTable
    confusion: Confusion
    figures: list[FigureBlock]


@dataclass(frozen=True)
class ClassifierPart:
    """One set of crops.

    Attributes:
        title: Its heading.
        text: What was judged.
        table: Headlines, a row a classifier.
        figures: Headlines by split.
        inflation: What leaky splits add; may have no row.
        inflation_text: How to read it.
        overlays: What drawn masks change; may have no row.
        overlays_text: How to read it.
        pairs: One classifier against another; may have no row.
        pairs_text: How to read it.
        blocks: A classifier each, the best first.
    """

    title: str
    text: str
    table: TextTable
    figures: list[FigureBlock]
    inflation: TextTable
    inflation_text: str
    overlays: TextTable
    overlays_text: str
    pairs: TextTable
    pairs_text: str
    blocks: list[ClassifierBlock]


def classifier_parts(study: Study) -> list[ClassifierPart]:
    """Return a part a set of crops, in the order of the files.

    Args:
        study: What was found.
    """
    return [_part(data, study) for data in dict.fromkeys(study.tables["classifiers"]["data"])]


def best_classifier(classifiers: pd.DataFrame, data: str = PHOTOS) -> Mapping[str, Mapping[str, float]]:
    """Return `name`, and for accuracy and balanced accuracy `value, low, high`, of the best grouped classifier.

    The best is the one of the highest balanced accuracy: always naming the commonest class already gives a fair
    accuracy.

    Args:
        classifiers: `classifiers.csv`.
        data: The set of crops.
    """
    rows = classifiers[(classifiers["data"] == data) & (classifiers["protocol"] == GROUPED)]
    balanced = rows[rows["metric"] == "balanced_accuracy"].set_index("classifier")["value"]
    name = str(balanced.idxmax())
    of_best = rows[rows["classifier"] == name].set_index("metric")
    return {"name": name, **{metric: of_best.loc[metric, ["value", "low", "high"]].to_dict() for metric in _DRAWN}}


def _part(data: str, study: Study) -> ClassifierPart:
    tables = {name: table[table["data"] == data] for name, table in study.tables.items() if "data" in table}
    rows, record = tables["classifiers"], study.records["classifiers"][data]
    best = best_classifier(rows, data)["name"]
    order = sorted(dict.fromkeys(rows["classifier"]), key=lambda name: name != best)
    return ClassifierPart(
        title=_TITLES.get(data, data),
        text=_text(rows, record["figures"][best][GROUPED], best),
        table=figures_table(rows),
        figures=_figures(data, rows),
        inflation=inflation_table(tables["inflation"]),
        inflation_text=_inflation_text(tables["inflation"], best),
        overlays=overlays_table(tables["classifier_pairs"]),
        overlays_text="The same classifier with masks drawn on bare faces of its training parts; the faces that it is "
        "judged by are photos as they are. AP: groups of look-alikes drawn anew, the same for both; recall and "
        "accuracies: the two exchanged in whole groups. The figure that counts is the AP of the rare class. Another "
        "training would move both.",
        pairs=pairs_table(tables["classifier_pairs"], record["mcnemar"]),
        pairs_text="Differences are the second minus the first, tested by exchanging the two in whole groups of "
        "look-alikes, as in the hypotheses; Holm corrects for the number of pairs. McNemar's test takes faces for "
        "independent, which they are not: where the two disagree, the exchange of groups is right.",
        blocks=[_block(data, name, tables, study, is_open=name == best) for name in order],
    )


def _text(rows: pd.DataFrame, counts: Mapping, best: str) -> str:
    chosen = rows[(rows["classifier"] == best) & (rows["protocol"] == GROUPED)].set_index("metric")["value"]
    return (
        f"{counts['num_faces']:,} faces in {counts['num_groups']:,} groups of look-alike pictures, each judged by a "
        f"network that saw no picture of its group. Best by balanced accuracy: {best}, accuracy "
        f"{number(chosen['accuracy'])}, balanced accuracy {number(chosen['balanced_accuracy'])}. Macro figures and "
        "balanced accuracy are means over the classes, so that the rare one counts as much as the others."
        + _other_folds_text(chosen, counts.get(OTHER_FOLDS))
    )


def _other_folds_text(chosen: pd.Series, counts: Mapping | None) -> str:
    """Say that recipes were tried on some folds, and what the best classifier comes to without them."""
    if counts is None:
        return ""
    accuracy, balanced = (number(chosen[f"{OTHER_FOLDS}/{metric}"]) for metric in _DRAWN)
    return (
        " Recipes were tried out on some of the folds, whose faces flatter what was chosen; the last two columns leave "
        f"these out. On the others (fold{'s' if len(counts['folds']) > 1 else ''} "
        f"{', '.join(str(fold) for fold in counts['folds'])}; {counts['num_faces']:,} faces) that is accuracy "
        f"{accuracy}, balanced accuracy {balanced}."
    )


def _inflation_text(inflation: pd.DataFrame, best: str) -> str:
    """Say what the best classifier gains, from the table's own rows."""
    text = (
        "Published studies split at random by face: people and photos of the training part come back in the test. The "
        "same faces are compared; another part of the difference is that other amounts of faces are trained on."
    )
    rows = inflation[(inflation["classifier"] == best) & (inflation["metric"] == "accuracy")]
    gains = [f"{100 * row.difference:+.1f} points ({protocol_name(row.protocol)})" for row in rows.itertuples()]
    return f"{text} Accuracy of {best}: {', '.join(gains)}.".replace("-", "−") if gains else text


def _figures(data: str, rows: pd.DataFrame) -> list[FigureBlock]:
    """Return a figure a headline, splits by colour, and the recall of the classes, classifiers by colour."""
    by_split = "Grouped: look-alikes in one part. By face: as published."
    candidates = [
        (metric, f"{METRIC_NAMES[metric].capitalize()} by split", by_split, _by_split(rows, metric))
        for metric in _DRAWN
    ]
    by_class = "Grouped. The rarer the class, the wider the interval."
    candidates.append(("recall", "Recall by class", by_class, _recall_by_class(rows)))
    return [
        FigureBlock(title, figure_svg(figure, f"{data}_{key}", f"{title}. {text}"), text)
        for key, title, text, figure in candidates
        if figure is not None
    ]


def _by_split(rows: pd.DataFrame, metric: str) -> Figure | None:
    of_metric = rows[rows["metric"] == metric].to_dict("records")
    estimates = estimate_rows([(row["classifier"], protocol_name(row["protocol"]), row) for row in of_metric])
    return plot_estimates(estimates, EstimateAxis(f"{METRIC_NAMES[metric]}, 95 % interval"))


def _recall_by_class(rows: pd.DataFrame) -> Figure | None:
    grouped = rows[rows["protocol"] == GROUPED]
    estimates = [
        (class_style(name).short_name, row["classifier"], row)
        for name in CLASS_NAMES
        for row in grouped[grouped["metric"] == f"recall/{name}"].dropna(subset="value").to_dict("records")
    ]
    return plot_estimates(estimate_rows(estimates), EstimateAxis("recall, 95 % interval"))


def _block(data: str, name: str, tables: Mapping[str, pd.DataFrame], study: Study, is_open: bool) -> ClassifierBlock:
    of_run = {
        key: table[(table["classifier"] == name) & (table["protocol"] == GROUPED)]
        for key, table in tables.items()
        if "protocol" in table
    }
    values = of_run["classifiers"].set_index("metric")["value"]
    faces = of_run["confusion"].groupby("actual")["count"].sum()
    return ClassifierBlock(
        title=name,
        text=f"accuracy {number(values['accuracy'])}, balanced accuracy {number(values['balanced_accuracy'])}",
        is_open=is_open,
        report=report_table(of_run["classifiers"], {key: int(count) for key, count in faces.items()}),
        confusion=confusion_of(of_run["confusion"]),
        figures=_run_figures(f"{data}_{name}", of_run, values, study.histories[data, name, GROUPED]),
    )


def confusion_of(counts: pd.DataFrame) -> Confusion:
    """Return shares and counts of the classes that occur, as true class or as a call.

    Args:
        counts: Columns `actual, predicted, count`, a row a pair of classes.
    """
    table = counts.pivot(index="actual", columns="predicted", values="count")
    names = [name for name in CLASS_NAMES if table.loc[name].sum() + table[name].sum() > 0]
    rows = []
    for name in names:
        total = max(int(table.loc[name].sum()), 1)
        cells = [(100 * int(table.loc[name, other]) / total, int(table.loc[name, other])) for other in names]
        rows.append((class_style(name).short_name, cells))
    return Confusion([class_style(name).short_name for name in names], rows)


def _run_figures(
    prefix: str, of_run: Mapping[str, pd.DataFrame], values: pd.Series, history: pd.DataFrame
) -> list[FigureBlock]:
    auc, ap = ({name: values.get(f"{key}/{name}", float("nan")) for name in CLASS_NAMES} for key in ("auc", "ap"))
    parts = "Thin: each part held out; thick: their mean."
    candidates = [
        ("roc", "ROC", "Each class against the rest.", plot_roc(of_run["roc"], auc)),
        (
            "precision_recall",
            "Precision and recall",
            "Each point is a threshold on the class's probability.",
            plot_precision_recall(of_run["precision_recall"], ap),
        ),
        ("loss", "Loss while training", parts, plot_training(history, "loss", "loss (no unit)")),
        ("accuracy", "Accuracy while training", parts, plot_training(history, "accuracy", "accuracy (0 to 1)")),
    ]
    return [
        FigureBlock(title, figure_svg(figure, f"{prefix}_{key}", f"{title}. {text}"), text)
        for key, title, text, figure in candidates
        if figure is not None
    ]
