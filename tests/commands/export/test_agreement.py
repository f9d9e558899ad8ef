"""Detections paired one to one: what counts as the same, what does not."""

import numpy as np
import pytest

from maskdet.commands.export.agreement import SCORE_THRESHOLD, agreement, candidates
from maskdet.inference.metadata import DetectOptions
from maskdet.inference.suppression import Detections

NOTHING = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


def detections(*rows: tuple) -> Detections:
    """Return rows of (x_min, y_min, x_max, y_max, score, class index), best first."""
    table = np.array(sorted(rows, key=lambda row: -row[4]), np.float64).reshape(-1, 6)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), table[:, 5].astype(np.int64))


FACES = [(10, 10, 40, 50, 0.9, 0), (60, 12, 90, 40, 0.7, 1), (61, 12, 90, 41, 0.4, 2)]


def test_a_side_agrees_with_itself_in_any_order():
    found = agreement([detections(*FACES)], [detections(*reversed(FACES))])
    assert (found.num_expected, found.num_found, found.share, found.box_px, found.score) == (3, 3, 1.0, 0.0, 0.0)
    assert found.is_close
    assert "same as torch: 3 of 3" in found.to_text("torch")


@pytest.mark.parametrize(
    ("changed", "num_same", "box_px", "score"),
    [
        ((10.4, 10, 40, 50, 0.9, 0), 3, 0.4, 0.0),
        ((10.6, 10, 40, 50, 0.9, 0), 2, 0.6, 0.0),
        ((10, 10, 40, 50, 0.9005, 0), 3, 0.0, 5e-4),
        ((10, 10, 40, 50, 0.895, 0), 2, 0.0, 5e-3),
        ((10, 10, 40, 50, 0.9, 1), 2, 0.0, 0.0),  # of another class: no counterpart, no difference
        ((30, 30, 60, 70, 0.9, 0), 2, 0.0, 0.0),  # elsewhere
    ],
)
def test_limits_of_sameness(changed, num_same, box_px, score):
    found = agreement([detections(*FACES)], [detections(changed, *FACES[1:])])
    assert (found.num_expected_same, found.num_found_same) == (num_same, num_same)
    assert (found.box_px, found.score) == pytest.approx((box_px, score), abs=1e-5)


def test_each_side_is_counted_by_itself_and_images_are_not_mixed():
    first, second = detections(*FACES), detections(FACES[0])
    found = agreement([first, second], [first, NOTHING])
    assert (found.num_expected, found.num_expected_same, found.num_found, found.num_found_same) == (4, 3, 3, 3)
    assert found.share == 0.75
    assert not found.is_close
    assert not agreement([second], [NOTHING]).is_close
    many = [first] * 7
    assert agreement([second, *many], [NOTHING, *many]).is_close  # one of many may differ
    assert not agreement([first, *many], [NOTHING, *many]).is_close
    assert agreement([first], [second]).num_found_same == 1
    assert agreement([NOTHING], [NOTHING]).share == 1.0


def test_a_counterpart_just_below_the_threshold_counts():
    above, below = (5, 5, 30, 30, SCORE_THRESHOLD + 1e-4, 0), (5, 5, 30, 30, SCORE_THRESHOLD - 1e-4, 0)
    found = agreement([detections(above)], [detections(below)])
    assert (found.num_expected, found.num_found, found.share) == (1, 0, 1.0)


def test_a_box_has_one_counterpart():
    twice = detections(FACES[0], FACES[0])
    found = agreement([twice], [detections(FACES[0])])
    assert (found.num_expected_same, found.num_found_same) == (1, 1)


def test_candidates_reach_below_the_threshold_of_comparison():
    boxes = np.array([[0, 0, 9, 9], [20, 20, 29, 29], [40, 40, 49, 49]], np.float32)
    scores = np.array([[0.9], [SCORE_THRESHOLD - 5e-4], [SCORE_THRESHOLD - 5e-3]], np.float32)
    assert len(candidates(boxes, scores, DetectOptions(0.5, 0.5, 10, 10))) == 2
