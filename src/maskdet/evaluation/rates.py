"""Shares of counts, and where they are undefined: the one place that says so."""

import numpy as np

Counts = np.ndarray | float


def ratio(part: Counts, whole: Counts) -> np.ndarray:
    """Return the quotients of counts that are broadcast to each other, NaN where the whole is 0.

    >>> ratio(np.array([1, 0]), np.array([4, 0])).tolist()
    [0.25, nan]
    """
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def mean_defined(values: np.ndarray) -> np.ndarray:
    """Return the means of (K, R) values over the K rows, NaN left out; (R,), NaN where nothing else is left.

    >>> mean_defined(np.array([[1.0, np.nan], [0.5, np.nan]])).tolist()
    [0.75, nan]
    """
    is_defined = ~np.isnan(values)
    return ratio(np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0))


def detection_rates(hits: Counts, shown: Counts, faces: Counts) -> dict[str, np.ndarray]:
    """Return precision, recall and F1.

    Args:
        hits: Detections that are right; all three may be arrays of one shape.
        shown: Detections.
        faces: True boxes.

    Returns:
        `precision` (NaN without detections), `recall` and `f1` (NaN without true boxes: a class that does not occur
        can be found neither well nor badly).

    >>> {name: rate.item() for name, rate in detection_rates(1, 2, 1).items()}
    {'precision': 0.5, 'recall': 1.0, 'f1': 0.6666666666666666}
    >>> detection_rates(0, 2, 0)["f1"].item()
    nan
    """
    has_faces = np.asarray(faces) > 0
    return {
        "precision": ratio(hits, shown),
        "recall": ratio(hits, faces),
        "f1": ratio(2 * hits, (shown + faces) * has_faces),
    }
