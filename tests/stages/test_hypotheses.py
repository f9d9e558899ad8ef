"""The stage `hypotheses` on a simulated study: what it writes, which tables each hypothesis needs, what it refuses."""

import json
import re
import shutil
from itertools import groupby

import pandas as pd
import pytest
from omegaconf import OmegaConf
from statsmodels.stats.multitest import multipletests

from maskdet.evaluation.holm import is_bound
from maskdet.evaluation.hypotheses.verdict import Conclusion
from maskdet.schema import BOX_COLUMNS, CROP_PREDICTIONS, PREDICTIONS, QUALITY, read_table, write_table
from maskdet.stages.entry import Workspace
from maskdet.stages.hypotheses import run
from simulated_study import draw_truth, write_classifiers, write_detections, write_tables
from tiny_run import CONF, report_bytes

ALL = ["H1", "H2", "H3", "H4", "H5", "H6", "H7"]
MAIN_ROAD = ["H1", "H3", "H4"]
"""Those that need no table of the two-phase study."""


def config(tested=ALL, **changes):
    """Return what the stage reads of the committed config, resampled less."""
    cfg = OmegaConf.create(
        {group: OmegaConf.load(CONF / group / "default.yaml") for group in ("evaluate", "hypotheses", "two_phase")}
    )
    cfg.split = {"train_folds": [0, 1]}
    cfg.face_detectors = {name: {"score_threshold": 0.05} for name in ("opencv_dnn", "mtcnn", "centerface")}
    cfg.two_phase.face_detectors = ["mtcnn", "centerface"]
    cfg.two_phase.classifiers = ["sequential_cnn_grey", "sequential_cnn", "mobilenet_v2_finetuned"]
    cfg.hypotheses = OmegaConf.merge(
        cfg.hypotheses, {"tested": tested, "num_replicates": 40, "num_permutations": 399, **changes}
    )
    return cfg


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    truth = draw_truth()
    write_tables(truth, root)
    write_classifiers(truth, root)
    write_detections(truth, root)
    shutil.rmtree(root / "reports")
    return root


@pytest.fixture(scope="module")
def judged(study, tmp_path_factory):
    """Return the workspace and the verdicts of one run of all hypotheses."""
    workspace = Workspace(study, tmp_path_factory.mktemp("judged"))
    return workspace, run(config(), workspace)


@pytest.fixture
def workspace(study, tmp_path):
    """Return a copy of the study: tests take tables away."""
    shutil.copytree(study, tmp_path, dirs_exist_ok=True)
    return Workspace(tmp_path, tmp_path)


def written(workspace):
    return json.loads(workspace.output("reports/hypotheses.json").read_text())


def test_every_hypothesis_is_judged_in_both_files(judged):
    workspace, verdicts = judged
    files = report_bytes(workspace)
    assert list(files) == ["hypotheses.json", "hypotheses.md"]
    records, text = written(workspace), files["hypotheses.md"].decode()
    assert list(records) == list(verdicts) == ALL
    for name, record in records.items():
        assert record["conclusion"] in list(Conclusion)
        assert record["verdict"] == verdicts[name].sentence
        assert 0 <= record["p_value"] <= 1
        assert record["group_aware"]["p_value"] <= record["group_aware"]["p_value_holm"] <= 1
        assert record["effect"]["low"] <= record["effect"]["value"] <= record["effect"]["high"]
        assert record["assumptions"]
        assert record["rejected"] == (record["group_aware"]["p_value"] < 0.05) or name in ("H3", "H5")
        assert f"## {name}: {record['hypothesis']}" in text
        assert record["verdict"] in text


def test_the_page_has_whole_tables_and_no_undefined_figures(judged):
    text = judged[0].output("reports/hypotheses.md").read_text()
    widths = [len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0 for line in text.splitlines()]
    tables = [list(rows) for is_table, rows in groupby(widths, bool) if is_table]
    assert len(tables) > len(ALL)
    assert all(len(rows) > 2 and len(set(rows)) == 1 for rows in tables)
    assert not re.findall(r"\b(nan|None|inf)\b", text)
    assert "Demographics are not in the data" in text


