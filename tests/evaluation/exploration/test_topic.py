"""Histograms lose no value; quantiles and classes of a set."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from maskdet.evaluation.exploration.topic import histogram, occurring_classes, spread
from maskdet.schema import CLASS_NAMES

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(VALUES, st.lists(st.integers(-50, 50), min_size=2, max_size=12, unique=True))
def test_a_histogram_counts_every_value_once_as_numpy_does(values, edges):
    edges = np.sort(np.array(edges, float))
    table = histogram({"all": values, "none": []}, edges)
    of_all, of_none = (table[table["series"] == name] for name in ("all", "none"))
    inside = np.clip(values, edges[0], edges[-1])  # numpy closes the last bin
    assert of_all["count"].tolist() == np.histogram(inside, edges)[0].tolist()
    assert of_all["count"].sum() == len(values)
    assert np.isclose(of_all["share"].sum(), 1 if values else 0)
    assert (of_none["count"] == 0).all()
    assert np.array_equal(np.append(of_all["low"], of_all["high"].iloc[-1]), edges)


def test_nothing_has_no_quantiles():
    assert np.isnan(list(spread([]).values())).all()


def test_classes_that_occur_come_in_their_order():
    assert occurring_classes(pd.DataFrame({"class_name": list(reversed(CLASS_NAMES))})) == list(CLASS_NAMES)
    assert occurring_classes(pd.DataFrame({"class_name": []})) == []
