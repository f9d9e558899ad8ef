"""Classifiers as an ONNX graph: what torch says, any number of crops, any size, one network or the mean of several."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import maskdet
from maskdet.models.classifiers import CropClassifier
from maskdet.models.export.classifier_onnx import export_classifiers, largest_probability_difference

CROP_SIZE = 20


def classifier(seed: int = 0, **options: object) -> CropClassifier:
    torch.manual_seed(seed)
    return CropClassifier(**{"architecture": "sequential_cnn", "size": 16, "hidden": 8} | options).eval()


def crops(num: int) -> np.ndarray:
    return np.random.default_rng(num).integers(0, 256, (num, CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return two classifiers, one with mirrored averages, the other grey and resized, and their file."""
    classifiers = [classifier(0, average_mirrored=True), classifier(1, is_grey=True)]
    path = tmp_path_factory.mktemp("classifier") / "c.onnx"
    export_classifiers(classifiers, path, CROP_SIZE, {"key": "wörd"})
    return classifiers, path


@pytest.mark.parametrize("num_crops", [1, 2, 7])
def test_any_number_of_crops_gives_the_mean_of_what_torch_gives(num_crops, exported):
    classifiers, path = exported
    assert largest_probability_difference(classifiers, path, crops(num_crops)) < 1e-5
    assert largest_probability_difference(classifiers[:1], path, crops(num_crops)) > 1e-4


def test_the_file_is_whole_and_names_no_folder_of_this_machine(exported):
    _, path = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"key": "wörd"}
    assert {entry.domain for entry in model.opset_import} == {""}
    shapes = [
        [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [["batch", CROP_SIZE, CROP_SIZE, 3], ["batch", 3]]
    content = path.read_bytes()
    for name in (str(Path(maskdet.__file__).parent), str(Path(torch.__file__).parent), "classifier_onnx.py"):
        assert name.encode() not in content
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_one_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one or more classifiers of the same classes, got"):
        export_classifiers([], tmp_path / "c.onnx", CROP_SIZE, {})
    with pytest.raises(ValueError, match="expected one or more classifiers of the same classes, got"):
        export_classifiers([classifier(), classifier(class_names=("a", "b"))], tmp_path / "c.onnx", CROP_SIZE, {})
    with pytest.raises(ValueError, match="expected classifiers in eval mode, got one in training mode"):
        export_classifiers([classifier().train()], tmp_path / "c.onnx", CROP_SIZE, {})
    assert list(tmp_path.iterdir()) == []
