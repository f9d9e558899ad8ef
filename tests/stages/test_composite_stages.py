"""fetch, table and split on a composite of two made archives, with one picture that both of them hold."""

import json

import pytest

from composite_world import NUM_DRAWN, NUM_WEB, TWIN, config, write_archives
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table
from maskdet.stages import fetch, split, table
from maskdet.stages.entry import Workspace
from raw_archive import WITH, WITHOUT, noise_png, voc_xml


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write_archives(tmp_path / "archives")
    monkeypatch.setenv("MASKDET_ARCHIVES", str(tmp_path / "archives"))
    return Workspace(tmp_path, tmp_path)


def run_all(cfg, workspace):
    return [stage.run(cfg, workspace) for stage in (fetch, table, split)]


def test_the_chain(workspace, capsys):
    fetched, tabled, dealt = run_all(config(), workspace)
    images = read_table(workspace.output("build/table/images.parquet"), IMAGES)
    faces = read_table(workspace.output("build/table/annotations.parquet"), ANNOTATIONS)
    folds = read_table(workspace.output("build/folds.parquet"), FOLDS).set_index("file_name")
    assert images["source"].value_counts().to_dict() == {"drawn": NUM_DRAWN - 1, "web": NUM_WEB}
    assert (images["file_name"].str.partition("__")[0] == images["source"]).all()
    assert set(faces["class_name"]) == {WITH, WITHOUT}
    assert faces.loc[faces["file_name"] == "web__1.jpg", ["x_min", "y_max"]].to_numpy().tolist() == [[24, 30]]
    assert folds.loc[TWIN, "group"] == folds.loc["drawn__0.png", "group"]
    assert folds.loc[TWIN, "fold"] == folds.loc["drawn__0.png", "fold"]
    assert fetched["sources"]["drawn"]["excluded"] == [f"images/{NUM_DRAWN - 1}.png"]
    assert fetched["sources"]["drawn"]["boxes_as_written"] == {"with_mask": 18, "without_mask": 6, "worn_wrong": 1}
    assert tabled["sources"]["web"] == {
        "num_images": 8,
        "num_copies": 0,
        "faces_per_class": {"with_mask": 4, "without_mask": 3, "mask_weared_incorrect": 0},
    }
    assert len(tabled["repairs"]["clipped"]) == NUM_DRAWN - 1  # a VOC box that ends one pixel outside
    assert dealt["num_groups_across_sources"] == 1
    assert dealt["num_groups_across_folds"] == 0
    assert sum(sum(counts.values()) for counts in dealt["images_per_source"].values()) == 19
    for name, report in (("fetch", fetched), ("table", tabled), ("folds", dealt)):
        written = workspace.output(f"reports/data/{name}.json").read_text()
        assert json.loads(written) == report
        assert str(workspace.root) not in written
    printed = capsys.readouterr().out
    assert "19 images from 2 sources" in printed
    assert "1 images excluded for a dropped class" in printed
    assert "1 groups across sources" in printed


def test_equal_runs_write_equal_bytes(workspace):
    contents = []
    for _ in range(2):
        run_all(config(), workspace)
        files = sorted(path for folder in ("build", "reports") for path in workspace.output(folder).rglob("*.*"))
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_leaving_a_source_out_leaves_its_twins_out_too(workspace):
    *_, dealt = run_all(config("leave_one_source_out"), workspace)
    folds = read_table(workspace.output("build/folds.parquet"), FOLDS).set_index("file_name")
    left_out = folds.index[folds["split_role"] == "test"].tolist()
    assert left_out == [TWIN]  # of equal parts the first source keeps its image
    assert set(folds.loc[folds.index.str.startswith("drawn"), "fold"]) == {0}
    assert set(folds.loc[folds.index.str.startswith("web").tolist(), "fold"]) == {1, -1}
    assert dealt["images_per_source"] == {"0": {"drawn": 11}, "1": {"web": 7}}
    assert dealt["in_no_fold"] == {
        "num_images": 1,
        "images_per_source": {"web": 1},
        "faces_per_class": {"with_mask": 1},
    }


def test_a_series_is_one_of_its_source(workspace):
    cfg = config("leave_one_source_out")
    cfg.data.sources.drawn.series_wh = [64, 48]  # images of the other source have this size as well
    *_, dealt = run_all(cfg, workspace)
    assert dealt["num_groups"] == 1 + NUM_WEB - 1
    assert max(map(len, dealt["groups_of_several"])) == NUM_DRAWN - 1 + 1  # with the twin


def test_a_holdout_of_a_composite(workspace):
    shares = {"val": 0.2, "test": 0.2}
    *_, dealt = run_all(config("holdout", shares=shares), workspace)
    folds = read_table(workspace.output("build/folds.parquet"), FOLDS)
    sizes = folds["fold"].value_counts()
    assert (folds["fold"] == -1).equals(folds["split_role"] == "test")
    assert sizes[-1] == dealt["in_no_fold"]["num_images"]
    assert 0.1 * 19 <= sizes[-1] <= 0.3 * 19
    assert sizes[1] > sizes[0] > 0


def test_a_source_that_is_refused_leaves_the_old_output(workspace):
    run_all(config(), workspace)
    before = workspace.output("reports/data/fetch.json").read_bytes()
    cfg = config()
    cfg.data.sources.web.class_map = {"masked": WITH}
    with pytest.raises(ValueError, match=r"data\.sources\.web\.class_map: .*'bare' \(3 boxes\), 'masked' \(4 boxes\)"):
        fetch.run(cfg, workspace)
    assert workspace.output("reports/data/fetch.json").read_bytes() == before
    assert len(list(workspace.output("build/raw/images").iterdir())) == 19
    assert not list(workspace.output("build").glob(".*"))


def test_an_image_without_a_source_is_refused(workspace):
    fetch.run(config(), workspace)
    raw_dir = workspace.output("build/raw")
    (raw_dir / "images/stray.png").write_bytes(noise_png(5))
    (raw_dir / "annotations/stray.xml").write_bytes(voc_xml())
    with pytest.raises(ValueError, match=r"sources\.csv: expected a row of every image, got none of stray\.png"):
        table.run(config(), workspace)
