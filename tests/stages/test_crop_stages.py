"""Stages `crops` and `folder_crops` on drawn pictures, with the committed settings."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from maskdet.data.crops import CropStore
from maskdet.data.image import read_image
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, FOLDS, write_table
from maskdet.stages import crops, folder_crops
from maskdet.stages.entry import Workspace
from raw_archive import noise_png, write_folder, write_zip
from table_rows import face_rows

ROOT = Path(__file__).parents[2]
WITH, WITHOUT, WRONG = "with_mask", "without_mask", "mask_weared_incorrect"
FACES = [("b.png", WITH, 4, 5, 20, 25), ("a.png", WITHOUT, 0, 0, 30, 30), ("b.png", WRONG, 40, 20, 64, 48)]


@pytest.fixture
def cfg():
    """The committed groups, with two folds of the few pictures."""
    names = ("crops", "folder_crops")
    cfg = OmegaConf.create({name: OmegaConf.load(ROOT / f"conf/{name}/default.yaml") for name in names})
    cfg.folder_crops.split.update({"num_folds": 2, "max_class_share_gap": 0.3})
    return cfg


@pytest.fixture
def workspace(tmp_path):
    write_folder(tmp_path / "build/raw/images", {f"{name}.png": noise_png(n) for n, name in enumerate("abc")})
    folds = pd.DataFrame({"file_name": ["a.png", "b.png", "c.png"], "group": [0, 1, 0], "fold": [0, 1, 0]})
    write_table(folds.assign(split_role="fold"), tmp_path / "build/folds.parquet", FOLDS)
    write_table(face_rows(FACES), tmp_path / "build/table/annotations.parquet", ANNOTATIONS)
    return Workspace(tmp_path, tmp_path)


def written(workspace: Workspace, name: str) -> list[bytes]:
    files = [f"build/{name}/pixels.npy", f"build/{name}/index.parquet", f"reports/two_phase/{name}.json"]
    return [workspace.output(file).read_bytes() for file in files]


def test_crops_holds_every_annotated_face(cfg, workspace):
    report = crops.run(cfg, workspace)
    store = CropStore.open(workspace.output("build/crops"))
    assert store.pixels.shape == (3, 96, 96, 3)
    assert store.index[["file_name", "class_name"]].to_numpy().tolist() == [list(face[:2]) for face in FACES]
    assert store.index[["face", "group", "fold"]].to_numpy().tolist() == [[0, 1, 1], [0, 0, 0], [1, 1, 1]]
    assert report["faces_per_class"] == {WITH: 1, WITHOUT: 1, WRONG: 1}
    assert (report["num_crops"], report["num_photos"], report["median_longer_side_px"]) == (3, 2, 28)
    assert report["share_enlarged"] == 1
    assert json.loads(written(workspace, "crops")[2]) == report


def test_the_settings_of_crops_count(cfg, workspace):
    cfg.crops.update({"margin": 0.0, "size": 30})
    report = crops.run(cfg, workspace)
    store = CropStore.open(workspace.output("build/crops"))
    assert np.array_equal(store.pixels[1], read_image(workspace.input("build/raw/images/a.png"))[:30, :30])
    assert report["share_enlarged"] == pytest.approx(2 / 3, abs=1e-4)


def test_crops_of_nothing_or_of_a_broken_photo_leave_the_last_store(cfg, workspace):
    crops.run(cfg, workspace)
    before = written(workspace, "crops")
    (workspace.root / "build/raw/images/b.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"b\.png: expected an image, got 10 bytes that no decoder reads"):
        crops.run(cfg, workspace)
    write_table(face_rows([]), workspace.root / "build/table/annotations.parquet", ANNOTATIONS)
    with pytest.raises(ValueError, match=r"annotations\.parquet: expected faces to cut, got a table without rows"):
        crops.run(cfg, workspace)
    assert written(workspace, "crops") == before


def mirrored(png: bytes) -> bytes:
    return cv2.imencode(".png", cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[:, ::-1])[1].tobytes()


def class_folders() -> dict[str, bytes]:
    """Return six pictures of each class, four pairs of copies among them, one of those by name alone."""
    return (
        {f"with_mask/{n}-with-mask.png": noise_png(n) for n in range(4)}
        | {f"without_mask/{n + 10}.png": noise_png(n + 10) for n in range(4)}
        | {"with_mask/again.png": noise_png(1), "without_mask/mirrored.png": mirrored(noise_png(11))}
        | {"with_mask/other.png": noise_png(20), "without_mask/0.png": noise_png(21)}
        | {"with_mask/bare.png": noise_png(13), "about.txt": b"drawn"}
    )


COPIES = [
    ("with_mask/1-with-mask.png", "with_mask/again.png"),
    ("without_mask/11.png", "without_mask/mirrored.png"),
    ("with_mask/0-with-mask.png", "without_mask/0.png"),
    ("without_mask/13.png", "with_mask/bare.png"),
]


@pytest.fixture(params=["archive", "folder"])
def placed(request, cfg, workspace, monkeypatch):
    """Put the set where the settings find it; return the workspace."""
    if request.param == "archive":
        write_zip(workspace.root / cfg.folder_crops.archive, class_folders())
        monkeypatch.setenv("MASKDET_ARCHIVES", str(workspace.root))
    else:
        write_folder(workspace.root / "faces", class_folders())
        cfg.folder_crops.source = "faces"
    return workspace


def test_folder_crops_keeps_copies_together(cfg, placed):
    report = folder_crops.run(cfg, placed)
    store = CropStore.open(placed.output("build/folder_crops"))
    assert store.pixels.shape == (13, 96, 96, 3)
    by_file = store.index.set_index("file_name")
    assert by_file["class_name"].tolist() == [name.split("/")[0] for name in by_file.index]
    for one, other in COPIES:
        assert by_file.loc[one, ["group", "fold"]].tolist() == by_file.loc[other, ["group", "fold"]].tolist()
    assert store.index["group"].nunique() == report["num_groups"] == 9
    assert store.index.groupby("group")["fold"].nunique().max() == 1
    assert set(store.index["fold"]) == {0, 1}
    assert store.index[BOX_COLUMNS].drop_duplicates().to_numpy().tolist() == [[0, 0, 64, 48]]


def test_the_report_of_folder_crops(cfg, placed):
    report = folder_crops.run(cfg, placed)
    assert report["pictures_per_class"] == {WITH: 7, WITHOUT: 6}
    assert report["left_out"] == ["about.txt"]
    assert report["unreadable"] == {}
    assert report["num_equal_to_an_earlier_one"] == report["pairs"]["equal_pixels"] == 2
    assert (report["num_groups_of_several"], report["num_pictures_in_groups_of_several"]) == (4, 8)
    assert report["group_sizes"] == {"1": 5, "2": 4}
    assert (report["pairs"]["twin_name"], report["pairs"]["twin_name_confirmed"]) == (1, 0)
    assert report["share_with_a_copy_in_training"]["grouped"] == 0
    assert 0 < report["share_with_a_copy_in_training"]["by_file"] <= 8 / 13
    assert sum(sum(fold.values()) for fold in report["folds"]) == 13
    assert json.loads(written(placed, "folder_crops")[2]) == report


def test_equal_runs_of_folder_crops_write_equal_bytes_without_paths(cfg, placed):
    folder_crops.run(cfg, placed)
    before = written(placed, "folder_crops")
    folder_crops.run(cfg, placed)
    assert written(placed, "folder_crops") == before
    assert str(placed.root).encode() not in b"".join(before)


def test_a_broken_picture_stops_or_is_skipped_as_the_settings_say(cfg, workspace):
    write_folder(workspace.root / "faces", class_folders() | {"with_mask/cut.png": noise_png(30)[:90]})
    cfg.folder_crops.source = "faces"
    with pytest.raises(
        ValueError, match=r"expected 14 pictures, got 1 unreadable: with_mask/cut\.png: expected a whole"
    ):
        folder_crops.run(cfg, workspace)
    assert not workspace.output("build/folder_crops").exists()
    cfg.folder_crops.unreadable = "skip"
    report = folder_crops.run(cfg, workspace)
    assert list(report["unreadable"]) == ["with_mask/cut.png"]
    assert len(CropStore.open(workspace.output("build/folder_crops"))) == report["num_pictures"] == 13
