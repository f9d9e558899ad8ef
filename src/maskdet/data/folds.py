"""Deal images into folds, and hold the result against what was promised."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from maskdet.data.dealing import LEFT_OUT, STRATEGIES, TRAINING_FOLD, VALIDATION_FOLD, Deck
from maskdet.schema import CLASS_NAMES, FOLDS, validate

ROLE_FOLD, ROLE_TEST, ROLE_COPY = "fold", "test", "copy"
"""Roles of an image: in a fold; in none; a turned copy, which is trained on where its original is, and never judged."""

_LEAST_PART = 0.5
"""Of what a holdout's part shall have of the images, the least that it may have."""


def stratification_keys(images: pd.DataFrame, annotations: pd.DataFrame) -> np.ndarray:
    """Return for every image the set of classes in it and its source, as one number.

    Args:
        images: Table `images`; without the column `source` all count as of one source.
        annotations: Table `annotations`.

    Returns:
        (N,) int, bit c set where the image holds a face of class c, so 0 for an image without faces; the bits above
        the classes' count the sources, sorted, from 0.
    """
    bits = annotations["class_name"].map({name: 1 << index for index, name in enumerate(CLASS_NAMES)}).astype(int)
    keys = bits.groupby(annotations["file_name"]).agg(lambda values: int(np.bitwise_or.reduce(values.to_numpy())))
    of_source = np.unique(_sources(images), return_inverse=True)[1] << len(CLASS_NAMES)  # (N,)
    return images["file_name"].map(keys).fillna(0).astype(int).to_numpy() | of_source


def _sources(images: pd.DataFrame) -> np.ndarray:
    return images["source"].to_numpy(str) if "source" in images else np.full(len(images), "")


def assign_folds(
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    groups: np.ndarray,
    strategy: str,
    num_folds: int,
    seed: int,
    shares: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Deal every image into one of the folds.

    Args:
        images: Table `images`.
        annotations: Table `annotations`.
        groups: (N,) int, the group of each image, in the order of `images`.
        strategy: A key of `STRATEGIES`.
        num_folds: At least 2, at most the number of groups (for `kfold`, of images); for `leave_one_source_out` the
            number of sources, for `holdout` 2.
        seed: Of the shuffle before dealing; 0 is a seed like any other.
        shares: Of `holdout`: the shares `val` (fold 0) and `test`; fold 1 is the rest, to train on.

    Returns:
        Table `folds` in the order of `images`; every image in exactly one fold, or in none with the role `test`: the
        test part of `holdout`, and of `leave_one_source_out` what looks like an image of another source.

    Raises:
        ValueError: If the strategy is unknown, or a number or share does not fit what is dealt.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"split.strategy: expected one of {', '.join(STRATEGIES)}, got {strategy!r}")
    deck = Deck(stratification_keys(images, annotations), groups, _sources(images), num_folds, seed, shares)
    least, most, limit = STRATEGIES[strategy].count_of(deck)
    if not least <= num_folds <= most:
        wanted = f"{least} to {most}" if least != most else f"{most}"
        raise ValueError(f"split.num_folds: expected {wanted} ({limit}), got {num_folds}")
    folds = STRATEGIES[strategy].deal(deck)  # (N,)
    roles = np.where(folds == LEFT_OUT, ROLE_TEST, ROLE_FOLD)
    table = pd.DataFrame({"file_name": images["file_name"], "group": groups, "split_role": roles, "fold": folds})
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
    shares = split.shares if "shares" in split else None
    for seed in range(split.seed, split.seed + max(split.num_tries, 1)):
        folds = assign_folds(images, annotations, groups, split.strategy, split.num_folds, seed, shares)
        try:
            check_folds(folds, annotations, split.strategy, split.num_folds, split.max_class_share_gap, shares)
        except ValueError as error:
            broken = error
            continue
        return folds, seed
    raise ValueError(f"split.seed {split.seed} to {seed}: {broken}") from broken


def add_copies(folds: pd.DataFrame, file_names: Sequence[str], original_of: Mapping[str, str]) -> pd.DataFrame:
    """Give turned copies the group and the fold of their originals, and the role `copy`.

    A copy in another fold than its original would be the same photo on both sides; a copy that is judged would count
    its photo several times. So copies are only trained on, wherever their original is.

    Args:
        folds: Table `folds` of the originals.
        file_names: Originals and copies, in the order of the result.
        original_of: File name of each copy → that of its original.

    Returns:
        Table `folds`; without copies the given one.

    Raises:
        ValueError: If a file is neither in the table nor a copy of one that is.
    """
    if not original_of:
        return folds
    rows = folds.set_index("file_name")
    originals = [original_of.get(name, name) for name in file_names]
    unknown = sorted(set(originals) - set(rows.index))
    if unknown:
        raise ValueError(f"copies: expected originals among the {len(rows)} images that were dealt, got {unknown[0]!r}")
    table = rows.loc[originals].reset_index().assign(file_name=list(file_names))
    is_copy = table["file_name"].isin(list(original_of))
    return validate(table.assign(split_role=table["split_role"].mask(is_copy, ROLE_COPY)), FOLDS, "folds")


