"""Turned copies: dealt with their originals, trained on where these are, never held out, never judged."""

import pandas as pd
import pytest

from composite_world import config, write_archives
from maskdet.data.composite_origins import originals_of_copies, read_origins
from maskdet.data.datamodule import Tables
from maskdet.evaluation.pooling import pool_folds
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, read_table
from maskdet.stages import fetch, split, table
from maskdet.stages.entry import Workspace


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    write_archives(tmp_path / "archives")
    monkeypatch.setenv("MASKDET_ARCHIVES", str(tmp_path / "archives"))
    return Workspace(tmp_path, tmp_path)


@pytest.mark.parametrize("strategy", ["stratified_group", "leave_one_source_out", "holdout"])
def test_copies_follow_their_originals_and_are_only_trained_on(workspace, strategy):
    cfg = config(strategy, **({"shares": {"val": 0.2, "test": 0.2}} if strategy == "holdout" else {}))
    cfg.data.rotated_copies = [90, 180]
    reports = [stage.run(cfg, workspace) for stage in (fetch, table, split)]
    original_of = originals_of_copies(read_origins(workspace.output("build/raw")))
    folds = read_table(workspace.output("build/folds.parquet"), FOLDS)
    annotations = read_table(workspace.output("build/table/annotations.parquet"), ANNOTATIONS)
    images = read_table(workspace.output("build/table/images.parquet"), IMAGES)
    assert [report["num_images"] for report in reports] == [57, 57, 19]
    assert folds["file_name"].tolist() == images["file_name"].tolist()
    by_name = folds.set_index("file_name")
    for copy, original in original_of.items():
        assert by_name.loc[copy, ["group", "fold"]].tolist() == by_name.loc[original, ["group", "fold"]].tolist()
        assert by_name.loc[copy, "split_role"] == "copy"
    tables = Tables(workspace.output("build/raw/images"), annotations, folds)
    held_out, trained = tables.held_out(0), tables.training(0)
    assert not set(held_out) & set(original_of)
    assert not {original_of.get(name, name) for name in trained} & set(held_out)
    left_out = set(folds.loc[folds["fold"] == -1, "file_name"])
    assert not left_out & set(trained)
    assert len(trained) == 3 * sum(name not in original_of for name in trained)
    assert set(tables.training(None)) == set(folds["file_name"]) - left_out
    nothing = pd.DataFrame(columns=list(PREDICTIONS.columns)).astype({"file_name": str, "fold": int})
    pooled = pool_folds(images, annotations, folds, {0: nothing}, [0])
    assert sorted(pooled.images["file_name"]) == sorted(held_out)
    assert set(pooled.annotations["file_name"]) <= set(held_out)


def test_faces_of_copies_are_as_many(workspace):
    cfg = config()
    cfg.data.rotated_copies = [270]
    fetch.run(cfg, workspace)
    tabled = table.run(cfg, workspace)
    assert {name: (counts["num_images"], counts["num_copies"]) for name, counts in tabled["sources"].items()} == {
        "drawn": (22, 11),
        "web": (16, 8),
    }
    assert tabled["num_faces"] == 2 * (2 * 11 + 7)
