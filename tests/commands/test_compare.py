"""`compare_runs` in a real repository of git and DVC: what a run may be, what is written, what is refused."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo
from PIL import Image

from maskdet.commands.compare.command import compare_runs
from maskdet.commands.compare.run_sources import read_run, read_runs
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, write_table
from simulated_sets import detect, draw_set

NUM_FOLDS = 2
IMAGE_WH = (640, 240)
TABLES, GROUPS = draw_set(seed=0, num_groups=10)
OPTIONS = {"num_replicates": 20, "num_images": 2}


def git(root: Path, *words: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    done = subprocess.run(["git", *identity, *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def fold_of(name: str) -> int:
    return GROUPS[name] % NUM_FOLDS


def write_data(root: Path) -> None:
    names = TABLES.images["file_name"]
    columns = {"source": "test", "width": IMAGE_WH[0], "height": IMAGE_WH[1], "num_faces": 0}
    images = pd.DataFrame({"file_name": names, **columns, "sha256": [f"{i:064x}" for i in range(len(names))]})
    folds = pd.DataFrame({"file_name": names, "group": [GROUPS[name] for name in names], "split_role": "fold"})
    write_table(images, root / "build/table/images.parquet", IMAGES)
    write_table(TABLES.annotations.assign(is_difficult=False), root / "build/table/annotations.parquet", ANNOTATIONS)
    write_table(folds.assign(fold=names.map(fold_of)), root / "build/folds.parquet", FOLDS)


def write_run(root: Path, skill: float, train_folds: list[int], noise: int = 1) -> None:
    """Write predictions of a simulated detector and the settings that name its folds."""
    predictions = detect(TABLES.annotations, GROUPS, seed=0, skill=skill, noise=noise)
    fold_of_row = predictions["file_name"].map(fold_of)
    shutil.rmtree(root / "build/predictions", ignore_errors=True)
    for fold in train_folds:
        rows = predictions[fold_of_row == fold].assign(fold=fold)
        write_table(rows, root / f"build/predictions/{fold}.parquet", PREDICTIONS)
    listed = ", ".join(map(str, train_folds))
    settings = f"split: {{train_folds: [{listed}]}}\nevaluate: {{score_threshold: 0.4, iou_threshold: 0.5}}\n"
    (root / "params.yaml").write_text(settings)


def commit(root: Path, message: str, tag: str) -> None:
    with Repo(str(root)) as repo:
        repo.add([str(root / "build" / name) for name in ("table", "folds.parquet", "predictions")])
        repo.push()
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)
    git(root, "tag", tag)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with the tags `good` (both folds) and `poor` (both), whose working tree holds fold 0 alone.

    The cache is empty: tables of the tags come from the remote.
    """
    root = tmp_path_factory.mktemp("project")
    git(root, "init", "--quiet", "--initial-branch", "main")
    with Repo.init(str(root)) as repo, repo.config.edit() as config:
        config["core"] |= {"remote": "local", "analytics": False}
        config["remote"] = {"local": {"url": str(tmp_path_factory.mktemp("remote"))}}
    write_data(root)
    write_run(root, skill=1.0, train_folds=[0, 1])
    commit(root, "a good run", "good")
    write_run(root, skill=0.4, train_folds=[0, 1], noise=2)
    commit(root, "a poor run", "poor")
    write_run(root, skill=1.0, train_folds=[0])
    shutil.rmtree(root / ".dvc/cache")
    return root


