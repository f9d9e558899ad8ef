"""The page's first part: one stage, two phases and re-scored boxes on the same images, in one table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.html import FigureBlock, Tile
from maskdet.reporting.number_texts import UNDEFINED, estimate_text, number, p_cell
from maskdet.reporting.palette import class_style
from maskdet.reporting.summary_tables import TextTable
from maskdet.reporting.two_phase_figures import EstimateAxis, estimate_rows, plot_cost, plot_estimates
from maskdet.schema import CLASS_NAMES

BASELINE, RESCORED = "efficientdet", "rescored"
_TWO_PHASE = "two_phase/"
_COMPARED = {"map_50": "mAP50", "map": "mAP"}


@dataclass(frozen=True)
class TableSection:
    """A table with its words and figures.

    Attributes:
        text: What was counted.
        table: The figures.
        note: How to read them.
        figures: Plots.
    """

    text: str
    table: TextTable
    note: str
    figures: list[FigureBlock]


def model_name(model: str) -> str:
    """Return a model of `models.json` in words.

    >>> model_name("efficientdet"), model_name("two_phase/mtcnn"), model_name("rescored")
    ('EfficientDet', 'two phases, mtcnn', 'EfficientDet, re-scored')
    """
    if model.startswith(_TWO_PHASE):
        return f"two phases, {model.removeprefix(_TWO_PHASE)}"
    return {BASELINE: "EfficientDet", RESCORED: "EfficientDet, re-scored"}.get(model, model.replace("_", " "))


def best_two_phase(rows: pd.DataFrame) -> str:
    """Return the two-phase model of the highest mAP50 among the rows of `models.csv`."""
    rivals = rows[rows["model"].str.startswith(_TWO_PHASE) & (rows["metric"] == "map_50")]
    return str(rivals.set_index("model")["value"].idxmax())


def model_section(rows: pd.DataFrame, record: Mapping, classifier: str) -> TableSection:
    """Return the part.

    Args:
        rows: `models.csv`; models are shown in its order.
        record: `models.json`.
        classifier: The second phase, and what re-scores.
    """
    folds = ", ".join(str(fold) for fold in record["train_folds"])
    text = (
        f"{record['num_images']:,} images with {record['num_faces']:,} faces in {record['num_groups']:,} groups of "
        f"look-alikes (folds held out: {folds}). All ways are judged on these same images by models that did not "
        f"train on them. Two phases: a face detector, then {classifier} on each crop; re-scored: EfficientDet's boxes, "
        "scores blended with what the same classifier says, by a weight that was chosen on fold 0. Boxes of face "
        "detectors are moved and scaled to where this set's annotators draw them, one correction a detector, the "
        "medians over all folds (without the held-out fold they differ by 0.01 at most); “as found”: without it."
    )
    note = (
        "Below each figure its 95 % interval. Differences and p-values: groups of look-alike images drawn anew, the "
        "same for both. They tell how other images could change the answer, not how another training could. Of many p "
        f"one in twenty is below 0.05 by chance: the one on mAP50 was named beforehand (H7). {_machine_text(record)}"
    )
    return TableSection(text, models_table(rows, record), note, _figures(rows, record))


def models_table(rows: pd.DataFrame, record: Mapping) -> TextTable:
    """Return a row a model; arguments as in `model_section`."""
    classes = [f"AP50, {class_style(name).short_name}" for name in CLASS_NAMES]
    key, heading = time_shown(_all_steps(record))
    header = ["way", *_COMPARED.values(), *classes, heading]
    for name in _COMPARED.values():
        header += [f"{name} − EfficientDet", "p"]
    cells, notes = [], []
    for model, of_model in rows.groupby("model", sort=False):
        by_metric, cost = of_model.set_index("metric"), record["models"][model]
        metrics = [*_COMPARED, *(f"ap_50/{name}" for name in CLASS_NAMES)]
        row = [model_name(model), *(estimate_text(*ends) for ends in _ends(by_metric, metrics))]
        row.append(f"{cost[key]:,.0f}")
        for metric in _COMPARED:
            row += _difference_cells(by_metric.loc[metric])
        cells.append(row)
        notes.append(_cost_text(cost["cost"], key))
    return TextTable(header, cells, notes)


def _ends(by_metric: pd.DataFrame, metrics: Sequence[str]) -> list[list[float]]:
    return by_metric.reindex(metrics)[["value", "low", "high"]].to_numpy(float).tolist()


def _difference_cells(row: pd.Series) -> list[str]:
    if pd.isna(row["difference"]):
        return [UNDEFINED, UNDEFINED]
    difference = estimate_text(row["difference"], row["difference_low"], row["difference_high"], "+")
    return [difference, p_cell(row["p_value"], row["least_p_value"])]


def _cost_text(steps: Mapping[str, Mapping], key: str) -> str:
    """Return what each step takes.

    >>> _cost_text({"classify": {"ms_per_image": 21.4}, "find_faces": {"ms_per_image": 80.0}}, "ms_per_image")
    'find faces 80 ms, classify 21 ms'
    """
    parts = [f"{name.replace('_', ' ')} {step[key]:,.0f} ms" for name, step in steps.items()]
    return ", ".join(sorted(parts, key=lambda part: part.startswith("classify")))


def _machine_text(record: Mapping) -> str:
    """Say on what the times were taken; where the steps differ, that they do not compare."""
    steps = _all_steps(record)
    machines = machine_names(steps)
    if time_shown(steps)[0] == "cpu_ms_per_image":
        return "CPU ms: of all threads together, so that their number and other programs do not matter."
    if len(machines) == 1:
        return f"Times: {machines[0]}."
    return f"Times were taken on different machines ({'; '.join(machines)}): compare them with caution."


def _all_steps(record: Mapping) -> list[Mapping]:
    return [step for model in record["models"].values() for step in model["cost"].values()]


def time_shown(costs: Iterable[Mapping]) -> tuple[str, str]:
    """Return the key of the time by which costs compare, and its heading.

    >>> time_shown([{"device": "cpu", "threads": 2}, {"device": "cpu", "threads": 1}])
    ('cpu_ms_per_image', 'CPU ms an image')
    >>> time_shown([{"device": "cuda", "threads": 2}])
    ('ms_per_image', 'ms an image')
    """
    if all(cost["device"] == "cpu" for cost in costs):
        return "cpu_ms_per_image", "CPU ms an image"
    return "ms_per_image", "ms an image"


def machine_names(costs: Iterable[Mapping]) -> list[str]:
    """Return on what times were taken, sorted, each once.

    >>> machine_names([{"device": "cpu", "threads": 2}, {"device": "cpu", "threads": 1}])
    ['cpu, 1 thread', 'cpu, 2 threads']
    """
    return sorted({f"{each['device']}, {each['threads']} thread{'s' * (each['threads'] != 1)}" for each in costs})


def _figures(rows: pd.DataFrame, record: Mapping) -> list[FigureBlock]:
    candidates = [
        (
            "ways",
            "AP50 by way and class",
            "The first rows are the mean of the classes below.",
            plot_estimates(_estimates(rows, ("value", "low", "high")), EstimateAxis("AP50, 95 % interval", (0, 1))),
        ),
        (
            "differences",
            "AP50 against EfficientDet",
            "On the same draws of images. Left of the line: EfficientDet is better.",
            plot_estimates(
                _estimates(rows, ("difference", "difference_low", "difference_high")),
                EstimateAxis("AP50 − EfficientDet's, 95 % interval", line=0),
            ),
        ),
        (
            "cost",
            "What a better answer costs",
            "Best is up and to the left. Time on a logarithmic axis.",
            plot_cost([_cost_point(model, of_model, record) for model, of_model in rows.groupby("model", sort=False)]),
        ),
    ]
    return [
        FigureBlock(title, figure_svg(figure, f"models_{key}", f"{title}. {text}"), text)
        for key, title, text, figure in candidates
        if figure is not None
    ]


def _estimates(rows: pd.DataFrame, columns: tuple[str, str, str]) -> pd.DataFrame:
    """Return AP50 of all classes and of each, a series a model, from the columns of the value and of its interval."""
    labels = {"map_50": "mAP50"} | {f"ap_50/{name}": class_style(name).short_name for name in CLASS_NAMES}
    renamed = rows[["metric", "model", *columns]].set_axis(["metric", "model", "value", "low", "high"], axis=1)
    by_key = renamed.set_index(["metric", "model"])
    models = list(dict.fromkeys(rows["model"]))
    return estimate_rows(
        [
            (label, model_name(model), by_key.loc[(metric, model)])
            for metric, label in labels.items()
            for model in models
        ]
    )


def _cost_point(model: str, rows: pd.DataFrame, record: Mapping) -> tuple[str, float, Mapping]:
    key, _ = time_shown(_all_steps(record))
    return model_name(model), record["models"][model][key], rows.set_index("metric").loc["map_50"]


def model_tiles(rows: pd.DataFrame, record: Mapping) -> list[Tile]:
    """Return mAP50 of one stage, of the best two phases and of re-scored boxes; arguments as in `model_section`."""
    by_model = rows[rows["metric"] == "map_50"].set_index("model")
    tiles, (key, heading) = [], time_shown(_all_steps(record))
    for model in [name for name in (BASELINE, best_two_phase(rows), RESCORED) if name in by_model.index]:
        value, low, high = by_model.loc[model, ["value", "low", "high"]]
        ends = "" if pd.isna(low) or pd.isna(high) else f"{number(low)} to {number(high)}"
        small = f"{record['models'][model][key]:,.0f} {heading}"
        tiles.append(Tile(f"mAP50, {model_name(model)}", number(value), ends, small))
    return tiles
