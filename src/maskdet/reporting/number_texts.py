"""Numbers as pages and tables print them: figures, p-values, and figures with their intervals."""

import math

from maskdet.evaluation.hypotheses import wording

UNDEFINED = "–"
"""Stands where a number is not defined: no true face of that class or size."""


def number(value: float | None) -> str:
    """Return a metric with three decimals, a dash for an undefined one.

    >>> number(0.12345), number(None), number(float("nan"))
    ('0.123', '–', '–')
    """
    return UNDEFINED if is_undefined(value) else f"{value:.3f}"


def p_cell(p_value: float | None, least_p_value: float | None = None) -> str:
    """Return a p-value under a heading that says so, in the spelling of the hypotheses' sentences.

    Args:
        p_value: None and NaN are undefined.
        least_p_value: What it cannot fall below, and is a bound there; None where there is no such limit.

    >>> p_cell(0.04, 0.002), p_cell(0.0312), p_cell(1e-9), p_cell(float("nan")), p_cell(None)
    ('0.040', '0.031', '1e-09', '–', '–')
    >>> p_cell(0.0)  # a smaller one than the six decimals of a table can tell
    '< 1e-06'
    >>> p_cell(2 / 1001, 2 / 1001), p_cell(2e-4, 2e-4), p_cell(0.0124, 0.0124)
    ('≤ 0.002', '≤ 0.0002', '≤ 0.013')
    """
    if is_undefined(p_value):
        return UNDEFINED
    if p_value == 0:
        return "< 1e-06"
    return wording.p_text(p_value, least_p_value or 0.0).removeprefix("p ").removeprefix("= ")


def interval_text(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    """Return a figure with its interval in a line, without the interval where that is undefined.

    Args:
        value: The figure; None and NaN are undefined, here and at the ends.
        low: Lower end.
        high: Upper end.
        sign: "+" puts a sign before positive figures, as differences want it.

    >>> interval_text(0.01, -0.002, 0.0221, "+"), interval_text(0.5, None, None), interval_text(float("nan"), 0.0, 0.0)
    ('+0.010 [-0.002, +0.022]', '0.500', '–')
    """
    if is_undefined(value) or is_undefined(low) or is_undefined(high):
        return UNDEFINED if is_undefined(value) else f"{value:{sign}.3f}"
    return wording.interval_text(value, low, high, sign)


def estimate_text(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    r"""Return a figure with its interval on a second line, which the page prints small; arguments as `interval_text`.

    >>> estimate_text(0.5, 0.4, 0.61), estimate_text(0.5, None, None), estimate_text(None, None, None)
    ('0.500\n0.400 to 0.610', '0.500', '–')
    >>> estimate_text(0.02, -0.001, 0.04, "+"), estimate_text(float("nan"), 0.0, 0.0, "+")
    ('+0.020\n−0.001 to +0.040', '–')
    """
    texts = [UNDEFINED if is_undefined(each) else f"{each:{sign}.3f}".replace("-", "−") for each in (value, low, high)]
    return texts[0] if UNDEFINED in texts else f"{texts[0]}\n{texts[1]} to {texts[2]}"


def is_undefined(value: float | None) -> bool:
    """Return whether a number is None or NaN."""
    return value is None or math.isnan(value)
