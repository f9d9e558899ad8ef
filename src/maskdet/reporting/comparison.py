"""The page of `maskdet compare`: differences with intervals, curves on top of each other, images that changed most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from maskdet.data.image import read_image
from maskdet.reporting.embedding import embed_pictures
from maskdet.reporting.figure_files import LINE_STYLES, figure_svg, in_report_style, styled_figure
from maskdet.reporting.gallery import outcomes_by_image
from maskdet.reporting.html import FigureBlock, html_template, write_html
from maskdet.reporting.number_texts import interval_text, number, p_cell
from maskdet.reporting.palette import CLASS_STYLES, FOLD_COLORS, class_style
from maskdet.reporting.picture import GalleryPicture, JudgedTables
from maskdet.reporting.summary_tables import TextTable
from maskdet.schema import CLASS_NAMES

_RUN_COLORS = FOLD_COLORS[5::-1]  # the darker ones first; grey is left out


@dataclass(frozen=True)
class ChangedImage:
    """An image on which two runs differ.

    Attributes:
        file_name: Of the image.
        text: What changed, in words.
        panels: (caption, data URI) of the truth and of both predictions; empty where the photo is not at hand.
    """

    file_name: str
    text: str
    panels: list[tuple[str, str]]


@dataclass(frozen=True)
class RunSection:
    """One run against the baseline.

    Attributes:
        name: Of the run.
        differences: A row a metric.
        changed: The images that changed most; may be empty.
    """

    name: str
    differences: TextTable
    changed: list[ChangedImage]


@dataclass(frozen=True)
class ComparisonPage:
    """Everything that the template prints; texts are escaped there.

    Attributes:
        baseline: Name of the run that the others are held against.
        subtitle: What was counted, in a line.
        notes: What limits the comparison; may be empty.
        thresholds: Says which detections precision, recall, F1 and the images count.
        sections: A run each.
        figures: A plot a class.
        picture_note: Says how large the pictures are, or why there are none.
    """

    baseline: str
    subtitle: str
    notes: list[str]
    thresholds: str
    sections: list[RunSection]
    figures: list[FigureBlock]
    picture_note: str


def differences_table(differences: pd.DataFrame) -> TextTable:
    """Return the rows of `paired_bootstrap` as text.

    Args:
        differences: What `paired_bootstrap` returns.

    Returns:
        Columns metric, baseline, run, difference [95 % interval], p; a dash stands for what is undefined.
    """
    rows = [
        [
            row.metric,
            number(row.a),
            number(row.b),
            interval_text(row.difference, row.low, row.high, "+"),
            p_cell(row.p_value, row.least_p_value),
        ]
        for row in differences.itertuples()
    ]
    return TextTable(["metric", "baseline", "run", "difference [95 % interval]", "p"], rows, [""] * len(rows))


def changed_images(file_names: Sequence[str], baseline: JudgedTables, run: JudgedTables) -> pd.DataFrame:
    """Return how many errors (false alarms and misses) each image has in both runs, the largest change first.

    Args:
        file_names: The images of both runs.
        baseline: What `judge_tables` returns for the baseline.
        run: The same of the run.

    Returns:
        A row an image: `file_name`, `baseline_tp, baseline_fp, baseline_fn`, `run_tp, run_fp, run_fn` (int), `change`
        (errors of the run − errors of the baseline; below 0 the run is better). Of equal changes by file name.
    """
    counts = {"baseline": baseline, "run": run}
    parts = [
        outcomes_by_image(file_names, judged).drop(columns="f1").add_prefix(f"{k}_") for k, judged in counts.items()
    ]
    table = pd.concat(parts, axis=1)
    errors = {key: table[f"{key}_fp"] + table[f"{key}_fn"] for key in counts}
    table = table.assign(change=errors["run"] - errors["baseline"]).rename_axis("file_name").reset_index()
    return table.sort_values(["change", "file_name"], key=_largest_first, ignore_index=True)


def _largest_first(column: pd.Series) -> pd.Series:
    return -column.abs() if column.name == "change" else column


@in_report_style
def plot_runs(curves: Mapping[str, pd.DataFrame], class_name: str) -> Figure | None:
    """Draw the precision over recall of one class at IoU 0.5, a line a run; None without a true box of the class.

    Args:
        curves: Run → what `evaluation.curves.pr_curves` returns.
        class_name: The class to draw.
    """
    of_class = {run: table[table["class_name"] == class_name] for run, table in curves.items()}
    if all(table.empty for table in of_class.values()):
        return None
    figure, axes = styled_figure("recall (share of true faces found)", "precision (share of detections right)")
    for index, (run, curve) in enumerate(of_class.items()):
        style = {"color": _RUN_COLORS[index % len(_RUN_COLORS)], "linestyle": LINE_STYLES[index % len(LINE_STYLES)]}
        axes.plot(curve["recall"], curve["precision"], label=f"{run}, AP50 {curve['precision'].mean():.3f}", **style)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.2 * len(of_class))  # room for the legend's lines
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    figure.legend(loc="outside lower center", ncols=1, handletextpad=0.4)
    return figure


def curve_figures(curves: Mapping[str, pd.DataFrame]) -> list[FigureBlock]:
    """Return a plot for each class that occurs, as SVG; arguments as in `plot_runs`."""
    blocks = []
    for position, name in enumerate(CLASS_NAMES):
        figure = plot_runs(curves, name)
        if figure is not None:
            title, text = class_style(name).short_name, "Each point is a score threshold. IoU 0.5, all folds pooled."
            blocks.append(
                FigureBlock(title, figure_svg(figure, f"class_{position}", f"{title}: precision and recall"), text)
            )
    return blocks


def build_changed(
    changed: pd.DataFrame,
    judged: tuple[JudgedTables, JudgedTables],
    image_dir: Path,
    num_images: int,
    max_total_bytes: int,
) -> tuple[list[ChangedImage], str]:
    """Return the images that changed most, with their photos where all of them are at hand.

    Args:
        changed: What `changed_images` returns.
        judged: Of the baseline and of the run.
        image_dir: Where photos lie, or would.
        num_images: At most.
        max_total_bytes: Limit on the embedded pictures.

    Returns:
        The images, and a note on the size of the pictures or on why there are none.
    """
    top = changed[changed["change"] != 0].head(num_images)
    texts = [_change_text(row) for row in top.itertuples()]
    if top.empty:
        return [], ""
    if not all((image_dir / name).is_file() for name in top["file_name"]):
        images = [ChangedImage(name, text, []) for name, text in zip(top["file_name"], texts, strict=True)]
        return images, "The photos are not at hand: names only."
    pictures = [
        GalleryPicture(name, -1, read_image(image_dir / name), side.of_file(name))
        for name in top["file_name"]
        for side in judged
    ]
    uris, note = embed_pictures(pictures, 640, max_total_bytes)
    images = []
    for i, (name, text) in enumerate(zip(top["file_name"], texts, strict=True)):
        (truth, before), (_, after) = uris[2 * i], uris[2 * i + 1]
        outcomes = [pictures[2 * i + side].captions[1].removeprefix("Prediction: ") for side in (0, 1)]
        captions = (pictures[2 * i].captions[0], f"Baseline: {outcomes[0]}", f"Run: {outcomes[1]}")
        images.append(ChangedImage(name, text, list(zip(captions, (truth, before, after), strict=True))))
    return images, f"Pictures: {note}."


def _change_text(row: object) -> str:
    """Say in words how the errors of an image changed."""
    before, after = (getattr(row, f"{who}_fp") + getattr(row, f"{who}_fn") for who in ("baseline", "run"))
    verdict = "better" if row.change < 0 else "worse"
    return (
        f"{verdict}: {before} → {after} errors (false alarms {row.baseline_fp} → {row.run_fp}, "
        f"misses {row.baseline_fn} → {row.run_fn})"
    )


def write_comparison(page: ComparisonPage, path: Path) -> int:
    """Write the page as one UTF-8 HTML file that needs nothing but itself, and return its size in bytes."""
    return write_html(html_template("comparison.html.j2").render(page=page, class_styles=CLASS_STYLES), path)
