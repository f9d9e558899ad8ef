"""Judged faces: written down by hand, or drawn from one known population."""

import numpy as np
import pandas as pd

from maskdet.evaluation.classification import with_groups
from maskdet.schema import CLASS_NAMES, CROP_PREDICTIONS, PROBABILITY_COLUMNS, validate

SHARES = (0.6, 0.3, 0.1)


def judged_faces(rows: list[tuple]) -> pd.DataFrame:
    """Return judged faces from (group, true class index, probabilities)."""
    groups, classes, probabilities = zip(*rows, strict=True) if rows else ((), (), np.empty((0, 3)))
    table = pd.DataFrame(np.array(probabilities, dtype=np.float32).reshape(-1, 3), columns=PROBABILITY_COLUMNS)
    table.insert(0, "fold", 0)
    table.insert(0, "class_name", pd.Series([CLASS_NAMES[k] for k in classes], dtype=str))
    table.insert(0, "face", range(len(rows)))
    table.insert(0, "file_name", pd.Series([f"photo_{group}.png" for group in groups], dtype=str))
    table = validate(table, CROP_PREDICTIONS, "test")
    return with_groups(table, {f"photo_{group}.png": group for group in groups})


def draw_faces(seed: int, num_groups: int, skill: float = 1.0, noise: int = 1) -> pd.DataFrame:
    """Return faces of one known population: a group shares how hard its faces are, `noise` is the classifier's own."""
    rng = np.random.default_rng([seed, 0])
    groups = np.repeat(np.arange(num_groups), rng.integers(1, 6, num_groups))  # (N,)
    hardness = rng.normal(0, 1, num_groups)[groups]  # (N,)
    truth = rng.choice(3, len(groups), p=SHARES)  # (N,)
    logits = np.random.default_rng([seed, noise]).normal(0, 1, (len(groups), 3))  # (N, 3)
    logits[np.arange(len(groups)), truth] += 1.5 * skill - 0.8 * hardness
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)  # (N, 3)
    return judged_faces(list(zip(groups, truth, probabilities, strict=True)))
