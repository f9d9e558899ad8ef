"""Does a score of 0.8 mean a hit in 80 % of cases? Reliability, its errors, and calibrators fitted across folds.

A detection's outcome is whether it is a hit at one IoU threshold. What is said here of a score therefore holds at that
threshold only, and for the mix of images that was measured.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from maskdet.evaluation.calibrator import IDENTITY, Calibrator, IsotonicMap, LogisticMap, ScoreMap, logit
from maskdet.evaluation.curves import ALL_CLASSES
from maskdet.evaluation.rates import ratio
from maskdet.schema import CLASS_NAMES

KINDS = ("isotonic", "logistic")
BOX_FEATURES = ("x", "y", "width", "height")
"""Of a box, relative to its image: centre and sides, each in [0, 1]."""

NUM_BOX_BINS = 5
"""On each axis of a grid of scores and boxes; fewer than of scores alone, as the cells are many."""

MIN_SLOPE = 0.01
"""Of a logistic map; keeps the ranking even where scores say nothing."""


def reliability_table(scores: np.ndarray, hits: np.ndarray, num_bins: int = 10) -> pd.DataFrame:
    """Return the bins of a reliability diagram, of equal width.

    Args:
        scores: (N,) float in [0, 1]; may be empty.
        hits: (N,) bool, whether each detection is a hit.
        num_bins: At least 1.

    Returns:
        Columns `low, high` (scores; the upper end belongs to the next bin, but 1 to the last), `num_detections`,
        `mean_score`, `hit_rate`; every bin in order, NaN where it is empty.

    Raises:
        ValueError: If the lengths differ, a score is NaN or outside [0, 1], or `num_bins` is below 1.
    """
    scores, hits = _check_outcomes(scores, hits, num_bins)
    edges = np.linspace(0, 1, num_bins + 1)  # (B + 1,)
    bins = _bin_numbers(scores, edges)  # (N,)
    counts = np.bincount(bins, minlength=num_bins)  # (B,)
    sums = [np.bincount(bins, weights=values, minlength=num_bins) for values in (scores, hits)]
    means = [ratio(total, counts) for total in sums]
    columns = {"low": edges[:-1], "high": edges[1:], "num_detections": counts}
    return pd.DataFrame(columns | {"mean_score": means[0], "hit_rate": means[1]})


def _bin_numbers(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)  # (N,)


def _check_outcomes(scores: np.ndarray, hits: np.ndarray, num_bins: int = 1) -> tuple[np.ndarray, np.ndarray]:
    scores, hits = np.asarray(scores, np.float64), np.asarray(hits, bool)  # (N,), (N,)
    if scores.shape != hits.shape or scores.ndim != 1:
        raise ValueError(f"expected as many scores as hits, got shapes {scores.shape} and {hits.shape}")
    wrong = scores[~((scores >= 0) & (scores <= 1))]
    if wrong.size:
        raise ValueError(f"expected scores in [0, 1], got {wrong[0]}")
    if num_bins < 1:
        raise ValueError(f"num_bins: expected at least 1, got {num_bins}")
    return scores, hits


def box_features(predictions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return where a box lies in its image and how large it is there.

    Args:
        predictions: Columns as `schema.PREDICTIONS`.
        images: Columns `file_name, width, height`.

    Returns:
        Columns `BOX_FEATURES`, float64 in [0, 1], with the index of `predictions`.

    Raises:
        ValueError: If an image is unknown.
    """
    sides = images.set_index("file_name")[["width", "height"]].reindex(predictions["file_name"])
    image_wh = sides.to_numpy(np.float64)  # (N, 2)
    if np.isnan(image_wh).any():
        unknown = predictions.loc[np.isnan(image_wh).any(axis=1), "file_name"].iloc[0]
        raise ValueError(f"predictions: expected files of the images table, got {unknown!r}")
    low = predictions[["x_min", "y_min"]].to_numpy(np.float64) / image_wh  # (N, 2)
    high = predictions[["x_max", "y_max"]].to_numpy(np.float64) / image_wh  # (N, 2)
    values = np.hstack([(low + high) / 2, high - low]).clip(0, 1)  # (N, 4)
    return pd.DataFrame(values, columns=list(BOX_FEATURES), index=predictions.index)


