"""How far an ordered trait differs between classes, by ranks, for any number of ways to weigh the faces at once."""

import numpy as np

from maskdet.evaluation.rates import ratio


def weighted_midranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the share of the weight below each value, equal ones counted half, (N,) in (0, 1).

    Equal weights give scipy's `rankdata`, less one half, over N.

    Args:
        values: (N,) float.
        weights: (N,) positive.

    >>> weighted_midranks(np.array([3.0, 1, 3]), np.ones(3)) * 3
    array([2. , 0.5, 2. ])
    """
    _, places = np.unique(values, return_inverse=True)  # (N,)
    of_value = np.bincount(places, weights)  # (T,)
    return ((np.cumsum(of_value) - of_value / 2) / of_value.sum())[places]


class RankEpsilon:
    """Epsilon squared of a trait between K classes, on any resample of the faces' groups.

    It is the share of the variance of the ranks that lies between classes: Kruskal and Wallis' H, corrected for ties,
    over N - 1; 0 where the classes are alike. A resample is ranked anew.

    Args:
        values: (N,) float, the trait of each face.
        is_class: (N, K) bool.
        codes: (N,) int, the group of each face, in [0, G).

    Reference:
        Tomczak and Tomczak (2014), The need to report effect size estimates revisited, Trends in Sport Sciences 1 (21),
        19-25.
    """

    def __init__(self, values: np.ndarray, is_class: np.ndarray, codes: np.ndarray) -> None:
        order = np.argsort(values, kind="stable")  # (N,)
        self._codes = codes[order]
        self._is_class = is_class[order].astype(np.float64)  # (N, K)
        is_first = np.append(True, np.diff(values[order]) > 0)  # (N,) of the faces of one value
        self._starts = np.flatnonzero(is_first)  # (T,)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """Return epsilon squared for R ways to weigh the groups, (R,); NaN where all faces drawn have one value.

        Args:
            weights: (G, R) float, what each face of a group counts.
        """
        of_face = weights[self._codes]  # (N, R)
        of_value = np.add.reduceat(of_face, self._starts, axis=0)  # (T, R)
        total = of_value.sum(axis=0)  # (R,)
        distance = np.cumsum(of_value, axis=0) - of_value / 2 - total / 2  # (T, R) of a value's rank from the middle
        spread = (of_value * distance**2).sum(axis=0)  # (R,)
        between = np.zeros_like(total)
        for column in self._is_class.T:
            of_class = np.add.reduceat(of_face * column[:, None], self._starts, axis=0)  # (T, R)
            sums = (of_class * distance).sum(axis=0)  # (R,)
            in_class = of_class.sum(axis=0)  # (R,)
            between += np.divide(sums**2, in_class, out=np.zeros_like(sums), where=in_class > 0)
        return ratio(between, spread)
