"""Two phases together: how scores are blended, how crops reach the classifier."""

from functools import partial
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskdet.data.crops import cut_crop
from maskdet.models.classifiers import CropClassifier
from maskdet.models.two_phase import BoxClassifier, blended_scores, class_rows

CUT = partial(cut_crop, margin=0.25, size=16)


SCORES = arrays(np.float64, 6, elements=st.floats(0, 1))


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(SCORES, SCORES, st.floats(0, 1))
def test_blended_scores_lie_between_the_two(scores, probabilities, weight):
    blended = blended_scores(scores, probabilities, weight)
    assert (blended >= np.minimum(scores, probabilities) - 1e-12).all()
    assert (blended <= np.maximum(scores, probabilities) + 1e-12).all()
    np.testing.assert_array_equal(blended_scores(scores, probabilities, 0), scores)
    np.testing.assert_array_equal(blended_scores(scores, probabilities, 1), probabilities)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(SCORES, SCORES)
def test_at_half_the_weight_they_are_the_root_of_the_product(scores, probabilities):
    np.testing.assert_allclose(
        blended_scores(scores, probabilities, 0.5), np.sqrt(scores * probabilities), rtol=1e-9, atol=1e-160
    )


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight):
    with pytest.raises(ValueError, match=r"class_weight: expected a number in \[0, 1\], got"):
        blended_scores(np.ones(2), np.ones(2), weight)


@settings(max_examples=50, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 7), st.floats(0, 1), st.floats(0, 1), st.integers(0, 1000))
def test_every_box_and_class_above_the_floor_is_a_detection(num_boxes, weight, min_score, seed):
    rng = np.random.default_rng(seed)
    scores, probabilities = rng.uniform(size=num_boxes), rng.dirichlet(np.ones(3), num_boxes)
    rows, classes, blended = class_rows(scores, probabilities, weight, min_score)
    expected = {
        (row, k): scores[row] ** (1 - weight) * probabilities[row, k] ** weight
        for row, k in product(range(num_boxes), range(3))
    }
    expected = {pair: score for pair, score in expected.items() if score >= min_score}
    found = dict(zip(zip(rows.tolist(), classes.tolist(), strict=True), blended.tolist(), strict=True))
    assert found == pytest.approx(expected)
    assert (np.diff(blended) <= 0).all()


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="expected a row of probabilities a score, got 1 and 2"):
        class_rows(np.ones(2), np.ones((1, 3)), 0.5, 0)


def test_boxes_are_classified_as_their_crops_are():
    classifier = CropClassifier("sequential_cnn", size=16, hidden=4)
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    boxes_xyxy = np.array([[0, 0, 20, 30], [40.5, 10.2, 80, 60], [30, 5, 33, 8]], np.float32)
    crops = np.stack([cut_crop(image, box, 0.25, 16) for box in boxes_xyxy])
    expected = classifier.predict_probabilities(crops)
    for batch_size in (1, 64):
        found = BoxClassifier(classifier, CUT, batch_size).probabilities(image, boxes_xyxy)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    empty = BoxClassifier(classifier, CUT).probabilities(image, boxes_xyxy[:0])
    assert (empty.shape, empty.dtype) == ((0, 3), np.float32)
    with pytest.raises(ValueError, match="expected a box inside the image"):
        BoxClassifier(classifier, CUT).probabilities(image, np.array([[90.0, 0, 95, 5]]))
