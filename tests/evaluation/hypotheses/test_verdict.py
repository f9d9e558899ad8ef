"""Records of verdicts: plain, stable, fit for JSON."""

import json

import numpy as np
import pytest

from maskdet.evaluation.hypotheses.verdict import (
    Assumption,
    Conclusion,
    Effect,
    Evidence,
    Verdict,
    directed_conclusion,
)

VERDICT = Verdict(
    hypothesis="It is so.",
    question="Is it so?",
    null="It is not.",
    named=Evidence("chi-square", np.float64(1 / 3), 1e-310, 2.0),
    by_group=Evidence("F", 2.5, 0.04, (1.5, 40.0)),
    design_effect=float("nan"),
    effect=Effect("w", 0.1, float("nan"), np.float32(0.5)),
    assumptions=(Assumption("many", np.bool_(True), "30 groups"),),
    conclusion=Conclusion.SUPPORTED,
    sentence="So it is.",
    rejected=True,
    alpha=0.05,
    counts={"faces": np.int64(3)},
    details={"rows": [{"name": "a", "p_value": np.float64(0.25), "missing": None}]},
)


def test_a_record_is_json_without_loss():
    record = VERDICT.with_holm(0.08, 0.08).record()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert list(record) == [
        "hypothesis",
        "question",
        "null",
        "test",
        "statistic",
        "df",
        "p_value",
        "least_p_value",
        "effect",
        "assumptions",
        "group_aware",
        "verdict",
        "rejected",
        "conclusion",
        "alpha",
        "counts",
        "notes",
        "details",
    ]
    assert record["statistic"] == pytest.approx(1 / 3, rel=1e-11)
    assert record["p_value"] == 1e-310  # not rounded to 0
    assert record["effect"] == {"name": "w", "value": 0.1, "low": None, "high": 0.5}
    assert record["group_aware"]["df"] == [1.5, 40.0]
    assert record["group_aware"]["p_value_holm"] == record["group_aware"]["least_p_value_holm"] == 0.08
    assert record["group_aware"]["design_effect"] is None
    assert record["assumptions"] == [{"name": "many", "holds": True, "detail": "30 groups"}]
    assert record["conclusion"] == "supported"
    assert record["details"]["rows"][0] == {"name": "a", "p_value": 0.25, "missing": None}
    assert record["counts"] == {"faces": 3}


@pytest.mark.parametrize(
    ("p_value", "difference", "expected"),
    [
        (0.01, 0.2, Conclusion.SUPPORTED),
        (0.01, -0.2, Conclusion.REFUTED),
        (0.05, 0.2, Conclusion.UNDECIDED),
        (float("nan"), 0.2, Conclusion.UNDECIDED),
    ],
)
def test_a_direction_decides_what_a_two_sided_test_says(p_value, difference, expected):
    assert directed_conclusion(p_value, difference, 0.05) is expected
