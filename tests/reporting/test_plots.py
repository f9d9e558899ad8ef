"""Figures: named axes, no figure without data, SVG that can stand in a page."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from maskdet.reporting import plots
from maskdet.reporting.figure_files import figure_pixels, figure_svg
from maskdet.schema import CLASS_NAMES

PAIRS = pd.DataFrame({"actual": ["with_mask", "background"], "predicted": ["with_mask", "without_mask"]})
AP = {"ap_50": {"with_mask": 0.9, "without_mask": None}}
CURVES = pd.DataFrame({"class_name": "with_mask", "recall": [0.0, 1.0], "precision": [1.0, 0.5], "score": [0.9, 0.1]})
MATCHES = pd.DataFrame({"score": [0.9, 0.2], "is_tp": [True, False]})
HISTORIES = {0: pd.DataFrame({"epoch": [0, 1, 2], "val/map": [0.1, np.nan, 0.3]}), 1: pd.DataFrame({"epoch": [0]})}


@pytest.fixture
def figures() -> dict[str, Figure]:
    """Return one figure of each kind."""
    return {
        "history": plots.plot_history(HISTORIES, "val/map", "mAP (0 to 1)"),
        "pr": plots.plot_pr_curves(CURVES),
        "confusion": plots.plot_confusion(PAIRS),
        "folds": plots.plot_folds({"val": AP, "fold": {"0": AP}, "fold_mean": AP}),
        "scores": plots.plot_scores(MATCHES, 0.3),
    }


def test_every_axis_has_a_name(figures: dict[str, Figure]) -> None:
    for figure in figures.values():
        axes = figure.axes[0]
        assert axes.get_xlabel()
        assert axes.get_ylabel()


def test_nothing_to_draw_is_none() -> None:
    assert plots.plot_history({}, "val/map", "mAP") is None
    assert plots.plot_history(HISTORIES, "train/loss", "loss") is None
    assert plots.plot_pr_curves(CURVES.iloc[:0]) is None
    assert plots.plot_scores(MATCHES.iloc[:0], 0.3) is None
    assert plots.plot_folds({"val": AP}) is None


def test_history_skips_empty_cells_and_folds_without_values(figures: dict[str, Figure]) -> None:
    lines = figures["history"].axes[0].get_lines()
    assert len(lines) == 1
    assert lines[0].get_xydata().tolist() == [[0, 0.1], [2, 0.3]]


def test_confusion_shows_share_and_count(figures: dict[str, Figure]) -> None:
    texts = [text.get_text() for text in figures["confusion"].axes[0].texts]
    assert len(texts) == (len(CLASS_NAMES) + 1) ** 2
    assert texts[0] == "100%\n1"
    assert texts[-1] == "–"
    assert "100%\n1" in texts[-4:]  # the false alarm


def test_svg_takes_the_colour_of_the_page_and_equal_figures_are_equal(figures: dict[str, Figure]) -> None:
    first, second = (figure_svg(plots.plot_confusion(PAIRS), "confusion", 'a "b" <c>') for _ in range(2))
    assert first == second
    assert first.startswith('<svg role="img" aria-label="a &quot;b&quot; &lt;c>"')
    assert "currentColor" in first
    assert "http" not in first


def test_pixels_are_a_picture(figures: dict[str, Figure]) -> None:
    pixels = figure_pixels(figures["folds"])
    assert pixels.dtype == np.uint8
    assert pixels.shape[2] == 3
    assert pixels.max() == 255
