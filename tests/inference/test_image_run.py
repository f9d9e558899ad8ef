"""A run over many files: a bad one is skipped and named, a stop leaves whole files of what was done."""

import pandas as pd
import pytest

from exported_model import released
from maskdet.inference.image_run import OutputOptions, predict_images
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtime import OnnxRuntime
from maskdet.inference.sources import find_images
from raw_archive import noise_png


@pytest.fixture(scope="module")
def predictor():
    return Predictor(OnnxRuntime(released().onnx_path), score_threshold=0.05)


@pytest.fixture
def images(tmp_path):
    """Return five files, two of them bad."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for seed, name in enumerate(("1.png", "3.png", "deep/1.png")):
        (folder / name).write_bytes(noise_png(seed))
    (folder / "2.png").write_bytes(noise_png(2)[:-30])
    (folder / "4.jpg").write_text("no image")
    return find_images([folder])


def written(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_bad_images_are_named_and_the_rest_is_done(predictor, images, tmp_path):
    output = OutputOptions(tmp_path / "out", ["csv", "coco"], has_pictures=True)
    summary = predict_images(predictor, images, output)
    assert [result.file_name for result in summary.results] == ["1.png", "3.png", "deep/1.png"]
    assert list(summary.failures) == ["2.png", "4.jpg"]
    assert "2.png: expected a whole image, got a file that ends early" in summary.failures["2.png"]
    assert "4.jpg: expected an image" in summary.failures["4.jpg"]
    assert not summary.is_interrupted
    pictures = ["pictures/1.png", "pictures/3.png", "pictures/deep/1.png"]
    assert written(output.folder) == [*pictures, "predictions.coco.json", "predictions.csv"]
    table = pd.read_csv(output.folder / "predictions.csv")
    counts = summary.class_counts(predictor.class_names)
    assert list(counts) == list(predictor.class_names)
    assert counts == {name: int((table["class_name"] == name).sum()) for name in counts}
    assert sum(counts.values()) > 0


def test_a_second_run_gives_the_same_bytes(predictor, images, tmp_path):
    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=True)
    contents = []
    for _ in range(2):
        predict_images(predictor, images, output)
        contents.append({name: (output.folder / name).read_bytes() for name in written(output.folder)})
    assert contents[0] == contents[1]


def test_a_stop_leaves_what_is_done(predictor, images, tmp_path):
    def stopped_after_two():
        yield from images[:2]
        raise KeyboardInterrupt

    output = OutputOptions(tmp_path / "out", ["csv"], has_pictures=True)
    summary = predict_images(predictor, stopped_after_two(), output)
    assert summary.is_interrupted
    assert [result.file_name for result in summary.results] == ["1.png"]
    assert list(summary.failures) == ["2.png"]
    assert written(output.folder) == ["pictures/1.png", "predictions.csv"]
    assert set(pd.read_csv(output.folder / "predictions.csv")["file_name"]) == {"1.png"}


def test_an_output_that_cannot_be_written_ends_the_run(predictor, images, tmp_path):
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(OSError, match="out"):
        predict_images(predictor, images, OutputOptions(tmp_path / "out", ["csv"], has_pictures=True))
