"""The tables that `train` and `predict` read."""

from maskdet.data.datamodule import Tables
from maskdet.data.provenance import training_facts
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table
from maskdet.stages.entry import Workspace


def read_tables(workspace: Workspace, expected_source: str) -> Tables:
    """Return the tables that training and prediction read; say so where they hold another data set than named.

    Args:
        workspace: Holds `build/`.
        expected_source: `data.name` of the config.
    """
    images = read_table(workspace.input("build/table/images.parquet"), IMAGES)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    folds = read_table(workspace.input("build/folds.parquet"), FOLDS)
    facts = training_facts(images, annotations, folds)
    source = facts["name"]
    if source != expected_source and images["source"].nunique() == 1:  # a composite has the names of its sources
        print(f"note: build/table holds the data set {source!r}, the config names {expected_source!r}", flush=True)
    return Tables(workspace.input("build/raw/images"), annotations, folds, facts)
