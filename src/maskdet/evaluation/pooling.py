"""Put the held-out predictions of several folds together: each image once, by the model that did not see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from maskdet.evaluation.sizes import size_tertiles


@dataclass(frozen=True)
class EvaluationTables:
    """The rows that one evaluation counts; every file of the other two tables is in `images`.

    Attributes:
        images: Columns as `schema.IMAGES`.
        annotations: Columns as `schema.ANNOTATIONS`, index 0…M-1.
        predictions: Columns as `schema.PREDICTIONS`, index 0…N-1.
        size_bounds_px: What parts the whole set's faces into thirds by size, whichever folds are pooled; None leaves
            the metrics of the thirds out.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    predictions: pd.DataFrame
    size_bounds_px: tuple[float, float] | None = None


def pool_folds(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    folds: pd.DataFrame,
    predictions: Mapping[int, pd.DataFrame],
    train_folds: Sequence[int],
) -> EvaluationTables:
    """Return the rows whose image is held out in one of the folds.

    Args:
        images: Every image, columns as `schema.IMAGES`.
        annotations: Every true box, columns as `schema.ANNOTATIONS`.
        folds: A row an image, columns as `schema.FOLDS`.
        predictions: Fold → detections of the model that held it out, columns as `schema.PREDICTIONS`.
        train_folds: The folds to pool; others are left out, images of the roles "test" and "copy" too.

    Returns:
        Images and true boxes in the order of their tables, predictions fold after fold, and the size bounds of every
        true box given, so that a fold and the pool mean the same faces by "the smallest third".

    Raises:
        ValueError: If `images` and `folds` list different files, if `train_folds` is empty or repeats itself, if a
            fold has no images or no prediction table, or if a prediction table holds rows of another fold.
    """
    if not train_folds or len(set(train_folds)) < len(train_folds):
        raise ValueError(f"train_folds: expected one or more different folds, got {list(train_folds)}")
    _check_same_files(images, folds)
    fold_of_file = folds[folds["split_role"] != "copy"].set_index("file_name")["fold"]
    for fold in train_folds:
        _check_fold(fold, fold_of_file, predictions)
    return EvaluationTables(
        images[images["file_name"].map(fold_of_file).isin(train_folds)].reset_index(drop=True),
        annotations[annotations["file_name"].map(fold_of_file).isin(train_folds)].reset_index(drop=True),
        pd.concat([predictions[fold] for fold in train_folds], ignore_index=True),
        size_tertiles(annotations),
    )


def _check_same_files(images: pd.DataFrame, folds: pd.DataFrame) -> None:
    unequal = sorted(set(images["file_name"]) ^ set(folds["file_name"]))
    if unequal:
        raise ValueError(f"expected the tables images and folds to list the same files, got only one with {unequal[0]}")


def _check_fold(fold: int, fold_of_file: pd.Series, predictions: Mapping[int, pd.DataFrame]) -> None:
    if fold < 0 or fold not in set(fold_of_file):
        known = sorted({int(k) for k in fold_of_file if k >= 0})
        raise ValueError(f"train_folds: expected folds among {known}, got {fold}")
    if fold not in predictions:
        raise ValueError(f"expected predictions of fold {fold}, got those of folds {sorted(predictions)}")
    table = predictions[fold]
    held_out_in = table["file_name"].map(fold_of_file)  # NaN: the file is in no table
    foreign = table[(held_out_in != fold) | (table["fold"] != fold)]
    if len(foreign):
        first = foreign.iloc[0]
        own = fold_of_file.get(first["file_name"], "no fold")
        raise ValueError(
            f"predictions of fold {fold}: expected images held out in fold {fold} only, "
            f"got {first['file_name']!r}, held out in {own}, in a row of fold {first['fold']}"
        )
