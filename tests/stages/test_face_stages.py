"""The stages `find_faces` and `score_faces` on drawn photos, one of which shows a real face."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from maskdet.data.image import read_image
from maskdet.evaluation.face_finding import box_habit
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, FACES, FOLDS, IMAGES, read_table, write_table
from maskdet.stages import find_faces, score_faces
from maskdet.stages.entry import Workspace
from portrait import BOX, scaled
from table_rows import face_rows

CONF = Path(__file__).parents[2] / "conf"
FILES = ["empty.png", "left.png", "right.png"]
SIZE_WH = (240, 160)


def face_in(name: str) -> np.ndarray:
    """Return the place of the portrait's face in a photo."""
    return BOX * 0.25 + np.tile([20 if name == "left.png" else 100, 5], 2)


def photo(name: str) -> np.ndarray:
    canvas = np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8)
    if name != "empty.png":
        small, x = scaled(0.25), 20 if name == "left.png" else 100
        canvas[5 : 5 + small.shape[0], x : x + small.shape[1]] = small[: SIZE_WH[1] - 5]
    return canvas


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """Return three photos of two folds and their tables, file names not in the order of folds."""
    folder = tmp_path / "build/raw/images"
    folder.mkdir(parents=True)
    for name in FILES:
        cv2.imwrite(str(folder / name), photo(name)[..., ::-1])
    size = {"source": "test", "width": SIZE_WH[0], "height": SIZE_WH[1], "sha256": "0" * 64}
    images = pd.DataFrame({"file_name": FILES, "num_faces": [0, 1, 1], **size})
    write_table(images, tmp_path / "build/table/images.parquet", IMAGES)
    states = {"left.png": "with_mask", "right.png": "without_mask"}
    truth = face_rows([(name, state, *face_in(name)) for name, state in states.items()])
    write_table(truth, tmp_path / "build/table/annotations.parquet", ANNOTATIONS)
    folds = pd.DataFrame({"file_name": FILES, "group": [0, 1, 2], "split_role": "fold", "fold": [1, 0, 1]})
    write_table(folds, tmp_path / "build/folds.parquet", FOLDS)
    return Workspace(tmp_path, tmp_path)


def config(*names: str) -> DictConfig:
    """Return what the stages read of the committed config, inputs small and replicates few."""
    detectors = {}
    for name in names:
        with initialize_config_dir(str(CONF / "face_detector"), version_base="1.3"):
            detectors[name] = compose(name, ["long_side_px=480"])
    cfg = OmegaConf.create({"face_detectors": detectors, "two_phase": {"face_detectors": list(names)}})
    cfg.score_faces = OmegaConf.load(CONF / "score_faces/default.yaml")
    cfg.score_faces.bootstrap.num_replicates = 20
    cfg.hypotheses = OmegaConf.load(CONF / "hypotheses/default.yaml")
    return cfg


def find(cfg: DictConfig, name: str, workspace: Workspace) -> pd.DataFrame:
    return find_faces.run(OmegaConf.create({"face_detector": cfg.face_detectors[name]}), workspace)


def report(workspace: Workspace, name: str) -> dict:
    return json.loads(workspace.output(f"reports/two_phase/{name}.json").read_text())


def test_faces_of_every_image_in_their_order(workspace):
    table = find(config("centerface"), "centerface", workspace)
    pd.testing.assert_frame_equal(table, read_table(workspace.output("build/faces/centerface.parquet"), FACES))
    best = table.drop_duplicates("file_name").set_index("file_name")
    assert list(best.index) == [name for name in FILES if name in best.index]
    assert best.loc[["left.png", "right.png"], "score"].min() > 0.5
    for name in FILES[1:]:
        off = np.abs(best.loc[name, BOX_COLUMNS].to_numpy(float) - face_in(name))
        assert off.max() < 12, name  # of a face of 50 px


def test_what_a_run_found_and_what_it_cost(workspace, capsys):
    cfg = config("centerface")
    table = find(cfg, "centerface", workspace)
    threshold = cfg.face_detectors.centerface.score_threshold
    record = report(workspace, "find_faces/centerface")
    counted = {
        "score_threshold": threshold,
        "num_images": 3,
        "num_images_without_face": 1,
        "num_faces": int((table["score"] >= threshold).sum()),
        "num_candidates": len(table),
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }
    assert {key: record[key] for key in counted} == counted
    assert record["ms_per_image"] > 0
    assert record["cpu_ms_per_image"] > 0
    assert cv2.getNumThreads() == torch.get_num_threads()
    assert "centerface: 2 faces in 3 images, none in 1" in capsys.readouterr().out


def test_images_without_any_face_give_an_empty_table(workspace):
    for name in FILES:
        path = workspace.input(f"build/raw/images/{name}")
        cv2.imwrite(str(path), np.full_like(read_image(path), 90))
    cfg = config("mtcnn")
    table = find(cfg, "mtcnn", workspace)
    assert len(table) == 0
    assert len(read_table(workspace.output("build/faces/mtcnn.parquet"), FACES)) == 0
    assert report(workspace, "find_faces/mtcnn")["num_images_without_face"] == 3
    record = score_faces.run(cfg, workspace)["detectors"]["mtcnn"]
    assert (record["ap_50"]["all"]["value"], record["recall_50"]["all"]["value"]) == (0, 0)


def test_an_unreadable_photo_is_named_and_leaves_no_table(workspace):
    workspace.input("build/raw/images/right.png").write_bytes(b"no photo")
    with pytest.raises(ValueError, match=r"right\.png: expected an image"):
        find(config("opencv_dnn"), "opencv_dnn", workspace)
    assert not workspace.output("build/faces/opencv_dnn.parquet").exists()


