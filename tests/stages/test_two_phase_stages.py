"""The stages that classify found faces and the detector's boxes, and those that score classifiers and models."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from maskdet.data.crops import cut_crop
from maskdet.data.image import read_image
from maskdet.evaluation.bootstrap import bootstrap_metrics
from maskdet.evaluation.classification import interval_rows, resample_faces, with_groups
from maskdet.evaluation.classifier_comparison import mcnemar_test, protocol_inflation
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.models.classifiers import CropClassifier, load_classifier, save_classifier
from maskdet.schema import (
    BOX_COLUMNS,
    CLASS_NAMES,
    CROP_PREDICTIONS,
    CROPS,
    FACES,
    FOLDS,
    PREDICTIONS,
    PROBABILITY_COLUMNS,
    read_table,
    write_table,
)
from maskdet.stages import rescore, score_classifiers, score_models, two_phase
from maskdet.stages.entry import Workspace
from maskdet.stages.held_out_crops import judge_boxes
from maskdet.stages.held_out_tables import read_held_out
from simulated_study import (
    CLASSIFIERS,
    FACE_DETECTORS,
    PROTOCOLS,
    draw_truth,
    write_classifiers,
    write_detections,
    write_tables,
)
from training_world import CONF, annotations_table, draw_images, file_name, folds_table, write_world

SIZE = 16


def config(**changes):
    """Return what the stages read of the committed config, with few replicates; changes are those of `two_phase`."""
    groups = {"evaluate": "evaluate/default", "two_phase": "two_phase/default", "crops": "crops/default"}
    cfg = OmegaConf.create({group: OmegaConf.load(CONF / f"{name}.yaml") for group, name in groups.items()})
    cfg.merge_with({"split": {"train_folds": [0, 1]}, "crops": {"size": SIZE}, "face_detector": {"name": "drawn"}})
    cfg.evaluate.bootstrap.num_replicates = 20
    shrunk = {"classifiers": list(CLASSIFIERS), "protocols": list(PROTOCOLS), "face_detectors": list(FACE_DETECTORS)}
    shrunk |= {"overlaid_classifiers": [], "folder_classifiers": [], "classifier": "tiny"}
    cfg.two_phase.merge_with({**shrunk, **changes})
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


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a workspace with the tables of a made-up study."""
    root, truth = tmp_path_factory.mktemp("study"), draw_truth()
    write_tables(truth, root)
    write_classifiers(truth, root)
    write_detections(truth, root)
    return Workspace(root, root)


def judged(workspace, classifier, protocol):
    path = workspace.input(f"build/classify/{classifier}/{protocol}/predictions.parquet")
    groups = read_table(workspace.input("build/folds.parquet"), FOLDS).set_index("file_name")["group"].to_dict()
    return with_groups(read_table(path, CROP_PREDICTIONS), groups)


def report(workspace, name):
    return pd.read_csv(workspace.output(f"reports/two_phase/{name}.csv"))


def test_figures_of_classifiers_are_those_of_the_functions(study, capsys):
    summary = score_classifiers.run(config(), study)
    name = "sequential_cnn"
    grouped, leaky = judged(study, name, "grouped"), judged(study, name, "by_face_70_30")
    expected = interval_rows(resample_faces(grouped, 20, 0)).set_index("metric")
    figures = summary["photos"]["figures"][name]["grouped"]
    assert figures["num_faces"] == len(grouped)
    assert figures["num_groups"] == grouped["group"].nunique()
    for end in ("value", "low", "high"):
        assert figures[end]["accuracy"] == expected.loc["accuracy", end]
        assert figures[end]["recall"]["without_mask"] == expected.loc["recall/without_mask", end]
    inflation = protocol_inflation(grouped, leaky, 20, 0).set_index("metric").loc["balanced_accuracy"]
    found = summary["photos"]["inflation"][name]["by_face_70_30"]["balanced_accuracy"]
    assert found["difference"] == inflation["difference"]
    assert found["num_faces"] == len(leaky)
    tested = summary["photos"]["mcnemar"]["sequential_cnn_grey"][name]
    assert tested == mcnemar_test(judged(study, "sequential_cnn_grey", "grouped"), grouped)
    assert written(study, "classifiers")["photos"]["mcnemar"]["sequential_cnn_grey"][name] == {
        key: round(value, 6) for key, value in tested.items()
    }
    printed = capsys.readouterr().out
    assert "Crops of photos" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_every_table_of_the_classifiers_is_written_and_equal_the_second_time(study):
    score_classifiers.run(config(), study)
    folder = study.output("reports/two_phase")
    names = ["classifiers", "classifier_pairs", "inflation", "classifier_errors"]
    names += ["plots/roc", "plots/precision_recall", "plots/confusion"]
    first = {name: (folder / f"{name}.csv").read_bytes() for name in names}
    score_classifiers.run(config(), study)
    assert first == {name: (folder / f"{name}.csv").read_bytes() for name in names}
    runs = [(classifier, protocol) for classifier in CLASSIFIERS for protocol in PROTOCOLS]
    assert (
        list(
            report(study, "classifiers")[["classifier", "protocol"]]
            .drop_duplicates()
            .itertuples(index=False, name=None)
        )
        == runs
    )
    for name in ("classifier_errors", "plots/roc", "plots/precision_recall"):
        assert set(report(study, name)["protocol"]) == {"grouped"}
    assert len(report(study, "plots/confusion")) == 9 * len(runs)
    assert len(report(study, "classifier_pairs")["metric"].unique()) == len(report(study, "classifier_pairs")) / 3
    assert set(report(study, "inflation")["protocol"]) == {"by_face_80_20", "by_face_70_30"}


