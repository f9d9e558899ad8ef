"""People get numbers and classes that last; the same detections give the same people."""

import sys

import numpy as np
import pytest

from drawn_film import ColourPredictor, Walker, film
from maskdet.inference.suppression import Detections
from maskdet.inference.video.tracking import PersonTracker, count_by_class, min_frames_of
from maskdet.schema import CLASS_NAMES

THRESHOLDS = {"with_mask": 0.5, "without_mask": 0.4, "mask_weared_incorrect": 0.3}


def detections(*rows: tuple[float, int, float]) -> Detections:
    """Return boxes of 40 pixels whose left end, class and score are given."""
    rows = sorted(rows, key=lambda row: -row[2])
    boxes = [[x, 50, x + 40, 90] for x, _, _ in rows]
    scores, classes = [score for *_, score in rows], [index for _, index, _ in rows]
    return Detections(np.float32(boxes).reshape(-1, 4), np.float32(scores), np.array(classes, np.int64))


def tracked(frames: list[Detections], rate: float = 25) -> tuple[PersonTracker, list]:
    tracker = PersonTracker(THRESHOLDS, rate)
    return tracker, [tracker.update(found, index / rate) for index, found in enumerate(frames)]


def follow(walkers: list[Walker], num_frames: int) -> tuple[PersonTracker, dict[int, set]]:
    """Track drawn people; return the tracker and the numbers that each plate was given."""
    predictor = ColourPredictor()
    tracker, numbers = PersonTracker(predictor.thresholds, 25), {}
    for index, image in enumerate(film(walkers, num_frames)):
        for face in tracker.update(predictor.detect(image, 0.1), index / 25):
            numbers.setdefault(face.class_index, set()).add(face.person)
    return tracker, {key: found - {None} for key, found in numbers.items()}


def test_two_people_who_cross_keep_their_two_numbers():
    tracker, numbers = follow([Walker(0, (30, 56), (6, 0)), Walker(1, (290, 66), (-6, 0), seed=3)], 43)
    assert numbers == {0: {1}, 1: {2}}
    assert count_by_class(tracker.counted_people(8), CLASS_NAMES) == dict(zip(CLASS_NAMES, (1, 1, 0), strict=True))


def test_people_who_stand_apart_and_one_who_comes_later():
    walkers = [Walker(0, (40, 60), (0, 0)), Walker(1, (150, 60), (1, 0)), Walker(2, (380, 60), (-6, 0))]
    _, numbers = follow(walkers, 35)
    assert numbers == {0: {1}, 1: {2}, 2: {3}}


def test_the_same_detections_give_the_same_people():
    rng = np.random.default_rng(0)
    frames = [
        detections(*((x, int(rng.integers(3)), rng.uniform(0.1, 1)) for x in rng.uniform(0, 600, 8))) for _ in range(60)
    ]
    results = [
        [[(face.person, face.class_index, float(face.score)) for face in faces] for faces in tracked(frames)[1]]
        for _ in range(2)
    ]
    assert results[0] == results[1]


def test_without_faces_nobody_is_there():
    tracker, shown = tracked([detections()] * 3)
    assert shown == [[], [], []]
    assert tracker.counted_people(1) == []
    assert count_by_class([], CLASS_NAMES) == dict.fromkeys(CLASS_NAMES, 0)


def test_a_first_look_is_shown_without_a_number():
    _, shown = tracked([detections((100, 0, 0.9))] * 2)
    assert [face.person for faces in shown for face in faces] == [None, 1]


def test_a_weak_detection_begins_nobody_and_is_not_shown():
    tracker, shown = tracked([detections((100, 0, 0.3))] * 10)
    assert shown == [[]] * 10
    assert tracker.people == {}


def test_a_weak_detection_continues_a_person():
    strong, weak = detections((100, 0, 0.9)), detections((100, 0, 0.15))
    _, shown = tracked([strong] * 3 + [weak] * 20 + [strong])
    assert [face.person for faces in shown[1:] for face in faces] == [1] * 23
    assert float(shown[10][0].score) == pytest.approx(0.15)


