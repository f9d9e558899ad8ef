"""Faces and people counted by class, and what share of them is masked."""

from collections.abc import Mapping

MASKED_CLASS = "with_mask"
"""The class that counts as masked; one who wears it wrongly is not masked."""


def share_masked(counts: Mapping[str, int]) -> float | None:
    """Return which share of faces or people wears a mask as it should be; None where there is nobody, or no such class.

    >>> share_masked({"with_mask": 3, "without_mask": 1, "mask_weared_incorrect": 2})
    0.5
    """
    total = sum(counts.values())
    return counts[MASKED_CLASS] / total if total and MASKED_CLASS in counts else None


def counted_text(counts: Mapping[str, int]) -> str:
    """Return the sum and its parts as people read them.

    >>> counted_text({"with_mask": 3, "without_mask": 1})
    '4 (with_mask 3, without_mask 1)'
    """
    by_class = ", ".join(f"{name} {count}" for name, count in counts.items())
    return f"{sum(counts.values())} ({by_class})"
