"""Frames of a video file, each with its own time."""

from collections.abc import Iterator
from itertools import chain

from maskdet.inference.video.decoder import Decoder
from maskdet.inference.video.frames import Frame, VideoInfo, fitted, spaced


class VideoFile:
    """A video that has an end: a file, or one that a server offers with its length.

    Frames keep their own times, so a variable frame rate stays what it is. What a damaged file lacks is said in
    `notes`: packets that cannot be decoded are skipped, and a file that breaks off ends where it does.

    Args:
        decoder: Of the file; closed by `close`.
        location: Path or address, for the sound.
        name: What messages call it.

    Raises:
        ValueError: If no frame can be read.
    """

    def __init__(self, decoder: Decoder, location: str, name: str) -> None:
        self._decoder, self._pictures = decoder, iter(decoder)
        self._is_stopped = False
        first = next(self._pictures, None)
        if first is None:
            raise ValueError(f"{name}: expected a video with frames, got one without any that can be decoded")
        self._pictures = chain([first], self._pictures)
        begin_seconds = spaced(first[0], None, decoder.frame_rate)
        image_wh = first[1].shape[1], first[1].shape[0]
        self.info = VideoInfo(name, image_wh, decoder.frame_rate, decoder.num_frames, False, begin_seconds)
        self.location: str | None = location
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, until the file ends or breaks off."""
        previous, index = None, 0
        for seconds, image in self._pictures:
            if self._is_stopped:
                return
            previous = spaced(seconds - self.info.begin_seconds, previous, self.info.frame_rate)
            yield Frame(index, previous, fitted(image, self.info.image_wh))
            index += 1
        self._note_damage(index, previous or 0.0)

    def _note_damage(self, num_frames: int, end_seconds: float) -> None:
        decoder = self._decoder
        if decoder.num_broken:
            self.notes.append(f"{decoder.num_broken} damaged packets of the file were skipped")
        # Sound may last a little longer than the pictures, and durations are rounded.
        is_short = decoder.duration is not None and end_seconds < 0.9 * decoder.duration - 1
        if decoder.is_cut_short or is_short:
            declared = "" if decoder.duration is None else f", the file says {decoder.duration:.1f} s"
            self.notes.append(f"the pictures end after {num_frames} frames, at {end_seconds:.1f} s{declared}")

    def stop(self) -> None:
        """End the iteration at the next frame."""
        self._is_stopped = True

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()
