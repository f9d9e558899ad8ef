"""The stages that classify found faces and the detector's boxes, on drawn photos."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from maskdet.data.crops import cut_crop
from maskdet.data.image import read_image
from maskdet.models.classifiers import CropClassifier, load_classifier, save_classifier
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, FACES, FOLDS, PREDICTIONS, read_table, write_table
from maskdet.stages import rescore, two_phase
from maskdet.stages.held_out_crops import judge_boxes
from maskdet.stages.held_out_tables import read_held_out
from training_world import CONF, annotations_table, draw_images, file_name, folds_table, write_world

SIZE = 16


def config(**changes):
    """Return what the stages read of the committed config; changes are those of `two_phase`."""
    cfg = OmegaConf.create({group: OmegaConf.load(CONF / f"{group}/default.yaml") for group in ("two_phase", "crops")})
    cfg.merge_with({"split": {"train_folds": [0, 1]}, "crops": {"size": SIZE}, "face_detector": {"name": "drawn"}})
    cfg.two_phase.merge_with({"classifier": "tiny", **changes})
    return cfg


def written(workspace, name):
    return json.loads(workspace.output(f"reports/two_phase/{name}.json").read_text())


@pytest.fixture(scope="module")
def colour_classifier(tmp_path_factory):
    """Return a network that knows the colours of the drawn faces."""
    folder = tmp_path_factory.mktemp("photos") / "images"
    draw_images(folder)
    faces = annotations_table()
    crops = np.stack(
        [
            cut_crop(read_image(folder / name), box, 0.25, SIZE)
            for name, box in zip(faces["file_name"], faces[BOX_COLUMNS].to_numpy(), strict=True)
        ]
    )
    targets = torch.tensor([CLASS_NAMES.index(name) for name in faces["class_name"]])
    torch.manual_seed(0)
    classifier = CropClassifier("sequential_cnn", size=SIZE, hidden=16)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(80):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(classifier(torch.from_numpy(crops).permute(0, 3, 1, 2)), targets).backward()
        optimizer.step()
    return classifier.eval()


@pytest.fixture
def world(tmp_path, colour_classifier):
    """Return drawn photos with their tables, classifiers of both folds, faces found by a detector, and predictions."""
    workspace = write_world(tmp_path)
    for fold in (0, 1):
        save_classifier(colour_classifier, tmp_path / f"build/classifiers/tiny-grouped/{fold}.safetensors")
    faces = annotations_table().assign(score=np.linspace(0.9, 0.3, 8, dtype=np.float32))
    write_table(faces, tmp_path / "build/faces/drawn.parquet", FACES)
    fold_of_file = folds_table().set_index("file_name")["fold"]
    found = faces.assign(fold=faces["file_name"].map(fold_of_file))
    both = pd.concat([found.assign(class_name=name) for name in CLASS_NAMES[:2]], ignore_index=True)  # two at each box
    for fold in (0, 1):
        write_table(both[both["fold"] == fold], tmp_path / f"build/predictions/{fold}.parquet", PREDICTIONS)
    return workspace


def test_found_faces_get_the_class_of_their_crops(world):
    table = two_phase.run(config(min_score=0.3), world)
    written_table = read_table(world.output("build/two_phase/drawn.parquet"), PREDICTIONS)
    pd.testing.assert_frame_equal(written_table, table, check_dtype=False)
    truth = annotations_table()
    best = table.sort_values("score", ascending=False).drop_duplicates(["file_name", *BOX_COLUMNS])
    merged = truth.merge(best, on=["file_name", *BOX_COLUMNS], suffixes=("", "_found"))
    assert len(merged) == len(truth)
    assert (merged["class_name"] == merged["class_name_found"]).all()
    folds = folds_table().set_index("file_name")["fold"]
    assert (table["fold"] == table["file_name"].map(folds)).all()
    assert file_name(3) not in set(table["file_name"])  # no face was found there: no row, no error
    cost = written(world, "two_phase/drawn")
    assert (cost["num_images"], cost["num_boxes_classified"], cost["device"]) == (8, 8, "cpu")
    assert cost["ms_per_image"] > 0


def test_a_detection_is_the_blend_of_both_phases(world):
    cfg = config(class_weight=0.25, min_score=0.0)
    table = two_phase.run(cfg, world)
    faces = read_table(world.input("build/faces/drawn.parquet"), FACES)
    fold_of_file = folds_table().set_index("file_name")["fold"].to_dict()
    probabilities = judge_boxes(faces, fold_of_file, cfg, world).probabilities
    assert len(table) == 3 * len(faces)
    row = table[(table["file_name"] == file_name(6)) & (table["class_name"] == CLASS_NAMES[1])].iloc[0]
    place = faces.index[faces["file_name"] == file_name(6)][0]
    assert row["score"] == pytest.approx(faces["score"][place] ** 0.75 * probabilities[place, 1] ** 0.25, rel=1e-5)
    assert table.groupby("file_name")["score"].apply(lambda scores: scores.is_monotonic_decreasing).all()


def test_each_photo_is_judged_by_the_classifier_that_held_it_out(world, colour_classifier):
    path = world.input("build/classifiers/tiny-grouped/1.safetensors")
    other = load_classifier(path)
    with torch.no_grad():
        other.head[-1].bias += torch.tensor([0.0, 0.0, 50.0])  # calls everything the third class
    save_classifier(other, path)
    table = two_phase.run(config(), world)
    best = table.sort_values("score", ascending=False).drop_duplicates(["file_name", *BOX_COLUMNS])
    assert set(best.loc[best["fold"] == 1, "class_name"]) == {CLASS_NAMES[2]}
    assert set(best.loc[best["fold"] == 0, "class_name"]) > {CLASS_NAMES[0]}


def test_faint_faces_are_not_classified_and_photos_of_the_test_are_left_out(world):
    folds = folds_table()
    folds.loc[folds["file_name"] == file_name(0), ["split_role", "fold"]] = ["test", -1]
    write_table(folds, world.input("build/folds.parquet"), FOLDS)
    table = two_phase.run(config(min_face_score=0.5), world)
    faces = read_table(world.input("build/faces/drawn.parquet"), FACES)
    kept = faces[(faces["score"] >= 0.5) & (faces["file_name"] != file_name(0))]
    assert set(table["file_name"]) == set(kept["file_name"])
    assert written(world, "two_phase/drawn")["num_boxes_classified"] == len(kept)
    assert written(world, "two_phase/drawn")["num_images"] == 7


def test_no_found_face_at_all_is_a_result(world):
    faces = read_table(world.input("build/faces/drawn.parquet"), FACES)[:0]
    write_table(faces, world.input("build/faces/drawn.parquet"), FACES)
    assert two_phase.run(config(), world).empty
    assert read_table(world.output("build/two_phase/drawn.parquet"), PREDICTIONS).empty
    assert written(world, "two_phase/drawn")["ms_per_image"] == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("no faces", FileNotFoundError, r"drawn\.parquet: expected the table 'faces', found no file"),
        ("no weights", FileNotFoundError, r"1\.safetensors: expected a classifier's weights"),
        ("two classes", ValueError, r"tiny-grouped: expected a classifier of \['with_mask', 'without_mask', 'mask_"),
        ("unknown photo", ValueError, r"drawn\.parquet: expected faces in photos of build/folds.* got 'other\.png'"),
        ("weight", ValueError, r"class_weight: expected a number in \[0, 1\], got 2"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(world, change, error, message):
    cfg, faces = config(), world.input("build/faces/drawn.parquet")
    weights = world.input("build/classifiers/tiny-grouped")
    if change == "no faces":
        faces.unlink()
    elif change == "no weights":
        (weights / "1.safetensors").unlink()
    elif change == "two classes":
        save_classifier(
            CropClassifier("sequential_cnn", size=SIZE, class_names=CLASS_NAMES[:2]), weights / "0.safetensors"
        )
    elif change == "unknown photo":
        table = read_table(faces, FACES)
        write_table(table.assign(file_name=["other.png", *table["file_name"][1:]]), faces, FACES)
    else:
        cfg.two_phase.class_weight = 2
    with pytest.raises(error, match=message):
        two_phase.run(cfg, world)
    assert not world.output("build/two_phase/drawn.parquet").exists()


def test_rescoring_keeps_the_rows_and_blends_their_scores(world):
    cfg = config(rescore={"class_weight": 0.4, "min_score": 0.4})
    table = rescore.run(cfg, world)
    before = read_held_out(cfg, world).pool().predictions
    before = before[before["score"] >= np.float32(0.4)].reset_index(drop=True)
    unchanged = ["file_name", "fold", "class_name", *BOX_COLUMNS]
    pd.testing.assert_frame_equal(table[unchanged], before[unchanged])
    fold_of_file = folds_table().set_index("file_name")["fold"].to_dict()
    probabilities = judge_boxes(before, fold_of_file, cfg, world).probabilities
    own = probabilities[range(len(before)), [CLASS_NAMES.index(name) for name in before["class_name"]]]
    expected = before["score"].astype("float64") ** 0.6 * own**0.4
    np.testing.assert_allclose(table["score"], expected, rtol=1e-5)
    assert written(world, "rescore")["num_boxes_classified"] == len(before) // 2  # two classes of a box: one crop


def test_rescoring_without_weight_changes_nothing(world):
    cfg = config(rescore={"class_weight": 0.0, "min_score": 0.0})
    rescore.run(cfg, world)
    found = read_table(world.output("build/two_phase/rescored.parquet"), PREDICTIONS)
    pd.testing.assert_frame_equal(found, read_held_out(cfg, world).pool().predictions)
