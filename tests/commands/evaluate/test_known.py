"""Which images a model may have seen: by its own word, by its silence, by the user's."""

from dataclasses import replace

import pytest

from damaged_set import scene
from maskdet.commands.evaluate.known import find_known
from maskdet.data.audit.looks import look_at
from maskdet.data.manifest import read_manifest

LISTED = next(value for path, value in read_manifest("kaggle").items() if path.startswith("images/"))


@pytest.fixture(scope="module")
def looks():
    return {"new.png": look_at(scene(0)), "old.png": replace(look_at(scene(1)), sha256=LISTED)}


@pytest.mark.parametrize(
    ("details", "words"),
    [
        ({"data": {"name": "kaggle"}}, "of the set kaggle, which the model was trained on"),
        ({"data": {"name": "kaggle, web"}}, "which the model was trained on"),
        ({"data": {"name": "composite_two_class"}}, "which may be part of composite_two_class"),
        ({"data": None}, "as it does not say on what it was"),
        ({}, "as it does not say on what it was"),
    ],
)
def test_a_listed_image_is_left_out_unless_the_model_clears_it(looks, details, words):
    known = find_known(looks, {}, details)
    assert list(known.trained_on) == ["old.png"]
    assert words in known.trained_on["old.png"]
    assert known.counted(list(looks), keeps_known=False) == ["new.png"]
    assert known.counted(list(looks), keeps_known=True) == ["new.png", "old.png"]


def test_a_model_of_another_set_has_not_seen_it(looks):
    known = find_known(looks, {}, {"data": {"name": "sample"}})
    assert known.trained_on == {}
    assert known.elsewhere["old.png"].endswith("of the set kaggle, which the model was not trained on")
    assert known.counted(list(looks), keeps_known=False) == list(looks)


def test_nothing_but_known_images_is_refused(looks):
    known = find_known(looks, {}, {"data": {"name": "kaggle"}})
    with pytest.raises(ValueError, match=r"got 1 that it was, such as old.png: equal pixels to .*--keep-known"):
        known.counted(["old.png"], keeps_known=False)
    assert known.counted([], keeps_known=False) == []


def test_copies_of_a_named_set_count_as_known(looks):
    known = find_known(looks, {"mine": {"x.png": look_at(scene(0))}}, {"data": {"name": "sample"}})
    assert known.trained_on == {"new.png": "exact copy of x.png of mine (equal pixels)"}
