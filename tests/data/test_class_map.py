"""Class maps: names change, boxes and images are dropped as said, nothing is lost without a word."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskdet.data.class_map import recode
from maskdet.data.labelled_set import LabelledBox, LabelledImage, LabelledSet
from maskdet.schema import CLASS_NAMES

ORIGIN = "data.sources.web"


def a_set(*classes_of_images: list[str]) -> LabelledSet:
    """Return a set of images with boxes of the given classes."""
    images = tuple(
        LabelledImage(
            f"{i}.png", (9, 9), tuple(LabelledBox(name, (0, 0, i + 1, k + 1)) for k, name in enumerate(names)), "x"
        )
        for i, names in enumerate(classes_of_images)
    )
    return LabelledSet(Path("web"), "yolo", (), images, ())


def names_of(recoded) -> dict[str, list[str]]:
    return {image.file_name: [box.class_name for box in image.boxes] for image in recoded.images}


def test_an_image_with_a_dropped_class_is_left_out():
    class_map = {"mask": "with_mask", "bare": "without_mask", "odd": None, "cap": None}
    recoded = recode(a_set(["mask", "bare"], ["mask", "odd"], []), class_map, True, ORIGIN)
    assert names_of(recoded) == {"0.png": ["with_mask", "without_mask"], "2.png": []}
    assert recoded.num_boxes == {"bare": 1, "mask": 2, "odd": 1}
    assert recoded.excluded == ("1.png",)
    assert recoded.num_dropped == 0
    assert recoded.unused == ("cap",)


def test_or_loses_the_box_alone():
    recoded = recode(a_set(["mask", "odd"]), {"mask": "with_mask", "odd": None}, False, ORIGIN)
    assert names_of(recoded) == {"0.png": ["with_mask"]}
    assert (recoded.excluded, recoded.num_dropped) == ((), 1)


def test_a_missed_class_is_answered_with_those_that_occur():
    message = (
        r"data\.sources\.web\.class_map: expected a target for every class, got none for 'bare', 'odd'; the set holds "
        r"'bare' \(1 boxes\), 'mask' \(2 boxes\), 'odd' \(1 boxes\); map each to one of with_mask, .*null to drop it"
    )
    with pytest.raises(ValueError, match=message):
        recode(a_set(["mask", "odd"], ["mask", "bare"]), {"mask": "with_mask"}, True, ORIGIN)


def test_an_unknown_target_is_refused():
    with pytest.raises(
        ValueError, match=r"data\.sources\.web\.class_map\.mask: expected null or one of .*, got 'masked'"
    ):
        recode(a_set(["mask"]), {"mask": "masked"}, True, ORIGIN)


def test_nothing_left():
    with pytest.raises(ValueError, match=r"data\.sources\.web: expected images, got none: 2 are left out"):
        recode(a_set(["odd"], ["odd"]), {"odd": None}, True, ORIGIN)


@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=4), min_size=1, max_size=8),
    st.fixed_dictionaries(dict.fromkeys("abcd", st.sampled_from([*CLASS_NAMES, None]))),
)
def test_every_box_is_renamed_dropped_or_left_out_with_its_image(contents, class_map):
    labelled = a_set(*contents)
    kept = recode(labelled, class_map, False, ORIGIN)
    for before, after in zip(labelled.images, kept.images, strict=True):
        stays = [box for box in before.boxes if class_map[box.class_name]]
        assert [(class_map[box.class_name], box.box_xyxy) for box in stays] == [
            (box.class_name, box.box_xyxy) for box in after.boxes
        ]
    total = sum(map(len, contents))
    assert sum(kept.num_boxes.values()) == total == kept.num_dropped + sum(len(image.boxes) for image in kept.images)
    whole = [names for names in contents if all(class_map[name] for name in names)]
    if whole:
        strict = recode(labelled, class_map, True, ORIGIN)
        assert [len(image.boxes) for image in strict.images] == [len(names) for names in whole]
        assert len(strict.excluded) == len(contents) - len(whole)
