"""Anchors by formula against effdet's own, built in full."""

import numpy as np
import pandas as pd
import pytest
import yaml
from effdet.anchors import Anchors
from hypothesis import given, settings
from hypothesis import strategies as st

from committed_run import committed_images_and_faces
from maskdet.boxes import box_iou
from maskdet.data.framing import Letterbox, Stretch
from maskdet.evaluation.anchor_fit import (
    MAX_LEVEL,
    MIN_LEVEL,
    AnchorSettings,
    anchor_fit,
    aspect_ratio_sets,
    best_anchor_ious,
    best_anchors,
    input_boxes,
)
from maskdet.schema import BOX_COLUMNS

DEFAULT = AnchorSettings(3, 3, (1.0, 2.0, 0.5))


def effdet_anchors(image_size: int, anchors: AnchorSettings) -> np.ndarray:
    """Return (A, 4) xyxy boxes of every anchor that effdet makes."""
    ratios, size = list(anchors.aspect_ratios), (image_size, image_size)
    made = Anchors(MIN_LEVEL, MAX_LEVEL, anchors.num_scales, ratios, anchors.scale, size)
    return made.boxes.numpy()[:, [1, 0, 3, 2]].astype(np.float64)


@pytest.fixture(scope="module")
def real_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return committed_images_and_faces()


