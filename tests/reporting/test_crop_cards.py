"""Crops on the page: which are shown, in which order, and that each picture is that of its row."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from maskdet.data.crops import CropStore, write_crop_store
from maskdet.reporting.crop_cards import error_cards, overlay_groups, size_bounds
from maskdet.reporting.study_pictures import PictureSettings, Stores, build_pictures
from maskdet.schema import CLASS_NAMES, CROPS, OVERLAYS

SIZE = 8
WITH, WITHOUT, WRONG = CLASS_NAMES
COUNTS = {"num_overlays": 6, "num_faces_masked": 3, "num_bare_faces": 5, "num_skipped": {"too_small": 2, "turned": 0}}


def face_index(num_faces: int) -> pd.DataFrame:
    """Return faces of two a photo whose boxes grow with their number."""
    sides = 10.0 + np.arange(num_faces)
    columns = {
        "file_name": [f"{i // 2}.png" for i in range(num_faces)],
        "face": [i % 2 for i in range(num_faces)],
        "class_name": [CLASS_NAMES[i % 3] for i in range(num_faces)],
        "group": [i // 2 for i in range(num_faces)],
        "fold": [i % 2 for i in range(num_faces)],
    }
    return pd.DataFrame(columns).assign(x_min=0.0, y_min=0.0, x_max=sides, y_max=sides)


def flat(value: int) -> np.ndarray:
    return np.full((SIZE, SIZE, 3), value, np.uint8)


@pytest.fixture
def crops(tmp_path: Path) -> CropStore:
    """Return a store of nine faces; the pixels of a crop are ten times its row."""
    write_crop_store(tmp_path / "crops", (flat(10 * i) for i in range(9)), face_index(9), CROPS)
    return CropStore.open(tmp_path / "crops")


def overlay_store(folder: Path, rows: list[tuple[int, str, str]]) -> CropStore:
    """Write overlays of (row of the bare face, shape, way to wear it); pixels: ten times the row, plus one."""
    bare = face_index(9)
    index = bare.loc[[row for row, _, _ in rows]].reset_index(drop=True)
    index["class_name"] = [WITH if worn == "over_nose" else WRONG for _, _, worn in rows]
    index = index.assign(mask_shape=[row[1] for row in rows], mask_colour="light_blue", worn=[row[2] for row in rows])
    write_crop_store(folder, (flat(10 * row + 1) for row, _, _ in rows), index, OVERLAYS)
    return CropStore.open(folder)


def error_rows(rows: list[tuple[str, int, str, float]]) -> pd.DataFrame:
    """Return rows of `classifier_errors.csv` from (classifier, row of the face, called, probability)."""
    index = face_index(9)
    table = index.loc[[row[1] for row in rows], ["file_name", "face", "fold", "class_name"]].reset_index(drop=True)
    called = {"predicted": [row[2] for row in rows], "probability": [row[3] for row in rows]}
    table = table.assign(**called, probability_true=[(1 - row[3]) / 2 for row in rows])
    return table.assign(data="photos", classifier=[row[0] for row in rows], protocol="grouped")


ERRORS = error_rows([("cnn", 0, WITHOUT, 0.7), ("cnn", 1, WRONG, 0.6), ("net", 1, WITH, 0.95), ("net", 5, WITH, 0.5)])


def test_a_face_comes_once_with_all_that_got_it_wrong_the_surest_first(crops: CropStore):
    cards = error_cards(ERRORS, crops, 10, size_bounds(crops))
    assert [(card.file_name, card.face) for card in cards] == [("0.png", 1), ("0.png", 0), ("2.png", 1)]
    first = cards[0]
    assert first.groups == ("photos/net", "photos/cnn")
    assert first.heading == "no mask, called mask and incorrect"
    assert [(call.classifier, call.called, call.probability) for call in first.calls] == [
        ("net", "mask", 0.95),
        ("cnn", "incorrect", 0.6),
    ]
    assert json.loads(first.facts_json) == [
        [[1, 0], "no mask called mask", 1, 0.95, 11.0],
        [[1, 2], "no mask called incorrect", 1, 0.6, 11.0],
    ]


def test_each_card_shows_the_crop_of_its_face_and_its_third_by_size(crops: CropStore):
    for card in error_cards(ERRORS, crops, 10, size_bounds(crops)):
        row = 2 * int(card.file_name[0]) + card.face
        assert (card.crop == 10 * row).all()
        assert (card.size_px, card.fold) == (10 + row, row % 2)
        assert {fact.third for fact in card.facts} == {row // 3 + 1}


def test_the_number_is_that_of_each_classifier(crops: CropStore):
    cards = error_cards(ERRORS, crops, 1, size_bounds(crops))
    assert [(card.calls[0].classifier, len(card.calls)) for card in cards] == [("net", 1), ("cnn", 1)]
    assert error_cards(ERRORS.iloc[:0], crops, 1, size_bounds(crops)) == []


def test_pictures_that_are_all_face_have_no_size(crops: CropStore):
    card = error_cards(ERRORS, crops, 1, None)[0]
    assert card.size_px is None
    assert {fact.third for fact in card.facts} == {0}


def test_a_face_without_a_crop_is_an_error(crops: CropStore):
    with pytest.raises(ValueError, match=r"expected a crop of every judged face, got none of face 1 of 'lost\.png'"):
        error_cards(ERRORS.replace({"file_name": {"2.png": "lost.png"}}), crops, 10, None)


ROWS = [
    (row, shape, worn) for row in (1, 4, 5, 7) for shape in ("cloth", "cup") for worn in ("over_nose", "under_chin")
]


def test_a_masked_face_stands_beside_its_bare_one_shapes_in_turn_and_people_spread(crops: CropStore, tmp_path: Path):
    groups = overlay_groups(crops, overlay_store(tmp_path / "overlays", ROWS), 4, seed=0)
    assert [(group.title, group.class_name) for group in groups] == [("under chin", WRONG), ("over nose", WITH)]
    for group in groups:
        assert [pair.text for pair in group.pairs] == ["cloth, light blue", "cup, light blue"] * 2
        assert all((pair.masked == pair.bare + 1).all() for pair in group.pairs)
        assert group.text == "4 of 8 pictures of 4 faces, drawn at random"
        first_two = {int(pair.bare[0, 0, 0]) // 20 for pair in group.pairs[:2]}
        assert len(first_two) == 2  # other groups of look-alikes before the same again


def test_the_choice_follows_from_the_seed(crops: CropStore, tmp_path: Path):
    store = overlay_store(tmp_path / "overlays", ROWS)

    def shown(seed: int) -> list[int]:
        return [int(pair.masked[0, 0, 0]) for group in overlay_groups(crops, store, 3, seed) for pair in group.pairs]

    assert shown(1) == shown(1)
    assert len({tuple(shown(seed)) for seed in range(5)}) > 1


def test_an_overlay_without_its_bare_face_is_an_error(crops: CropStore, tmp_path: Path):
    store = overlay_store(tmp_path / "overlays", ROWS)
    lacking = CropStore(crops.index[crops.index["file_name"] != "3.png"].reset_index(drop=True), crops.pixels)
    with pytest.raises(ValueError, match=r"expected the bare crop of every overlay, got none of face 1 of '3\.png'"):
        overlay_groups(lacking, store, 3, 0)


SETTINGS = PictureSettings(num_errors=10, num_overlays=3, seed=0)


def test_without_stores_the_page_says_what_is_left_out():
    pictures = build_pictures(ERRORS, COUNTS, Stores(), SETTINGS)
    assert pictures.cards == []
    assert pictures.overlays == []
    assert [note.partition(".")[0] for note in pictures.absent] == [
        "Left out: the surest errors on crops of photos",
        "Left out: examples of drawn masks",
    ]


def test_galleries_offer_what_occurs(crops: CropStore, tmp_path: Path):
    stores = Stores({"photos": crops}, overlay_store(tmp_path / "overlays", ROWS))
    pictures = build_pictures(ERRORS, COUNTS, stores, SETTINGS)
    assert pictures.absent == []
    assert len(pictures.cards) == 3
    assert list(pictures.groups) == ["photos/cnn", "photos/net"]
    assert pictures.kinds == [
        "mask called no mask",
        "no mask called mask",
        "no mask called incorrect",
        "incorrect called mask",
    ]
    assert pictures.thirds[1] == "middle third, 12.5 to 15.5 px"
    assert pictures.folds == [0, 1]
    assert [len(pairs) for _, pairs in pictures.overlays] == [3, 3]
    assert "3 faces, 1 of them called wrongly by several" in pictures.errors_text
    assert "6 masks on 3 of 5 bare faces; the others: 2 too small." in pictures.overlays_text


def test_errors_give_way_where_the_page_would_grow_too_large(crops: CropStore):
    whole = build_pictures(ERRORS, COUNTS, Stores({"photos": crops}), SETTINGS)
    limit = len(whole.cards[0][1])
    pictures = build_pictures(ERRORS, COUNTS, Stores({"photos": crops}), SETTINGS, max_bytes=limit)
    assert [card.file_name for card, _ in pictures.cards] == [whole.cards[0][0].file_name]
    assert "the surest 1 are shown" in pictures.errors_text
    assert "are shown" not in whole.errors_text
