"""Follow people through a video: one number a person, and a class that does not flicker.

ByteTrack (Zhang et al. 2022, https://arxiv.org/abs/2110.06864) of the package `trackers`: detections below the
threshold of shown ones continue a person that was found before, but begin none. It sees boxes alone: a person who
leaves the picture or is hidden for longer than a second comes back as somebody else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskdet.boxes import box_iou
from maskdet.inference.suppression import Detections, one_class_per_face
from maskdet.inference.video.faces import VideoFace

LOST_SECONDS = 1.0
"""How long a person may be hidden and keeps the number."""

HALF_LIFE_SECONDS = 0.5
"""How long it takes until what was seen of a person counts half for the class that is shown."""

TRACKING_SCORE_THRESHOLD = 0.1
"""Detections from this score on continue a person."""

_BEGIN = 0.5  # what a class's threshold becomes for the tracker, which knows one threshold alone


@dataclass
class Person:
    """What is known of a person.

    Attributes:
        number: 1-based, in the order in which people are first seen twice.
        first_seconds: When first seen, and `last_seconds` when last.
        num_frames: In how many frames that were inferred.
        votes: (C,) float64, the scores of each class, summed over the frames: the whole person's class is the highest.
        recent: (C,) float64, the same with each frame's weight halved every `HALF_LIFE_SECONDS`: the class shown.
    """

    number: int
    first_seconds: float
    last_seconds: float
    num_frames: int
    votes: np.ndarray
    recent: np.ndarray

    def see(self, seconds: float, scores: np.ndarray) -> None:
        """Add a frame: when it was and its (C,) scores, 0 for classes that were not detected."""
        fade = 0.5 ** ((seconds - self.last_seconds) / HALF_LIFE_SECONDS)
        self.votes, self.recent = self.votes + scores, fade * self.recent + scores
        self.last_seconds, self.num_frames = seconds, self.num_frames + 1


class PersonTracker:
    """Gives detections of one frame after the other to people. The same detections always give the same people.

    Why two ways to smooth: a single wrong frame must change neither what is shown nor what is counted. Shown is the
    class with the most score of the last half second or so, for a person may put a mask on; counted is the class
    with the most score over all frames, for a person is counted once. Scores, not frames, are summed: a sure look
    outweighs several doubtful ones.

    Args:
        thresholds: By class name: detections from it on begin a person; lower ones, from `TRACKING_SCORE_THRESHOLD`
            on, continue one.
        frame_rate: Inferred frames per second, on average.

    Attributes:
        people: Everybody who was followed so far, by number.

    Raises:
        ValueError: If `trackers`, an extra, is not installed.
    """

    def __init__(self, thresholds: Mapping[str, float], frame_rate: float) -> None:
        try:
            from trackers import ByteTrackTracker  # seconds: only who tracks waits
        except ImportError as error:
            raise ValueError("following people: expected the package trackers: pip install 'maskdet[video]'") from error

        self.class_names = tuple(thresholds)
        self._thresholds = np.array(list(thresholds.values()), np.float64)  # (C,)
        self._tracker = ByteTrackTracker(
            lost_track_buffer=round(30 * LOST_SECONDS),  # its unit is a thirtieth of a second
            frame_rate=frame_rate,
            track_activation_threshold=_BEGIN,
            high_conf_det_threshold=_BEGIN,
        )
        self.people: dict[int, Person] = {}

    def update(self, found: Detections, seconds: float) -> list[VideoFace]:
        """Take the next inferred frame.

        Args:
            found: All detections of the frame from `TRACKING_SCORE_THRESHOLD` on, best first.
            seconds: Its time; later than that of the frame before.

        Returns:
            The faces to show, best first: those of people, and those from the thresholds on that are nobody's yet.
        """
        faces, scores = _faces_of(found, len(self.class_names))  # K detections, (K, C)
        strengths = self._strengths(faces)  # (K,)
        numbers = self._numbers(faces, strengths, seconds)
        shown = []
        for row, number in enumerate(numbers):
            box, class_index = faces.boxes_xyxy[row], int(faces.class_indices[row])
            if number is not None:
                person = self._person(number, seconds)
                person.see(seconds, scores[row])
                class_index = int(person.recent.argmax())
            elif strengths[row] < _BEGIN:
                continue
            shown.append(VideoFace(box, class_index, faces.scores[row], number))
        return shown

    def _person(self, number: int, seconds: float) -> Person:
        if number not in self.people:
            nothing = np.zeros(len(self.class_names))
            self.people[number] = Person(number, seconds, seconds, 0, nothing, nothing)
        return self.people[number]

    def _strengths(self, faces: Detections) -> np.ndarray:
        """Return scores on a scale on which the threshold of every class is one number, `_BEGIN`."""
        scores, limits = faces.scores.astype(np.float64), self._thresholds[faces.class_indices]
        below = _BEGIN * np.divide(scores, limits, out=np.ones_like(scores), where=limits > 0)
        above = _BEGIN + (1 - _BEGIN) * np.divide(
            scores - limits, 1 - limits, out=np.ones_like(scores), where=limits < 1
        )
        # The threshold of a float32 score is a float32 too: one that equals it is not below it.
        return np.where(faces.scores >= limits.astype(np.float32), np.maximum(above, _BEGIN), below)

    def _numbers(self, faces: Detections, strengths: np.ndarray, seconds: float) -> list[int | None]:
        """Return the number of each face's person."""
        import supervision

        rows = np.arange(len(faces))
        given = supervision.Detections(
            xyxy=faces.boxes_xyxy, confidence=strengths, class_id=faces.class_indices, data={"row": rows}
        )
        tracked = self._tracker.update(given, timestamp=seconds)
        numbers: list[int | None] = [None] * len(faces)
        if len(tracked):
            for row, tracker_id in zip(tracked.data["row"], tracked.tracker_id, strict=True):
                numbers[row] = None if tracker_id < 0 else int(tracker_id) + 1
        return numbers

    def counted_people(self, min_frames: int) -> list[Person]:
        """Return the people who were seen in at least as many inferred frames, in the order of their numbers."""
        return [self.people[number] for number in sorted(self.people) if self.people[number].num_frames >= min_frames]


def _faces_of(found: Detections, num_classes: int) -> tuple[Detections, np.ndarray]:
    """Join the detections of one face: a box may be detected once a class.

    Args:
        found: N detections, best first.
        num_classes: C.

    Returns:
        The best detection of each of K faces, best first, and (K, C) float64, the highest score of each class among
        the detections of this face.
    """
    faces = one_class_per_face(found)
    scores = np.zeros((len(faces), num_classes))
    if len(faces):
        owners = box_iou(faces.boxes_xyxy, found.boxes_xyxy).argmax(axis=0)  # (N,) which face a detection belongs to
        np.maximum.at(scores, (owners, found.class_indices), found.scores)
    return faces, scores


def min_frames_of(frame_rate: float, seconds: float = 0.3) -> int:
    """Return in how many inferred frames somebody must be seen to count as a person: those of a moment, at least two.

    >>> min_frames_of(30), min_frames_of(2)
    (9, 2)
    """
    return max(2, math.ceil(round(frame_rate * seconds, 6)))


def count_by_class(people: Sequence[Person], class_names: Sequence[str]) -> dict[str, int]:
    """Return how many people have each class over all their frames, 0 where nobody has."""
    counts = dict.fromkeys(class_names, 0)
    for person in people:
        counts[class_names[int(person.votes.argmax())]] += 1
    return counts
