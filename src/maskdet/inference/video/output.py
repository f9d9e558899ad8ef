"""What is written of a video: the annotated film and the tables, each under a temporary name until it is whole."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from maskdet.atomic import atomic_file
from maskdet.inference.privacy import BlurWindow, blur_faces
from maskdet.inference.video.faces import VideoFace
from maskdet.inference.video.frames import Frame, VideoInfo
from maskdet.inference.video.marks import draw_faces
from maskdet.inference.video.tables import TABLE_FORMATS, FaceTable
from maskdet.inference.video.writer import VideoWriter

FILM_SUFFIX = ".mp4"


@dataclass(frozen=True)
class ShownFrame:
    """A frame with what is drawn on it.

    Attributes:
        frame: Its image is drawn on.
        faces: Whose boxes are drawn.
        blurred_xyxy: (N, 4) float, boxes that are blurred first, also where no box is drawn.
    """

    frame: Frame
    faces: Sequence[VideoFace]
    blurred_xyxy: np.ndarray


class Film:
    """The annotated video.

    Args:
        writer: Of the file.
        class_names: In the order of class indices.
        blur_reach: Frames before and after whose boxes are blurred too; None: nothing is blurred.
    """

    def __init__(self, writer: VideoWriter, class_names: Sequence[str], blur_reach: int | None) -> None:
        self._writer, self._class_names = writer, class_names
        self._window = None if blur_reach is None else BlurWindow[ShownFrame](blur_reach)

    def show(self, shown: ShownFrame) -> None:
        """Write a frame, or where faces are blurred, one a few frames earlier."""
        if self._window is None:
            self._draw(shown, shown.frame.image)
            return
        for earlier, boxes_xyxy in self._window.add(shown, shown.blurred_xyxy):
            self._draw(earlier, blur_faces(earlier.frame.image, boxes_xyxy))

    def show_rest(self) -> None:
        """Write the frames that are still held; call it once at the end."""
        if self._window is not None:
            for earlier, boxes_xyxy in self._window.rest():
                self._draw(earlier, blur_faces(earlier.frame.image, boxes_xyxy))

    def _draw(self, shown: ShownFrame, image: np.ndarray) -> None:
        draw_faces(image, shown.faces, self._class_names)
        self._writer.write(shown.frame.seconds, image)


class VideoOutput:
    """All files of a video that grow with it; they get their names when the block ends, none if it raises.

    Args:
        folder: Made where it does not exist.
        stem: What the files' names begin with.
        info: Of the video.
        class_names: In the order of class indices.

    Attributes:
        files: Their paths.
        film: Of the annotated video, where there is one.
    """

    def __init__(self, folder: Path, stem: str, info: VideoInfo, class_names: Sequence[str]) -> None:
        self._folder, self._stem, self._info, self._class_names = folder, stem, info, class_names
        self._stack = ExitStack()
        self._tables: list[FaceTable] = []
        self.film: Film | None = None
        self.files: list[Path] = []

    def open_tables(self, formats: Sequence[str]) -> None:
        """Begin the tables, keys of `TABLE_FORMATS`."""
        for kind in (TABLE_FORMATS[name] for name in formats):
            temporary = self._temporary(kind.suffix)
            self._tables.append(self._stack.enter_context(kind.open(temporary, self._info, self._class_names)))

    def open_film(self, sound_of: str | None, blur_reach: int | None) -> None:
        """Begin the annotated video."""
        info, temporary = self._info, self._temporary(FILM_SUFFIX)
        writer = VideoWriter(
            temporary, str(self.files[-1]), info.image_wh, info.frame_rate, sound_of, info.begin_seconds
        )
        self.film = Film(self._stack.enter_context(writer), self._class_names, blur_reach)

    def _temporary(self, suffix: str) -> Path:
        path = self._folder / f"{self._stem}{suffix}"
        temporary = self._stack.enter_context(atomic_file(path))
        self.files.append(path)
        return temporary

    def add_rows(self, frame: Frame, faces: Sequence[VideoFace]) -> None:
        """Write the faces of an inferred frame into the tables."""
        for table in self._tables:
            table.add(frame.index, frame.seconds, faces)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
