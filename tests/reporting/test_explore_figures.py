"""Figures of the first look: named axes, places that tell, nothing drawn without data, equal bytes for equal rows."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from explored_set import FACES, MASK, WRONG, annotations_table, images_table, quality_table
from maskdet.evaluation.exploration import boxes, classes, pictures
from maskdet.evaluation.exploration.feature_map import feature_map, project
from maskdet.evaluation.exploration.topic import Topic
from maskdet.reporting.explore_figures import FEATURE_MAP, SECTIONS, ExploredFigure, build_figures, index_markdown
from maskdet.reporting.explore_mixes import mix_styles
from maskdet.reporting.explore_page import page_sections, write_figures
from table_rows import face_rows


def topics_of(names: list[str] | None = None) -> dict[str, Topic | None]:
    """Return every topic of the made set, or of these files of it."""
    images, annotations = images_table(names), annotations_table(names)
    quality = quality_table(annotations)
    rng = np.random.default_rng(0)
    traits = images[["file_name"]].assign(brightness=100.0, sharpness=rng.uniform(0, 1, len(images)))
    features = rng.normal(size=(len(images), 6))
    mixes = classes.class_mixes(images, annotations)
    shown = images[["file_name", "source"]].assign(class_mix=mixes.to_numpy(), group=0)
    return {
        "classes": classes.class_distribution(images, annotations),
        "crowding": classes.crowding(images, annotations),
        "co_occurrence": classes.co_occurrence(images, annotations),
        "box_sides": boxes.box_sides(annotations),
        "coco_sizes": boxes.coco_sizes(annotations),
        "relative_sizes": boxes.relative_sizes(images, annotations),
        "aspect_ratios": boxes.aspect_ratios(annotations),
        "positions": boxes.positions(images, annotations),
        "face_sharpness": pictures.face_sharpness(annotations, quality),
        "image_sizes": pictures.image_sizes(images),
        "brightness": pictures.brightness(traits, annotations, quality),
        "image_sharpness": pictures.image_sharpness(traits),
        FEATURE_MAP: feature_map(shown, project(features, 30, 0), features),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, ExploredFigure]:
    return build_figures(topics_of())


def test_every_figure_has_axes_with_names_and_a_caption(figures):
    assert list(figures) == [name for _, names in SECTIONS.values() for name in names]
    for figure in figures.values():
        labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.chart.figure.axes]
        assert any(x_label for x_label, _ in labels)
        ticks = [tick.get_text() for axes in figure.chart.figure.axes for tick in axes.get_yticklabels()]
        assert any(y_label for _, y_label in labels) or "mask" in ticks  # rows named by their class
        assert re.search(r"\d", figure.caption)


def test_what_has_no_data_is_left_out():
    names = ["h.png"]
    found = build_figures(topics_of(names))
    assert list(found) == ["crowding", "image_sizes", "brightness", "image_sharpness", FEATURE_MAP]
    assert build_figures({}) == {}
    assert "co_occurrence" not in build_figures(topics_of(["d.png", "i.png"]))  # masks alone


def test_a_set_of_two_classes_shows_two(figures):
    names = ["a.png", "b.png", "c.png", "d.png", "f.png"]
    svg = build_figures(topics_of(names))["box_sides"].chart.svg("box_sides", "")
    assert "no mask" in svg
    assert "incorrect" not in svg
    assert "incorrect" in figures["box_sides"].chart.svg("box_sides", "")


def test_places_tell_the_rows_behind_them(figures):
    svg = figures["box_sides"].chart.svg("box_sides", "alt")
    tips = re.findall(r'data-tip="([^"]*)"', svg)
    bins = figures["box_sides"].table[["low", "high"]].drop_duplicates()
    assert len(tips) == len(bins)
    counted = sum(int(count) for tip in tips for count in re.findall(r": (\d+) \(", tip))
    assert counted == len(FACES)
    assert "place-" not in svg
    bars = re.findall(r'data-tip="([^"]*)"', figures["classes"].chart.svg("classes", ""))
    masks = sum(face[1] == MASK for face in FACES)
    assert f"mask: {masks} faces, {masks / len(FACES):.1%}" in bars


def test_a_heat_map_tells_each_cell(figures):
    svg = figures["positions"].chart.svg("positions", "")
    grids = [json.loads(text.replace("&#34;", '"')) for text in re.findall(r'data-grid="([^"]*)"', svg)]
    assert len(grids) == 1 + 3  # all, then each class
    assert {(len(grid), len(grid[0])) for grid in grids} == {(boxes.GRID, boxes.GRID)}
    first = figures["positions"].table.iloc[0]["coverage"]
    assert grids[0][0][0] == f"all faces: {first:.2%} of the faces are here"


def test_equal_rows_give_equal_bytes(tmp_path, figures):
    names = ("classes", "positions", FEATURE_MAP)
    again = build_figures({name: topic for name, topic in topics_of().items() if name in names})
    for folder, drawn in (("first", {name: figures[name] for name in names}), ("second", again)):
        (tmp_path / folder).mkdir()
        write_figures(drawn, tmp_path / folder)
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()
        assert path.stat().st_size < 60_000
    assert len(list((tmp_path / "first").iterdir())) == len(names)


def test_the_index_names_every_figure_with_its_caption(figures):
    text = index_markdown("A look", "made: 9 images", ["Left out: nothing."], figures)
    assert text.startswith("# A look\n\nmade: 9 images.\n\nLeft out: nothing.\n\n## Classes\n")
    for figure in figures.values():
        assert figure.caption in text
        assert f"![{figure.title}](figures/{figure.name}.png)" in text
    assert text.endswith(")\n")


def test_cards_have_their_rows_where_they_can_be_read(figures):
    cards = {card.name: card for _, _, group in page_sections(figures) for card in group}
    assert set(cards) == set(figures) - {FEATURE_MAP}
    assert cards["positions"].table is None
    rows = cards["coco_sizes"].table.rows
    assert rows[0][:2] == ["all", "small"]
    assert cards["classes"].table.rows[2] == ["incorrect", "1", "6.2%", "1", "11.1%"]


def test_rare_mixes_share_a_look():
    mixes = pd.Series([WRONG, "a+b", "a+b", "a+c", "b+c", "c+d", "d+e", "no face", MASK])
    styles = mix_styles(mixes)
    assert list(styles)[:2] == [MASK, WRONG]
    assert list(styles)[-1] == "no face"
    assert styles["c+d"] == styles["d+e"]
    assert len({style.color for mix, style in styles.items() if mix not in ("c+d", "d+e")}) == len(styles) - 2
    assert mix_styles(pd.Series([], dtype=str)) == {}


def test_an_unreadable_label_is_escaped():
    table = face_rows([("x.png", MASK, 0, 0, 5, 5)])
    figure = build_figures({"box_sides": boxes.box_sides(table)})["box_sides"]
    figure.chart.attributes[0] = ("data-tip", '<b> & "quotes"')
    assert 'data-tip="&lt;b&gt; &amp; &#34;quotes&#34;"' in figure.chart.svg("box_sides", "")
