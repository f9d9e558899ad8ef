"""What a video showed: faces and people by class, the share masked, how it went over time and how quickly."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskdet.atomic import atomic_file
from maskdet.inference.counts import counted_text, share_masked
from maskdet.inference.video.faces import VideoFace
from maskdet.inference.video.tracking import Person


class Timeline:
    """Counts faces by class and second of the video.

    Args:
        class_names: In the order of class indices.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.num_frames: dict[int, int] = {}
        self.num_faces: dict[int, list[int]] = {}

    def add(self, seconds: float, faces: Sequence[VideoFace]) -> None:
        """Count the faces of an inferred frame."""
        second = int(seconds)
        self.num_frames[second] = self.num_frames.get(second, 0) + 1
        counts = self.num_faces.setdefault(second, [0] * len(self.class_names))
        for face in faces:
            counts[face.class_index] += 1

    def totals(self) -> dict[str, int]:
        """Return the faces of each class over all frames: a face counts once a frame."""
        columns = zip(*self.num_faces.values(), strict=True) if self.num_faces else [()] * len(self.class_names)
        return {name: sum(column) for name, column in zip(self.class_names, columns, strict=True)}

    def write_csv(self, path: Path) -> None:
        """Write a row a second that had inferred frames: the frames, faces by class, and the share masked.

        The share is that of the faces, empty where there is none.
        """
        with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["second", "num_frames", *self.class_names, "share_masked"])
            for second in sorted(self.num_frames):
                counts = self.num_faces[second]
                share = share_masked(dict(zip(self.class_names, counts, strict=True)))
                row = [second, self.num_frames[second], *counts, "" if share is None else round(share, 4)]
                writer.writerow(row)


def write_people(people: Sequence[Person], class_names: Sequence[str], path: Path) -> None:
    """Write a row a person: the class with the most score over all frames, its share of the score, when and how long.

    Args:
        people: Those that are counted.
        class_names: In the order of class indices.
        path: Replaced if it is there.
    """
    with atomic_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["person", "class_name", "share_of_score", "first_seconds", "last_seconds", "num_frames"])
        for person in people:
            best = int(person.votes.argmax())
            share = round(float(person.votes[best] / person.votes.sum()), 4)
            times = [round(person.first_seconds, 3), round(person.last_seconds, 3)]
            writer.writerow([person.number, class_names[best], share, *times, person.num_frames])


@dataclass
class VideoSummary:
    """What became of a video.

    Attributes:
        name: Of the source.
        num_frames: Frames written.
        num_inferred: Frames that the model saw.
        num_dropped: Frames that a live source sent and nobody had time for.
        video_seconds: From the first frame to the end of the last.
        wall_seconds: How long it took, loading the model left out.
        every: Every how many-th frame was inferred.
        num_faces: By class: faces of inferred frames; a face counts once a frame.
        num_people: By class: people; None where they were not tracked.
        notes: What a person should know: what is missing, and why.
        is_interrupted: Whether the user stopped it; the results are those until then.
        files: What was written.
    """

    name: str
    every: int
    num_faces: dict[str, int]
    num_frames: int = 0
    num_inferred: int = 0
    num_dropped: int = 0
    video_seconds: float = 0.0
    wall_seconds: float = 0.0
    num_people: dict[str, int] | None = None
    notes: list[str] = field(default_factory=list)
    is_interrupted: bool = False
    files: list[Path] = field(default_factory=list)

    @property
    def frames_per_second(self) -> float:
        """Return the frames written by second of the clock on the wall: decoding, model and encoding together."""
        return self.num_frames / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def share_masked(self) -> float | None:
        """Return the share masked, of people where they were tracked, else of faces; None where there is nobody."""
        return share_masked(self.num_people if self.num_people is not None else self.num_faces)

    def to_record(self) -> dict[str, object]:
        """Return the summary as a JSON object."""
        return {
            "source": self.name,
            "num_frames": self.num_frames,
            "num_inferred": self.num_inferred,
            "num_dropped": self.num_dropped,
            "every": self.every,
            "video_seconds": round(self.video_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
            "frames_per_second": round(self.frames_per_second, 2),
            "num_faces": self.num_faces,
            "num_people": self.num_people,
            "share_masked": self.share_masked,
            "is_interrupted": self.is_interrupted,
            "notes": self.notes,
            "files": [str(path) for path in self.files],
        }

    def lines(self) -> list[str]:
        """Return what a person reads at the end."""
        every = "" if self.every == 1 else f", one in {self.every} inferred, its boxes held between"
        lines = [
            f"video:  {self.name}",
            f"frames: {self.num_frames} ({self.video_seconds:.1f} s) in {self.wall_seconds:.1f} s "
            f"({self.frames_per_second:.1f} frames/s{every})",
            f"faces:  {counted_text(self.num_faces)}, summed over the inferred frames",
        ]
        if self.num_people is not None:
            lines.append(f"people: {counted_text(self.num_people)}")
        if self.share_masked is not None:
            of_what = "faces" if self.num_people is None else "people"
            lines.append(f"masked: {self.share_masked:.0%} of the {of_what}")
        lines += [f"note:   {note}" for note in self.notes]
        return lines + [f"wrote   {path}" for path in self.files]
