"""Random tables with what breaks metrics: empty images, absent classes, crowds, equal scores and equal boxes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, PREDICTIONS, validate

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def _boxes(rng: np.random.Generator, num: int, side_px: tuple[float, float]) -> np.ndarray:
    corners = rng.uniform(0, 400, (num, 2))  # (N, 2)
    return np.hstack([corners, corners + rng.uniform(*side_px, (num, 2))])  # (N, 4)


def _random_tables(
    seed: int, num_images: int = 12, max_detections: int = 30, classes: tuple[str, ...] = CLASS_NAMES
) -> Tables:
    """Return images, annotations, predictions. Every third image has no face, every fourth no detection."""
    rng = np.random.default_rng(seed)
    names = [f"image_{i:03d}.png" for i in rng.permutation(num_images)]
    truths, detections = [], []
    for i, name in enumerate(names):
        faces = _boxes(rng, 0 if i % 3 == 0 else int(rng.integers(1, 8)), (4, 160))
        num = 0 if i % 4 == 1 else int(rng.integers(1, max_detections + 1))
        near = faces[rng.integers(0, max(len(faces), 1), num if len(faces) else 0)]
        found = np.vstack([near + rng.normal(0, 3, near.shape), _boxes(rng, num // 3, (4, 160))]).clip(0)
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        truths.append(pd.DataFrame(faces, columns=BOX_COLUMNS).assign(file_name=name))
        detections.append(pd.DataFrame(found, columns=BOX_COLUMNS).assign(file_name=name))
    annotations, predictions = pd.concat(truths), pd.concat(detections)
    annotations = annotations.assign(class_name=rng.choice(classes, len(annotations)), is_difficult=False)
    scores = rng.uniform(0, 1, len(predictions)).round(rng.choice([1, 6]))
    predictions = predictions.assign(class_name=rng.choice(CLASS_NAMES, len(predictions)), score=scores, fold=0)
    return (
        pd.DataFrame({"file_name": names}),
        validate(annotations[list(ANNOTATIONS.columns)], ANNOTATIONS, "random"),
        validate(predictions[list(PREDICTIONS.columns)].sample(frac=1, random_state=seed), PREDICTIONS, "random"),
    )


@pytest.fixture
def random_tables() -> Callable[..., Tables]:
    return _random_tables


@pytest.fixture
def table() -> Callable[..., pd.DataFrame]:
    """Return a builder: `table(("a.png", "with_mask", (0, 0, 4, 2), 0.9), …)`; no score makes annotations."""

    def build(*rows: tuple, scored: bool = True) -> pd.DataFrame:
        schema = PREDICTIONS if scored else ANNOTATIONS
        extra = {"fold": 0} if scored else {"is_difficult": False}
        records = [
            {"file_name": row[0], "class_name": row[1], **dict(zip(BOX_COLUMNS, row[2], strict=True))}
            | ({"score": row[3]} if scored else {})
            for row in rows
        ]
        columns = [c for c in schema.columns if c not in extra]
        built = pd.DataFrame(records, columns=columns).astype({"file_name": "str", "class_name": "str"})
        return validate(built.assign(**extra)[list(schema.columns)], schema, "test")

    return build