@pytest.fixture(scope="module")
def good_and_poor(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, Path]:
    """Return what `compare_runs` gave for the two tags, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("compare") / "out"
    return compare_runs(["good", "poor"], folder, project, **OPTIONS), folder


def test_revisions_are_compared_and_everything_is_written(good_and_poor: tuple[pd.DataFrame, Path]) -> None:
    table, folder = good_and_poor
    assert table.set_index("metric").loc["map", "difference"] < 0
    assert set(table["baseline"]) == {"good"}
    assert set(table["run"]) == {"poor"}
    names = ["comparison.csv", "comparison.html", "images.csv", "pr_curves.csv"]
    assert sorted(path.name for path in folder.iterdir()) == names
    pd.testing.assert_frame_equal(pd.read_csv(folder / "comparison.csv"), table, atol=1e-6, check_dtype=False)
    curves = pd.read_csv(folder / "pr_curves.csv")
    assert list(curves["run"].unique()) == ["good", "poor"]
    assert curves.groupby(["run", "class_name"]).size().eq(101).all()


def test_images_are_listed_by_how_much_their_errors_change(good_and_poor: tuple[pd.DataFrame, Path]) -> None:
    images = pd.read_csv(good_and_poor[1] / "images.csv")
    errors = {who: images[f"{who}_fp"] + images[f"{who}_fn"] for who in ("baseline", "run")}
    assert (images["change"] == errors["run"] - errors["baseline"]).all()
    assert images["change"].abs().is_monotonic_decreasing
    assert sorted(images["file_name"]) == sorted(TABLES.images["file_name"])
    page = (good_and_poor[1] / "comparison.html").read_text()
    assert images["file_name"][0] in page
    assert "The photos are not at hand" in page
    assert "<img" not in page


def test_a_second_run_prints_a_table_of_100_columns_and_writes_the_same_bytes(
    good_and_poor: tuple[pd.DataFrame, Path], project: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    compare_runs(["good", "poor"], tmp_path, project, **OPTIONS)
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines()[:-1])) <= 100  # the last names the page
    assert re.search(r"map_50 +0\.\d{3} +0\.\d{3} +[-+]0\.\d{3} \[[-+]0\.\d{3}, [-+]0\.\d{3}\] +0\.\d{3}", printed)
    first, second = ({p.name: p.read_bytes() for p in folder.iterdir()} for folder in (good_and_poor[1], tmp_path))
    assert first == second


def test_photos_stand_beside_each_other_where_they_are_at_hand(project: Path, tmp_path: Path) -> None:
    root = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project), str(root))
    (root / "build/raw/images").mkdir(parents=True)
    for name in TABLES.images["file_name"]:
        Image.fromarray(np.full((IMAGE_WH[1], IMAGE_WH[0], 3), 90, np.uint8)).save(root / "build/raw/images" / name)
    shutil.copytree(project / ".dvc", root / ".dvc", dirs_exist_ok=True)
    compare_runs(["good", "poor"], tmp_path / "out", root, **OPTIONS)
    page = (tmp_path / "out/comparison.html").read_text()
    assert page.count("<img") == 3 * OPTIONS["num_images"]
    assert not re.search(r"https?://", re.sub(r"data:[^\"']+", "", page))


def test_the_workspace_is_compared_on_the_images_in_common(project: Path, tmp_path: Path, capsys) -> None:
    table = compare_runs(["good", "workspace"], tmp_path, project, **OPTIONS)
    printed = " ".join(capsys.readouterr().out.split())
    num_of_fold_0 = sum(fold_of(name) == 0 for name in GROUPS)
    assert f"good: {len(GROUPS) - num_of_fold_0} of its {len(GROUPS)} images are not in every run: left out" in printed
    assert f"{num_of_fold_0} images in" in printed
    assert "score ≥ 0.4" in printed
    assert table["difference"].dropna().eq(0).all()  # the same detector on fold 0


def test_a_run_folder_borrows_the_tables_of_the_data(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    write_run(folder, skill=0.4, train_folds=[0])
    (folder / "params.yaml").unlink()  # as Hydra leaves a stage's folder
    run = read_run(str(folder), project)
    assert run.train_folds == (0,)
    assert run.score_threshold is None
    assert "those of the present workspace" in run.notes[0]
    table = compare_runs([str(folder), "poor"], tmp_path / "out", project, score_threshold=0.2, **OPTIONS)
    assert len(table)


def test_an_ensemble_is_a_run_and_says_what_it_costs(project: Path, tmp_path: Path, capsys) -> None:
    table = compare_runs(["poor", "good+poor"], tmp_path, project, **OPTIONS).set_index("metric")
    assert table.loc["map", "difference"] > 0
    assert re.search(r"good\+poor: 2 runs fused in \d+\.\d s \(\d+ ms an image\)", capsys.readouterr().out)
    assert read_runs("good+poor", project).tables.predictions["fold"].isin([0, 1]).all()


def test_a_dvc_experiment_is_named_like_a_revision(project: Path) -> None:
    commit_id = git(project, "rev-parse", "poor")
    git(project, "update-ref", f"refs/exps/{commit_id[:2]}/{commit_id[2:]}/loud-owl", git(project, "rev-parse", "good"))
    loud, good = read_run("loud-owl", project), read_run("good", project)
    pd.testing.assert_frame_equal(loud.tables.predictions, good.tables.predictions)


@pytest.mark.parametrize(
    ("runs", "error", "message"),
    [
        (["good"], ValueError, r"expected two or more different runs, the baseline first, got \['good'\]"),
        (["good", "good"], ValueError, "expected two or more different runs"),
        (
            ["good", "nobody"],
            ValueError,
            "expected a folder, a git revision or a DVC experiment of this project, got 'nobody'",
        ),
        (["good", "build/table"], FileNotFoundError, r"expected build/predictions/<fold>\.parquet, found none"),
    ],
)
def test_impossible_runs_are_named(runs, error, message, project: Path, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        compare_runs(runs, tmp_path / "out", project, **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_missing_fold_is_named(project: Path, tmp_path: Path) -> None:
    write_run(tmp_path, skill=1.0, train_folds=[0, 1])
    (tmp_path / "build/predictions/1.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.parquet: expected the table 'predictions', found no file"):
        read_run(str(tmp_path), project)


def test_other_true_boxes_and_other_pixels_are_refused(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "build", tmp_path / "build")
    path = tmp_path / "build/table/annotations.parquet"
    annotations = pd.read_parquet(path)
    write_table(annotations.assign(x_max=annotations["x_max"] + 1), path, ANNOTATIONS)
    with pytest.raises(ValueError, match=r"against good: expected two runs on the same true boxes, got different ones"):
        compare_runs(["good", str(tmp_path)], tmp_path / "out", project, **OPTIONS)
    path = tmp_path / "build/table/images.parquet"
    write_table(pd.read_parquet(path).assign(sha256="f" * 64), path, IMAGES)
    with pytest.raises(ValueError, match=r"expected the same pixels in all runs, got different ones in 'image_"):
        compare_runs(["good", str(tmp_path)], tmp_path / "out", project, **OPTIONS)
