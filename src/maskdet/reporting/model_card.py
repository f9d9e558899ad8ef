"""The model card: what the detector is for, how well it does for whom, and what it must not be used for.

Its sections are those of Mitchell et al.; every figure is one of the run's own.

Reference:
    Mitchell et al. (2019), Model Cards for Model Reporting, https://doi.org/10.1145/3287560.3287596.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from maskdet.atomic import atomic_file
from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.reporting.analysis_files import TABLE_SOURCES
from maskdet.reporting.analysis_tables import calibration_table, error_table, subgroup_table, threshold_table
from maskdet.reporting.facts import checkpoint_text, package_versions, select, training_text
from maskdet.reporting.page_content import Background, run_warnings
from maskdet.reporting.page_figures import Results
from maskdet.reporting.summary_tables import TextTable, class_table, headline_table

_SUBGROUPS = ("class", "size", "crowding", "truncation", "brightness", "sharpness")
"""Properties of `recall_by_subgroup` that the card lists; orientation and image size are in the report."""

_CONFIG_KEYS = (
    "model.architecture",
    "model.pretrained",
    "predict.framing.size",
    "split.strategy",
    "split.num_folds",
    "data.name",
)

_KAGGLE = "https://www.kaggle.com/datasets/{kaggle_id}"


@dataclass(frozen=True)
class DataSource:
    """Where the images come from.

    Attributes:
        text: A sentence.
        licence: Of the images.
    """

    text: str
    licence: str


def render_model_card(results: Results, background: Background) -> str:
    """Return the card as Markdown, filled from the run; a part that is not on file is replaced by a sentence why.

    Args:
        results: Numbers and tables.
        background: What was run.
    """
    environment = Environment(  # noqa: S701  the template is Markdown, not HTML; `cell` guards the tables
        loader=PackageLoader("maskdet.reporting"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["markdown"] = markdown_table
    config, analysis = background.config, results.analysis
    subgroups = analysis.table("subgroups")
    return environment.get_template("model_card.md.j2").render(
        config={key: select(config, key) for key in _CONFIG_KEYS},
        source=data_source(config),
        counts=results.metrics["val"],
        folds=list(results.metrics.get("fold", {})),
        checkpoint=checkpoint_text(select(config, "trainer.checkpoint")),
        training=training_text(background.trainings),
        packages=", ".join(package_versions()),
        warnings=run_warnings(config, results.metrics, results.judged),
        thresholds=f"score ≥ {results.score_threshold:g}, IoU ≥ {results.iou_threshold:g}",
        headline=headline_table(results.metrics),
        classes=class_table(results.metrics, results.judged),
        subgroups=subgroup_table(subgroups[subgroups["property"].isin(_SUBGROUPS)]),
        extremes=extremes(subgroups),
        chosen=threshold_table(analysis.thresholds) if analysis.thresholds else None,
        calibration=calibration_table(results.metrics["calibration"]) if results.metrics.get("calibration") else None,
        errors=_mean_column(error_table(analysis.table("errors"))) if "errors" in analysis.tables else None,
        num_label_errors=len(analysis.table("label_errors")) if "label_errors" in analysis.tables else None,
        files={name: f"reports/{source.path}" for name, source in TABLE_SOURCES.items()},
    )


def write_model_card(results: Results, background: Background, path: Path) -> None:
    """Write what `render_model_card` returns as UTF-8, under a temporary name first."""
    text = render_model_card(results, background)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def data_source(config: Mapping) -> DataSource:
    """Say where the images of a config come from, and under which licence.

    >>> data_source({"data": {"name": "sample"}}).licence
    'Apache-2.0, as the code that draws them'
    """
    name, kaggle_id = select(config, "data.name"), select(config, "data.kaggle_id")
    if kaggle_id:
        address = _KAGGLE.format(kaggle_id=kaggle_id)
        return DataSource(f"The set `{kaggle_id}` of Kaggle, {address}: photos from the web with VOC boxes.", "CC0 1.0")
    if name == "sample":
        return DataSource("Scenes drawn by this project, embedded in it.", "Apache-2.0, as the code that draws them")
    return DataSource(f"The set `{name}`.", "not known to this project")


def extremes(subgroups: pd.DataFrame, min_faces: int = 20) -> list[tuple[str, str, float, str, float]]:
    """Return of each property of the card the groups that are found worst and best.

    Args:
        subgroups: Columns as `evaluation.subgroups.recall_by_subgroup` returns them.
        min_faces: Groups with fewer faces say too little and are left out.

    Returns:
        (property, worst group, its recall, best group, its recall), in the card's order; only properties of two or more
        such groups.
    """
    known = subgroups[(subgroups["num_faces"] >= min_faces) & (subgroups["property"] != ALL_CLASSES)]
    rows = []
    for name in _SUBGROUPS:
        groups = known[known["property"] == name].sort_values("recall", kind="stable")
        if len(groups) > 1:
            worst, best = groups.iloc[0], groups.iloc[-1]
            rows.append((name, worst["subgroup"], float(worst["recall"]), best["subgroup"], float(best["recall"])))
    return rows


def markdown_table(table: TextTable, with_notes: bool = False) -> str:
    r"""Return a table as Markdown, bars in cells escaped.

    Args:
        table: Rows of text.
        with_notes: Add a last column of the rows' notes.

    >>> print(markdown_table(TextTable(["a", "b"], [["x|y", "1"]], [""])))
    | a | b |
    | --- | ---: |
    | x\|y | 1 |
    """
    header = [*table.header, *(["note"] * with_notes)]
    rules = ["---", *["---:"] * (len(table.header) - 1), *(["---"] * with_notes)]
    rows = [[*row, *([note] * with_notes)] for row, note in zip(table.rows, table.notes, strict=True)]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (header, rules, *rows)
    )


def _mean_column(table: TextTable) -> TextTable:
    """Return kind, count and gain of the mean alone; the classes' gains are in the report."""
    return TextTable(table.header[:3], [row[:3] for row in table.rows], table.notes)
