"""Made-up sets: drawn from a known population, to see what intervals hold, and boxes on a grid, for ties."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from maskdet.evaluation.pooling import EvaluationTables
from maskdet.evaluation.sizes import size_tertiles
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

CLASS_SHARES = (0.5, 0.3, 0.2)


def draw_set(seed: int, num_groups: int, skill: float = 1.0) -> tuple[EvaluationTables, dict[str, int]]:
    """Return a set of `num_groups` groups of look-alike images, and the group of every file.

    A group has one to three images and one difficulty: how likely its faces are found, with which scores, and how far
    off the boxes are. That is what makes boxes, images and groups fail together.

    Args:
        seed: Of every draw; the population is the same for all seeds.
        num_groups: Groups to draw.
        skill: Of the detector; with less of it boxes lie further off.
    """
    truth, groups = _draw_truth(np.random.default_rng([seed, 0]), num_groups)
    images = pd.DataFrame({"file_name": list(groups)})
    predictions = detect(truth, groups, seed, skill)
    return EvaluationTables(images, truth, predictions, size_tertiles(truth)), groups


def _draw_truth(rng: np.random.Generator, num_groups: int) -> tuple[pd.DataFrame, dict[str, int]]:
    group_of_image = np.repeat(np.arange(num_groups), rng.integers(1, 4, num_groups))  # (I,)
    names = np.array([f"image_{i:06d}.png" for i in range(len(group_of_image))])
    image_of_face = np.repeat(np.arange(len(names)), rng.poisson(2.5, len(names)))  # (M,)
    slots = pd.Series(image_of_face).groupby(image_of_face).cumcount().to_numpy()  # (M,) faces stand side by side
    corners = np.stack([100.0 * slots, np.zeros(len(slots))], axis=1)  # (M, 2)
    boxes_xyxy = np.hstack([corners, corners + rng.uniform(15, 80, (len(slots), 2))])  # (M, 4)
    return _rows(names[image_of_face], _classes(rng, len(slots)), boxes_xyxy), dict(
        zip(names.tolist(), group_of_image.tolist(), strict=True)
    )


def detect(truth: pd.DataFrame, groups: Mapping[str, int], seed: int, skill: float, noise: int = 1) -> pd.DataFrame:
    """Return detections of a simulated detector; two of one skill and different `noise` are equally good."""
    difficulty = np.random.default_rng([seed, 99]).beta(2, 3, max(groups.values()) + 1)  # (G,)
    rng = np.random.default_rng([seed, noise])
    hardness = difficulty[truth["file_name"].map(groups).to_numpy()]  # (M,)
    is_found = rng.uniform(size=len(truth)) < 1 - 0.5 * hardness
    found, hardness = truth[is_found], hardness[is_found]
    sizes = found[["x_max"]].to_numpy() - found[["x_min"]].to_numpy()  # (n, 1)
    off = rng.normal(0, 1, (len(found), 4)) * sizes * (0.02 + 0.12 * hardness[:, None] / skill)
    boxes_xyxy = (found[BOX_COLUMNS].to_numpy() + off).clip(0)
    right = np.where(rng.uniform(size=len(found)) < 0.9, found["class_name"], _classes(rng, len(found)))
    scores = rng.beta(6, 2, len(found)) * (1 - 0.5 * hardness)  # (n,)
    hits = _rows(found["file_name"].to_numpy(), right, boxes_xyxy).assign(score=scores)
    files = np.array(list(groups))
    files = np.repeat(files, rng.poisson(1.0, len(files)))
    lefts = rng.uniform(0, 500, (len(files), 1))  # (n, 1)
    boxes_xyxy = np.hstack([lefts, np.full_like(lefts, 200.0), lefts + 30, np.full_like(lefts, 230.0)])
    alarms = _rows(files, _classes(rng, len(files)), boxes_xyxy).assign(score=rng.beta(2, 6, len(files)))
    return pd.concat([hits, alarms], ignore_index=True).assign(fold=0).astype({"score": "float32"})


def _classes(rng: np.random.Generator, num: int) -> np.ndarray:
    return rng.choice(CLASS_NAMES, num, p=CLASS_SHARES)


def _rows(file_names: np.ndarray, class_names: np.ndarray, boxes_xyxy: np.ndarray) -> pd.DataFrame:
    boxes_xyxy = np.hstack([boxes_xyxy[:, :2], np.maximum(boxes_xyxy[:, 2:], boxes_xyxy[:, :2] + 1)])
    columns = pd.DataFrame(boxes_xyxy.astype(np.float32), columns=BOX_COLUMNS)
    return columns.assign(file_name=file_names, class_name=class_names)


GRID_ROW = st.tuples(
    st.integers(0, 2),  # image
    st.integers(0, 2),  # class
    st.tuples(*[st.sampled_from([0, 2, 40, 90])] * 2, *[st.sampled_from([2, 4, 32, 96, 100])] * 2),  # x, y, w, h
    st.sampled_from([0.1, 0.5, 0.9]),
)
"""A box on a coarse grid, for ties of scores and of IoUs and areas on the border of a size: see `grid_tables`."""


def grid_tables(true_rows: list[tuple], found_rows: list[tuple]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return images, true boxes and detections from values of `GRID_ROW`."""
    names = ["a.png", "b.png", "c.png"]

    def build(rows: list[tuple]) -> pd.DataFrame:
        records = [(names[i], CLASS_NAMES[k], x, y, x + w, y + h, s) for i, k, (x, y, w, h), s in rows]
        columns = ["file_name", "class_name", *BOX_COLUMNS, "score"]
        return pd.DataFrame(records, columns=columns).astype(dict.fromkeys([*BOX_COLUMNS, "score"], "float32"))

    return pd.DataFrame({"file_name": names}), build(true_rows).drop(columns="score"), build(found_rows)
