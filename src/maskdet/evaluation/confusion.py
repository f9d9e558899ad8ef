"""Which class is taken for which, with "background" for what is missed or invented."""

import pandas as pd

from maskdet.evaluation.matching import ScoreThreshold, above_threshold, match_detections
from maskdet.schema import CLASS_NAMES

BACKGROUND = "background"


def confusion_pairs(
    annotations: pd.DataFrame,
    predictions: pd.DataFrame,
    score_threshold: ScoreThreshold,
    iou_threshold: float = 0.5,
) -> pd.DataFrame:
    """Pair true boxes and detections whatever their classes, a row each pair.

    Matching is greedy from the highest score down, so a face found twice gives one pair and one false alarm.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`, with a unique integer index.
        predictions: Detections, columns as `schema.PREDICTIONS`.
        score_threshold: Detections with `score >= score_threshold` are counted; one number, or one for each class
            (e.g. of best F1; NaN counts none of the class).
        iou_threshold: In (0, 1].

    Returns:
        Columns `actual, predicted`, sorted. A missed face has `predicted`, a false alarm has `actual` = "background".
        Every true box and every counted detection occurs once. DVC's template `confusion` counts such rows.

    Raises:
        ValueError: If `iou_threshold` lies outside (0, 1], or if a class of the detections has no threshold.
    """
    kept = above_threshold(predictions, score_threshold)
    matches = match_detections(annotations, kept, iou_threshold, by_class=False)
    found = pd.DataFrame(
        {
            "actual": matches["annotation"].map(annotations["class_name"]).fillna(BACKGROUND),
            "predicted": matches["class_name"],
        }
    )
    missed = annotations.loc[~annotations.index.isin(matches["annotation"]), ["class_name"]]
    missed = missed.rename(columns={"class_name": "actual"}).assign(predicted=BACKGROUND)
    pairs = pd.concat([found, missed]).astype(str)
    return pairs.sort_values(["actual", "predicted"], ignore_index=True)


def confusion_counts(pairs: pd.DataFrame) -> pd.DataFrame:
    """Count pairs, zeros included.

    Args:
        pairs: What `confusion_pairs` returns.

    Returns:
        Columns `actual, predicted, count`: a row for each of the (K + 1)² combinations, by actual, then predicted, both
        in the order of `CLASS_NAMES` with "background" last.
        The count of (background, background) is always 0: nobody counts places without a face.
    """
    names = [*CLASS_NAMES, BACKGROUND]
    grid = pd.MultiIndex.from_product([names, names], names=["actual", "predicted"])
    counts = pairs.groupby(["actual", "predicted"]).size().reindex(grid, fill_value=0)
    return counts.rename("count").reset_index()
