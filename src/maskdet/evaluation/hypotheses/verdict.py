"""What is said of a hypothesis: the evidence, the size of the effect, what the test assumes, and the conclusion."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

_SIGNIFICANT_DIGITS = 12
"""Of numbers in a record: more would only tell one machine's arithmetic from another's."""

Row = dict[str, str | int | float | bool | None]


class Conclusion(StrEnum):
    """What the evidence makes of the hypothesis as it is worded."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Evidence:
    """One test's outcome.

    Attributes:
        test: What was calculated, in words.
        statistic: Its value.
        p_value: Two-sided, in [0, 1].
        df: Degrees of freedom; two of an F statistic; None where the test has none.
        least_p_value: What no p-value of a resampling test can fall below; 0 of others.
    """

    test: str
    statistic: float
    p_value: float
    df: float | tuple[float, float] | None = None
    least_p_value: float = 0.0

    def p_columns(self, name: str) -> Row:
        """Return the p-value and its bound for a row of a table, as `p_value_<name>` and `least_p_value_<name>`."""
        return p_columns(name, self.p_value, self.least_p_value)

    def record(self) -> dict:
        """Return the fields as plain containers."""
        df = list(self.df) if isinstance(self.df, tuple) else self.df
        numbers = {"statistic": self.statistic, "df": df, "p_value": self.p_value, "least_p_value": self.least_p_value}
        return {"test": self.test, **numbers}


@dataclass(frozen=True)
class Effect:
    """How large something is, whatever its p-value.

    Attributes:
        name: Of the measure.
        value: On the data as they are.
        low: Lower end of the interval over groups.
        high: Upper end.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Assumption:
    """Something a test takes for granted, looked up on the data.

    Attributes:
        name: The assumption.
        holds: Whether the data agree with it.
        detail: The figures behind it, and what follows where it fails.
    """

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """A hypothesis and what the data say of it.

    Attributes:
        hypothesis: As it is worded.
        question: What a reader wants to know.
        null: What both tests test.
        named: The test that the hypothesis names; it counts faces or images as independent.
        by_group: The test that the verdict rests on; groups of look-alike images are its units.
        design_effect: By how much the dependence within groups multiplies the variance; NaN where it has no meaning.
        effect: With its interval over groups.
        assumptions: What was checked.
        conclusion: Of the hypothesis as it is worded.
        sentence: The verdict in words, from the figures above.
        rejected: The null was rejected by the group-aware test.
        alpha: The level; the intervals have confidence 1 - alpha.
        counts: What was counted, such as faces, images, groups.
        notes: What else a reader must know.
        details: Name → rows of figures behind the verdict.
        p_value_holm: Of `by_group`, corrected for all hypotheses tested together; None before that.
        least_p_value_holm: What it cannot fall below, where it is a bound; else 0.
    """

    hypothesis: str
    question: str
    null: str
    named: Evidence
    by_group: Evidence
    design_effect: float
    effect: Effect
    assumptions: tuple[Assumption, ...]
    conclusion: Conclusion
    sentence: str
    rejected: bool
    alpha: float
    counts: Mapping[str, int]
    notes: tuple[str, ...] = ()
    details: Mapping[str, list[Row]] = field(default_factory=dict)
    p_value_holm: float | None = None
    least_p_value_holm: float = 0.0

    def with_holm(self, p_value: float, least_p_value: float) -> "Verdict":
        """Return the same with the p-value corrected for all hypotheses that were tested, see `holm`."""
        return replace(self, p_value_holm=p_value, least_p_value_holm=least_p_value)

    def record(self) -> dict:
        """Return everything as plain containers for JSON: undefined numbers are None, keys keep their order."""
        group_aware = self.by_group.record() | {
            "p_value_holm": self.p_value_holm,
            "least_p_value_holm": self.least_p_value_holm,
            "design_effect": self.design_effect,
        }
        record = {
            "hypothesis": self.hypothesis,
            "question": self.question,
            "null": self.null,
            **self.named.record(),
            "effect": vars(self.effect),
            "assumptions": [vars(assumption) for assumption in self.assumptions],
            "group_aware": group_aware,
            "verdict": self.sentence,
            "rejected": self.rejected,
            "conclusion": str(self.conclusion),
            "alpha": self.alpha,
            "counts": dict(self.counts),
            "notes": list(self.notes),
            "details": dict(self.details),
        }
        return _plain(record)


def p_columns(name: str, p_value: float | None, least_p_value: float | None) -> Row:
    """Return a p-value and what it cannot fall below for a row of a table.

    >>> p_columns("holm", 0.02, 0.0)
    {'p_value_holm': 0.02, 'least_p_value_holm': 0.0}
    """
    return {f"p_value_{name}": p_value, f"least_p_value_{name}": least_p_value}


def directed_conclusion(p_value: float, difference: float, alpha: float) -> Conclusion:
    """Return what a two-sided test says of "the difference is above 0"."""
    if not p_value < alpha:
        return Conclusion.UNDECIDED
    return Conclusion.SUPPORTED if difference > 0 else Conclusion.REFUTED


def _plain(value: object) -> object:
    """Return a tree of Python's own types, numbers cut to the digits that every machine agrees on."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
    return value