def test_holm_over_all_is_statsmodels(judged):
    _, verdicts = judged
    expected = multipletests([verdict.by_group.p_value for verdict in verdicts.values()], method="holm")[1]
    assert [verdict.p_value_holm for verdict in verdicts.values()] == pytest.approx(expected)


def test_what_draws_cannot_tell_is_printed_as_a_bound_also_when_corrected(judged):
    workspace, _ = judged
    text, records = workspace.output("reports/hypotheses.md").read_text(), written(workspace)
    overview = {line.split("|")[1].strip(): line.split("|") for line in text.splitlines() if line.startswith("| H")}
    for name, record in records.items():
        tested = record["group_aware"]
        for column, key in ((5, "p_value"), (6, "p_value_holm")):
            bounded = bool(is_bound(tested[key], tested[f"least_{key}"]))
            assert overview[name][column].strip().startswith("≤") == bounded
    assert records["H2"]["group_aware"]["least_p_value"] == pytest.approx(4 * 2 / 400)  # Holm over four of its own
    assert records["H2"]["group_aware"]["least_p_value_holm"] > records["H2"]["group_aware"]["least_p_value"]
    assert records["H1"]["group_aware"]["least_p_value_holm"] == 0
    sizes = text.split("Sizes:")[1].split("Detectors:")[0]
    assert "least" not in sizes
    assert "≤ 0.02 " in sizes


def test_folds_that_something_was_chosen_on_are_told(judged):
    records = written(judged[0])
    assert "chosen on fold 1, whose faces are judged here too" in records["H2"]["notes"][1]
    assert "Recipes were tried out on fold 0" in records["H5"]["notes"][1]
    protocols = [row["protocol"] for row in records["H5"]["details"]["classifiers"]]
    assert protocols == ["grouped", "grouped, other folds", "by face"] * 3


def test_what_was_simulated_comes_out(judged):
    records = written(judged[0])
    assert records["H1"]["conclusion"] == "refuted"  # .6, .28 and .12 of the faces
    assert records["H2"]["conclusion"] == "refuted"  # .45 against .7 of the faces found
    assert records["H2"]["effect"]["name"].startswith("recall of mtcnn - recall of opencv_dnn, ")
    assert records["H2"]["effect"]["low"] > 0
    assert records["H4"]["conclusion"] == "undecided"  # classes were drawn regardless of anything
    assert records["H6"]["effect"]["value"] > 0  # more skill in colour
    protocols = {(row["classifier"], row["protocol"]): row for row in records["H5"]["details"]["classifiers"]}
    assert len(protocols) == 9
    for name in ("sequential_cnn_grey", "sequential_cnn"):
        assert protocols[name, "by face"]["accuracy"] > protocols[name, "grouped"]["accuracy"]
    assert {row["face_detector"] for row in records["H7"]["details"]["rivals"]} == {"mtcnn", "centerface"}


def test_a_hypothesis_tested_again_says_the_same_but_for_the_correction(judged, workspace, capsys):
    run(config(["H5", "H2"]), workspace)
    before, again = written(judged[0]), written(workspace)
    assert list(again) == ["H2", "H5"]
    for name, record in again.items():
        corrected = {key: record["group_aware"][key] for key in ("p_value_holm", "least_p_value_holm")}
        before[name]["group_aware"] |= corrected
        assert record == before[name]
    assert "H2 refuted: mtcnn finds more faces than opencv_dnn" in " ".join(capsys.readouterr().out.split())


def test_some_hypotheses_need_no_more_than_their_tables(workspace):
    for folder in ("classify", "faces", "two_phase"):
        shutil.rmtree(workspace.input(f"build/{folder}"))
    run(config(MAIN_ROAD[::-1]), workspace)
    assert list(written(workspace)) == MAIN_ROAD


