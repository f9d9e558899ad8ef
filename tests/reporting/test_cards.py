"""What the gallery's filters know of images and errors, and what is cut out of an image around an error."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskdet.evaluation.errors import classify_errors, most_confident_errors
from maskdet.evaluation.label_errors import likely_label_errors
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.reporting.cards import CardSource, class_indices, image_cards
from maskdet.reporting.error_cards import cut_window, error_cards
from maskdet.reporting.overlay import overlay_svg
from maskdet.reporting.picture import judge_tables
from table_rows import detection_rows, face_rows

SMALL, LARGE, FAR = (10, 10, 20, 20), (40, 40, 80, 80), (150, 60, 180, 90)


@pytest.fixture
def source(tmp_path: Path) -> CardSource:
    """Return a.png: a hit, a face under a wrong class, a missed one, a false alarm; b.png: nothing at all."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (200, 100), (90, 90, 90)).save(tmp_path / name)
    faces = [
        ("a.png", "with_mask", *SMALL),
        ("a.png", "without_mask", *LARGE),
        ("a.png", "with_mask", 100, 0, 120, 20),
    ]
    detections = [
        ("a.png", "with_mask", 0.9, *SMALL),
        ("a.png", "with_mask", 0.8, *LARGE),
        ("a.png", "with_mask", 0.7, *FAR),
        ("a.png", "with_mask", 0.1, 0, 60, 20, 90),  # below the display threshold
    ]
    images = pd.DataFrame({"file_name": ["a.png", "b.png"], "width": 200, "height": 100})
    tables = EvaluationTables(images, face_rows(faces), detection_rows(detections), (15.0, 25.0))
    judged = judge_tables(tables.annotations, tables.predictions, 0.3)
    return CardSource(tables, judged, {"a.png": 0, "b.png": 1}, tmp_path)


def test_an_image_chosen_twice_is_one_card_with_both_groups(source: CardSource) -> None:
    cards = image_cards({"worst": ["a.png"], "random": ["b.png", "a.png"]}, source)
    assert [(card.file_name, card.groups, card.fold) for card in cards] == [
        ("a.png", ("worst", "random"), 0),
        ("b.png", ("random",), 1),
    ]
    assert cards[0].f1 == pytest.approx(2 / 6)
    assert cards[1].f1 is None
    assert cards[1].boxes == ()


def test_facts_by_hand(source: CardSource) -> None:
    (card,) = image_cards({"worst": ["a.png"]}, source)
    facts = {(box.class_indices, box.kind, box.third, box.score and round(box.score, 3)) for box in card.boxes}
    assert facts == {
        ((0,), "hit", 1, 0.9),
        ((1, 0), "classification", 3, 0.8),
        ((0,), "background", 3, 0.7),
        ((0,), "missed", 2, None),
    }
    assert card.boxes_json.startswith('[[[0],"hit",1,0.9,10.0]')


def test_errors_of_both_tables_come_once_with_both_reasons(source: CardSource) -> None:
    sources = (source.tables.images, source.tables.annotations, source.tables.predictions)
    confident = most_confident_errors(classify_errors(*sources), 9)
    suspects = likely_label_errors(*sources, min_suspicion=0.3)
    cards = error_cards(confident, suspects, source)
    first = next(card for card in cards if card.boxes[0].score and card.boxes[0].score > 0.75)
    assert first.groups == ("confident", "label")
    assert first.lines[0] == "mask 0.80, labelled no mask"
    assert "labelled without_mask, predicted with_mask with 0.80" in first.lines[-1]
    assert first.boxes[0].class_indices == (1, 0)
    assert len(cards) == len({(card.lines[0], card.boxes) for card in cards})
    missed = [card for card in cards if card.boxes[0].kind == "missed"]
    assert all(card.boxes[0].score is None for card in missed)
    assert all(card.photo.shape[0] <= 100 and card.photo.flags.c_contiguous for card in cards)


def test_faint_errors_are_drawn_and_unknown_images_left_out(source: CardSource) -> None:
    row = {"file_name": "a.png", "fold": 0, "class_name": "with_mask", "score": 0.1, "error": "background"}
    row |= dict(zip(("x_min", "y_min", "x_max", "y_max"), (0, 60, 20, 90), strict=True)) | {"true_class": float("nan")}
    table = pd.DataFrame([row, row | {"file_name": "gone.png"}])
    (card,) = error_cards(table, likely_label_errors(*_no_detections(source)).head(0), source)
    assert "mask 0.10" in card.panels[1].overlay
    assert card.panels[1].overlay.startswith('<rect class="box c0 d" x="0" ')
    assert card.panels[1].overlay.count("box c0 d") == 2  # and the wrong detection beside it


def _no_detections(source: CardSource) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return source.tables.images, source.tables.annotations, source.tables.predictions.head(0)


@given(
    st.lists(st.floats(-20, 300, width=32), min_size=4, max_size=4),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_a_cut_out_lies_inside_its_image_and_holds_what_lies_there_of_its_box(
    numbers: list[float], image_wh: tuple[int, int]
) -> None:
    x, y = sorted(numbers[:2]), sorted(numbers[2:])
    left, top, right, bottom = cut_window(np.array([[x[0], y[0], x[1], y[1]]]), image_wh)
    assert 0 <= left < right <= image_wh[0]
    assert 0 <= top < bottom <= image_wh[1]
    for low, high, start, stop, side in ((*x, left, right, image_wh[0]), (*y, top, bottom, image_wh[1])):
        inside = (max(low, 0), min(high, side))
        assert inside[0] >= inside[1] or (start <= inside[0] + 1 and stop >= inside[1] - 1)


def test_overlay_scales_boxes_to_the_view_and_escapes_names() -> None:
    assert overlay_svg(np.zeros((0, 4)), [], None, [], (100, 50)) == ""
    svg = overlay_svg(np.array([[10, 10, 60, 40.0]]), ["<face>"], [0.5], [True], (100, 50))
    assert '<rect class="box cx d" x="64" y="64" width="320" height="192"/>' in svg
    assert "&lt;face&gt; 0.50" in svg


def test_class_indices_leave_missing_names_out() -> None:
    assert class_indices(float("nan"), "with_mask") == (0,)
    assert class_indices("face") == ()