def test_two_classes_of_a_folder_are_scored_beside_the_photos(study, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(study.root, root)
    workspace = Workspace(root, root)
    shutil.copytree(root / "build/classify", root / "build/classify_folders", dirs_exist_ok=True)
    for path in (root / "build/classify_folders").rglob("predictions.parquet"):
        table = read_table(path, CROP_PREDICTIONS)
        table = table[table["class_name"] != CLASS_NAMES[2]]
        two = table[PROBABILITY_COLUMNS[:2]].div(table[PROBABILITY_COLUMNS[:2]].sum(axis=1), axis=0)
        write_table(table.assign(**two, probability_mask_weared_incorrect=0.0), path, CROP_PREDICTIONS)
    write_table(draw_truth().faces, root / "build/folder_crops/index.parquet", CROPS)
    cfg = config(folder_classifiers=["sequential_cnn"], folder_protocols=["grouped", "by_face_80_20"])
    summary = score_classifiers.run(cfg, workspace)
    figures = summary["folders"]["figures"]["sequential_cnn"]["grouped"]["value"]
    assert np.isnan(figures["recall"]["mask_weared_incorrect"])
    assert figures["balanced_accuracy"] == pytest.approx(
        (figures["recall"]["with_mask"] + figures["recall"]["without_mask"]) / 2
    )
    assert set(summary["folders"]["inflation"]["sequential_cnn"]) == {"by_face_80_20"}
    assert set(report(workspace, "classifiers")["data"]) == {"photos", "folders"}


def test_a_classifier_trained_with_drawn_masks_is_held_against_the_plain_one(study, tmp_path):
    root = tmp_path / "study"
    shutil.copytree(study.root, root)
    plain, overlaid = (root / f"build/{name}/sequential_cnn/grouped" for name in ("classify", "classify_overlaid"))
    shutil.copytree(plain, overlaid, dirs_exist_ok=True)
    summary = score_classifiers.run(
        config(classifiers=["sequential_cnn"], overlaid_classifiers=["sequential_cnn"]), Workspace(root, root)
    )
    assert set(summary["photos"]["figures"]["sequential_cnn_overlaid"]) == {"grouped"}
    assert summary["photos"]["mcnemar"]["sequential_cnn"]["sequential_cnn_overlaid"]["p_value"] == 1
    pairs = report(Workspace(root, root), "classifier_pairs")
    assert (pairs["difference"].dropna() == 0).all()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"classifiers": ["other"]}, FileNotFoundError, r"other/grouped/predictions\.parquet: expected the table"),
        ({"classifiers": []}, ValueError, r"classifiers of photos: expected one or more different names, got \[\]"),
        ({"protocols": ["by_face_80_20"]}, ValueError, "protocols of photos: expected 'grouped' among them"),
        ({"protocols": ["grouped", "grouped"]}, ValueError, "protocols of photos: expected one or more different"),
    ],
)
def test_lists_that_cannot_be_scored_are_named(study, changes, error, message):
    with pytest.raises(error, match=message):
        score_classifiers.run(config(**changes), study)


