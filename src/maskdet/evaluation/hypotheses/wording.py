"""Figures as they stand in a sentence: rounded, with their sign where it matters."""

import math
from collections.abc import Sequence

from maskdet.evaluation.holm import is_bound

_TINY = 1e-300
"""Below it floating-point numbers end, and a p-value is a 0 that nobody believes."""


def p_text(p_value: float, least_p_value: float = 0.0) -> str:
    """Return a p-value with its sign of relation; the least that resampling can tell is a bound, not a value.

    >>> p_text(0.0312), p_text(2e-7), p_text(0.0), p_text(1e-4, 1e-4), p_text(float("nan"))
    ('p = 0.031', 'p = 2e-07', 'p < 1e-300', 'p ≤ 0.0001', 'p undefined')
    >>> p_text(0.0014, 0.0014), p_text(2 / 1001, 2 / 1001), p_text(0.25, 0.25)
    ('p ≤ 0.0014', 'p ≤ 0.002', 'p ≤ 0.25')
    """
    if math.isnan(p_value):
        return "p undefined"
    if is_bound(p_value, least_p_value):
        return f"p ≤ {_rounded_up(least_p_value):.2g}"
    if p_value < _TINY:
        return "p < 1e-300"
    return f"p = {p_value:.3f}" if p_value >= 0.001 else f"p = {p_value:.0e}"


def _rounded_up(value: float) -> float:
    """Return a positive number with two significant digits, none below it: a bound must stay one."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step - 1e-6) * step


def interval_text(value: float, low: float, high: float, sign: str = "") -> str:
    """Return a figure with its interval.

    Args:
        value: The figure.
        low: Lower end.
        high: Upper end.
        sign: "+" puts a sign before positive figures, as differences want it.

    >>> interval_text(0.01, -0.002, 0.0221, "+"), interval_text(1.5, 1, 2)
    ('+0.010 [-0.002, +0.022]', '1.500 [1.000, 2.000]')
    """
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def listing(parts: Sequence[str]) -> str:
    """Join parts as a sentence does.

    >>> listing(["a"]), listing(["a", "b", "c"]), listing([])
    ('a', 'a, b and c', '')
    """
    *first, last = parts or [""]
    return f"{', '.join(first)} and {last}" if first else last
