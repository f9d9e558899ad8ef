"""The embedded sample: the same bytes for a seed, the archive's layout, boxes that fit, shares that hold."""

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image

from maskdet.boxes import box_area
from maskdet.data.sample.canvas import SUPERSAMPLE, Canvas, Pose, face_points, oval
from maskdet.data.sample.scenes import CLASS_SHARES, NEAR_DUPLICATES, Scene, draw_scene, main, write_sample
from maskdet.schema import CLASS_NAMES


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Scene]]:
    """Return the archive as it ships and its scenes."""
    path = tmp_path_factory.mktemp("sample") / "sample.zip"
    return path, write_sample(path)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_sample(tmp_path / name, num_images=4, seed=seed)
    first, again, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_a_scene_does_not_depend_on_what_was_drawn_before(full: tuple[Path, list[Scene]]) -> None:
    alone = draw_scene(seed=0, index=7)
    np.testing.assert_array_equal(alone.image, full[1][7].image)
    np.testing.assert_array_equal(alone.boxes, full[1][7].boxes)


def test_archive_is_laid_out_as_kaggles(full: tuple[Path, list[Scene]]) -> None:
    with zipfile.ZipFile(full[0]) as archive:
        names = archive.namelist()
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        image = Image.open(io.BytesIO(archive.read("images/maskdet_sample_005.png")))
    stems = [f"maskdet_sample_{index:03d}" for index in range(120)]
    assert names == [f"images/{stem}.png" for stem in stems] + [f"annotations/{stem}.xml" for stem in stems]
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), full[1][5].image)


def test_annotations_repeat_the_scenes(full: tuple[Path, list[Scene]]) -> None:
    with zipfile.ZipFile(full[0]) as archive:
        for index, scene in enumerate(full[1]):
            root = ElementTree.fromstring(archive.read(f"annotations/maskdet_sample_{index:03d}.xml"))
            assert [child.tag for child in root][:4] == ["folder", "filename", "size", "segmented"]
            assert root.findtext("filename") == f"maskdet_sample_{index:03d}.png"
            assert [int(child.text) for child in root.find("size")] == [*scene.image.shape[1::-1], 3]
            faces = root.findall("object")
            assert [face.findtext("name") for face in faces] == scene.class_names
            boxes = [[int(child.text) for child in face.find("bndbox")] for face in faces]
            np.testing.assert_array_equal(np.reshape(boxes, (-1, 4)), scene.boxes)


def test_boxes_are_whole_pixels_inside_the_image_and_some_touch_its_border(full: tuple[Path, list[Scene]]) -> None:
    num_touching = 0
    for scene in full[1]:
        height, width = scene.image.shape[:2]
        assert scene.image.dtype == np.uint8
        assert scene.boxes.dtype == np.float32
        assert scene.boxes.shape == (len(scene.class_names), 4)
        np.testing.assert_array_equal(scene.boxes, np.rint(scene.boxes))
        assert (box_area(scene.boxes) > 0).all()
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= [width, height, width, height]).all()
        num_touching += int(((scene.boxes[:, 0] == 0) | (scene.boxes[:, 2] == width)).sum())
    assert num_touching >= 3


def test_class_shares_face_sizes_and_empty_images(full: tuple[Path, list[Scene]]) -> None:
    counts = Counter(name for scene in full[1] for name in scene.class_names)
    num_faces = counts.total()
    assert set(counts) == set(CLASS_NAMES) == set(CLASS_SHARES)
    for name, share in CLASS_SHARES.items():
        assert counts[name] / num_faces == pytest.approx(share, abs=0.06)
    heights = np.concatenate([scene.boxes[:, 3] - scene.boxes[:, 1] for scene in full[1]])  # (num_faces,)
    assert 3.3 <= num_faces / 120 <= 4.7
    assert heights.min() >= 10
    assert ((heights >= 24) & (heights <= 90)).mean() > 0.6
    assert 5 <= sum(len(scene.boxes) == 0 for scene in full[1]) <= 12


def test_every_image_but_the_copies_is_another_and_the_archive_is_small(full: tuple[Path, list[Scene]]) -> None:
    assert full[0].stat().st_size < 3_000_000
    assert len({scene.image.tobytes() for scene in full[1]}) == 120


def test_near_duplicates_show_the_same_faces(full: tuple[Path, list[Scene]]) -> None:
    for index, (original, _) in NEAR_DUPLICATES.items():
        assert full[1][index].class_names == full[1][original].class_names
        assert full[1][index].image.shape == full[1][original].image.shape
    width = full[1][12].image.shape[1]
    np.testing.assert_array_equal(full[1][37].image, full[1][12].image[:, ::-1])
    np.testing.assert_array_equal(full[1][37].boxes[:, 0], width - full[1][12].boxes[:, 2])
    assert np.abs(full[1][74].image.astype(int) - full[1][41].image).mean() < 4
    assert np.abs(full[1][111].boxes - full[1][58].boxes).max() <= 0.03 * 400


def test_visible_fraction_counts_what_others_hide_and_what_lies_outside() -> None:
    canvas = Canvas((60, 40))
    square = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])
    canvas.pen = 1
    canvas.fill(square, (255, 0, 0))
    assert canvas.visible_fraction(square, 1) == pytest.approx(1.0, abs=0.01)
    canvas.pen = 2
    canvas.fill(square + [10, 0], (0, 0, 255))
    assert canvas.visible_fraction(square, 1) == pytest.approx(0.5, abs=0.5 * 4 / (20 * SUPERSAMPLE))
    canvas.fill(square + [40, 0], (0, 0, 255))  # x from 50 to 70: half of it lies outside
    assert canvas.visible_fraction(square + [40, 0], 2) == pytest.approx(0.5, abs=0.1)
    assert canvas.visible_fraction(square + [100, 0], 2) == 0.0


def test_a_translucent_fill_blends_and_keeps_the_owner() -> None:
    canvas = Canvas((20, 20), (100, 100, 100))
    canvas.pen = 1
    canvas.fill(oval(10, 10, 6, 6), (200, 0, 100), alpha=0.5)
    assert canvas.image()[10, 10].tolist() == [150, 50, 100]
    assert canvas.owner.max() == 0
    canvas.fill(oval(10, 10, 6, 6), (0, 0, 0), inside=oval(40, 40, 2, 2))
    assert canvas.image()[10, 10].tolist() == [150, 50, 100]


def test_a_face_is_as_high_as_its_pose_says() -> None:
    points = face_points(Pose(50, 50, 100))
    low, high = points.min(axis=0), points.max(axis=0)
    assert (low[1], high[1]) == (pytest.approx(4.0), pytest.approx(100.0))
    assert low[0] + high[0] == pytest.approx(100.0)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1)])
def test_negative_seed_or_index_is_refused(seed: int, index: int) -> None:
    with pytest.raises(ValueError, match=r"expected seed and index >= 0"):
        draw_scene(seed, index)


def test_command_writes_the_archive_and_says_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "new" / "small.zip"
    main([str(path), "--num-images", "2", "--seed", "5"])
    assert "2 images" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="1"):
        main([str(tmp_path / "none.zip"), "--num-images", "0"])
    assert "num_images in 1..1000, got 0" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]