def class_shares(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return the share of each class among the faces of each fold.

    Args:
        folds: Table `folds`.
        annotations: Table `annotations`.
        num_folds: Rows of the result.

    Returns:
        Index fold, columns `CLASS_NAMES`; a row sums to 1, or is 0 where a fold has no face.
    """
    return _shares(class_counts(folds, annotations, num_folds))


def class_counts(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return the number of faces of each class in each fold; index fold, columns `CLASS_NAMES`."""
    return _counts(folds, annotations, range(num_folds))


def share_gaps(folds: pd.DataFrame, annotations: pd.DataFrame, num_folds: int) -> pd.DataFrame:
    """Return how far each fold's class shares are from the whole set's; the shape of `class_shares`, never negative."""
    return _gaps(folds, annotations, range(num_folds))


def _counts(folds: pd.DataFrame, annotations: pd.DataFrame, parts: Sequence[int]) -> pd.DataFrame:
    fold_of_face = annotations["file_name"].map(folds.set_index("file_name")["fold"])
    counts = pd.crosstab(fold_of_face, annotations["class_name"])
    return counts.reindex(index=parts, columns=list(CLASS_NAMES), fill_value=0)


def _shares(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.div(counts.sum(axis=1).clip(lower=1), axis=0)


def _gaps(folds: pd.DataFrame, annotations: pd.DataFrame, parts: Sequence[int]) -> pd.DataFrame:
    whole = annotations["class_name"].value_counts(normalize=True).reindex(list(CLASS_NAMES), fill_value=0.0)
    return (_shares(_counts(folds, annotations, parts)) - whole).abs()


def check_folds(
    folds: pd.DataFrame,
    annotations: pd.DataFrame,
    strategy: str,
    num_folds: int,
    max_class_share_gap: float,
    shares: Mapping[str, float] | None = None,
) -> None:
    """Hold a split against its promises.

    Each fold has images, and class shares as wanted. `kfold` promises nothing about groups; `holdout` promises the
    same of its test part, and that no part is less than half as large as asked for.

    Args:
        folds: Table `folds`.
        annotations: Table `annotations`.
        strategy: A key of `STRATEGIES`.
        num_folds: Folds that must each hold an image.
        max_class_share_gap: Largest difference of a class's share among a fold's faces and among all faces, 0 to 1.
        shares: As in `assign_folds`.

    Raises:
        ValueError: If a fold is empty, a group crosses folds, or a share is farther off than promised; the message has
            the numbers and says which setting to change.
    """
    sizes = folds["fold"].value_counts().reindex(range(num_folds), fill_value=0)
    if (sizes == 0).any():
        raise ValueError(
            f"expected images in each of {num_folds} folds, got the sizes {sizes.tolist()}; lower split.num_folds"
        )
    parts = list(range(num_folds))
    if strategy == "holdout":
        _check_sizes(folds, shares or {})
        parts = [LEFT_OUT, *parts]
    if STRATEGIES[strategy].keeps_groups:
        _check_groups(folds[folds["fold"].isin(parts)])
    _check_gaps(folds, annotations, parts, max_class_share_gap)


def _check_groups(folds: pd.DataFrame) -> None:
    crossing = folds.groupby("group")["fold"].nunique()
    crossing = crossing[crossing > 1].index.tolist()
    if crossing:
        raise ValueError(f"expected every group in one fold, got {len(crossing)} groups in several: {crossing[:10]}")


def _check_sizes(folds: pd.DataFrame, shares: Mapping[str, float]) -> None:
    wanted = {"train": 1 - sum(shares.values()), **shares}
    found = folds["fold"].value_counts(normalize=True)
    parts = {"train": TRAINING_FOLD, "val": VALIDATION_FOLD, "test": LEFT_OUT}
    for name, share in wanted.items():
        got = found.get(parts[name], 0.0)
        if got < _LEAST_PART * share:
            raise ValueError(
                f"expected about {share:.0%} of the images for {name}, got {got:.1%}, as groups are dealt whole; "
                "try another split.seed or other split.shares"
            )


def _check_gaps(
    folds: pd.DataFrame, annotations: pd.DataFrame, parts: Sequence[int], max_class_share_gap: float
) -> None:
    gaps = _gaps(folds, annotations, parts)
    if annotations.empty or gaps.to_numpy().max() <= max_class_share_gap:
        return
    part, name = gaps.stack().idxmax()
    share, gap = _shares(_counts(folds, annotations, parts)).loc[part, name], gaps.loc[part, name]
    place = f"fold {part}" if part != LEFT_OUT else "the test part"
    raise ValueError(
        f"expected class shares within {max_class_share_gap} of the whole set's, got {name} at {share:.3f} in "
        f"{place}, {gap:.3f} off; try another split.seed, fewer split.num_folds, or raise split.max_class_share_gap"
    )