def detection_ece(
    scores: np.ndarray, hits: np.ndarray, num_bins: int = 10, features: np.ndarray | None = None
) -> float:
    """Return the D-ECE: the gap between mean score and hit rate of a bin, averaged over the detections.

    Scores alone hide a model that is too sure at the border and too shy in the middle: the two cancel within a bin.
    With features a bin is a cell of their common grid. Cells then hold few detections, and chance alone opens a gap:
    compare D-ECE of equal features, bins and numbers only.

    Args:
        scores: (N,) float in [0, 1].
        hits: (N,) bool.
        num_bins: Of equal width, on each axis.
        features: (N, F) float in [0, 1], e.g. columns of `box_features`; None: scores alone.

    Returns:
        In [0, 1]; NaN without detections.

    Raises:
        ValueError: See `reliability_table`; or if features and scores differ in length.

    Reference:
        Küppers et al. (2020), Multivariate Confidence Calibration for Object Detection, equation 5,
        https://arxiv.org/abs/2004.13546.
    """
    scores, hits = _check_outcomes(scores, hits, num_bins)
    columns = scores[:, None] if features is None else np.column_stack([scores, np.asarray(features, np.float64)])
    edges = np.linspace(0, 1, num_bins + 1)  # (B + 1,)
    cells = np.zeros(len(scores), np.int64)  # (N,)
    for values in columns.T:
        cells = cells * num_bins + _bin_numbers(values, edges)
    _, cell_of = np.unique(cells, return_inverse=True)  # (N,)
    gaps = np.abs(np.bincount(cell_of, weights=scores - hits))  # (C,) times the number of detections
    return float(gaps.sum() / len(scores)) if len(scores) else float("nan")


def brier_score(scores: np.ndarray, hits: np.ndarray) -> float:
    """Return the mean squared gap between score and outcome, in [0, 1]; NaN without detections.

    Raises:
        ValueError: See `reliability_table`.
    """
    scores, hits = _check_outcomes(scores, hits)
    return float(np.square(scores - hits).mean()) if len(scores) else float("nan")


def calibration_summary(matches: pd.DataFrame, images: pd.DataFrame, num_bins: int = 10) -> pd.DataFrame:
    """Return the calibration of each class and of all detections.

    Most detections of a detector have tiny scores and are rightly no hits; they make every error small. Drop what no
    user sees (`above_threshold`) before the call.

    Args:
        matches: What `match_detections` returns, at the IoU threshold that shall count, as far as it shall count.
        images: Columns `file_name, width, height`.
        num_bins: Of `d_ece`; the others have `NUM_BOX_BINS`.

    Returns:
        A row a class, then "all". Columns `class_name, num_detections, mean_score, hit_rate, brier, d_ece` (scores
        alone), `d_ece_position` (and the box's centre), `d_ece_size` (and its sides); NaN without detections.

    Raises:
        ValueError: If an image is unknown, or see `reliability_table`.
    """
    features = box_features(matches, images)
    rows = []
    for name in (*CLASS_NAMES, ALL_CLASSES):
        is_counted = (matches["class_name"] == name) | (name == ALL_CLASSES)
        scores, hits = matches.loc[is_counted, "score"].to_numpy(), matches.loc[is_counted, "is_tp"].to_numpy()
        place, size = (features.loc[is_counted, list(c)].to_numpy() for c in (BOX_FEATURES[:2], BOX_FEATURES[2:]))
        row = {"class_name": name, "num_detections": len(scores)}
        row |= {"mean_score": matches["score"][is_counted].mean(), "hit_rate": matches["is_tp"][is_counted].mean()}
        row |= {"brier": brier_score(scores, hits), "d_ece": detection_ece(scores, hits, num_bins)}
        row["d_ece_position"] = detection_ece(scores, hits, NUM_BOX_BINS, place)
        row["d_ece_size"] = detection_ece(scores, hits, NUM_BOX_BINS, size)
        rows.append(row)
    return pd.DataFrame(rows)


