"""fetch, table and split, one after the other, on a tiny archive."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from maskdet.data import manifest
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table
from maskdet.stages import fetch, split, table
from maskdet.stages.entry import Workspace, stage_main
from raw_archive import small_members, voc_xml, write_zip

ROOT = Path(__file__).parents[2]
OUTPUTS = {
    fetch: ["build/raw", "reports/data/fetch.json"],
    table: [
        "build/table/images.parquet",
        "build/table/annotations.parquet",
        "reports/data/table.json",
        "reports/data/table.md",
    ],
    split: ["build/folds.parquet", "reports/data/folds.json"],
}


@pytest.fixture
def cfg():
    """The real groups `data=sample` and `split=stratified_group`, with two folds."""
    groups = {name: OmegaConf.load(ROOT / "conf" / name / f"{choice}.yaml") for name, choice in
              (("data", "sample"), ("split", "stratified_group"))}  # fmt: skip
    cfg = OmegaConf.create(groups)
    cfg.split.update({"num_folds": 2, "train_folds": [0, 1], "max_class_share_gap": 0.3})
    return cfg


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "data").mkdir()
    write_zip(tmp_path / "data/sample.zip", small_members())
    return Workspace(tmp_path, tmp_path)


def _run(cfg, workspace, *stages):
    return [stage.run(cfg, workspace) for stage in stages]


def _present(workspace, stage):
    return [name for name in OUTPUTS[stage] if workspace.output(name).exists()]


def test_the_chain(cfg, workspace):
    fetched, tabled, dealt = _run(cfg, workspace, fetch, table, split)
    for stage in OUTPUTS:
        assert _present(workspace, stage) == OUTPUTS[stage]
    images = read_table(workspace.output("build/table/images.parquet"), IMAGES)
    faces = read_table(workspace.output("build/table/annotations.parquet"), ANNOTATIONS)
    folds = read_table(workspace.output("build/folds.parquet"), FOLDS)
    assert images["file_name"].tolist() == folds["file_name"].tolist() == sorted(images["file_name"])
    assert images["num_faces"].sum() == len(faces) == 12
    assert set(images["source"]) == {"sample"}
    assert fetched["num_images"] == tabled["num_images"] == dealt["num_images"] == 12
    assert tabled["num_images_without_faces"] == 4
    assert dealt["num_groups"] == 12
    assert dealt["num_groups_across_folds"] == 0
    for name, report in (("fetch", fetched), ("table", tabled), ("folds", dealt)):
        assert json.loads(workspace.output(f"reports/data/{name}.json").read_text()) == report


def test_equal_runs_write_equal_bytes_without_paths(cfg, workspace):
    written = []
    for _ in range(2):
        _run(cfg, workspace, fetch, table, split)
        files = [workspace.output(name) for stage in OUTPUTS for name in OUTPUTS[stage]]
        written.append({file.name: file.read_bytes() for file in files if file.is_file()})
        assert not any(str(workspace.root).encode() in content for content in written[-1].values())
        shutil.rmtree(workspace.output("build"))
    assert written[0] == written[1]


def test_a_refused_archive_leaves_the_old_output(cfg, workspace):
    _run(cfg, workspace, fetch)
    before = workspace.output("reports/data/fetch.json").read_bytes()
    write_zip(workspace.root / "data/sample.zip", small_members() | {"../evil": b""})
    with pytest.raises(ValueError, match="inside the archive's folder"):
        fetch.run(cfg, workspace)
    assert workspace.output("reports/data/fetch.json").read_bytes() == before
    assert len(list(workspace.output("build/raw/images").iterdir())) == 12


def test_errors_leave_no_output(cfg, workspace):
    cfg.data.max_unpacked_mb = 0.001
    with pytest.raises(ValueError, match=r"expected at most 0\.001 MB"):
        fetch.run(cfg, workspace)
    assert _present(workspace, fetch) == []
    assert not list(workspace.output("build").iterdir())
    cfg.data.max_unpacked_mb = 1
    write_zip(
        workspace.root / "data/sample.zip", small_members() | {"annotations/img03.xml": voc_xml(("cap", 1, 1, 2, 2))}
    )
    fetch.run(cfg, workspace)
    with pytest.raises(ValueError, match=r"img03\.xml: 'cap'"):
        table.run(cfg, workspace)
    assert _present(workspace, table) == []
    with pytest.raises(FileNotFoundError, match="expected the table 'images'"):
        split.run(cfg, workspace)
    assert _present(workspace, split) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_class_share_gap": -0.1, "num_tries": 2}, r"split\.seed 0 to 1: expected class shares within -0\.1"),
        ({"train_folds": [0, 2]}, r"split\.train_folds: expected folds from 0 to 1 .*, got \[0, 2\]"),
        ({"train_folds": []}, r"split\.train_folds: .*got \[\]"),
        ({"num_folds": 13}, r"split\.num_folds: expected 2 to 12 \(the number of groups\), got 13"),
        ({"strategy": "random"}, r"split\.strategy: expected one of"),
        ({"max_hash_distance": -1}, r"split\.max_hash_distance: expected 0 to 64 bits, got -1"),
    ],
)
def test_refused_splits_leave_no_output(cfg, workspace, changes, message):
    _run(cfg, workspace, fetch, table)
    cfg.split.update(changes)
    with pytest.raises(ValueError, match=message):
        split.run(cfg, workspace)
    assert _present(workspace, split) == []


def test_a_series_is_one_group(cfg, workspace):
    _run(cfg, workspace, fetch, table)
    cfg.data.series_wh = [64, 48]
    with pytest.raises(ValueError, match=r"split\.num_folds: expected 2 to 1 \(the number of groups\), got 2"):
        split.run(cfg, workspace)


def test_kfold_counts_the_leak(cfg, workspace):
    _run(cfg, workspace, fetch, table)
    cfg.split = OmegaConf.merge(OmegaConf.load(ROOT / "conf/split/kfold.yaml"), {"num_folds": 2, "train_folds": [0]})
    cfg.data.series_wh = [64, 48]
    report = split.run(cfg, workspace)
    assert [fold["num_images"] for fold in report["folds"]] == [6, 6]
    assert report["num_groups"] == report["num_groups_across_folds"] == 1


def test_altered_files(cfg, workspace, monkeypatch, tmp_path):
    _run(cfg, workspace, fetch)
    hashes = manifest.hash_files(workspace.output("build/raw"))
    lines = [
        f"img{i:02d}.png,{hashes[f'images/img{i:02d}.png']},{hashes[f'annotations/img{i:02d}.xml']}"
        for i in range(13 - 1)
    ]
    lines[4] = lines[4][:-3] + "000"
    (tmp_path / "known.csv").write_text("\n".join(["file_name,rgb_sha256,xml_sha256", *lines[1:], "img99.png,0,0"]))
    monkeypatch.setattr(manifest, "_MANIFEST_DIR", tmp_path)
    shutil.rmtree(workspace.output("build/raw"))
    workspace.output("reports/data/fetch.json").unlink()
    cfg.data.manifest = "known"
    with pytest.raises(ValueError, match=r"got 1 altered: annotations/img04\.xml; set data\.allow_altered=true"):
        fetch.run(cfg, workspace)
    assert _present(workspace, fetch) == []
    cfg.data.allow_altered = True
    report = fetch.run(cfg, workspace)
    assert report["altered"] == ["annotations/img04.xml"]
    assert report["unknown"] == ["annotations/img00.xml", "images/img00.png"]
    assert report["missing"] == ["annotations/img99.xml", "images/img99.png"]
    assert report["counts"]["known"] == {"images": 11, "annotations": 10}


def test_as_dvc_starts_them(cfg, workspace, monkeypatch):
    OmegaConf.save(cfg, workspace.root / "params.yaml")
    monkeypatch.setenv("DVC_STAGE", "test")
    monkeypatch.delenv("MASKDET_TRACEBACK", raising=False)
    monkeypatch.chdir(workspace.root)
    for stage in OUTPUTS:
        monkeypatch.setattr(sys, "argv", [stage.__name__])
        stage_main(stage.run)
        assert _present(workspace, stage) == OUTPUTS[stage]
    monkeypatch.setattr(sys, "argv", ["split", "split.strategy=random"])
    with pytest.raises(SystemExit, match=r"^error: split\.strategy: expected one of"):
        stage_main(split.run)