def test_one_classifier_under_one_protocol_is_scored_too(study):
    summary = score_classifiers.run(config(classifiers=["sequential_cnn"], protocols=["grouped"]), study)
    assert summary["photos"]["mcnemar"] == summary["photos"]["inflation"] == {}
    assert report(study, "inflation").empty
    assert report(study, "classifier_pairs").empty


def test_models_are_scored_on_the_same_photos_and_paired(study, capsys):
    cfg = config()
    summary = score_models.run(cfg, study)
    held_out = read_held_out(cfg, study)
    options = (held_out.group_of_file, cfg.evaluate.score_threshold, cfg.evaluate.iou_threshold, 20, 0)
    names = ["efficientdet", *(f"two_phase/{name}" for name in FACE_DETECTORS), "rescored"]
    assert list(summary["models"]) == names
    own = bootstrap_metrics(held_out.pool(), *options).set_index("metric")
    for end in ("value", "low", "high"):
        assert summary["models"]["efficientdet"][end]["map_50"] == own.loc["map_50", end]
    assert "difference" not in summary["models"]["efficientdet"]
    found = read_table(study.input("build/two_phase/mtcnn.parquet"), PREDICTIONS)
    pooled = held_out.pool()
    other = type(pooled)(pooled.images, pooled.annotations, found, pooled.size_bounds_px)
    paired = paired_bootstrap(pooled, other, *options).set_index("metric")
    difference = summary["models"]["two_phase/mtcnn"]["difference"]
    assert difference["value"]["map_50"] == pytest.approx(paired.loc["map_50", "difference"], abs=1e-12)
    assert difference["p_value"]["ap_50"]["with_mask"] == pytest.approx(paired.loc["ap_50/with_mask", "p_value"])
    rescored = summary["models"]["rescored"]  # a root of every score: the same ranking
    assert rescored["value"]["map"] == pytest.approx(own.loc["map", "value"])
    assert rescored["difference"]["p_value"]["map"] == pytest.approx(1)
    rows = report(study, "models")
    assert not set(rows["metric"]) & {"precision", "recall", "f1"}
    assert rows.loc[rows["model"] == "efficientdet", "p_value"].isna().all()
    printed = capsys.readouterr().out
    assert "two_phase/opencv_dnn" in printed
    assert max(map(len, printed.splitlines())) <= 100


def test_the_cost_of_a_model_is_the_sum_of_its_steps(study):
    models = score_models.run(config(), study)["models"]
    assert models["efficientdet"]["ms_per_image"] == pytest.approx(290)
    find = models["two_phase/mtcnn"]["cost"]["find_faces"]
    assert models["two_phase/mtcnn"]["ms_per_image"] == pytest.approx(find["ms_per_image"] + 21.4)
    assert models["rescored"]["ms_per_image"] == pytest.approx(311.4)
    assert models["rescored"]["cost"]["detect"]["threads"] == 2


def test_only_the_folds_of_the_config_are_scored(study):
    cfg = config()
    cfg.split.train_folds = [1]
    summary = score_models.run(cfg, study)
    folds = read_table(study.input("build/folds.parquet"), FOLDS)
    assert summary["num_images"] == (folds["fold"] == 1).sum()
    assert summary["train_folds"] == [1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("no cost", FileNotFoundError, r"rescore\.json: expected what the stage says of its cost, found no file"),
        ("no figure", ValueError, r"rescore\.json: expected the key 'threads', got \['device', 'ms_per_image'\]"),
        ("foreign fold", ValueError, r"mtcnn\.parquet: predictions of fold 0: expected images held out in fold 0 only"),
        ("no table", FileNotFoundError, r"centerface\.parquet: expected the table 'predictions', found no file"),
    ],
)
def test_models_that_cannot_be_scored_are_named(study, tmp_path, change, error, message):
    root = tmp_path / "study"
    shutil.copytree(study.root, root)
    if change == "no cost":
        (root / "reports/two_phase/rescore.json").unlink()
    elif change == "no figure":
        (root / "reports/two_phase/rescore.json").write_text('{"ms_per_image": 1, "device": "cpu"}')
    elif change == "foreign fold":
        path = root / "build/two_phase/mtcnn.parquet"
        table = read_table(path, PREDICTIONS)
        write_table(table.assign(fold=1 - table["fold"]), path, PREDICTIONS)
    else:
        (root / "build/two_phase/centerface.parquet").unlink()
    with pytest.raises(error, match=message):
        score_models.run(config(), Workspace(root, root))
