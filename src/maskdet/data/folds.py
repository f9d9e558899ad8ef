"""Deal images into folds, and hold the result against what was promised."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from sklearn.model_selection import KFold, StratifiedGroupKFold

from maskdet.schema import CLASS_NAMES, FOLDS, validate


def stratification_keys(images: pd.DataFrame, annotations: pd.DataFrame) -> np.ndarray:
    """Return for every image the set of classes in it, as one number.

    Args:
        images: Table `images`.
        annotations: Table `annotations`.

    Returns:
        (N,) int, bit c set where the image holds a face of class c; 0 for an image without faces.
    """
    bits = annotations["class_name"].map({name: 1 << index for index, name in enumerate(CLASS_NAMES)}).astype(int)
    keys = bits.groupby(annotations["file_name"]).agg(lambda values: int(np.bitwise_or.reduce(values.to_numpy())))
    return images["file_name"].map(keys).fillna(0).astype(int).to_numpy()


def _stratified_group_kfold(keys: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    if np.unique(keys, return_counts=True)[1].max() < num_folds:  # scikit-learn refuses: nothing can be in every fold
        keys = np.zeros_like(keys)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # rare sets of classes cannot be in every fold; `check_folds` judges the result
        warnings.filterwarnings("ignore", message="The least populated class")
        return _largest_group_last(_fold_of_each(splitter.split(keys, keys, groups), len(keys)), groups)


def _largest_group_last(folds: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Number folds by the size of their largest group: fold 0, the one that quick trials hold out, is a typical one."""
    group_sizes = np.bincount(groups)[groups]  # (N,)
    largest = [group_sizes[folds == fold].max() for fold in range(folds.max() + 1)]
    return np.argsort(np.argsort(largest, kind="stable"), kind="stable")[folds]


def _kfold(keys: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    return _fold_of_each(KFold(num_folds, shuffle=True, random_state=seed).split(keys), len(keys))


def _fold_of_each(splits: object, num_images: int) -> np.ndarray:
    folds = np.full(num_images, -1)  # (N,)
    for fold, (_, held_out) in enumerate(splits):
        folds[held_out] = fold
    return folds


STRATEGIES: dict[str, Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]] = {
    "stratified_group_kfold": _stratified_group_kfold,
    "kfold": _kfold,
}
"""Ways to deal, by the name in `split.strategy`; only the first keeps groups whole."""


def assign_folds(
    images: pd.DataFrame, annotations: pd.DataFrame, groups: np.ndarray, strategy: str, num_folds: int, seed: int
) -> pd.DataFrame:
    """Deal every image into one of the folds.

    Args:
        images: Table `images`.
        annotations: Table `annotations`.
        groups: (N,) int, the group of each image, in the order of `images`.
        strategy: A key of `STRATEGIES`.
        num_folds: At least 2, at most the number of groups (for `kfold`, of images).
        seed: Of the shuffle before dealing; 0 is a seed like any other.

    Returns:
        Table `folds` in the order of `images`; every image in exactly one fold.

    Raises:
        ValueError: If the strategy is unknown, or if there are fewer groups than folds.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"split.strategy: expected one of {', '.join(STRATEGIES)}, got {strategy!r}")
    num_parts = len(images) if strategy == "kfold" else len(np.unique(groups))
    if not 2 <= num_folds <= num_parts:
        parts = "images" if strategy == "kfold" else "groups"
        raise ValueError(f"split.num_folds: expected 2 to {num_parts} (the number of {parts}), got {num_folds}")
    folds = STRATEGIES[strategy](stratification_keys(images, annotations), groups, num_folds, seed)
    table = pd.DataFrame({"file_name": images["file_name"], "group": groups, "split_role": "fold", "fold": folds})
    return validate(table, FOLDS, "folds")


def first_good_folds(
    images: pd.DataFrame, annotations: pd.DataFrame, groups: np.ndarray, split: DictConfig
) -> tuple[pd.DataFrame, int]:
    """Deal with `split.seed`, and with the seeds after it until a split keeps the promises of `check_folds`.

    Only counts of labels decide, never a model's result, so the search favours no model.

    Args:
        images: Table `images`.
        annotations: Table `annotations`.
        groups: (N,) int, the group of each image, in the order of `images`.
        split: The config group `split`; `num_tries` seeds are tried.

    Returns:
        Table `folds`, and the seed that gave it.

    Raises:
        ValueError: If a setting is out of range, or if no seed keeps the promises; it is the last seed's error then.
    """
    for seed in range(split.seed, split.seed + max(split.num_tries, 1)):
        folds = assign_folds(images, annotations, groups, split.strategy, split.num_folds, seed)
        try:
            check_folds(folds, annotations, split.strategy, split.num_folds, split.max_class_share_gap)
        except ValueError as error:
            broken = error
            continue
        return folds, seed
    raise ValueError(f"split.seed {split.seed} to {seed}: {broken}") from broken


def class_shares(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return the share of each class among the faces of each fold.

    Args:
        folds: Table `folds`.
        annotations: Table `annotations`.
        num_folds: Rows of the result.

    Returns:
        Index fold, columns `CLASS_NAMES`; a row sums to 1, or is 0 where a fold has no face.
    """
    counts = class_counts(folds, annotations, num_folds)
    return counts.div(counts.sum(axis=1).clip(lower=1), axis=0)


def class_counts(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return the number of faces of each class in each fold; index fold, columns `CLASS_NAMES`."""
    fold_of_face = annotations["file_name"].map(folds.set_index("file_name")["fold"])
    counts = pd.crosstab(fold_of_face, annotations["class_name"])
    return counts.reindex(index=range(num_folds), columns=list(CLASS_NAMES), fill_value=0)


def share_gaps(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return how far each fold's class shares are from the whole set's; the shape of `class_shares`, never negative."""
    whole = annotations["class_name"].value_counts(normalize=True).reindex(list(CLASS_NAMES), fill_value=0.0)
    return (class_shares(folds, annotations, num_folds) - whole).abs()


def check_folds(
    folds: pd.DataFrame, annotations: pd.DataFrame, strategy: str, num_folds: int, max_class_share_gap: float
) -> None:
    """Hold a split against its promises.

    Args:
        folds: Table `folds`.
        annotations: Table `annotations`.
        strategy: A key of `STRATEGIES`; `kfold` promises nothing about groups.
        num_folds: Folds that must each hold an image.
        max_class_share_gap: Largest difference of a class's share among a fold's faces and among all faces, 0 to 1.

    Raises:
        ValueError: If a fold is empty, a group crosses folds, or a class share is farther off than promised; the
            message has the numbers and says which setting to change.
    """
    sizes = folds["fold"].value_counts().reindex(range(num_folds), fill_value=0)
    if (sizes == 0).any():
        raise ValueError(
            f"expected images in each of {num_folds} folds, got the sizes {sizes.tolist()}; lower split.num_folds"
        )
    crossing = folds.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1].index.tolist()
    if strategy != "kfold" and crossing:
        raise ValueError(f"expected every group in one fold, got {len(crossing)} groups in several: {crossing[:10]}")
    gaps = share_gaps(folds, annotations, num_folds)
    if annotations.empty or gaps.to_numpy().max() <= max_class_share_gap:
        return
    fold, name = gaps.stack().idxmax()
    share, gap = class_shares(folds, annotations, num_folds).loc[fold, name], gaps.loc[fold, name]
    raise ValueError(
        f"expected class shares within {max_class_share_gap} of the whole set's, got {name} at {share:.3f} in "
        f"fold {fold}, {gap:.3f} off; try another split.seed, fewer split.num_folds, or raise split.max_class_share_gap"
    )