@pytest.mark.parametrize(("class_index", "score"), [(0, 0.5), (1, 0.4), (2, 0.3)])
def test_each_class_begins_people_from_its_own_threshold_on(class_index, score):
    assert len(tracked([detections((100, class_index, score))] * 3)[0].people) == 1
    below = float(np.nextafter(np.float32(score), np.float32(0)))
    assert len(tracked([detections((100, class_index, below))] * 3)[0].people) == 0


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_at_the_ends_of_the_scale(threshold):
    tracker = PersonTracker(dict.fromkeys(CLASS_NAMES, threshold), 25)
    shown = [tracker.update(detections((100, 0, 1.0)), k / 25) for k in range(3)]
    assert [len(faces) for faces in shown] == [1, 1, 1]


def test_one_face_detected_as_two_classes_is_one_person():
    tracker, shown = tracked([detections((100, 0, 0.6), (101, 2, 0.7))] * 10)
    assert [len(faces) for faces in shown] == [1] * 10
    assert len(tracker.people) == 1
    assert tracker.people[1].votes == pytest.approx([9 * 0.6, 0, 9 * 0.7], rel=1e-6)


def test_a_flicker_of_the_class_is_not_shown():
    frames = [detections((100, 0, 0.8))] * 20
    frames[10] = frames[15] = detections((100, 1, 0.8))
    _, shown = tracked(frames)
    assert {face.class_index for faces in shown for face in faces} == {0}


def test_a_mask_that_is_put_on_shows_within_a_second_and_the_person_is_counted_once():
    frames = [detections((100, 1, 0.8))] * 75 + [detections((100, 0, 0.8))] * 50
    tracker, shown = tracked(frames)
    classes = [faces[0].class_index for faces in shown]
    assert 75 < classes.index(0) < 100
    assert classes == sorted(classes, reverse=True)  # it changes once
    assert count_by_class(tracker.counted_people(8), CLASS_NAMES) == dict(zip(CLASS_NAMES, (0, 1, 0), strict=True))


def test_a_sure_look_outweighs_several_doubtful_ones():
    frames = [detections((100, 1, 0.4))] * 10 + [detections((100, 0, 0.95))] * 6
    tracker, _ = tracked(frames)
    assert int(tracker.people[1].votes.argmax()) == 0  # 5.7 against 3.6


def test_who_is_hidden_shortly_keeps_the_number_and_who_is_long_away_gets_another():
    face, nobody = [detections((100, 0, 0.9))], [detections()]
    assert len(tracked(face * 10 + nobody * 20 + face * 10)[0].people) == 1
    assert len(tracked(face * 10 + nobody * 40 + face * 10)[0].people) == 2


def test_times_not_frames_say_how_long_somebody_is_away():
    tracker = PersonTracker(THRESHOLDS, 25)
    for seconds in (0, 0.04, 0.08, 2.0, 2.04, 2.08):  # a stream that stood still
        tracker.update(detections((100, 0, 0.9)), seconds)
    assert len(tracker.people) == 2


def test_a_person_of_few_frames_is_not_counted():
    frames = [detections((100, 0, 0.9), (300, 1, 0.9))] * 4 + [detections((100, 0, 0.9))] * 10
    tracker, _ = tracked(frames)
    assert [person.num_frames for person in tracker.counted_people(1)] == [13, 3]
    assert [person.number for person in tracker.counted_people(8)] == [1]
    person = tracker.people[1]
    assert (person.first_seconds, person.last_seconds) == (0.04, pytest.approx(13 / 25))


def test_min_frames_is_at_least_two_whatever_the_rate():
    assert [min_frames_of(rate) for rate in (0.1, 5, 10, 25, 30, 60)] == [2, 2, 3, 8, 9, 18]


def test_without_the_extra_a_clear_word(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackers", None)
    with pytest.raises(ValueError, match=r"expected the package trackers: pip install 'maskdet\[video\]'"):
        PersonTracker(THRESHOLDS, 25)
