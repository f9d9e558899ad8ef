"""Which plots the report has, what they are called and how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from maskdet.reporting import analysis_plots, plots
from maskdet.reporting.analysis_files import Analysis
from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.html import FigureBlock
from maskdet.reporting.picture import JudgedTables

FINDING_FIGURES = ("errors", "subgroups")
"""Plots that stand with their findings, not among the curves."""


@dataclass(frozen=True)
class Results:
    """What the report is made of.

    Attributes:
        metrics: `metrics.json`.
        matches: Every detection of the pooled folds with `is_tp`.
        judged: Verdicts at the display threshold.
        curves: `plots/pr_curves.csv`.
        confusion: `plots/confusion.csv`, a row a pair.
        histories: Fold → its training history; folds without one are absent.
        score_threshold: The display threshold.
        iou_threshold: A detection is right from this IoU on.
        analysis: What is on file of thresholds, calibration and analysis.
    """

    metrics: Mapping
    matches: pd.DataFrame
    judged: JudgedTables
    curves: pd.DataFrame
    confusion: pd.DataFrame
    histories: Mapping[int, pd.DataFrame]
    score_threshold: float
    iou_threshold: float
    analysis: Analysis


@dataclass(frozen=True)
class Plot:
    """A figure with its words.

    Attributes:
        title: Heading.
        text: How to read it.
        figure: As `figure_files.styled_figure` makes it.
    """

    title: str
    text: str
    figure: Figure

    def block(self, name: str) -> FigureBlock:
        """Return it as SVG; the name is one that no other plot of the page has."""
        return FigureBlock(self.title, figure_svg(self.figure, name, f"{self.title}. {self.text}"), self.text)


def build_figures(results: Results) -> dict[str, Plot]:
    """Return name → plot; one without data is absent."""
    candidates = [*_result_figures(results), *_analysis_figures(results.analysis), *_history_figures(results.histories)]
    return {name: Plot(title, text, figure) for name, title, text, figure in candidates if figure is not None}


_Candidate = tuple[str, str, str, Figure | None]


def _result_figures(results: Results) -> list[_Candidate]:
    threshold = "each class's threshold of best F1" if results.analysis.thresholds else f"{results.score_threshold:g}"
    return [
        (
            "pr_curves",
            "Precision and recall",
            "Each point is a score threshold. IoU 0.5, all folds pooled.",
            plots.plot_pr_curves(results.curves),
        ),
        (
            "confusion",
            "What is taken for what",
            f"Scores from {threshold} on, IoU ≥ {results.iou_threshold:g}. Rows: shares and counts of the true class; "
            "last column: missed; last row: false alarms.",
            plots.plot_confusion(results.confusion),
        ),
        (
            "folds",
            "AP50 by class and fold",
            "How far the folds lie apart shows how much to trust a third decimal.",
            plots.plot_folds(results.metrics),
        ),
        (
            "scores",
            "Scores of right and wrong detections",
            "Where the two overlap, the score cannot tell them apart.",
            plots.plot_scores(results.matches, results.score_threshold),
        ),
    ]


def _analysis_figures(analysis: Analysis) -> list[_Candidate]:
    return [
        (
            "thresholds",
            "F1 over the score threshold",
            "A flat top: the threshold hardly matters. Dots: each class's best, chosen on these very detections.",
            analysis_plots.plot_thresholds(analysis.table("threshold_curves"), analysis.thresholds),
        ),
        (
            "reliability",
            "Is a score a probability?",
            "All classes. Below the diagonal a score promises too much. Calibrated: fitted on other images.",
            analysis_plots.plot_reliability(analysis.table("reliability")),
        ),
        (
            "errors",
            "What each kind of error costs",
            "mAP50 that the correction of this kind alone would give; in brackets how many there are, faint ones too.",
            analysis_plots.plot_error_costs(analysis.table("errors")),
        ),
        (
            "subgroups",
            "Recall by subgroup",
            "In brackets the number of faces. Faces of one image are alike: the intervals are too narrow.",
            analysis_plots.plot_subgroups(analysis.table("subgroups")),
        ),
    ]


def _history_figures(histories: Mapping[int, pd.DataFrame]) -> list[_Candidate]:
    return [
        (
            "loss",
            "Training loss",
            "Of each fold's training part.",
            plots.plot_history(histories, "train/loss", "loss (no unit)"),
        ),
        (
            "map",
            "mAP while training",
            "On the fold held out.",
            plots.plot_history(histories, "val/map", "mAP (0 to 1)"),
        ),
    ]
