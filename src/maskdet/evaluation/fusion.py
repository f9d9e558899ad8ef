"""Several prediction tables of the same images made into one: ensembles by weighted boxes fusion."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ensemble_boxes import weighted_boxes_fusion

from maskdet.boxes import clip_boxes
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES, PREDICTIONS

NO_FOLD = -1


def fuse_predictions(
    tables: Sequence[pd.DataFrame],
    images: pd.DataFrame,
    iou_threshold: float = 0.55,
    min_score: float = 0.0,
) -> pd.DataFrame:
    """Return one table whose boxes are averages of overlapping boxes of a class, weighted by score.

    Unlike NMS, which keeps one of several boxes, fusion uses all of them, and lowers the score where only some of the
    tables found the face. The result depends on the rows alone, not on their order. It says of an image what one model
    would say: an ensemble of folds may judge only images that none of its models was trained on.

    Args:
        tables: Two or more (one is fused with itself), columns as `schema.PREDICTIONS`; each may be empty.
        images: Every image of the tables, columns as `schema.IMAGES`; `file_name, width, height` are read.
        iou_threshold: Boxes above this IoU with the average so far join it; in (0, 1).
        min_score: Detections below it are left out beforehand: of the many that hold nothing a fusion is slow. A score
            of 0 carries no weight and is always left out.

    Returns:
        Columns as `schema.PREDICTIONS`, by file name, then falling score. Boxes are float32 pixels inside the image.
        `fold` is that of the image's rows, −1 where tables name different ones.

    Raises:
        ValueError: If there is no table, a number is out of its range, or a row names an unknown image or class.

    Reference:
        Solovyev, Wang and Gabruseva (2021), Weighted boxes fusion, https://arxiv.org/abs/1910.13302.
    """
    if not tables:
        raise ValueError("expected one or more prediction tables to fuse, got none")
    if not 0 < iou_threshold < 1:
        raise ValueError(f"expected 0 < iou_threshold < 1, got {iou_threshold}")
    rows = pd.concat([table.assign(model=i) for i, table in enumerate(tables)], ignore_index=True)
    rows = rows[(rows["score"] >= min_score) & (rows["score"] > 0)]
    wh_of_file = _sizes_of_files(rows, images)
    rows["label"] = _labels(rows)
    rows = rows.sort_values(["file_name", "model", "score", "label", *BOX_COLUMNS], kind="stable")
    fused = [
        _fuse_image(group, name, wh_of_file[name], len(tables), iou_threshold)
        for name, group in rows.groupby("file_name", sort=True)
    ]
    empty = pd.DataFrame(columns=list(PREDICTIONS.columns)).astype({"file_name": str, "class_name": str})
    result = pd.concat(fused, ignore_index=True) if fused else empty
    return result.astype({"fold": "int32"} | dict.fromkeys(["score", *BOX_COLUMNS], "float32"))


def _sizes_of_files(rows: pd.DataFrame, images: pd.DataFrame) -> dict[str, tuple[int, int]]:
    sizes = dict(zip(images["file_name"], zip(images["width"], images["height"], strict=True), strict=True))
    unknown = rows.loc[~rows["file_name"].isin(list(sizes)), "file_name"]
    if len(unknown):
        raise ValueError(f"predictions: expected files of the images table, got {unknown.iloc[0]!r}")
    return sizes


def _labels(rows: pd.DataFrame) -> np.ndarray:
    labels = pd.Index(CLASS_NAMES).get_indexer(rows["class_name"])  # (N,)
    if (labels < 0).any():
        raise ValueError(
            f"predictions: expected classes among {list(CLASS_NAMES)}, got {rows['class_name'][labels < 0].iloc[0]!r}"
        )
    return labels


def _fuse_image(
    rows: pd.DataFrame,
    file_name: str,
    image_wh: tuple[int, int],
    num_tables: int,
    iou_threshold: float,
) -> pd.DataFrame:
    """Fuse the rows of one image; the library wants lists by table and boxes in [0, 1]."""
    scale = np.array(image_wh * 2, np.float64)  # (4,)
    by_table = [rows[rows["model"] == i] for i in range(num_tables)]
    boxes_norm, scores, labels = weighted_boxes_fusion(
        [(table[BOX_COLUMNS].to_numpy(np.float64) / scale).clip(0, 1) for table in by_table],
        [table["score"].to_numpy(np.float64) for table in by_table],
        [table["label"].to_numpy() for table in by_table],
        iou_thr=iou_threshold,
    )
    boxes_xyxy = clip_boxes(boxes_norm * scale, image_wh).astype(np.float32)  # (N, 4)
    has_area = (boxes_xyxy[:, 2:] > boxes_xyxy[:, :2]).all(axis=1)  # float32 may round a sliver away
    folds = rows["fold"].unique()
    columns = {
        "file_name": file_name,
        "fold": folds[0] if len(folds) == 1 else NO_FOLD,
        "class_name": [CLASS_NAMES[int(label)] for label in labels],
        "score": scores.clip(0, 1),
        **dict(zip(BOX_COLUMNS, boxes_xyxy.T, strict=True)),
    }
    return pd.DataFrame(columns)[has_area]
