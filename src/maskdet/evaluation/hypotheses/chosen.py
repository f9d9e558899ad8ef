"""Folds on which something was chosen whose result is judged: the figures are given once more without them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.evaluation.hypotheses.wording import listing


@dataclass(frozen=True)
class ChosenOn:
    """Folds that had a say in what is judged.

    Attributes:
        folds: Their numbers.
        file_names: The images of these folds.
    """

    folds: tuple[int, ...]
    file_names: frozenset[str]

    @classmethod
    def of(cls, folds: list[int], fold_of_file: Mapping[str, int]) -> "ChosenOn | None":
        """Return the images of some folds; None where there is none of them."""
        known = tuple(sorted(set(folds) & set(fold_of_file.values())))
        names = frozenset(name for name, fold in fold_of_file.items() if fold in known)
        return cls(known, names) if names else None

    def is_other(self, file_names: pd.Series) -> np.ndarray:
        """Return (N,) bool: the image had no say."""
        return ~file_names.isin(self.file_names).to_numpy()

    @property
    def text(self) -> str:
        """Return the folds in words.

        >>> ChosenOn((0,), frozenset({"a.png"})).text, ChosenOn((0, 2), frozenset({"a.png"})).text
        ('fold 0', 'folds 0 and 2')
        """
        return f"fold{'s' if len(self.folds) > 1 else ''} {listing([str(fold) for fold in self.folds])}"
