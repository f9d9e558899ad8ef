"""Differences of two runs: error rate where there is none, power where there is one, what may not be compared."""

from dataclasses import replace

import numpy as np
import pytest

from maskdet.evaluation.paired import paired_bootstrap
from simulated_sets import detect, draw_set

SCORE_THRESHOLD = 0.5


def rivals(seed: int, num_groups: int, skill: float = 1.0):
    """Return a set with one detector, the same set with another, and the groups."""
    tables, groups = draw_set(seed, num_groups)
    other = detect(tables.annotations, groups, seed, skill, noise=2)
    return replace(tables, size_bounds_px=None), replace(tables, predictions=other, size_bounds_px=None), groups


def compared(tables_a, tables_b, groups, **options):
    return paired_bootstrap(tables_a, tables_b, groups, SCORE_THRESHOLD, **options).set_index("metric")


def test_equally_good_runs_differ_significantly_about_as_rarely_as_the_level_says():
    num_sets = 50
    p_values = np.array(
        [
            compared(*rivals(seed, num_groups=30), num_replicates=100).loc[["map", "map_50", "recall", "f1"], "p_value"]
            for seed in range(num_sets)
        ]
    )  # (sets, metrics)
    assert ((p_values < 0.05).mean(axis=0) <= 0.15).all()  # 8 of 50: above it one time in 300 at a true rate of 0.05
    assert (p_values < 0.05).mean() <= 0.10
    assert ((p_values < 0.5).mean(axis=0) > 0.3).all()  # and it is not merely cautious
    assert ((p_values < 0.5).mean(axis=0) < 0.7).all()


def test_a_worse_run_is_found_out():
    rows = compared(*rivals(0, num_groups=120, skill=0.6), num_replicates=300)
    assert rows.loc["map", "p_value"] < 0.01
    assert rows.loc["map", "high"] < 0
    defined = rows.dropna()
    assert (defined["least_p_value"] >= 2 / 301).all()
    assert (defined["p_value"] >= defined["least_p_value"]).all()
    assert defined["percentile_p_value"].between(2 / 301, 1).all()


def test_a_run_against_itself_has_no_difference():
    tables, groups = draw_set(seed=0, num_groups=20)
    rows = compared(tables, tables, groups, num_replicates=20).dropna()
    assert rows[["difference", "low", "high"]].eq(0).all(axis=None)
    assert rows["p_value"].to_numpy() == pytest.approx(1)


def test_exchanged_runs_give_the_opposite():
    tables_a, tables_b, groups = rivals(1, num_groups=25, skill=0.8)
    forth, back = (
        compared(*pair, groups, num_replicates=60).dropna() for pair in ((tables_a, tables_b), (tables_b, tables_a))
    )
    np.testing.assert_allclose(forth["difference"], -back["difference"], atol=1e-12)
    np.testing.assert_allclose(forth["low"], -back["high"], atol=1e-9)
    np.testing.assert_allclose(forth["p_value"], back["p_value"], atol=1e-9)


def test_rows_in_another_order_are_the_same_truth():
    tables_a, tables_b, groups = rivals(1, num_groups=10)
    shuffled = replace(
        tables_b, annotations=tables_b.annotations[::-1].reset_index(drop=True), images=tables_b.images[::-1]
    )
    assert len(compared(tables_a, shuffled, groups, num_replicates=5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "fewer images",
            r"expected two runs on the same images, got \d+ and \d+ images; only one run has 'image_000000\.png'",
        ),
        ("fewer true boxes", r"expected two runs on the same true boxes, got different ones in 'image_\d+\.png'"),
        ("moved true box", r"expected two runs on the same true boxes, got different ones in 'image_\d+\.png'"),
        ("repeated true box", r"expected two runs on the same true boxes, got different ones in 'image_\d+\.png'"),
        ("other bounds", r"expected two runs with the same size bounds, got None and \(10\.0, 20\.0\)"),
    ],
)
def test_runs_on_other_sets_are_refused(change, message):
    tables_a, tables_b, groups = rivals(1, num_groups=10)
    truth = tables_b.annotations
    if change == "fewer images":
        first = tables_b.images["file_name"].iloc[0]
        parts = (tables_b.images, truth, tables_b.predictions)
        other = replace(
            tables_b,
            **{
                name: table[table["file_name"] != first].reset_index(drop=True)
                for name, table in zip(("images", "annotations", "predictions"), parts, strict=True)
            },
        )
    elif change == "other bounds":
        other = replace(tables_b, size_bounds_px=(10.0, 20.0))
    else:
        moved = truth.assign(x_max=truth["x_max"].where(truth.index != 3, truth["x_max"] + 1))
        changed = {
            "fewer true boxes": truth[1:],
            "moved true box": moved,
            "repeated true box": truth.iloc[[0, *range(len(truth))]],
        }
        other = replace(tables_b, annotations=changed[change].reset_index(drop=True))
    with pytest.raises(ValueError, match=message):
        compared(tables_a, other, groups, num_replicates=5)
