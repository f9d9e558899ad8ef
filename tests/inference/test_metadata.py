"""The metadata of a model file: what is written is what comes back, and what is wrong is named."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.data.framing import Letterbox, Stretch
from maskdet.inference.metadata import DetectOptions, ModelMetadata

METADATA = ModelMetadata(
    class_names=("mask", "no mask"),
    framing_kind="letterbox",
    size=768,
    detect=DetectOptions(0.001, 0.5, 5000, 300),
    score_thresholds={"mask": 0.3, "no mask": 1},
    details={"metrics": {"map_50": 0.6}, "licence": "Apache-2.0", "note": "Übung"},
)


def test_what_is_written_is_what_comes_back():
    assert ModelMetadata.from_json(METADATA.to_json()) == METADATA
    assert list(METADATA.to_record())[:2] == ["format_version", "class_names"]
    assert METADATA.to_record() == json.loads(METADATA.to_json())


@given(
    st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True),
    st.floats(0, 1),
    st.integers(1, 10**6),
    st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
)
def test_any_sound_metadata_survives(names, threshold, count, extra):
    details = {f"free {key}": value for key, value in extra.items()}
    detect = DetectOptions(threshold, threshold, count, count)
    metadata = ModelMetadata(tuple(names), "stretch", count, detect, dict.fromkeys(names, threshold), details)
    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_the_framing_is_that_of_training():
    assert METADATA.framing == Letterbox(768)
    assert replace(METADATA, framing_kind="stretch").framing == Stretch(768)


BROKEN = {
    "format_version": (2, "format_version: expected 1, got 2"),
    "class_names": ("mask", "class_names: expected a list, got 'mask'"),
    "framing": ({"kind": "letterbox"}, "framing: expected the fields ['kind', 'size'], got ['kind']"),
    "detect": (None, "detect: expected an object, got None"),
    "score_thresholds": ({"mask": 0.3}, "score_thresholds: expected ['mask', 'no mask'], got ['mask']"),
}


@pytest.mark.parametrize("key", BROKEN)
def test_a_broken_field_is_named(key):
    value, message = BROKEN[key]
    with pytest.raises(ValueError, match=re.escape(message)):
        ModelMetadata.from_json(json.dumps(METADATA.to_record() | {key: value}))


@pytest.mark.parametrize(("text", "message"), [("{", "expected JSON, got"), ("[]", "expected a JSON object, got list")])
def test_text_that_is_no_object_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        ModelMetadata.from_json(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ()}, "class_names: expected different names, got []"),
        ({"class_names": ("mask", "mask")}, "class_names: expected different names"),
        ({"framing_kind": "crop"}, "framing.kind: expected one of ['letterbox', 'stretch'], got 'crop'"),
        ({"size": 0}, "framing.size: expected a positive whole number, got 0"),
        ({"size": True}, "framing.size: expected a positive whole number, got True"),
        ({"score_thresholds": {"mask": 2, "no mask": 0}}, "score_thresholds.mask: expected a number in [0, 1], got 2"),
        ({"details": {"detect": 1}}, "details: expected no key of the format itself, got ['detect']"),
    ],
)
def test_values_are_checked(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(METADATA, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"score_threshold": float("nan")}, "detect.score_threshold: expected a number in [0, 1], got nan"),
        ({"nms_iou_threshold": "0.5"}, "detect.nms_iou_threshold: expected a number in [0, 1], got '0.5'"),
        ({"box_voting_iou": 1.5}, "detect.box_voting_iou: expected a number in [0, 1], got 1.5"),
        ({"max_candidates": 0}, "detect.max_candidates: expected a positive whole number, got 0"),
        ({"max_detections": 1.5}, "detect.max_detections: expected a positive whole number, got 1.5"),
    ],
)
def test_limits_are_checked(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(METADATA.detect, **changes)
