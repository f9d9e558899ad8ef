"""The tables that `train` and `predict` read."""

from maskdet.data.datamodule import Tables
from maskdet.schema import ANNOTATIONS, FOLDS, read_table
from maskdet.stages.entry import Workspace


def read_tables(workspace: Workspace) -> Tables:
    """Return the tables that training and prediction read."""
    return Tables(
        workspace.input("build/raw/images"),
        read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS),
        read_table(workspace.input("build/folds.parquet"), FOLDS),
    )
