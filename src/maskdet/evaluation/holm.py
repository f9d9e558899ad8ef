"""Holm's correction of p-values for their number, and which of the corrected ones are bounds."""

import numpy as np


def holm(p_values: np.ndarray, least_p_values: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return p-values corrected for how many there are.

    A corrected p-value is the largest of some products of p-values and how many are no smaller. Where the product that
    decides is of a p-value that is a bound, it is a bound too.

    Own lines, as statsmodels' `multipletests` collects garbage at every call, a third of a second each, and knows no
    bounds; the tests hold the two to each other.

    Args:
        p_values: (M,) in [0, 1]; NaN ones stay so and do not count.
        least_p_values: (M,) or one for all: what each cannot fall below, 0 where there is no such bound.

    Returns:
        (M,) corrected, none above 1, and (M,) the least that each could be: itself where it is a bound, else 0.

    Reference:
        Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6 (2),
        65-70.

    >>> holm(np.array([0.01, 0.04, 0.03]))[0].tolist()
    [0.03, 0.06, 0.06]
    >>> holm(np.array([0.02, 0.5, 0.015]), np.array([0.02, 0.02, 0.0]))
    (array([0.045, 0.5  , 0.045]), array([0., 0., 0.]))
    >>> holm(np.array([0.02, 0.025, 0.5]), np.array([0.02, 0.0, 0.0]))
    (array([0.06, 0.06, 0.5 ]), array([0.06, 0.06, 0.  ]))
    """
    p_values = np.asarray(p_values, np.float64)
    order = np.argsort(p_values, kind="stable")[: int((~np.isnan(p_values)).sum())]  # (M',) NaN come last
    products = p_values[order] * np.arange(len(order), 0, -1)
    largest = np.maximum.accumulate(products)
    decides = np.maximum.accumulate(np.where(products >= largest, np.arange(len(order)), 0))  # (M',) of equal ones last
    corrected, least = np.full((2, len(p_values)), np.nan)
    corrected[order] = np.minimum(largest, 1)
    least[order] = np.where(is_bound(p_values, least_p_values)[order][decides], corrected[order], 0.0)
    return corrected, least


def is_bound(p_values: np.ndarray | float, least_p_values: np.ndarray | float) -> np.ndarray:
    """Say of p-values whether they are the least that their test can tell, rounding aside.

    >>> is_bound(np.array([0.002, 0.002, 0.0]), np.array([0.002, 0.001, 0.0])).tolist()
    [True, False, False]
    """
    least = np.asarray(least_p_values, np.float64)
    return (least > 0) & (np.asarray(p_values) <= least * (1 + 1e-6))
