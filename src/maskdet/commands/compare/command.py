"""`maskdet compare`: hold runs against a baseline on their common images, and print and write what differs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from maskdet.commands.compare.run_sources import Run, common_images, read_runs
from maskdet.evaluation.bootstrap import NUM_REPLICATES
from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.reporting.comparison import (
    ComparisonPage,
    RunSection,
    build_changed,
    changed_images,
    curve_figures,
    differences_table,
    write_comparison,
)
from maskdet.reporting.embedding import MAX_TOTAL_BYTES
from maskdet.reporting.picture import judge_tables
from maskdet.stages.rounded_files import write_rounded_csv

_CURVE_IOU_THRESHOLD = 0.5
_DEFAULT_THRESHOLDS = (0.3, 0.5)  # of a run that says nothing of its own


@dataclass(frozen=True)
class _Thresholds:
    score: float
    iou: float

    def __str__(self) -> str:
        return f"score ≥ {self.score:g} and IoU ≥ {self.iou:g}"


def compare_runs(
    runs: Sequence[str],
    output: Path = Path("reports/compare"),
    root: Path = Path(),
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    num_replicates: int = NUM_REPLICATES,
    seed: int = 0,
    num_images: int = 8,
) -> pd.DataFrame:
    """Compare runs with the first of them, print a table a run and write tables and a page.

    Written are `comparison.csv` (what is returned), `pr_curves.csv` (a run's precision at COCO's recalls),
    `images.csv` (hits, false alarms and misses of every image in both runs, the largest change first) and
    `comparison.html`.

    Args:
        runs: Two or more different names as `read_runs` takes them, the baseline first: `workspace`, folders, git
            revisions, DVC experiments, `a+b` for an ensemble of runs.
        output: The folder to write to.
        root: The project's root; photos are looked for in its `build/raw/images/`.
        score_threshold: Of precision, recall, F1 and the images, for every run; None: the baseline's own.
        iou_threshold: The same.
        num_replicates: Of the bootstrap, at least 2.
        seed: Of its draws.
        num_images: Shown on the page for each run, at most.

    Returns:
        The rows of `paired_bootstrap` of every run, `baseline` and `run` (names) first.

    Raises:
        FileNotFoundError: If a run lacks a table.
        ValueError: If fewer than two different runs are named, a name means nothing, or the runs share no image or
            have other true boxes.
    """
    if len(runs) < 2 or len(set(runs)) < len(runs):
        raise ValueError(f"expected two or more different runs, the baseline first, got {list(runs)}")
    root, output = Path(root), Path(output)
    contenders, notes = common_images([read_runs(name, root) for name in runs])
    notes = list(dict.fromkeys([*(note for run in contenders for note in run.notes), *notes]))
    baseline, *others = contenders
    thresholds = _thresholds(baseline, score_threshold, iou_threshold)
    differences = {run.name: _differences(baseline, run, thresholds, num_replicates, seed) for run in others}
    curves = {run.name: _curves(run) for run in contenders}
    table = pd.concat([rows.assign(run=name) for name, rows in differences.items()], ignore_index=True)
    table.insert(0, "baseline", baseline.name)
    table.insert(1, "run", table.pop("run"))
    sections, changed, picture_note = _sections(baseline, others, differences, thresholds, root, num_images)
    subtitle = _subtitle(baseline, num_replicates)
    page = ComparisonPage(
        baseline.name, subtitle, notes, str(thresholds), sections, curve_figures(curves), picture_note
    )
    write_rounded_csv(table, output / "comparison.csv")
    write_rounded_csv(
        pd.concat([t.assign(run=name) for name, t in curves.items()], ignore_index=True), output / "pr_curves.csv"
    )
    write_rounded_csv(changed, output / "images.csv")
    write_comparison(page, output / "comparison.html")
    _print(page, output)
    return table


def _thresholds(baseline: Run, score_threshold: float | None, iou_threshold: float | None) -> _Thresholds:
    """Return the thresholds asked for, else the baseline's, else the committed defaults."""
    choices = ((score_threshold, baseline.score_threshold), (iou_threshold, baseline.iou_threshold))
    chosen = [
        next((value for value in values if value is not None), default)
        for values, default in zip(choices, _DEFAULT_THRESHOLDS, strict=True)
    ]
    return _Thresholds(*chosen)


def _differences(baseline: Run, run: Run, thresholds: _Thresholds, num_replicates: int, seed: int) -> pd.DataFrame:
    try:
        return paired_bootstrap(
            baseline.tables, run.tables, baseline.group_of_file, thresholds.score, thresholds.iou, num_replicates, seed
        )
    except ValueError as error:
        raise ValueError(f"{run.name} against {baseline.name}: {error}") from error


def _curves(run: Run) -> pd.DataFrame:
    annotations = run.tables.annotations
    return pr_curves(match_detections(annotations, run.tables.predictions, _CURVE_IOU_THRESHOLD), annotations)


def _sections(
    baseline: Run,
    others: Sequence[Run],
    differences: dict[str, pd.DataFrame],
    thresholds: _Thresholds,
    root: Path,
    num_images: int,
) -> tuple[list[RunSection], pd.DataFrame, str]:
    """Return the page's sections, the counts of every image in every run, and a note on the pictures."""
    files = sorted(baseline.tables.images["file_name"])
    judged = {
        run.name: judge_tables(run.tables.annotations, run.tables.predictions, thresholds.score, thresholds.iou)
        for run in (baseline, *others)
    }
    sections, tables, notes = [], [], []
    for run in others:
        pair = (judged[baseline.name], judged[run.name])
        changed = changed_images(files, *pair)
        budget = MAX_TOTAL_BYTES // len(others)
        images, note = build_changed(changed, pair, root / "build/raw/images", num_images, budget)
        sections.append(RunSection(run.name, differences_table(differences[run.name]), images))
        tables.append(changed.assign(run=run.name))
        notes.append(note)
    return sections, pd.concat(tables, ignore_index=True), next((note for note in notes if note), "")


def _subtitle(baseline: Run, num_replicates: int) -> str:
    tables = baseline.tables
    num_groups = len({baseline.group_of_file[name] for name in tables.images["file_name"]})
    lower, upper = tables.size_bounds_px
    return (
        f"{len(tables.images)} images in {num_groups} groups, {len(tables.annotations)} faces, "
        f"{num_replicates} replicates; thirds of the faces part at {lower:.1f} and {upper:.1f} px (root of the area)"
    )


def _print(page: ComparisonPage, output: Path) -> None:
    """Print a table a run, at most 100 columns wide, the notes, and where the page lies."""
    console = Console(highlight=False, width=100)
    console.print(page.subtitle)
    for section in page.sections:
        title = f"run {section.name} against baseline {page.baseline}"
        table = Table(title=Text(title), title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
        for position, name in enumerate(section.differences.header):
            table.add_column(name, justify="right" if position else "left", no_wrap=True)
        for row in section.differences.rows:
            table.add_row(*map(Text, row))
        console.print(table)
    console.print(f"precision, recall, F1: {page.thresholds}; –: undefined")
    for note in page.notes:
        console.print(f"note: {note}", markup=False)
    console.print(f"page: {output / 'comparison.html'}", markup=False, soft_wrap=True)
