"""What of the first look shows photos: thumbnails, the map's points, sample sheets."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explored_set import BARE, FACES, GROUPS, MASK, WRONG, annotations_table, images_table, write_photos
from maskdet.evaluation.exploration.classes import class_mixes
from maskdet.reporting.explore_map import build_atlas, map_points, thumbnail_map
from maskdet.reporting.explore_samples import CELL_PX, choose_samples, cut_samples, sample_sheet, window
from maskdet.reporting.palette import class_style, hex_to_rgb


def flat(color: int, shape: tuple[int, int] = (40, 64)) -> np.ndarray:
    return np.full((*shape, 3), color, np.uint8)


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def map_table() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return a table of the topic `feature_map` with images and annotations."""
    images, annotations = images_table(), annotations_table()
    table = images[["file_name", "source"]].assign(class_mix=class_mixes(images, annotations).to_numpy())
    table["group"] = list(GROUPS.values())
    table["group_size"] = table.groupby("group")["group"].transform("size")
    return table.assign(x=np.arange(9.0), y=np.arange(9.0) % 3), images, annotations


def test_every_thumbnail_is_in_its_tile():
    thumbnails = [flat(0), flat(90, (64, 20)), flat(180), flat(250), flat(30)]
    atlas = build_atlas(thumbnails, 10**6)
    sheet = decoded(atlas.uri)
    assert (atlas.tile_px, atlas.columns) == (64, 3)
    assert atlas.sizes_wh == [(64, 40), (20, 64), (64, 40), (64, 40), (64, 40)]
    for index, ((width, height), thumbnail) in enumerate(zip(atlas.sizes_wh, thumbnails, strict=True)):
        left, top = index % 3 * 64, index // 3 * 64
        tile = sheet[top + 4 : top + height - 8, left + 4 : left + width - 8]  # away from the neighbours' JPEG blocks
        assert np.abs(tile.astype(int) - thumbnail[0, 0, 0]).max() <= 8


def test_an_atlas_stays_below_its_size():
    rng = np.random.default_rng(0)
    thumbnails = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(30)]
    large, small = build_atlas(thumbnails, 10**7), build_atlas(thumbnails, 20_000)
    assert len(small.uri) <= 20_000 < len(large.uri)
    assert small.tile_px < large.tile_px == 64
    assert build_atlas([], 1000) is None


def test_points_carry_their_image():
    table, images, annotations = map_table()
    points = map_points(table, images, annotations, build_atlas([flat(0), flat(9)], 10**6), [2, 7])
    assert points["name"] == list(images["file_name"])
    assert (min(points["x"]), max(points["x"])) == (0, 10_000)
    assert (min(points["y"]), max(points["y"])) == (0, 2_500)  # one scale for both axes
    assert points["y"][0] == 2_500  # the lowest is drawn lowest
    assert points["tile"] == [-1, -1, 0, -1, -1, -1, -1, 1, -1]
    assert points["group"] == [0, 0, -1, -1, 0, -1, -1, -1, -1]
    assert points["groups"] == [(0, 3)]
    assert points["text"][0] == "200 × 100 px; 2 mask, 1 no mask; one of 3 images in group 0"
    assert points["text"][7] == "200 × 100 px; no face"
    labels = [points["mixes"][mix][0] for mix in points["mix"]]
    assert labels[:5] == ["mask + no mask", "mask", "no mask", "mask", "mask + incorrect"]
    without = map_points(table.drop(columns=["group", "group_size"]), images, annotations, None, [])
    assert without["groups"] == []
    assert set(without["group"]) == {-1} == set(without["tile"])


def test_a_map_of_thumbnails_puts_none_upon_another():
    table, _, _ = map_table()
    sheet = thumbnail_map(table, {0: flat(0), 8: flat(0)})
    assert sheet.shape[1] > sheet.shape[0]
    dark = sheet[..., 0] < 100
    assert dark[-40:, :48].any()  # image 0, lower left
    assert dark[:48, -48:].any()  # image 8, upper right
    same_place = table.assign(x=0.0, y=0.0)
    assert thumbnail_map(same_place, {0: flat(0), 1: flat(200)}).shape == (48, 48, 3)
    assert thumbnail_map(table, {}) is None


def test_samples_take_turns_among_groups():
    chosen = choose_samples(annotations_table(), GROUPS, 4, 0)
    assert list(chosen) == [MASK, BARE, WRONG]
    assert all((rows["class_name"] == name).all() for name, rows in chosen.items())
    masks = chosen[MASK]["file_name"].map(GROUPS)
    assert masks.is_unique  # four of the four groups with a mask: a, b and e are one
    assert len(chosen[WRONG]) == 1
    everything = choose_samples(annotations_table(), GROUPS, 99, 0)
    assert sum(map(len, everything.values())) == len(FACES)
    repeated = choose_samples(annotations_table(), GROUPS, 4, 0)
    assert all(chosen[name].equals(repeated[name]) for name in chosen)
    assert choose_samples(annotations_table().iloc[:0], GROUPS, 4, 0) == {}


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.integers(1, 500), st.integers(1, 500), st.data())
def test_a_window_holds_its_face_and_stays_inside(width, height, data):
    x_min, y_min = (data.draw(st.floats(0, side - 1)) for side in (width, height))
    x_max, y_max = data.draw(st.floats(x_min + 0.5, width)), data.draw(st.floats(y_min + 0.5, height))
    left, top, right, bottom = window(np.array([x_min, y_min, x_max, y_max]), (width, height))
    assert 0 <= left <= x_min
    assert 0 <= top <= y_min
    assert x_max <= right <= width
    assert y_max <= bottom <= height


def test_a_sample_shows_its_face_with_its_box(tmp_path):
    write_photos(tmp_path / "images", ["a.png", "d.png"])
    annotations = annotations_table(["a.png", "d.png"])
    samples = list(cut_samples(annotations, annotations, tmp_path / "images"))
    assert [sample.file_name for sample in samples] == ["a.png", "a.png", "a.png", "d.png"]
    assert samples[3].size_px == pytest.approx(100)
    for sample in samples:
        assert max(sample.picture.shape[:2]) == CELL_PX
        color = hex_to_rgb(class_style(sample.class_name).color)
        assert (sample.picture == color).all(axis=2).sum() > CELL_PX // 4  # its outline
    sheet = sample_sheet(samples, columns=3)
    assert sheet.shape == (2 * CELL_PX + 6, 3 * CELL_PX + 12, 3)


def test_a_missing_photo_is_named(tmp_path):
    annotations = annotations_table(["a.png"])
    with pytest.raises(FileNotFoundError, match=r"a\.png"):
        list(cut_samples(annotations, annotations, tmp_path))