@pytest.fixture
def faces(table) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return images and annotations: a wide image, a tall one; a face of each kind of size."""
    images = pd.DataFrame({"file_name": ["wide.png", "tall.png"], "width": [400, 300], "height": [200, 600]})
    boxes = [("wide.png", (10, 20, 14, 26)), ("wide.png", (100, 50, 130, 90)), ("tall.png", (0, 300, 250, 600))]
    return images, table(*[(name, "with_mask", box) for name, box in boxes], scored=False)


@pytest.mark.parametrize("image_size", [128, 256, 200])  # 200 is no multiple of the strides
@pytest.mark.parametrize("anchors", [DEFAULT, AnchorSettings(1.5, 2, (0.8,)), AnchorSettings(4, 1, (3.0, 1.0))])
def test_equal_to_every_anchor_of_effdet(image_size, anchors):
    rng = np.random.default_rng(image_size)
    corners = rng.uniform(0, image_size, (80, 2))
    boxes = np.hstack([corners, corners + np.exp(rng.uniform(0, 5, (80, 2)))]).clip(0, image_size)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 0.5)
    expected = box_iou(boxes, effdet_anchors(image_size, anchors)).max(axis=1)
    # effdet keeps anchors as float32
    np.testing.assert_allclose(best_anchor_ious(boxes, image_size, anchors), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("image_size", "scale", "covered"), [(512, 4, 0.777), (640, 2, 0.971)])
def test_real_faces_are_covered_as_published(image_size, scale, covered, real_tables):
    """Figures of a search over all anchors, made apart from this code."""
    images, annotations = real_tables
    assert len(images) == 683
    fit = anchor_fit(annotations, images, image_size, AnchorSettings(scale, 3, (1.0, 2.0, 0.5)))
    assert fit.covered == pytest.approx(covered, abs=0.005)
    ranked = best_anchors(annotations, images, image_size, scales=(2, 3, 4), scales_per_octave=(3,))
    assert ranked["covered"].iloc[0] >= fit.covered


SIDE = st.floats(0.5, 300)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.floats(0, 255), st.floats(0, 255), SIDE, SIDE, st.floats(0.5, 5), st.integers(1, 4), st.floats(0.2, 5))
def test_a_box_anywhere_meets_its_best_anchor(x, y, width, height, scale, num_scales, ratio):
    box = np.array([[x, y, x + width, y + height]])
    anchors = AnchorSettings(scale, num_scales, (ratio,))
    expected = box_iou(box, effdet_anchors(256, anchors)).max()
    assert best_anchor_ious(box, 256, anchors)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("name", "framing"), [("stretch", Stretch(512)), ("letterbox", Letterbox(512))])
def test_boxes_are_framed_as_the_data_does(name, framing, faces):
    images, annotations = faces
    found = input_boxes(annotations, images, 512, name)
    for row, box in zip(annotations.to_dict("records"), found, strict=True):
        width, height = images.set_index("file_name").loc[row["file_name"]]
        expected = framing.frame((width, height)).to_input(np.array([[row[c] for c in BOX_COLUMNS]]))[0]
        np.testing.assert_allclose(box, expected, rtol=1e-6)


def test_an_anchor_itself_is_covered_wholly():
    anchors = effdet_anchors(256, DEFAULT)
    inside = anchors[(anchors >= 0).all(axis=1) & (anchors <= 256).all(axis=1)]
    np.testing.assert_allclose(best_anchor_ious(inside, 256, DEFAULT), 1, atol=1e-5)


def test_fit_by_size_adds_up(faces):
    images, annotations = faces
    fit = anchor_fit(annotations, images, 512, DEFAULT)
    assert fit.covered == (fit.best_ious >= 0.5).mean()
    assert fit.mean_best_iou == pytest.approx(fit.best_ious.mean())
    assert fit.by_size["num_faces"].sum() == len(annotations)
    filled = fit.by_size[fit.by_size["num_faces"] > 0]
    assert (filled["covered"] * filled["num_faces"]).sum() / len(annotations) == pytest.approx(fit.covered)
    assert filled["size"].tolist() == ["8-16 px", "32-64 px", ">= 128 px"]
    # Roots of 5.12 * 15.36 and 38.4 * 102.4 are 8.9 and 62.7.


def test_without_faces_nothing_is_defined(faces):
    images, annotations = faces
    fit = anchor_fit(annotations[:0], images, 512, DEFAULT)
    assert np.isnan([fit.covered, fit.mean_best_iou]).all()
    assert (fit.by_size["num_faces"] == 0).all()
    with pytest.raises(ValueError, match="expected at least one face to fit anchors to, got none"):
        best_anchors(annotations[:0], images, 512)


def test_ranking_keeps_its_promises(faces):
    images, annotations = faces
    ranked = best_anchors(annotations, images, 512, scales=(1, 3), scales_per_octave=(1, 3))
    assert (ranked["covered"].diff().dropna() <= 0).all()
    assert not ranked[["scale", "num_scales", "aspect_ratios"]].duplicated().any()
    for row in ranked.itertuples():
        settings_of_row = AnchorSettings(row.scale, row.num_scales, row.aspect_ratios)
        fit = anchor_fit(annotations, images, 512, settings_of_row)
        assert (row.covered, row.mean_best_iou) == (fit.covered, pytest.approx(fit.mean_best_iou))
        cheaper = ranked[ranked["num_per_cell"] <= row.num_per_cell]
        assert row.is_efficient == (row.covered >= cheaper["covered"].max())
        copied = yaml.safe_load(row.yaml)["model"]["anchors"]
        assert (copied["scale"], copied["num_scales"]) == (row.scale, row.num_scales)
        assert tuple(copied["aspect_ratios"]) == row.aspect_ratios


def test_ratios_are_found_where_boxes_gather():
    rng = np.random.default_rng(0)
    ratios = np.repeat([0.5, 2.0], 50) * np.exp(rng.normal(0, 0.02, 100))
    boxes = np.stack([np.zeros(100), np.zeros(100), 30 * ratios, np.full(100, 30.0)], axis=1)
    sets = aspect_ratio_sets(boxes, 2)
    assert sets[0] == (pytest.approx(1, abs=0.02),)
    assert sets[1] == (pytest.approx(0.5, abs=0.02), pytest.approx(2, abs=0.05))
    assert aspect_ratio_sets(boxes[:1]) == [(pytest.approx(ratios[0], abs=0.01),)]


def test_bad_input_is_named(faces):
    images, annotations = faces
    with pytest.raises(ValueError, match=r"expected files of the images table, got 'tall\.png'"):
        anchor_fit(annotations, images[:1], 512, DEFAULT)
    with pytest.raises(ValueError, match="framing: expected 'stretch' or 'letterbox', got 'crop'"):
        anchor_fit(annotations, images, 512, DEFAULT, framing="crop")
    with pytest.raises(ValueError, match="image_size: expected a side in pixels, got 0"):
        anchor_fit(annotations, images, 0, DEFAULT)
    with pytest.raises(ValueError, match="expected a positive scale, num_scales >= 1"):
        AnchorSettings(1, 1, ())
