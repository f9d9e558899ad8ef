"""What chance brings where groups are alike: mask states dealt out anew, as alike within groups as they are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.verdict import Assumption

_CHUNK = 200
"""Deals held in memory at once."""

_LIMITS = (1e-6, 1 - 1e-6)
"""Of the intraclass correlation: beyond them the Dirichlet distribution degenerates."""

_BORDER = 12
"""Faces of a group from which on it counts as a large one in the check of the model."""


@dataclass(frozen=True)
class DealtStates:
    """Mask states as draws in which nothing but the group matters.

    Each group has its own shares of the states, drawn around those of all faces; each of its faces has a state drawn
    from them (Dirichlet-multinomial). Two faces of a group then correlate as in the data, whatever its size.

    Attributes:
        is_state: (N, K) bool, the true states; every column occurs.
        groups: Of the faces.
        icc: Intraclass correlation of the states.
    """

    is_state: np.ndarray
    groups: FaceGroups
    icc: float

    @classmethod
    def fit(cls, is_state: np.ndarray, groups: FaceGroups) -> "DealtStates":
        """Return the model of N faces; columns of states that do not occur are dropped.

        Of two estimates of the correlation the larger is taken: one counts groups alike, in the other, by pairs of
        faces, large groups decide. Where the two differ the model is cautious.

        Raises:
            ValueError: If fewer than two states occur.
        """
        is_state = is_state[:, is_state.any(axis=0)]
        if is_state.shape[1] < 2:
            raise ValueError(f"expected faces of two or more classes, got {is_state.shape[1]}")
        by_group = intraclass_correlation(is_state, groups)
        by_pair = pair_correlation(is_state, groups, is_state.mean(axis=0))
        return cls(is_state, groups, float(np.clip(np.fmax(by_group, by_pair), *_LIMITS)))

    @property
    def weights(self) -> np.ndarray:
        """Return what each face of a group counts, (G,), in (0, 1]: 1 alone, less the more faces say the same."""
        return 1 / (1 + (self.groups.sizes - 1) * self.icc)

    @property
    def effective_num_faces(self) -> float:
        """Return how many independent faces would say as much as these."""
        return float((self.groups.sizes * self.weights).sum())

    def deals(self, resampling: Resampling) -> Iterator[np.ndarray]:
        """Yield the states of N faces dealt out anew, (up to 200, N) int, `num_permutations` rows in all."""
        rng = np.random.default_rng(resampling.seed)
        alpha = self.is_state.mean(axis=0) * (1 - self.icc) / self.icc  # (K,)
        codes = self.groups.codes
        for start in range(0, resampling.num_permutations, _CHUNK):
            num = min(_CHUNK, resampling.num_permutations - start)
            borders = rng.dirichlet(alpha, (num, self.groups.num)).cumsum(axis=-1)[..., :-1]  # (R, G, K - 1)
            points = rng.uniform(size=(num, len(codes)))  # (R, N)
            dealt = np.zeros(points.shape, np.int8)
            for k in range(borders.shape[-1]):
                dealt += points > borders[:, codes, k]
            yield dealt

    def p_values(self, statistic: Callable[[np.ndarray], np.ndarray], resampling: Resampling) -> np.ndarray:
        """Return how often chance brings as much as the true states do.

        Args:
            statistic: (R, N) int states → (R, S) float, larger where more goes together.
            resampling: Number of deals and seed.

        Returns:
            (S,) in (0, 1], none below 1 / (num_permutations + 1).
        """
        observed = statistic(self.is_state.argmax(axis=1)[None])[0]  # (S,)
        reached = sum((statistic(dealt) >= observed * (1 - 1e-12)).sum(axis=0) for dealt in self.deals(resampling))
        return (1 + reached) / (1 + resampling.num_permutations)

    def assumption(self) -> Assumption:
        """Say whether small and large groups are about equally alike inside, as the model has them."""
        sizes = self.groups.sizes[self.groups.codes]  # (N,)
        parts = {f"up to {_BORDER} faces": sizes <= _BORDER, f"more than {_BORDER} faces": sizes > _BORDER}
        shares = self.is_state.mean(axis=0)  # (K,)
        found = {
            name: pair_correlation(self.is_state[rows], FaceGroups.of(self.groups.codes[rows]), shares)
            for name, rows in parts.items()
            if len(np.unique(self.groups.codes[rows])) > 1
        }
        known = {name: value for name, value in found.items() if not np.isnan(value)}
        told = "; ".join(f"{value:.2f} in groups of {name}" for name, value in known.items())
        detail = f"intraclass correlation taken as {self.icc:.2f}; {told or 'no group of several faces'}"
        holds = max(known.values(), default=0.0) <= 2 * max(self.icc, 0.05)
        return Assumption("no kind of group is much more alike inside than the model says", holds, detail)


def intraclass_correlation(is_state: np.ndarray, groups: FaceGroups) -> float:
    """Return how alike the states of faces of one group are: 0 as of any two faces, 1 all the same.

    Args:
        is_state: (N, K) bool.
        groups: Of the faces.

    Returns:
        The analysis-of-variance estimate, pooled over states; below 0 where groups are more mixed than chance makes
        them; 0 where no group has two faces.

    Reference:
        Ridout, Demétrio and Firth (1999), Estimating Intraclass Correlation for Binary Data, Biometrics 55 (1),
        137-148, the estimator of analysis of variance.
    """
    sizes, num_faces = groups.sizes, len(is_state)  # (G,)
    if num_faces == groups.num:
        return 0.0
    means = groups.sums(is_state) / sizes[:, None]  # (G, K)
    between = (sizes[:, None] * (means - is_state.mean(axis=0)) ** 2).sum() / (groups.num - 1)
    within = ((is_state - means[groups.codes]) ** 2).sum() / (num_faces - groups.num)
    typical_size = (num_faces - (sizes**2).sum() / num_faces) / (groups.num - 1)
    total = between + (typical_size - 1) * within
    return float((between - within) / total) if total > 0 else 0.0


def pair_correlation(is_state: np.ndarray, groups: FaceGroups, shares: np.ndarray) -> float:
    """Return by how much two faces of a group agree more often than any two do, 1 where they always agree.

    Args:
        is_state: (N, K) bool.
        groups: Of the faces.
        shares: (K,) of the states among any faces.

    Returns:
        At most 1; NaN where no group has two faces.
    """
    counts, sizes = groups.sums(is_state), groups.sizes  # (G, K), (G,)
    num_pairs = (sizes * (sizes - 1)).sum()
    if num_pairs == 0:
        return float("nan")
    agreement, expected = (counts * (counts - 1)).sum() / num_pairs, (shares**2).sum()
    return float((agreement - expected) / (1 - expected))
