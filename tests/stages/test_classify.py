"""The stage `classify`: from a store of crops to judged faces, under names that other stages find."""

import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from crop_world import classify_config, committed_node, write_faces, write_overlays
from maskdet.models.classifiers import CropClassifier, load_classifier
from maskdet.schema import CROP_PREDICTIONS, read_table
from maskdet.stages import classify
from maskdet.stages.entry import Workspace
from training_world import CONF

CLASSES = [0, 1, 2, 0, 0, 1, 0] * 7
CLASSIFIERS = sorted(path.stem for path in (CONF / "classifier").glob("*.yaml"))


def quick_config(**changes):
    return classify_config(classifier={"max_epochs": 1}, **changes)


@pytest.fixture
def workspace(tmp_path):
    write_faces(tmp_path / "build/crops", CLASSES)
    return Workspace(tmp_path, tmp_path)


def test_the_stage_writes_where_the_next_ones_read(workspace, capsys):
    returned = classify.run(quick_config(), workspace)
    root = workspace.root
    predictions = read_table(root / "build/classify/sequential_cnn/grouped/predictions.parquet", CROP_PREDICTIONS)
    assert len(predictions) == len(CLASSES)
    assert (root / "reports/two_phase/history/sequential_cnn-grouped.csv").is_file()
    assert load_classifier(root / "build/classifiers/sequential_cnn-grouped/2.safetensors").size == 16
    assert 0 <= returned <= 1
    assert "49 faces held out in 3 parts: accuracy 0." in capsys.readouterr().out
    assert not list((root / "build/resume").iterdir())


def test_the_store_and_the_output_may_lie_elsewhere(workspace):
    write_faces(workspace.root / "build/folder_crops", [0, 1] * 9)
    changes = {"crops": "build/folder_crops", "output": "build/folder_classify/cnn/grouped"}
    classify.run(quick_config(classify=changes), workspace)
    assert (workspace.root / "build/folder_classify/cnn/grouped/predictions.parquet").is_file()
    assert (workspace.root / "reports/two_phase/history/folder_classify-cnn-grouped.csv").is_file()
    assert not (workspace.root / "build/classify").exists()


@pytest.mark.parametrize("output", ["reports/classify", "build", "/tmp/classify", "build/../reports"])  # noqa: S108
def test_outputs_stay_below_build(workspace, output):
    with pytest.raises(ValueError, match=f"classify.output: expected a folder below build/, got '{output}'"):
        classify.run(quick_config(classify={"output": output}), workspace)


def test_overlays_change_the_result_and_are_not_judged(workspace):
    faces = classify.CropStore.open(workspace.root / "build/crops")
    write_overlays(workspace.root / "build/overlays", faces, list(range(0, 40, 2)))
    tables = []
    for changes in ({}, {"overlays": "build/overlays", "output": "build/classify/with_overlays/grouped"}):
        classify.run(quick_config(classify=changes), workspace)
        output = changes.get("output", "build/classify/sequential_cnn/grouped")
        tables.append(pd.read_parquet(workspace.root / output / "predictions.parquet"))
    assert tables[0][["file_name", "face"]].equals(tables[1][["file_name", "face"]])
    assert not tables[0].equals(tables[1])


def test_a_missing_store_says_which_stage_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"build/crops/index.parquet: expected a store of crops"):
        classify.run(quick_config(), Workspace(tmp_path, tmp_path))


def test_the_key_changes_with_what_decides_the_result_and_with_nothing_else(workspace):
    stores = [workspace.root / "build/crops"]
    key = classify._key(quick_config(), stores)
    for same in ({"num_workers": 2}, {"accelerator": "auto"}, {"output": "build/x/y"}, {"evaluation_batch_size": 3}):
        assert classify._key(quick_config(classify=same), stores) == key, same
    assert classify._key(quick_config(logger={"kind": "tensorboard"}), stores) == key
    changed = [
        classify._key(quick_config(classify=other), stores)
        for other in ({"seed": 1}, {"protocol": "by_face_80_20"}, {"precision": "bf16-mixed"})
    ]
    changed += [classify._key(classify_config(), stores), classify._key(classify_config("mobilenet_v2"), stores)]
    write_faces(workspace.root / "build/crops", CLASSES[:-1])
    assert len({key, *changed, classify._key(quick_config(), stores)}) == 7


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_of_the_config_can_be_made(name):
    node = committed_node("classifier", name).classifier
    assert node.name == name  # outputs are named after it, and `classifier=NAME` picks by it
    classifier = instantiate(node.model, load_pretrained=False, _convert_="all")
    assert isinstance(classifier, CropClassifier)
    instantiate(node.augment, _convert_="all")
    assert bool(node.cached_views) <= (node.model.frozen == "base")


def test_the_grey_variant_differs_in_the_colour_alone():
    colour, grey = (
        OmegaConf.to_container(committed_node("classifier", name).classifier)
        for name in ("sequential_cnn", "sequential_cnn_grey")
    )
    assert (colour.pop("name"), grey.pop("name")) == ("sequential_cnn", "sequential_cnn_grey")
    assert (colour["model"].pop("is_grey"), grey["model"].pop("is_grey")) == (False, True)
    assert colour == grey
