"""The page of a comparison: which images come first, what is drawn, and that it is whole in itself."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskdet.evaluation.curves import pr_curves
from maskdet.evaluation.matching import match_detections
from maskdet.reporting.comparison import (
    ComparisonPage,
    RunSection,
    build_changed,
    changed_images,
    curve_figures,
    differences_table,
    plot_runs,
    write_comparison,
)
from maskdet.reporting.picture import judge_tables
from table_rows import detection_rows, face_rows

FILES = ["a.png", "b.png", "c.png", "d.png"]
FACES = face_rows([(name, "with_mask", 10, 10, 30, 30) for name in FILES[:3]])
HITS = [(name, "with_mask", 0.9, 10, 10, 30, 30) for name in FILES[:3]]
ALARM = ("d.png", "without_mask", 0.8, 50, 50, 70, 70)
BASELINE = judge_tables(FACES, detection_rows(HITS), 0.5)
RUN = judge_tables(FACES, detection_rows([HITS[0], ALARM, ALARM, ("b.png", "without_mask", 0.8, 50, 50, 70, 70)]), 0.5)


def curves_of(detections: list[tuple]) -> pd.DataFrame:
    return pr_curves(match_detections(FACES, detection_rows(detections)), FACES)


def test_the_largest_change_of_errors_comes_first_and_ties_go_by_name():
    changed = changed_images(FILES, BASELINE, RUN)
    assert changed["file_name"].tolist() == ["b.png", "d.png", "c.png", "a.png"]
    assert changed["change"].tolist() == [2, 2, 1, 0]
    row = changed.set_index("file_name").loc["b.png"]
    assert row.to_dict() == {
        "baseline_tp": 1,
        "baseline_fp": 0,
        "baseline_fn": 0,
        "run_tp": 0,
        "run_fp": 1,
        "run_fn": 1,
        "change": 2,
    }


def test_unchanged_images_are_not_shown(tmp_path: Path):
    images, note = build_changed(changed_images(FILES, BASELINE, RUN), (BASELINE, RUN), tmp_path, 10, 10**6)
    assert [image.file_name for image in images] == ["b.png", "d.png", "c.png"]
    assert images[0].text == "worse: 0 → 2 errors (false alarms 0 → 1, misses 0 → 1)"
    assert note == "The photos are not at hand: names only."
    assert build_changed(changed_images(FILES, RUN, RUN), (RUN, RUN), tmp_path, 10, 10**6) == ([], "")


def test_every_run_has_a_line_and_only_classes_that_occur_a_plot():
    curves = {"first": curves_of(HITS), "second": curves_of(HITS[:1])}
    figure = plot_runs(curves, "with_mask")
    lines = figure.axes[0].get_lines()
    assert [line.get_label() for line in lines] == ["first, AP50 1.000", "second, AP50 0.337"]  # 34 of 101 recalls
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 2
    assert plot_runs(curves, "without_mask") is None
    assert [figure.title for figure in curve_figures(curves)] == ["mask"]


def test_undefined_differences_are_a_dash():
    columns = {"metric": ["map"], "a": [0.5], "b": [np.nan], "difference": [np.nan], "low": [np.nan], "high": [np.nan]}
    table = differences_table(pd.DataFrame(columns).assign(p_value=np.nan, least_p_value=np.nan))
    assert table.rows == [["map", "0.500", "–", "–", "–"]]


def test_a_p_value_that_its_test_cannot_fall_below_is_a_bound():
    columns = {"metric": ["map"], "a": [0.5], "b": [0.7], "difference": [0.2], "low": [0.1], "high": [0.3]}
    for p_value, shown in ((0.1062, "≤ 0.11"), (0.2, "0.200")):
        table = differences_table(pd.DataFrame(columns).assign(p_value=p_value, least_p_value=0.1062))
        assert table.rows[0][-1] == shown


@pytest.mark.parametrize("has_changes", [True, False])
def test_the_page_escapes_names_and_refers_to_nothing_outside(tmp_path: Path, has_changes: bool):
    images, note = build_changed(changed_images(FILES, BASELINE, RUN), (BASELINE, RUN), tmp_path, 10, 10**6)
    rows = pd.DataFrame({"metric": ["map"], "a": 0.5, "b": 0.6, "difference": 0.1, "low": 0.05, "high": 0.2})
    section = RunSection(
        "<y>", differences_table(rows.assign(p_value=0.01, least_p_value=0.002)), images if has_changes else []
    )
    figures = curve_figures({"<x>": curves_of(HITS), "<y>": curves_of(HITS[:1])})
    page = ComparisonPage("<x>", "4 images", ["a note & more"], "score ≥ 0.5", [section], figures, note)
    size = write_comparison(page, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert size == len(text.encode())
    assert "&lt;y&gt; against &lt;x&gt;" in text
    assert "a note &amp; more" in text
    assert "+0.100 [+0.050, +0.200]" in text
    assert not re.search(r"https?://|<[xy]>|url\((?!#)|@import", text)
    assert ("None: both runs make equally many errors" in text) != has_changes
