"""Figures of the two-phase study: what is drawn where, and what is left out."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from maskdet.reporting.figure_files import figure_svg
from maskdet.reporting.two_phase_figures import (
    EstimateAxis,
    estimate_rows,
    plot_cost,
    plot_estimates,
    plot_face_curves,
    plot_precision_recall,
    plot_roc,
    plot_training,
)

AXIS = EstimateAxis("recall, 95 % interval", (0, 1))


def estimate(value: float | None, low: float | None = None, high: float | None = None) -> dict:
    return {"value": value, "low": low, "high": high}


def marks(figure) -> dict[str, np.ndarray]:
    """Return label → (n, 2) points of the marks of the first axes."""
    return {line.get_label(): line.get_xydata() for line in figure.axes[0].get_lines() if line.get_marker() != "None"}


def test_each_series_stands_at_its_place_below_each_label():
    rows = [("first", "a", estimate(0.2, 0.1, 0.3)), ("first", "b", estimate(0.4)), ("second", "b", estimate(0.6))]
    figure = plot_estimates(estimate_rows(rows), AXIS)
    assert marks(figure)["a"].tolist() == [[0.2, 0]]
    assert marks(figure)["b"].tolist() == [[0.4, 1], [0.6, 4]]  # two lines and a gap a label
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["first", "second"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_a_series_without_values_keeps_its_colour_for_the_others_and_has_no_legend():
    rows = [("first", "a", estimate(None)), ("first", "b", estimate(0.4)), ("first", "c", estimate(0.5))]
    both = plot_estimates(estimate_rows([("first", "a", estimate(0.1)), *rows[1:]]), AXIS)
    some = plot_estimates(estimate_rows(rows), AXIS)
    colours = [{line.get_label(): line.get_color() for line in f.axes[0].get_lines()} for f in (both, some)]
    assert colours[1] == {name: colour for name, colour in colours[0].items() if name != "a"}
    assert plot_estimates(estimate_rows(rows[:1]), AXIS) is None
    assert plot_estimates(estimate_rows([]), AXIS) is None


def test_the_line_of_no_difference_is_drawn_where_asked_for():
    rows = estimate_rows([("first", "a", estimate(0.2, -0.1, 0.3))])
    lines = plot_estimates(rows, EstimateAxis("x", line=0)).axes[0].get_lines()
    assert [line.get_xdata() for line in lines if line.get_linestyle() == ":"] == [[0, 0]]
    assert not [line for line in plot_estimates(rows, AXIS).axes[0].get_lines() if line.get_linestyle() == ":"]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=1, max_size=300), st.integers(0, 9))
def test_a_thinned_curve_passes_where_the_whole_one_does(steps: list[tuple[int, int]], seed: int):
    rising = np.cumsum(np.array(steps) * np.random.default_rng(seed).integers(0, 2, (len(steps), 2)), axis=0)
    points = rising / max(rising.max(), 1)  # (N, 2) in [0, 1]
    curves = pd.DataFrame(points, columns=["false_positive_rate", "true_positive_rate"])
    figure = plot_roc(curves.assign(class_name="with_mask"), {"with_mask": 0.5})
    drawn = figure.axes[0].get_lines()[0].get_xydata()  # (M, 2)
    assert drawn[0].tolist() == points[0].tolist()
    assert drawn[-1].tolist() == points[-1].tolist()
    gaps = np.abs(points[:, None] - drawn[None]).max(axis=2).min(axis=1)  # (N,) to the nearest point that is drawn
    assert gaps.max() <= 1 / 500


def test_curves_name_the_classes_that_occur_and_their_areas():
    curves = pd.DataFrame({"recall": [0.0, 1.0], "precision": [1.0, 0.4], "class_name": "mask_weared_incorrect"})
    figure = plot_precision_recall(curves, {"mask_weared_incorrect": 0.7, "with_mask": float("nan")})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["incorrect, AP 0.700"]
    assert plot_precision_recall(curves.iloc[:0], {}) is None
    assert plot_roc(curves.iloc[:0], {}) is None


def test_face_curves_keep_the_order_of_the_detectors():
    curves = pd.DataFrame({"recall": [0.0, 1.0], "precision": [1.0, 0.4]})
    curves = pd.concat([curves.assign(detector=name) for name in ("b", "a")])
    figure = plot_face_curves(curves, {"a": 0.5, "b": 0.6})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a, AP 0.500", "b, AP 0.600"]
    assert plot_face_curves(curves.iloc[:0], {"a": 0.5}) is None


def test_training_shows_parts_and_their_mean():
    history = pd.DataFrame({"part": [0, 0, 1, 1], "epoch": [0, 1, 0, 1], "val/loss": [1.0, 0.5, 2.0, 1.5]})
    figure = plot_training(history, "loss", "loss")
    lines = figure.axes[0].get_lines()
    assert [line.get_ydata().tolist() for line in lines] == [[1.0, 0.5], [2.0, 1.5], [1.5, 1.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["held out"]
    assert plot_training(history, "accuracy", "accuracy") is None
    assert plot_training(history.assign(**{"train/loss": np.nan}).drop(columns="val/loss"), "loss", "loss") is None


def test_costs_leave_out_what_has_no_time_or_no_value():
    points = [("a", 10.0, estimate(0.5, 0.4, 0.6)), ("b", 0.0, estimate(0.5, 0.4, 0.6))]
    points.append(("c", 20.0, estimate(float("nan"), 0, 0)))
    figure = plot_cost(points)
    assert list(marks(figure)) == ["a"]
    assert plot_cost(points[1:]) is None
    assert figure_svg(figure, "cost", "alt").startswith("<svg ")
