"""Known pictures are found by their pixels, copies by their looks, and groups hold what looks alike."""

from dataclasses import replace

import numpy as np
import pytest

from damaged_set import encoded, scene
from maskdet.data.audit.looks import look_at
from maskdet.data.audit.options import AuditOptions
from maskdet.data.known_images import find_likenesses, listed_pictures, look_at_pictures
from maskdet.data.manifest import read_manifest
from raw_archive import write_folder

OPTIONS = AuditOptions(num_workers=1)


@pytest.fixture(scope="module")
def looks():
    """Four pictures: the second equals the first, the third is the first in a mirror, the fourth is another."""
    first, other = scene(0), scene(1)
    mirror = np.ascontiguousarray(first[:, ::-1])
    return {name: look_at(image) for name, image in zip("abcd", (first, first, mirror, other), strict=True)}


def test_groups_hold_equal_and_mirrored_pictures(looks):
    found = find_likenesses(looks, {})
    assert found.groups == {"a": 0, "b": 0, "c": 0, "d": 1}
    assert found.copies == {}


def test_a_collage_joins_the_pictures_that_it_holds():
    parts = [scene(seed, 240, 180) for seed in (0, 1)]
    looks = {name: look_at(image) for name, image in zip("abc", [*parts, np.hstack(parts)], strict=True)}
    assert find_likenesses(looks, {}).groups == {"a": 0, "b": 0, "c": 0}


def test_copies_of_another_set_are_named_with_what_they_copy(looks):
    found = find_likenesses(looks, {"train.zip": {"x/0.png": look_at(scene(0)), "x/7.png": look_at(scene(7))}})
    assert found.copies["a"] == found.copies["b"] == "exact copy of x/0.png of train.zip (equal pixels)"
    assert found.copies["c"].startswith("mirrored copy of x/0.png of train.zip (")
    assert set(found.copies) == {"a", "b", "c"}
    assert found.groups == find_likenesses(looks, {}).groups


def test_no_picture_has_no_group():
    assert find_likenesses({}, {}).groups == {}


def test_a_listed_picture_is_known_by_its_pixels_alone(looks):
    path, sha256 = next(item for item in read_manifest("kaggle").items() if item[0].startswith("images/"))
    listed = listed_pictures(looks | {"copy.png": replace(looks["d"], sha256=sha256)})
    assert listed == {"copy.png": ("kaggle", path.removeprefix("images/"))}


def test_the_hash_of_an_annotation_is_none_of_a_picture(looks):
    sha256 = next(value for path, value in read_manifest("kaggle").items() if path.startswith("annotations/"))
    assert listed_pictures({"odd.png": replace(looks["d"], sha256=sha256)}) == {}


def test_what_cannot_be_read_is_told_and_the_rest_is_seen(tmp_path):
    cut = encoded(scene(2))
    write_folder(tmp_path, {"a.png": encoded(scene(1)), "b.png": b"no image", "c.png": cut[: len(cut) // 2]})
    pictures = look_at_pictures(tmp_path, ["a.png", "b.png", "c.png"], OPTIONS)
    assert list(pictures.looks) == ["a.png"]
    assert pictures.looks["a.png"].sha256 == look_at(scene(1)).sha256
    assert list(pictures.failures) == ["b.png", "c.png"]
    assert "ends early" in pictures.failures["c.png"]
