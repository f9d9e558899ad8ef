"""The tables by which a detector is judged out of fold: images, true boxes, folds, what each fold's model found."""

from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig

from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, read_table
from maskdet.stages.entry import Workspace


@dataclass(frozen=True)
class HeldOutTables:
    """The whole set, and the detections of the folds that count.

    Attributes:
        images: Every image, columns as `schema.IMAGES`.
        annotations: Every true box, columns as `schema.ANNOTATIONS`.
        folds: A row an image, columns as `schema.FOLDS`.
        predictions: Fold → detections of the model that held it out, columns as `schema.PREDICTIONS`.
        train_folds: The folds that count, as the config lists them.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    folds: pd.DataFrame
    predictions: dict[int, pd.DataFrame]
    train_folds: tuple[int, ...]

    @property
    def group_of_file(self) -> dict[str, int]:
        """Return the group of look-alikes of every image of the set."""
        return self.folds.set_index("file_name")["group"].to_dict()

    def pool(self) -> EvaluationTables:
        """Return what `pool_folds` makes of them; it raises ValueError where the tables do not fit together."""
        return pool_folds(self.images, self.annotations, self.folds, self.predictions, self.train_folds)


def read_held_out(cfg: DictConfig, workspace: Workspace) -> HeldOutTables:
    """Read and check the tables of `cfg.split.train_folds`.

    Args:
        cfg: Reads `split.train_folds`.
        workspace: Holds `build/table/`, `build/folds.parquet` and `build/predictions/<fold>.parquet`.

    Raises:
        FileNotFoundError: If a table is missing, that of a fold included.
        ValueError: If a table breaks its schema: an unknown class, a score that is none, an inverted box.
    """
    train_folds = tuple(int(fold) for fold in cfg.split.train_folds)
    return HeldOutTables(
        read_table(workspace.input("build/table/images.parquet"), IMAGES),
        read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS),
        read_table(workspace.input("build/folds.parquet"), FOLDS),
        {k: read_table(workspace.input(f"build/predictions/{k}.parquet"), PREDICTIONS) for k in train_folds},
        train_folds,
    )
