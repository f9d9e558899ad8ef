"""The stage `explore` on the made set and on sets that lack something."""

import io
import json
import re
from contextlib import redirect_stdout

import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from explored_set import FACES, IMAGES_WH, annotations_table, folds_table, images_table, write_explored_set
from maskdet.schema import FOLDS, IMAGES, write_table
from maskdet.stages import explore
from maskdet.stages.entry import Workspace
from tiny_run import CONF, report_bytes


def config() -> DictConfig:
    """Return the committed settings with a smaller network input."""
    cfg = OmegaConf.create({"explore": OmegaConf.load(CONF / "explore/default.yaml")})
    cfg.explore.features.size = 64
    return cfg


def page_of(workspace: Workspace) -> str:
    return workspace.output("reports/explore/explore.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, dict, str]:
    """Return the workspace of a run on the made set, its numbers and what it printed."""
    workspace = write_explored_set(tmp_path_factory.mktemp("explored"))
    with redirect_stdout(io.StringIO()) as printed:
        numbers = explore.run(config(), workspace)
    return workspace, numbers, printed.getvalue()


def test_everything_is_written(explored):
    workspace, numbers, printed = explored
    folder = workspace.output("reports/explore")
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert names == {path.stem for path in (folder / "figures").glob("*.csv")} == set(numbers)
    assert json.loads((folder / "numbers.json").read_text())["classes"]["num_faces"] == len(FACES)
    assert {path.name for path in (folder / "photos").iterdir()} == {
        "map.jpg", "samples_with_mask.jpg", "samples_without_mask.jpg", "samples_mask_weared_incorrect.jpg"
    }  # fmt: skip
    assert Image.open(folder / "photos/samples_with_mask.jpg").width > 900
    rows = pd.read_csv(folder / "figures/feature_map.csv")
    assert list(rows["file_name"]) == list(IMAGES_WH)
    assert "16 faces in 9 images: 11 (68.8%) are “mask”" in printed
    assert "note:" not in printed


def test_what_may_be_committed_holds_no_photo(explored):
    workspace = explored[0]
    without_photos = [path for path in report_bytes(workspace) if not re.search(r"explore\.html|/photos/", path)]
    assert {path.rpartition(".")[2] for path in without_photos} == {"png", "csv", "json", "md"}
    assert "data:image/jpeg" in page_of(workspace)
    assert "://" not in page_of(workspace)


def test_equal_inputs_give_equal_bytes_without_paths(explored):
    workspace = explored[0]
    written = report_bytes(workspace)
    explore.run(config(), workspace)
    assert report_bytes(workspace) == written
    assert not any(str(workspace.root).encode() in content for content in written.values())


def test_without_photos_folds_and_quality_it_says_what_is_left_out(tmp_path, capsys):
    workspace = write_explored_set(tmp_path)
    (tmp_path / "build/raw/images/c.png").unlink()
    (tmp_path / "build/folds.parquet").unlink()
    (tmp_path / "build/quality.parquet").unlink()
    numbers = explore.run(config(), workspace)
    assert not {"brightness", "image_sharpness", "feature_map", "face_sharpness"} & set(numbers)
    printed = capsys.readouterr().out
    assert printed.count("note: ") == 3
    assert "1 of 9 photos are absent" in printed
    page = page_of(workspace)
    assert page.count('class="warning"') == 3
    assert 'id="map"' not in page
    assert 'id="samples"' not in page
    assert list(workspace.output("reports/explore/photos").iterdir()) == []


def test_a_single_image(tmp_path):
    workspace = write_explored_set(tmp_path, ["d.png"])
    numbers = explore.run(config(), workspace)
    assert numbers["classes"]["num_images"] == numbers["feature_map"]["num_images"] == 1
    assert numbers["classes"]["classes_without_faces"] == ["without_mask", "mask_weared_incorrect"]
    assert "A first look at the data" in page_of(workspace)


def test_images_without_faces_and_folds(tmp_path):
    workspace = write_explored_set(tmp_path, ["h.png"])
    (tmp_path / "build/folds.parquet").unlink()
    numbers = explore.run(config(), workspace)
    assert numbers["classes"]["num_faces"] == 0
    assert "box_sides" not in numbers
    assert "groups" not in numbers["feature_map"]
    page = page_of(workspace)
    assert 'id="map-mix"' in page
    assert 'id="map-group"' not in page


def test_refused(tmp_path):
    workspace = write_explored_set(tmp_path)
    write_table(folds_table(list(IMAGES_WH)[:4]), tmp_path / "build/folds.parquet", FOLDS)
    with pytest.raises(ValueError, match=r"folds\.parquet: expected the 9 images .* got 4"):
        explore.run(config(), workspace)
    write_table(images_table(["a.png"]), tmp_path / "build/table/images.parquet", IMAGES)
    with pytest.raises(ValueError, match=r"expected every annotated image, 'b\.png' is not among them"):
        explore.run(config(), workspace)
    write_table(images_table().iloc[:0], tmp_path / "build/table/images.parquet", IMAGES)
    with pytest.raises(
        ValueError, match=r"images\.parquet: expected at least one image to look at, got an empty table"
    ):
        explore.run(config(), workspace)
    assert not workspace.output("reports").exists()


def test_quality_of_other_faces_is_refused(tmp_path):
    workspace = write_explored_set(tmp_path)
    (tmp_path / "build/table/annotations.parquet").unlink()
    annotations_table().iloc[1:].to_parquet(tmp_path / "build/table/annotations.parquet")
    with pytest.raises(ValueError, match=r"quality\.parquet: expected the 15 faces .* got 16 faces"):
        explore.run(config(), workspace)


def test_a_damaged_photo_is_named(tmp_path):
    workspace = write_explored_set(tmp_path)
    (tmp_path / "build/raw/images/e.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"e\.png: expected an image, got an empty file"):
        explore.run(config(), workspace)
    assert not workspace.output("reports").exists()
