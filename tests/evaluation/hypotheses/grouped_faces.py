"""Made-up faces in groups of very unequal size, alike inside, from populations whose truth is known."""

import numpy as np
import pandas as pd
from scipy import stats

from maskdet.evaluation.hypotheses.by_group import FaceGroups, Resampling
from maskdet.evaluation.hypotheses.named_faces import NamedFaces
from maskdet.schema import CLASS_NAMES

QUICK = Resampling(num_replicates=50, num_permutations=99)
FINE = Resampling(num_replicates=400, num_permutations=999)


def draw_groups(rng: np.random.Generator, num_groups: int = 60, mean_size: float = 5.0) -> FaceGroups:
    """Return groups of 1 to some dozens of faces: most are small, a few hold many of the faces."""
    sizes = np.ceil(rng.exponential(mean_size, num_groups) ** 1.2).astype(int)
    return FaceGroups.of(np.repeat(np.arange(num_groups), sizes))


def draw_classes(rng: np.random.Generator, groups: FaceGroups, shares: tuple[float, ...], icc: float) -> pd.Series:
    """Return the class of each face; faces of a group share it more often than others, as `icc` says."""
    of_group = rng.dirichlet(np.array(shares) * (1 - icc) / icc, groups.num)  # (G, K)
    points = rng.uniform(size=(len(groups.codes), 1))
    codes = (points > of_group.cumsum(axis=1)[groups.codes, :-1]).sum(axis=1)
    return pd.Series(np.array(CLASS_NAMES, object)[codes])


def draw_outcomes(rng: np.random.Generator, groups: FaceGroups, rate: float, icc: float) -> np.ndarray:
    """Return (N,) bool, true for a share `rate` of the population, alike in groups."""
    of_group = rng.beta(rate * (1 - icc) / icc, (1 - rate) * (1 - icc) / icc, groups.num)
    return rng.uniform(size=len(groups.codes)) < of_group[groups.codes]


def named(class_names: pd.Series, answers: pd.Series, groups: FaceGroups) -> NamedFaces:
    """Return judged faces; each group is one image."""
    files = pd.Series([f"{code:04d}.png" for code in groups.codes], dtype=object)
    faces = pd.DataFrame({"file_name": files, "face": files.groupby(files).cumcount()})
    faces = faces.assign(class_name=class_names.to_numpy(object), answer=answers.to_numpy(object))
    return NamedFaces(faces, groups)


def answers_of(rng: np.random.Generator, class_names: pd.Series, is_right: np.ndarray) -> pd.Series:
    """Return the true class where the answer is right, another one elsewhere."""
    shift = rng.integers(1, len(CLASS_NAMES), len(class_names))
    codes = (pd.Index(CLASS_NAMES).get_indexer(class_names) + np.where(is_right, 0, shift)) % len(CLASS_NAMES)
    return pd.Series(np.array(CLASS_NAMES, object)[codes])


def check_p_values(p_values: np.ndarray) -> None:
    """Assert that p-values of a true null lie below 0.05 about so often, and below 0.5 in about half of the sets.

    The bounds are those that a right test breaks once in a thousand times, and .02 beyond: that much a test that is
    right in large samples may be off.
    """
    for level in (0.05, 0.5):
        low, high = stats.binom.ppf([0.0005, 0.9995], len(p_values), level) / len(p_values)
        assert low - 0.02 <= (p_values <= level).mean() <= high + 0.02, level
