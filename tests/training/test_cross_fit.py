"""Every face is judged by a network that has not seen it, also when the run was stopped between two parts."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from crop_world import classify_config, write_faces
from maskdet.models.classifiers import load_classifier
from maskdet.schema import CLASS_NAMES, CROP_PREDICTIONS, PROBABILITY_COLUMNS, read_table
from maskdet.training import cross_fit as cross_fit_module
from maskdet.training.crop_data import FaceCrops
from maskdet.training.cross_fit import CrossFitPaths, cross_fit, summarize
from maskdet.training.resume import only_one_process
from wandb_file import read_offline_runs

CLASSES = [0, 1, 2, 0, 0, 1, 0] * 7
METRICS = ["train/accuracy", "train/loss", "val/accuracy", "val/loss"]


def paths_in(root) -> CrossFitPaths:
    return CrossFitPaths(
        root / "predictions.parquet",
        root / "parts",
        root / "history.csv",
        root / "resume/key/name",
        root / "lock",
        root / "tracking",
    )


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return FaceCrops(write_faces(tmp_path_factory.mktemp("faces") / "crops", CLASSES), "grouped", 0)


@pytest.fixture(scope="module")
def done(faces, tmp_path_factory):
    root = tmp_path_factory.mktemp("done")
    return root, cross_fit(classify_config(), faces, paths_in(root))


def test_a_cross_fit_leaves_its_files_and_nothing_else(done):
    root, _ = done
    left = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    weights = [f"parts/{part}.{suffix}" for part in range(3) for suffix in ("json", "safetensors")]
    assert left == sorted(
        ["history.csv", "lock/lock", "lock/pid", "parts/augmented.jpg", "predictions.parquet", *weights]
    )


def test_every_face_is_judged_once_by_the_network_that_held_it_out(faces, done):
    root, predictions = done
    pd.testing.assert_frame_equal(read_table(root / "predictions.parquet", CROP_PREDICTIONS), predictions)
    pd.testing.assert_frame_equal(
        predictions[["file_name", "face", "class_name", "fold"]],
        faces.index[["file_name", "face", "class_name", "fold"]],
    )
    for part in faces.held_out_parts:
        classifier = load_classifier(root / f"parts/{part}.safetensors")
        pixels = np.stack(list(faces.held_out(part).pixels))
        judged = predictions.loc[predictions["fold"] == part, PROBABILITY_COLUMNS].to_numpy()
        np.testing.assert_allclose(classifier.predict_probabilities(pixels), judged, atol=1e-6)


def test_the_history_has_a_row_a_part_and_epoch(done):
    history = pd.read_csv(done[0] / "history.csv")
    assert list(history) == ["part", "epoch", "step", "seconds", *METRICS]
    assert history[["part", "epoch"]].to_numpy().tolist() == [[part, epoch] for part in range(3) for epoch in range(3)]
    assert (history[["train/loss", "val/loss"]] > 0).all(axis=None)


def stopped_in(part: int, cfg, faces, root, monkeypatch) -> None:
    """Run until the training of a part, which is interrupted."""
    fit = cross_fit_module.fit_part

    def interrupted(cfg, faces, this_part, *rest):
        if this_part == part:
            raise KeyboardInterrupt
        return fit(cfg, faces, this_part, *rest)

    monkeypatch.setattr(cross_fit_module, "fit_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_fit(cfg, faces, paths_in(root))
    monkeypatch.setattr(cross_fit_module, "fit_part", fit)


def test_a_stopped_run_goes_on_with_the_next_part_and_ends_alike(faces, done, tmp_path, monkeypatch, capsys):
    stopped_in(1, classify_config(), faces, tmp_path, monkeypatch)
    assert not (tmp_path / "parts").exists()
    assert not (tmp_path / "history.csv").exists()
    capsys.readouterr()
    predictions = cross_fit(classify_config(), faces, paths_in(tmp_path))
    printed = capsys.readouterr().out
    assert "part 0: taken from" in printed
    assert "part 0: epoch" not in printed
    assert "part 1: epoch 3/3" in printed
    root, expected = done
    pd.testing.assert_frame_equal(predictions, expected)
    for part in range(3):
        ours, theirs = (load_file(place / f"parts/{part}.safetensors") for place in (tmp_path, root))
        for name, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=0, msg=f"{part} {name}")
    histories = [pd.read_csv(place / "history.csv").drop(columns="seconds") for place in (tmp_path, root)]
    pd.testing.assert_frame_equal(*histories)
    assert not (tmp_path / "resume/key").exists()


def test_parts_by_face_keep_no_weights_and_name_their_part(tmp_path):
    by_face = FaceCrops(write_faces(tmp_path / "crops", CLASSES), "by_face_70_30", 0)
    cfg = classify_config(classify={"protocol": "by_face_70_30"}, classifier={"max_epochs": 1})
    predictions = cross_fit(cfg, by_face, paths_in(tmp_path))
    assert len(predictions) == np.ceil(0.3 * len(CLASSES))
    assert set(predictions["fold"]) == {0}
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["augmented.jpg"]


def test_a_class_that_the_faces_lack_has_probability_zero(tmp_path):
    two = FaceCrops(write_faces(tmp_path / "crops", [0, 1] * 9), "grouped", 0)
    predictions = cross_fit(classify_config(classifier={"max_epochs": 1}), two, paths_in(tmp_path))
    assert (predictions["probability_mask_weared_incorrect"] == 0).all()
    np.testing.assert_allclose(predictions[PROBABILITY_COLUMNS].sum(axis=1), 1, atol=1e-5)


def test_wandb_has_one_offline_run_with_all_parts_also_after_a_stop(faces, tmp_path, monkeypatch):
    wandb = {"kind": "wandb", "mode": "offline", "project": "maskdet", "entity": None, "group": "mine"}
    cfg = classify_config(logger=wandb, classifier={"max_epochs": 2})
    stopped_in(2, cfg, faces, tmp_path, monkeypatch)
    cross_fit(cfg, faces, paths_in(tmp_path))
    runs = {run.exit_code: run for run in read_offline_runs(tmp_path / "tracking/wandb")}
    assert sorted(runs) == [0, 1]
    run = runs[0]
    assert (run.name, run.group, run.job_type) == ("sequential_cnn-grouped", "mine", "classify")
    assert run.config["classifier"]["name"] == "sequential_cnn"
    for part in range(3):
        assert {f"part{part}-{name}" for name in METRICS} <= run.history_keys, part
    assert {"val/accuracy", "val/balanced_accuracy", "val/macro_f1"} <= set(run.summary)
    assert run.artifacts == {"sequential_cnn-grouped": "model"}


def test_tensorboard_has_a_folder_a_part(faces, tmp_path):
    cfg = classify_config(logger={"kind": "tensorboard"}, classifier={"max_epochs": 1})
    cross_fit(cfg, faces, paths_in(tmp_path))
    written = {path.parent.name for path in (tmp_path / "tracking/tensorboard").rglob("events.*")}
    assert written == {"part0", "part1", "part2"}


def test_an_unknown_logger_and_a_second_process_are_refused(faces, tmp_path):
    with pytest.raises(ValueError, match=r"logger.kind: expected one of .*, got 'mlflow'"):
        cross_fit(classify_config(logger={"kind": "mlflow"}), faces, paths_in(tmp_path))
    with only_one_process(paths_in(tmp_path).lock_dir), pytest.raises(ValueError, match="found one in process"):
        cross_fit(classify_config(), faces, paths_in(tmp_path))


def test_the_summary_is_what_a_person_counts():
    truth = [0, 0, 0, 0, 1, 1, 2]
    called = [0, 0, 0, 1, 1, 0, 1]
    table = pd.DataFrame(np.eye(3)[called], columns=PROBABILITY_COLUMNS)
    table["class_name"] = [CLASS_NAMES[index] for index in truth]
    found = summarize(table)
    assert found["accuracy"] == pytest.approx(4 / 7)
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert found["macro_f1"] == pytest.approx((2 * 3 / (4 + 4) + 2 * 1 / (2 + 3) + 0) / 3)
    two = table[table["class_name"] != CLASS_NAMES[2]]
    assert summarize(two)["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2) / 2)
