"""Several prediction tables of the same images made into one: ensembles by weighted boxes fusion."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from ensemble_boxes import weighted_boxes_fusion

from maskdet.boxes import clip_boxes
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS

ScoreRule = Literal["avg", "max", "box_and_model_avg", "absent_model_aware_avg"]
"""How a fused box gets its score; "avg" lowers it where only some of the tables found the face."""

NO_FOLD = -1


def fuse_predictions(
    tables: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    iou_threshold: float = 0.55,
    weights: Sequence[float] | None = None,
    min_score: float = 0.0,
    score_rule: ScoreRule = "avg",
    class_names: Sequence[str] = CLASS_NAMES,
) -> pd.DataFrame:
    """Return one table whose boxes are averages of overlapping boxes of a class, weighted by score.

    Unlike NMS, which keeps one of several boxes, fusion uses all of them. The result depends on the rows alone, not
    on their order. It says of an image what one model would say: an ensemble of folds may judge only images that
    none of its models was trained on.

    Args:
        tables: Two or more (one is fused with itself), columns as `schema.PREDICTIONS`; each may be empty.
        images: Every image of the tables, columns as `schema.IMAGES`; `file_name, width, height` are read.
        iou_threshold: Boxes above this IoU with the average so far join it; in (0, 1).
        weights: One positive number a table, how much its scores count; None: equal.
        min_score: Detections below it are left out beforehand: of the many that hold nothing a fusion is slow. A score
            of 0 carries no weight and is always left out.
        score_rule: See `ScoreRule`; scores are kept within [0, 1].
        class_names: The classes.

    Returns:
        Columns as `schema.PREDICTIONS`, by file name, then falling score. Boxes are float32 pixels inside the image.
        `fold` is that of the image's rows, −1 where tables name different ones.

    Raises:
        ValueError: If there is no table, a number is out of its range, or a row names an unknown image or class.

    Reference:
        Solovyev, Wang and Gabruseva (2021), Weighted boxes fusion, https://arxiv.org/abs/1910.13302.
    """
    weights = _check_options(tables, iou_threshold, weights)
    rows = pd.concat([table.assign(model=i) for i, table in enumerate(tables)], ignore_index=True)
    rows = rows[(rows["score"] >= min_score) & (rows["score"] > 0)]
    wh_of_file = _sizes_of_files(rows, images)
    rows["label"] = _labels(rows, class_names)
    rows = rows.sort_values(["file_name", "model", "score", "label", *BOX_COLUMNS], kind="stable")
    options = {"iou_thr": iou_threshold, "weights": weights, "conf_type": score_rule}
    fused = [
        _fuse_image(group, name, wh_of_file[name], len(tables), class_names, options)
        for name, group in rows.groupby("file_name", sort=True)
    ]
    empty = pd.DataFrame(columns=list(PREDICTIONS.columns)).astype({"file_name": str, "class_name": str})
    result = pd.concat(fused, ignore_index=True) if fused else empty
    return result.astype({"fold": "int32"} | dict.fromkeys(["score", *BOX_COLUMNS], "float32"))


def _check_options(
    tables: Sequence[pd.DataFrame], iou_threshold: float, weights: Sequence[float] | None
) -> list[float]:
    """Return the weights, or say what cannot be: the library would end the program or go on with other weights."""
    if not tables:
        raise ValueError("expected one or more prediction tables to fuse, got none")
    if not 0 < iou_threshold < 1:
        raise ValueError(f"expected 0 < iou_threshold < 1, got {iou_threshold}")
    weights = [1.0] * len(tables) if weights is None else [float(weight) for weight in weights]
    if len(weights) != len(tables) or not all(0 < weight < np.inf for weight in weights):
        raise ValueError(f"weights: expected {len(tables)} positive numbers, one per table, got {weights}")
    return weights


def _sizes_of_files(rows: pd.DataFrame, images: pd.DataFrame) -> dict[str, tuple[int, int]]:
    sizes = dict(zip(images["file_name"], zip(images["width"], images["height"], strict=True), strict=True))
    unknown = rows.loc[~rows["file_name"].isin(list(sizes)), "file_name"]
    if len(unknown):
        raise ValueError(f"predictions: expected files of the images table, got {unknown.iloc[0]!r}")
    return sizes


def _labels(rows: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    labels = pd.Index(class_names).get_indexer(rows["class_name"])  # (N,)
    if (labels < 0).any():
        raise ValueError(
            f"predictions: expected classes among {list(class_names)}, got {rows['class_name'][labels < 0].iloc[0]!r}"
        )
    return labels


def _fuse_image(
    rows: pd.DataFrame,
    file_name: str,
    image_wh: tuple[int, int],
    num_tables: int,
    class_names: Sequence[str],
    options: dict,
) -> pd.DataFrame:
    """Fuse the rows of one image; the library wants lists by table and boxes in [0, 1]."""
    scale = np.array(image_wh * 2, np.float64)  # (4,)
    by_table = [rows[rows["model"] == i] for i in range(num_tables)]
    boxes_norm, scores, labels = weighted_boxes_fusion(
        [(table[BOX_COLUMNS].to_numpy(np.float64) / scale).clip(0, 1) for table in by_table],
        [table["score"].to_numpy(np.float64) for table in by_table],
        [table["label"].to_numpy() for table in by_table],
        **options,
    )
    boxes_xyxy = clip_boxes(boxes_norm * scale, image_wh).astype(np.float32)  # (N, 4)
    has_area = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)  # float32 may round a sliver away
    folds = rows["fold"].unique()
    columns = {
        "file_name": file_name,
        "fold": folds[0] if len(folds) == 1 else NO_FOLD,
        "class_name": [class_names[int(label)] for label in labels],
        "score": scores.clip(0, 1),
        **dict(zip(BOX_COLUMNS, boxes_xyxy.T, strict=True)),
    }
    return pd.DataFrame(columns)[has_area]
