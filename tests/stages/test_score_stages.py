"""The stages that score classifiers and models, on the tables of a made-up study."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from maskdet.evaluation.bootstrap import bootstrap_metrics
from maskdet.evaluation.classification import interval_rows, with_groups
from maskdet.evaluation.classifier_comparison import protocol_inflation, right_answers
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.paired_outcomes import mcnemar_test
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.schema import (
    CLASS_NAMES,
    CROP_PREDICTIONS,
    CROPS,
    FOLDS,
    PREDICTIONS,
    PROBABILITY_COLUMNS,
    read_table,
    write_table,
)
from maskdet.stages import score_classifiers, score_models
from maskdet.stages.entry import Workspace
from maskdet.stages.held_out_tables import read_held_out
from maskdet.stages.rounded_files import write_rounded_csv
from simulated_study import (
    CLASSIFIERS,
    FACE_DETECTORS,
    PROTOCOLS,
    draw_truth,
    write_classifiers,
    write_detections,
    write_tables,
)
from training_world import CONF


def config(**changes):
    """Return what the stages read of the committed config, with few replicates; changes are those of `two_phase`."""
    groups = ("evaluate", "two_phase", "hypotheses")
    cfg = OmegaConf.create({group: OmegaConf.load(CONF / f"{group}/default.yaml") for group in groups})
    cfg.split, cfg.evaluate.bootstrap.num_replicates = {"train_folds": [0, 1]}, 20
    cfg.hypotheses.num_permutations, cfg.hypotheses.num_replicates = 99, 20
    shrunk = {"classifiers": list(CLASSIFIERS), "protocols": list(PROTOCOLS), "face_detectors": list(FACE_DETECTORS)}
    cfg.two_phase.merge_with({**shrunk, "overlaid_classifiers": [], "folder_classifiers": [], **changes})
    return cfg


def written(workspace, name):
    return json.loads(workspace.output(f"reports/two_phase/{name}.json").read_text())


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
    expected = interval_rows(grouped, Resampling(20, 99)).set_index("metric")
    figures = summary["photos"]["figures"][name]["grouped"]
    assert figures["num_faces"] == len(grouped)
    assert figures["num_groups"] == grouped["group"].nunique()
    for end in ("value", "low", "high"):
        assert figures[end]["accuracy"] == expected.loc["accuracy", end]
        assert figures[end]["recall"]["without_mask"] == expected.loc["recall/without_mask", end]
    inflation = protocol_inflation(grouped, leaky, Resampling(20, 99)).set_index("metric").loc["balanced_accuracy"]
    found = summary["photos"]["inflation"][name]["by_face_70_30"]["balanced_accuracy"]
    assert found["difference"] == inflation["difference"]
    assert found["num_faces"] == len(leaky)
    assert found["p_value"] == inflation["p_value"] >= found["least_p_value"] == 2 / 100
    tested = summary["photos"]["mcnemar"]["sequential_cnn_grey"][name]
    counted = mcnemar_test(*right_answers(judged(study, "sequential_cnn_grey", "grouped"), grouped))
    counts = ("both_right", "only_a_right", "only_b_right", "both_wrong")
    assert tested == {
        "num_faces": len(grouped),
        **{key: getattr(counted, key) for key in counts},
        "p_value": counted.evidence.p_value,
    }
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


def test_figures_of_grouped_classifiers_stand_once_more_without_the_folds_that_recipes_were_tried_on(study, capsys):
    summary = score_classifiers.run(config(chosen_on_folds=[0], classifiers=["sequential_cnn"]), study)
    figures = summary["photos"]["figures"]["sequential_cnn"]
    faces = judged(study, "sequential_cnn", "grouped")
    others = faces[faces["fold"] != 0]
    counts = {"num_faces": len(others), "num_groups": others["group"].nunique()}
    assert figures["grouped"]["other_folds"] == {"folds": [1], **counts}
    expected = interval_rows(others, Resampling(20, 99)).set_index("metric")
    for end in ("value", "low", "high"):
        assert figures["grouped"][end]["other_folds"] == {
            metric: expected.loc[metric, end] for metric in ("accuracy", "balanced_accuracy")
        }
    assert "other_folds" not in figures["by_face_80_20"]  # their parts are no folds
    rows = report(study, "classifiers")
    rows = rows[rows["metric"].str.startswith("other_folds/")]
    assert set(rows["protocol"]) == {"grouped"}
    assert len(rows) == 2
    assert written(study, "classifiers")["photos"]["figures"]["sequential_cnn"]["grouped"]["other_folds"]["folds"] == [
        1
    ]
    assert "other folds" in capsys.readouterr().out
    without = score_classifiers.run(config(chosen_on_folds=[], classifiers=["sequential_cnn"]), study)
    assert "other_folds" not in without["photos"]["figures"]["sequential_cnn"]["grouped"]


def test_numbers_have_six_digits_whether_tables_beside_them_are_empty_or_not(study, tmp_path):
    """Crops of folders have one classifier and so no pair: an empty table may not turn the numbers into objects."""
    root = tmp_path / "study"
    shutil.copytree(study.root, root)
    workspace = Workspace(root, root)
    shutil.copytree(root / "build/classify", root / "build/classify_folders", dirs_exist_ok=True)
    write_table(draw_truth().faces, root / "build/folder_crops/index.parquet", CROPS)
    names = ["sequential_cnn_grey", "sequential_cnn"]
    score_classifiers.run(config(classifiers=names, folder_classifiers=["sequential_cnn"]), workspace)
    for name in ("classifier_pairs", "classifiers", "inflation"):
        lines = workspace.output(f"reports/two_phase/{name}.csv").read_text().splitlines()
        numbers = [cell for line in lines[1:] for cell in line.split(",") if "." in cell]
        assert numbers
        assert {len(number.partition(".")[2]) for number in numbers} == {6}
        table = report(workspace, name)
        measured = table.drop(
            columns=["data", "classifier", "classifier_a", "classifier_b", "protocol", "metric"], errors="ignore"
        )
        assert {dtype.kind for dtype in measured.dtypes} <= {"f", "i"}
    assert set(report(workspace, "classifier_pairs")["data"]) == {"photos"}


def test_numbers_in_a_column_of_objects_are_rounded_too(tmp_path):
    table = pd.DataFrame({"name": ["a", "b"], "value": pd.Series([1 / 3, 2], dtype=object)})
    write_rounded_csv(table, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "name,value\na,0.333333\nb,2.000000\n"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"chosen_on_folds": [0, 1]},
            ValueError,
            r"chosen_on_folds: expected folds beside .* got \[0, 1\]; .* \[0, 1\]",
        ),
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
    told = rows.set_index(["model", "metric"]).loc[("two_phase/mtcnn", "map_50")]
    assert told["p_value"] >= told["least_p_value"] >= 0.0952
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
    assert models["rescored"]["cpu_ms_per_image"] == pytest.approx(1.5 * 311.4)
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
        ("no figure", ValueError, r"rescore\.json: expected the key 'cpu_ms_per_image', got \['dev"),
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