def fit_map(scores: np.ndarray, hits: np.ndarray, kind: str) -> ScoreMap:
    """Fit the scores of one class to its outcomes.

    - `isotonic`: scikit-learn's; follows any rising curve, needs some hundred detections, makes ties.
    - `logistic`: two numbers, on the log-odds of the scores; enough for the few detections of a rare class.

    Args:
        scores: (N,) float in [0, 1].
        hits: (N,) bool.
        kind: One of `KINDS`.

    Returns:
        A map that never falls; `IDENTITY` where there is no hit or nothing else.

    Raises:
        ValueError: If the kind is unknown, or see `reliability_table`.

    Reference:
        Platt (1999), Probabilistic Outputs for Support Vector Machines, section 2.2: targets a little inside [0, 1], so
        that separable classes have a finite fit. scikit-learn's logistic regression has neither these nor a bound on
        the slope.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {list(KINDS)}, got {kind!r}")
    scores, hits = _check_outcomes(scores, hits)
    if hits.all() or not hits.any():
        return IDENTITY
    if kind == "isotonic":
        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, hits.astype(np.float64))
        return IsotonicMap(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))
    return _fit_logistic(logit(scores), hits)


def _fit_logistic(log_odds: np.ndarray, hits: np.ndarray) -> LogisticMap:
    num_hits, num_others = hits.sum(), (~hits).sum()
    targets = np.where(hits, (num_hits + 1) / (num_hits + 2), 1 / (num_others + 2))  # (N,)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * log_odds + parameters[1]  # (N,)
        excess = expit(logits) - targets  # (N,)
        value = np.logaddexp(0, logits) - targets * logits  # (N,)
        return float(value.mean()), np.array([(excess * log_odds).mean(), excess.mean()])

    bounds = [(MIN_SLOPE, None), (None, None)]
    options = {"ftol": 1e-14, "gtol": 1e-10, "maxiter": 1000}
    slope, intercept = minimize(loss, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return LogisticMap(float(slope), float(intercept))


def fit_calibrator(matches: pd.DataFrame, kind: str, iou_threshold: float = 0.5) -> Calibrator:
    """Fit a map for each class: what is exported with the model. Judge it by `cross_fit`, not on its own detections.

    Args:
        matches: What `match_detections` returns for out-of-fold detections.
        kind: One of `KINDS`.
        iou_threshold: That of the matches; is written down in the calibrator.

    Raises:
        ValueError: See `fit_map`.
    """
    parts = {name: matches[matches["class_name"] == name] for name in CLASS_NAMES}
    maps = {name: fit_map(part["score"].to_numpy(), part["is_tp"].to_numpy(), kind) for name, part in parts.items()}
    return Calibrator(maps, iou_threshold)


def cross_fit(matches: pd.DataFrame, kind: str, parts: np.ndarray | None = None) -> pd.Series:
    """Calibrate each detection with a calibrator that has seen no detection of its fold.

    Args:
        matches: What `match_detections` returns for out-of-fold detections.
        kind: One of `KINDS`.
        parts: (N,) labels, the part that each detection is left out with; look-alike images belong into one part.
            None: the column `fold`.

    Returns:
        (N,) float64 in [0, 1] with the index of `matches`, named `score`.

    Raises:
        ValueError: If there are detections, but of one part only, or see `fit_map`.
    """
    parts = matches["fold"].to_numpy() if parts is None else np.asarray(parts)  # (N,)
    labels = np.unique(parts)
    if len(labels) == 1:
        raise ValueError(f"expected detections of two or more parts to cross-fit, got those of {labels[0]} only")
    calibrated = pd.Series(np.nan, index=matches.index, name="score")
    for label in labels:
        left_out = parts == label  # (N,)
        calibrator = fit_calibrator(matches[~left_out], kind)
        own = matches[left_out]
        calibrated[left_out] = calibrator.apply(own["score"].to_numpy(), own["class_name"].to_numpy())
    return calibrated
