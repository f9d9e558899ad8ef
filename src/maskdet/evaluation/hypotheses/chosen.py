"""Folds on which something was chosen whose result is judged: the figures are given once more without them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.evaluation.hypotheses.by_group import FaceGroups
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

    def others(self, file_names: pd.Series, groups: FaceGroups) -> np.ndarray | None:
        """Return which faces are of images that had no say, to judge them alone.

        Args:
            file_names: (N,) the image of each face.
            groups: Of the faces.

        Returns:
            (N,) bool; None where they are all faces, or come from fewer than two groups.
        """
        is_other = ~file_names.isin(self.file_names).to_numpy()
        return None if is_other.all() or len(np.unique(groups.codes[is_other])) < 2 else is_other

    @property
    def text(self) -> str:
        """Return the folds in words.

        >>> ChosenOn((0,), frozenset({"a.png"})).text, ChosenOn((0, 2), frozenset({"a.png"})).text
        ('fold 0', 'folds 0 and 2')
        """
        return f"fold{'s' if len(self.folds) > 1 else ''} {listing([str(fold) for fold in self.folds])}"
