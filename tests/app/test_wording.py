"""What the page says: escaped, and with the figures that a model carries, no others."""

from types import SimpleNamespace

import numpy as np

from maskdet.app.limits import AppLimits
from maskdet.app.models import AppModel, ModelShelf
from maskdet.app.picture_files import View
from maskdet.app.results import ModelAnswer, PictureResult
from maskdet.app.wording import honesty_html, message_html, picture_html, programs_html, welcome_html
from maskdet.inference.suppression import Detections
from maskdet.schema import CLASS_NAMES

NO_FACE = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


def shelf_of(details: dict) -> ModelShelf:
    """Return a shelf with a model that says these things of itself."""
    metadata = SimpleNamespace(details=details)
    predictor = SimpleNamespace(class_names=CLASS_NAMES, metadata=metadata, thresholds=dict.fromkeys(CLASS_NAMES, 0.3))
    return ModelShelf([AppModel("a <model>", predictor)], {"/srv/secret/wrong.onnx": "/srv/secret/wrong.onnx: bad"})


def test_error_rates_are_those_of_the_metadata():
    details = {
        "metrics": {"ap_50/with_mask": {"value": 0.912, "interval_95": [0.9, 0.93]}},
        "metrics_are_of": "853 images",
        "operating_points": {"with_mask": {"precision": 0.875, "recall": 0.8}},
    }
    text = honesty_html(shelf_of(details), AppLimits())
    assert "0.912" in text
    assert "0.900 to 0.930" in text
    assert "Measured on 853 images" in text
    assert "<td>20 %</td>" in text  # missed
    assert "<td>12 %</td>" in text  # wrong
    assert text.count("not known") == 2 * 4  # the two other classes
    assert "a &lt;model&gt;" in text


def test_a_model_without_figures_says_so_whatever_it_holds():
    for details in ({}, {"metrics": {"map": {"value": 0.4}}}, {"metrics": "good"}, {"metrics": {"ap_50/with_mask": 1}}):
        assert "does not say how often it errs" in honesty_html(shelf_of(details), AppLimits())


def test_no_folder_of_the_server_is_shown():
    text = welcome_html(shelf_of({}))
    assert "The model wrong.onnx is not offered: bad" in text
    assert "secret" not in text


def test_messages_and_names_are_escaped():
    assert "&lt;script&gt;" in message_html("<script>")
    answer = ModelAnswer("<b>", CLASS_NAMES, NO_FACE, 0.1)
    parts = picture_html("token", PictureResult("a.png", (4, 3), b"", (answer,), "<i>"), [View((0.5, 0.5, 0.5))])
    assert all("<b>m" not in part and "<i>." not in part for part in parts)
    assert "No face reaches its threshold" in parts[1]


def test_a_table_is_cut_and_says_so():
    left = np.arange(350, dtype=np.float32)[:, None] * 10
    found = Detections(
        np.hstack([left, left, left + 9, left + 9]), np.full(350, 0.9, np.float32), np.zeros(350, np.int64)
    )
    result = PictureResult("a.png", (400, 300), b"", (ModelAnswer("m", CLASS_NAMES, found, 0.1),))
    picture, table = picture_html("token", result, [View((0.5, 0.5, 0.5), is_blurred=True)])
    assert "350 faces" in picture
    assert "100 % masked" in picture
    assert "picture/token/0/faces.csv?t=0.5,0.5,0.5&amp;blur=1" in picture
    assert "the first 300 of 350" in table
    assert table.count("<tr>") == 301


def test_a_face_that_two_classes_claim_counts_once():
    boxes = np.float32([[10, 10, 60, 60], [12, 10, 60, 62], [100, 10, 150, 60]])
    found = Detections(boxes, np.float32([0.9, 0.8, 0.7]), np.array([0, 1, 1]))
    result = PictureResult("a.png", (200, 100), b"", (ModelAnswer("m", CLASS_NAMES, found, 0.1),))
    picture, table = picture_html("token", result, [View((0.5, 0.5, 0.5))])
    assert "2 faces" in picture
    assert "50 % masked" in picture
    assert table.count("<tr>") == 1 + 2


def test_programs_are_told_the_address_and_the_limits():
    text = programs_html("http://host:1/", AppLimits(max_upload_mb=3))
    assert "http://host:1/api/detect" in text
    assert "more than 3 MB" in text
    assert "408 a picture that takes more than 60 seconds" in text
    assert "each once with its likeliest class" in text
