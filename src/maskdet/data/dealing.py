"""Ways to deal images into folds, each on plain arrays: what is dealt, never what it is called.

A fold number counts from 0; `LEFT_OUT` marks an image that no fold gets.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from sklearn.model_selection import KFold, StratifiedGroupKFold

LEFT_OUT = -1
"""Stands in place of a fold: the image is neither trained on nor held out in any fold."""

VALIDATION_FOLD, TRAINING_FOLD = 0, 1
"""The two folds of a holdout: the first is held out, the second is trained on."""

_MAX_TICKETS = 100  # a holdout's shares are whole percents


@dataclass(frozen=True)
class Deck:
    """What is dealt.

    Attributes:
        keys: (N,) int, what shall be spread evenly over the folds, see `maskdet.data.folds.stratification_keys`.
        groups: (N,) int, images that look alike.
        sources: (N,) str, the data set that each image came from.
        num_folds: How many folds there shall be.
        seed: Of the shuffle before dealing.
        shares: Of a holdout: `val` and `test`, shares of the images; of other strategies None.
    """

    keys: np.ndarray
    groups: np.ndarray
    sources: np.ndarray
    num_folds: int
    seed: int
    shares: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Strategy:
    """A way to deal.

    Attributes:
        deal: From a deck to (N,) int, the fold of each image or `LEFT_OUT`.
        count_of: How many folds a deck allows: the smallest and the largest number, and what limits it.
        keeps_groups: Whether the images of a group never lie in two folds.
    """

    deal: Callable[[Deck], np.ndarray]
    count_of: Callable[[Deck], tuple[int, int, str]]
    keeps_groups: bool = True


def deal_stratified_groups(deck: Deck) -> np.ndarray:
    """Deal whole groups into folds of about equal size and equal shares of keys."""
    return _stratified_groups(deck.keys, deck.groups, deck.num_folds, deck.seed)


def deal_images(deck: Deck) -> np.ndarray:
    """Deal single images, as published results split: look-alikes leak."""
    return _fold_of_each(KFold(deck.num_folds, shuffle=True, random_state=deck.seed).split(deck.keys), len(deck.keys))


def deal_sources(deck: Deck) -> np.ndarray:
    """Make each source a fold, in sorted order; leave out what looks like an image of another source.

    A group that crosses sources would show the model, while it trains on one source, what it is tested on in the
    other. It stays where it has most images, of equal ones in the first source; its images elsewhere are left out.
    """
    names, folds = np.unique(deck.sources, return_inverse=True)
    numbers, groups = np.unique(deck.groups, return_inverse=True)
    members = np.zeros((len(numbers), len(names)), int)  # (G, S)
    np.add.at(members, (groups, folds), 1)
    return np.where(folds == members.argmax(axis=1)[groups], folds, LEFT_OUT)


def deal_holdout(deck: Deck) -> np.ndarray:
    """Deal whole groups into a validation fold, a training fold and a test part, which is left out of both.

    The set is dealt into as many equal parts as the shares need (85, 10 and 5 %: twenty), of which validation and
    test get theirs; those with the largest groups go to training, which a large group distorts least.
    """
    num_tickets = _num_tickets(deck)
    tickets = _stratified_groups(deck.keys, deck.groups, num_tickets, deck.seed)  # (N,) rising by the largest group
    num_test, num_val = (round(deck.shares[name] * num_tickets) for name in ("test", "val"))
    part_of_ticket = np.full(num_tickets, TRAINING_FOLD)
    part_of_ticket[: num_test + num_val] = VALIDATION_FOLD
    part_of_ticket[:num_test] = LEFT_OUT
    return part_of_ticket[tickets]


def _stratified_groups(keys: np.ndarray, groups: np.ndarray, num_folds: int, seed: int) -> np.ndarray:
    if np.unique(keys, return_counts=True)[1].max() < num_folds:  # scikit-learn refuses: nothing can be in every fold
        keys = np.zeros_like(keys)
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # rare sets of classes cannot be in every fold; `check_folds` judges the result
        warnings.filterwarnings("ignore", message="The least populated class")
        return _largest_group_last(_fold_of_each(splitter.split(keys, keys, groups), len(keys)), groups)


def _largest_group_last(folds: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Number folds by the size of their largest group: fold 0, the one that quick trials hold out, is a typical one."""
    group_sizes = np.bincount(groups)[groups]  # (N,)
    largest = [group_sizes[folds == fold].max(initial=0) for fold in range(folds.max() + 1)]
    return np.argsort(np.argsort(largest, kind="stable"), kind="stable")[folds]


def _fold_of_each(splits: Iterable[tuple[np.ndarray, np.ndarray]], num_images: int) -> np.ndarray:
    folds = np.full(num_images, LEFT_OUT)  # (N,)
    for fold, (_, held_out) in enumerate(splits):
        folds[held_out] = fold
    return folds


def _num_tickets(deck: Deck) -> int:
    """Return the fewest equal parts that the shares are made of.

    Raises:
        ValueError: If the shares are not whole percents that leave something to each part, or if there are fewer
            groups than parts.
    """
    shares = dict(deck.shares or {})
    parts = [Fraction(str(share)) for share in shares.values()]
    num_tickets = math.lcm(*(part.denominator for part in parts))
    if set(shares) != {"val", "test"} or min(parts) <= 0 or sum(parts) >= 1 or num_tickets > _MAX_TICKETS:
        raise ValueError(
            "split.shares: expected val and test, positive whole percents such as 0.1 and 0.05 that leave some images "
            f"for training, got {shares}"
        )
    num_groups = len(np.unique(deck.groups))
    if num_groups < num_tickets:
        raise ValueError(
            f"split.shares: expected shares that {num_groups} groups can be dealt into, got {shares}, which takes "
            f"{num_tickets} equal parts"
        )
    return num_tickets


def _up_to(num_parts: int, unit: str) -> tuple[int, int, str]:
    return 2, num_parts, f"the number of {unit}"


def _as_many_as_sources(deck: Deck) -> tuple[int, int, str]:
    sources = np.unique(deck.sources)
    if len(sources) < 2:
        raise ValueError(
            f"split.strategy=leave_one_source_out: expected images of several sources, got {sources.tolist()}"
        )
    return len(sources), len(sources), f"a fold each of the sources {', '.join(sources)}"


STRATEGIES: dict[str, Strategy] = {
    "stratified_group_kfold": Strategy(
        deal_stratified_groups, lambda deck: _up_to(len(np.unique(deck.groups)), "groups")
    ),
    "kfold": Strategy(deal_images, lambda deck: _up_to(len(deck.keys), "images"), keeps_groups=False),
    "leave_one_source_out": Strategy(deal_sources, _as_many_as_sources),
    "holdout": Strategy(deal_holdout, lambda deck: (2, 2, "one held out, one to train on")),
}
"""Ways to deal, by the name in `split.strategy`."""
