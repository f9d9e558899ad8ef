"""The journal: what an earlier run left is taken over to the last bit, or not at all."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskdet.inference.journal import JOURNAL_FILE, Journal, settings_of_run
from maskdet.inference.results import ImageResult
from maskdet.inference.sources import SourceImage
from maskdet.inference.suppression import Detections

SETTINGS = {"model": "abc", "threshold": 0.3}


@pytest.fixture
def images(tmp_path):
    """Return five files, one with a name that is no UTF-8."""
    names = ["a.png", "b.png", "ü.png", "deep/c.png", os.fsdecode(b"caf\xe9.png")]
    for index, name in enumerate(names):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(bytes(index))
    return [SourceImage(tmp_path / "in" / name, name) for name in names]


def result_of(image: SourceImage, num_faces: int = 3) -> ImageResult:
    rng = np.random.default_rng(num_faces)
    boxes = rng.uniform(0, 300, (num_faces, 4)).astype(np.float32)
    found = Detections(boxes, rng.random(num_faces).astype(np.float32), rng.integers(0, 3, num_faces))
    return ImageResult(image.file_name, (320, 240), found, "a note")


def assert_same(found: ImageResult, expected: ImageResult) -> None:
    assert (found.file_name, found.image_wh, found.note) == (expected.file_name, expected.image_wh, expected.note)
    for ours, theirs in zip(vars(found.detections).values(), vars(expected.detections).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def left_by_a_run(folder, images, num_faces=3, settings=SETTINGS):
    with Journal(folder, settings) as journal:
        for image in images:
            journal.add(image, result_of(image, num_faces))


def test_what_a_run_left_is_found_by_the_next(tmp_path, images):
    left_by_a_run(tmp_path / "out", images[:2])
    left_by_a_run(tmp_path / "out", images[2:], num_faces=0)
    with Journal(tmp_path / "out", SETTINGS) as journal:
        for index, image in enumerate(images):
            assert_same(journal.find(image), result_of(image, 3 if index < 2 else 0))
        assert journal.num_resumed == len(images)
        journal.finish()
    assert list((tmp_path / "out").iterdir()) == []


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (3, 5), elements=st.floats(0, 1e6, width=32)))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory, numbers):
    folder = tmp_path_factory.mktemp("numbers")
    (folder / "a").touch()
    image = SourceImage(folder / "a", "a")
    result = ImageResult("a", (1, 2), Detections(numbers[:, :4], numbers[:, 4], np.array([2, 0, 1])))
    with Journal(folder / "out", SETTINGS) as journal:
        journal.add(image, result)
    with Journal(folder / "out", SETTINGS) as journal:
        assert_same(journal.find(image), result)


def test_a_line_that_was_cut_is_done_again_and_spoils_no_other(tmp_path, images):
    left_by_a_run(tmp_path / "out", images[:3])
    path = tmp_path / "out" / JOURNAL_FILE
    path.write_bytes(path.read_bytes()[:-40])
    for _ in range(2):  # the second run reads what the first has rewritten
        with Journal(tmp_path / "out", SETTINGS) as journal:
            assert [journal.find(image) is not None for image in images] == [True, True, False, False, False]
    left_by_a_run(tmp_path / "out", images[3:])
    with Journal(tmp_path / "out", SETTINGS) as journal:
        assert [journal.find(image) is not None for image in images] == [True, True, False, True, True]


@pytest.mark.parametrize("damage", ["not json", '{"file_name": "a.png"}', "[]", "null", "\u00fc"])
def test_damaged_lines_are_done_again(damage, tmp_path, images):
    left_by_a_run(tmp_path / "out", images[:2])
    path = tmp_path / "out" / JOURNAL_FILE
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], damage, ""]), encoding="utf-8")
    with Journal(tmp_path / "out", SETTINGS) as journal:
        assert journal.find(images[1]) is None
        assert (journal.find(images[0]) is None) == (not damage.isascii())


@pytest.mark.parametrize(("settings", "is_resumed"), [({"model": "other"}, True), (SETTINGS, False)])
def test_results_of_other_settings_are_not_taken_over(settings, is_resumed, tmp_path, images):
    left_by_a_run(tmp_path / "out", images[:2])
    with Journal(tmp_path / "out", settings, is_resumed) as journal:
        assert journal.find(images[0]) is None
    lines = (tmp_path / "out" / JOURNAL_FILE).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"version": 1, **settings}]


def test_a_file_that_has_changed_is_done_again(tmp_path, images):
    left_by_a_run(tmp_path / "out", images)
    images[0].path.write_bytes(b"longer than before")
    os.utime(images[1].path, ns=(0, 1))
    images[2].path.unlink()
    with Journal(tmp_path / "out", SETTINGS) as journal:
        assert [journal.find(image) is not None for image in images] == [False, False, False, True, True]


def test_two_runs_do_not_meet_in_a_folder(tmp_path, images):
    with Journal(tmp_path / "out", SETTINGS) as journal:
        journal.add(images[0], result_of(images[0]))
        with pytest.raises(ValueError, match="out: expected a folder that no other run writes to, one does"):
            Journal(tmp_path / "out", SETTINGS).__enter__()
    with Journal(tmp_path / "out", SETTINGS) as journal:
        assert journal.find(images[0]) is not None


def test_the_settings_name_the_model_by_its_content(tmp_path):
    (tmp_path / "m.xml").write_text("net")
    before = settings_of_run(tmp_path / "m.xml", a=1)
    assert before == settings_of_run(tmp_path / "m.xml", a=1)
    (tmp_path / "m.bin").write_text("weights")
    assert settings_of_run(tmp_path / "m.xml", a=1)["model"] != before["model"]
    folder = settings_of_run(tmp_path)
    (tmp_path / "m.bin").write_text("Weights")
    assert settings_of_run(tmp_path) != folder
    assert settings_of_run(None) != settings_of_run(None)  # no file: no other run has the same