def test_a_classifier_can_be_the_mask_model(workspace):
    shutil.rmtree(workspace.input("build/predictions"))
    record = run(config(["H3"], mask_model="mobilenet_v2_finetuned"), workspace)["H3"].record()
    assert record["counts"]["faces_without_answer"] == 0
    assert "mobilenet_v2_finetuned" in record["verdict"]


@pytest.mark.parametrize(
    ("path", "tested", "stage"),
    [
        ("build/table/annotations.parquet", "H1", "table"),
        ("build/folds.parquet", "H1", "split"),
        ("build/faces/mtcnn.parquet", "H2", "find_faces face_detector=mtcnn"),
        ("build/predictions/1.parquet", "H3", "predict of fold 1"),
        ("build/quality.parquet", "H4", "quality"),
        (
            "build/classify/sequential_cnn/by_face_80_20/predictions.parquet",
            "H5",
            "classify classifier=sequential_cnn classify.protocol=by_face_80_20",
        ),
        (
            "build/classify/sequential_cnn_grey/grouped/predictions.parquet",
            "H6",
            "classify classifier=sequential_cnn_grey classify.protocol=grouped",
        ),
        ("build/two_phase/centerface.parquet", "H7", "two_phase face_detector=centerface"),
    ],
)
def test_a_missing_table_is_an_error_that_names_the_stage(workspace, path, tested, stage):
    workspace.input(path).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{path}: expected the table .*; run the stage {stage} first"):
        run(config(["H1", tested] if tested != "H1" else ["H1"]), workspace)
    assert not workspace.output("reports").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tested": ["H8"]}, r"hypotheses\.tested: expected different names among \['H1', .*\], got \['H8'\]"),
        ({"tested": []}, r"hypotheses\.tested: .* got \[\]"),
        ({"tested": ["H1", "H1"]}, r"hypotheses\.tested: expected different names"),
        ({"face_finders": ["mtcnn"]}, r"hypotheses\.face_finders: expected two face detectors, got \['mtcnn'\]"),
        ({"face_finders": ["mtcnn", "x"]}, r"hypotheses\.face_finders: expected names among \[.*\], got 'x'"),
        ({"grey_and_colour": ["sequential_cnn"]}, r"hypotheses\.grey_and_colour: expected two classifiers"),
        ({"num_replicates": 1}, "num_replicates: expected 2 or more, got 1"),
    ],
)
def test_a_wrong_setting_is_named(workspace, change, message):
    with pytest.raises(ValueError, match=message):
        run(config(**change), workspace)
    assert not workspace.output("reports").exists()


def test_tables_of_other_faces_are_refused(workspace):
    path = workspace.input("build/quality.parquet")
    quality = read_table(path, QUALITY)
    write_table(quality.assign(x_max=quality[BOX_COLUMNS[2]] + 1), path, QUALITY)
    with pytest.raises(ValueError, match=r"quality\.parquet: expected the \d+ faces .* run the stage quality again"):
        run(config(["H4"]), workspace)
    path = workspace.input("build/classify/sequential_cnn/grouped/predictions.parquet")
    table = read_table(path, CROP_PREDICTIONS)
    write_table(pd.concat([table[1:], table[:1].assign(face=99)]), path, CROP_PREDICTIONS)
    with pytest.raises(ValueError, match=r"expected faces of build/table/annotations\.parquet .* got face 99 of"):
        run(config(["H6"]), workspace)


def test_two_phases_that_saw_their_images_in_training_are_refused(workspace):
    path = workspace.input("build/two_phase/mtcnn.parquet")
    table = read_table(path, PREDICTIONS)
    write_table(table.assign(fold=1 - table["fold"]), path, PREDICTIONS)
    with pytest.raises(ValueError, match=r"two_phase/mtcnn\.parquet: .*expected images held out in fold 0 only"):
        run(config(["H7"]), workspace)
