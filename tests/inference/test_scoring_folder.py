"""The scoring folder finds what `Predictor` finds, with its three dependencies and nothing else."""

import importlib
import os
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from exported_model import SIZE, released, scene_images
from maskdet.commands.export.agreement import agreement
from maskdet.inference import scoring_folder
from maskdet.inference.images_in import read_picture
from maskdet.inference.predictor import Predictor
from maskdet.inference.scoring_folder import write_scoring_folder
from maskdet.inference.scoring_folder.score import resize
from maskdet.inference.suppression import Detections, one_class_per_face

DEPENDENCIES = ("numpy", "onnxruntime", "pillow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scoring") / "folder"
    write_scoring_folder(released().onnx_path, path)
    return path


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Return a folder that holds the three dependencies alone, as links to the installed files."""
    target = tmp_path_factory.mktemp("packages")
    for name in DEPENDENCIES:
        found = distribution(name)
        for top in {file.parts[0] for file in found.files if file.parts[0] not in ("..", "__pycache__")}:
            (target / top).symlink_to(found.locate_file(top))
    return target


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return scenes as files: large and small, upright and turned, with alpha and grey."""
    place = tmp_path_factory.mktemp("images")
    scenes = [Image.fromarray(pixels) for pixels in scene_images(5)]
    scenes[0].save(place / "plain.png")
    scenes[1].resize((1201, 803)).save(place / "large.jpg", quality=95)
    scenes[2].resize((90, 71)).save(place / "small.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    scenes[3].save(place / "turned.jpg", exif=turned, quality=95)
    scenes[4].convert("RGBA").save(place / "alpha.png")
    scenes[4].resize((SIZE, SIZE - 40)).save(place / "unscaled.png")
    deep = np.asarray(scenes[0].convert("L")).astype(np.uint16) * 257
    assert cv2.imwrite(str(place / "grey_16_bit.png"), deep)
    return sorted(place.iterdir())


def test_the_script_alone_gives_the_boxes_of_the_predictor(folder, packages, images, tmp_path):
    command = [sys.executable, "-S", "-P", str(folder / "score.py"), *map(str, images), "--output", "faces.csv"]
    environment = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "faces.csv")
    predictor = Predictor(released().onnx_path)
    for path in images:
        rows = table[table["file_name"] == path.as_posix()]
        found = Detections(
            rows[["x_min", "y_min", "x_max", "y_max"]].to_numpy(np.float32),
            rows["score"].to_numpy(np.float32),
            rows["class_name"].map(predictor.class_names.index).to_numpy(np.int64),
        )
        expected = predictor.detect(read_picture(path).pixels)
        assert len(expected) > 5
        compared = agreement([expected], [found])
        assert len(one_class_per_face(found)) == len(found)
        if path.stem == "unscaled":  # the same input to the bit
            assert (len(found), compared.share, compared.box_px, compared.score) == (len(expected), 1, 0, 0)
        else:  # some pixels are one step brighter or darker: OpenCV rounds on the way
            assert compared.share > 0.9, path.name


def test_a_bad_photo_is_named_and_the_others_are_scored(folder, packages, images, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "cut.png").write_bytes(images[0].read_bytes()[:300])
    (tmp_path / "faces.csv").write_text("of an earlier run")
    files = [tmp_path / "text.jpg", images[0], tmp_path / "cut.png", tmp_path / "absent.png"]
    command = [sys.executable, "-S", "-P", str(folder / "score.py"), *map(str, files), "--output", "faces.csv"]
    environment = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 1
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [str(files[0]), str(files[2]), str(files[3])]
    assert set(pd.read_csv(tmp_path / "faces.csv")["file_name"]) == {images[0].as_posix()}
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_else_can_be_imported_there(packages):
    environment = {"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}
    for name in ("maskdet", "cv2", "torch", "pandas"):
        assert importlib.util.find_spec(name)
        command = [sys.executable, "-S", "-P", "-c", f"import {name}"]
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 1


@pytest.mark.parametrize(("width", "height"), [(64, 43), (133, 89), (200, 133), (128, 128), (37, 91)])
def test_shrinking_is_that_of_opencv(width, height):
    pixels = scene_images(1)[0]
    found = resize(pixels, width, height)
    expected = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.98


@pytest.mark.parametrize(("width", "height"), [(128, 96), (768, 576), (80, 60), (81, 61)])
def test_enlarging_is_that_of_opencv(width, height):
    pixels = scene_images(1)[0][:60, :80]
    expected = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    found = resize(pixels, width, height)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert (found == expected).mean() > 0.998


def test_a_single_pixel_can_be_enlarged():
    pixel = np.full((1, 1, 3), 77, np.uint8)
    np.testing.assert_array_equal(resize(pixel, 128, 128), np.full((128, 128, 3), 77))


def test_the_folder_says_what_it_is(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.txt",
        "model.onnx",
        "requirements.txt",
        "score.py",
    ]
    text = (folder / "README.txt").read_text()
    assert "with_mask 0.30, without_mask 0.40, mask_weared_incorrect 0.25" in text
    assert "unseen" not in text
    assert ": 0.500" in text
    assert "$" not in text
    wanted = {line.split(">=")[0] for line in (folder / "requirements.txt").read_text().split()}
    assert wanted == set(DEPENDENCIES)


def test_a_folder_of_something_else_is_left_alone(tmp_path, folder):
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(ValueError, match="expected a new folder or an earlier scoring folder"):
        write_scoring_folder(released().onnx_path, tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "dear"
    write_scoring_folder(released().onnx_path, folder)  # an earlier one is replaced


def test_the_script_is_short():
    lines = (Path(scoring_folder.__file__).parent / "score.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) < 100
