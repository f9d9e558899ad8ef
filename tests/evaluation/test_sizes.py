"""Thirds of the faces by size: equal parts where sizes allow, every face in one of them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.sizes import TERTILES, area_ranges, size_tertiles
from maskdet.schema import BOX_COLUMNS


def squares(sides: list[float]) -> pd.DataFrame:
    return pd.DataFrame([(0.0, 0.0, side, side) for side in sides], columns=BOX_COLUMNS)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_every_face_lies_in_exactly_one_third(sides):
    ranges = area_ranges(size_tertiles(squares(sides)))
    areas = np.array(sides, float) ** 2
    counts = [((areas >= low) & (areas <= high)) for low, high in (ranges[name] for name in TERTILES)]
    assert (np.sum(counts, axis=0) == 1).all()


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(1, 500), min_size=6, max_size=60, unique_by=lambda side: round(side, 3)))
def test_thirds_of_different_sizes_are_equal_up_to_one(sides):
    ranges = area_ranges(size_tertiles(squares(sides)))
    areas = np.array(sides) ** 2
    counts = [((areas >= ranges[name][0]) & (areas <= ranges[name][1])).sum() for name in TERTILES]
    assert max(counts) - min(counts) <= 1


def test_without_faces_the_bounds_are_undefined_and_the_ranges_empty():
    assert np.isnan(size_tertiles(squares([]))).all()
    assert np.isnan(area_ranges(size_tertiles(squares([])))["tertile_1"][1])


@pytest.mark.parametrize("bounds", [(0, 5), (6, 5), (-1, 5), (float("nan"), 5)])
def test_impossible_bounds_are_named(bounds):
    with pytest.raises(ValueError, match=r"size_bounds_px: expected two positive sizes, the smaller first, got \("):
        area_ranges(bounds)