def faces_of(shift: float, scores: tuple[float, float, float]) -> pd.DataFrame:
    """Return what a detector might say: both faces, moved down by shares of their height, and an alarm."""
    boxes = np.stack([face_in("left.png"), face_in("right.png"), [0, 0, 30, 30]])
    boxes[:2, [1, 3]] += shift * (boxes[:2, [3]] - boxes[:2, [1]])
    rows = pd.DataFrame(boxes, columns=BOX_COLUMNS).assign(file_name=["left.png", "right.png", "empty.png"])
    return rows.assign(score=scores)


@pytest.fixture
def scored(workspace, capsys) -> tuple[Workspace, DictConfig, dict, str]:
    """Return the workspace, config, summary and printout of two detectors of which the second is the worse."""
    cfg = config("centerface", "mtcnn")
    for name, table in {"centerface": faces_of(0, (0.9, 0.8, 0.7)), "mtcnn": faces_of(0.4, (0.9, 0.8, 0.7))}.items():
        write_table(table, workspace.output(f"build/faces/{name}.parquet"), FACES)
        path = workspace.output(f"reports/two_phase/find_faces/{name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        times = {"ms_per_image": 12.5, "cpu_ms_per_image": 11.5}
        path.write_text(json.dumps(times | {"device": "cpu", "threads": 1, "num_images": 3}))
    return workspace, cfg, score_faces.run(cfg, workspace), capsys.readouterr().out


def test_figures_by_hand(scored):
    workspace, cfg, summary, printed = scored
    assert (summary["num_images"], summary["num_true_faces"]["all"]) == (3, 2)
    record = report(workspace, "face_detectors")["detectors"]
    good, bad = record["centerface"], record["mtcnn"]
    assert (good["ms_per_image"], good["threads"]) == (12.5, 1)
    assert good["score_threshold"] == cfg.face_detectors.centerface.score_threshold
    assert good["ap_50"]["all"]["value"] == pytest.approx(1)
    assert good["precision_50"]["all"]["value"] == pytest.approx(2 / 3)
    assert good["recall_40"]["with_mask"]["value"] == 1
    assert good["recall_40"]["mask_weared_incorrect"]["value"] is None
    assert bad["recall_50"]["all"]["value"] == 0  # IoU .6 / 1.4 = .43
    assert bad["recall_40"]["all"]["value"] == 1
    assert bad["box_habit"]["shift_y"] == pytest.approx(-0.4, abs=1e-4)
    assert good["best_f1"]["f1"] == pytest.approx(1)
    assert "centerface" in printed


def test_habits_leave_the_fold_out_that_they_would_correct(scored):
    workspace, _, summary, _ = scored
    truth = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    faces = read_table(workspace.output("build/faces/mtcnn.parquet"), FACES)
    habits = summary["detectors"]["mtcnn"]["box_habit_without_fold"]
    assert sorted(habits) == ["0", "1"]
    right = [table[table["file_name"] == "right.png"] for table in (truth, faces)]
    assert habits["0"] == box_habit(*right, 0.4)


def test_tables_for_readers(scored):
    workspace, _, summary, _ = scored
    folder = workspace.output("reports/two_phase")
    table = pd.read_csv(folder / "face_detectors.csv")
    assert list(table) == ["detector", "metric", "subgroup", "num_true_faces", "value", "low", "high"]
    assert set(table["detector"]) == {"centerface", "mtcnn"}
    row = table.set_index(["detector", "metric", "subgroup"]).loc["centerface", "recall_50", "without_mask"]
    assert (row["value"], row["num_true_faces"]) == (1, 1)
    pairs = pd.read_csv(folder / "face_detector_pairs.csv").set_index(["metric", "subgroup"])
    assert set(zip(pairs["detector_a"], pairs["detector_b"], strict=True)) == {("centerface", "mtcnn")}
    assert pairs.loc[("recall_50", "all"), "difference"] == -1
    recall = pairs.loc[("recall_50", "all"), ["p_value", "least_p_value"]]
    assert recall.tolist() == [0.5, 0.5]  # two groups can be flipped in four ways
    assert ("precision_50", "all") not in pairs.index
    curves = pd.read_csv(folder / "plots/face_precision_recall.csv")
    assert curves.groupby("detector")["precision"].mean()["centerface"] == pytest.approx(
        summary["detectors"]["centerface"]["ap_50"]["all"]["value"], abs=1e-6
    )


def test_equal_inputs_give_equal_bytes(scored):
    workspace, cfg, _, _ = scored
    files = sorted(workspace.output("reports/two_phase").rglob("face_*"))
    before = [path.read_bytes() for path in files]
    score_faces.run(cfg, workspace)
    assert [path.read_bytes() for path in files] == before
    assert len(files) == 4


def test_what_is_missing_is_named(scored):
    workspace, cfg, _, _ = scored
    cfg.two_phase.face_detectors = ["yunet"]
    with pytest.raises(ValueError, match=r"expected names among \['centerface', 'mtcnn'\], got 'yunet'"):
        score_faces.run(cfg, workspace)
    cfg.two_phase.face_detectors = ["mtcnn"]
    workspace.output("reports/two_phase/find_faces/mtcnn.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"mtcnn\.json: expected what the stage `find_faces` writes"):
        score_faces.run(cfg, workspace)
    workspace.output("build/faces/mtcnn.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"mtcnn\.parquet: expected the table 'faces'"):
        score_faces.run(cfg, workspace)
