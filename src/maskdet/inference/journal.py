"""What a run over many images has done so far, on disk: a run that was stopped goes on where it was."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from filelock import FileLock, Timeout

from maskdet.inference.results import ImageResult, shortest_floats
from maskdet.inference.sources import SourceImage
from maskdet.inference.suppression import Detections

JOURNAL_FILE = ".unfinished.jsonl"
"""In the output folder while a run is not finished; a line of settings, then a line an image."""

_VERSION = 1


class Journal:
    """The results of a run, line by line as they come, and those that an earlier run left.

    Used as a context: holds a lock meanwhile, so that no two runs write to one folder. `finish` removes the file; a
    block that is left without it, or a process that is killed, leaves it for the next run.

    Args:
        folder: The output folder, made where it is missing.
        settings: Whatever decides the results, see `settings_of_run`; results of other settings are not taken over.
        is_resumed: Whether results of an earlier run are taken over.

    Attributes:
        num_resumed: Results that were taken over so far.

    Raises:
        ValueError: If another process is writing to the folder.
        OSError: If the folder cannot be written to.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object], is_resumed: bool = True) -> None:
        self._path, self._lock_path = folder / JOURNAL_FILE, folder / f"{JOURNAL_FILE}.lock"
        self._settings = json.dumps({"version": _VERSION, **settings}, sort_keys=True)
        self._is_resumed, self.num_resumed = is_resumed, 0
        self._known: dict[str, dict] = {}

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self._lock_path)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"{self._path.parent}: expected a folder that no other run writes to, one does") from error
        lines = self._read_lines() if self._is_resumed else []
        self._known = {entry["file_name"]: entry for entry in lines}
        # Whole lines alone are kept: a stop may have cut the last one, and appending to it would spoil the next.
        self._stream = self._path.open("w", encoding="ascii")
        self._stream.write(self._settings + "\n")
        for entry in lines:
            self._stream.write(json.dumps(entry) + "\n")
        self._stream.flush()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._lock.release()
        self._lock_path.unlink(missing_ok=True)

    def find(self, image: SourceImage) -> ImageResult | None:
        """Return what an earlier run found in an image; None where it did not come so far, or the file has changed."""
        entry = self._known.get(image.file_name)
        if entry is None or entry["state"] != _file_state(image.path):
            return None
        self.num_resumed += 1
        return _result_of(entry)

    def add(self, image: SourceImage, result: ImageResult) -> None:
        """Keep a result; it survives the process from now on."""
        self._stream.write(json.dumps(_entry_of(image, result)) + "\n")
        self._stream.flush()

    def finish(self) -> None:
        """Remove the file: the run is whole."""
        self._stream.close()
        self._path.unlink(missing_ok=True)

    def _read_lines(self) -> list[dict]:
        """Return the whole lines of an earlier run with the same settings; none where there is no such run."""
        try:
            lines = self._path.read_text(encoding="ascii").split("\n")
        except (FileNotFoundError, UnicodeDecodeError):
            return []
        if lines[0] != self._settings:
            return []
        entries = {}
        for line in lines[1:-1]:  # after the last line break there is nothing, or a line that was cut
            try:
                entry = json.loads(line)
                _result_of(entry)
                entries[entry["file_name"]] = entry
            except (ValueError, KeyError, TypeError):
                continue  # the image is done again
        return list(entries.values())


def settings_of_run(model_path: Path | None, **settings: object) -> dict[str, object]:
    """Return what decides the results of a run: the model file by its content, and whatever else is given.

    Args:
        model_path: A file, or a folder; of OpenVINO's `.xml` the `.bin` counts too. None: a model without a file,
            which is no other's.
        **settings: JSON values.
    """
    if model_path is None:
        return {"model": uuid.uuid4().hex, **settings}
    paths = sorted(model_path.iterdir()) if model_path.is_dir() else [model_path, model_path.with_suffix(".bin")]
    digest = hashlib.sha256()
    for path in dict.fromkeys(paths):
        if path.is_file():
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"model": digest.hexdigest(), **settings}


def _file_state(path: Path) -> list[int] | None:
    """Return what changes when somebody writes to a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _entry_of(image: SourceImage, result: ImageResult) -> dict:
    found = result.detections
    return {
        "file_name": image.file_name,
        "state": _file_state(image.path),
        "image_wh": list(result.image_wh),
        "boxes_xyxy": [shortest_floats(box) for box in found.boxes_xyxy],
        "scores": shortest_floats(found.scores),
        "class_indices": found.class_indices.tolist(),
        "note": result.note,
    }


def _result_of(entry: Mapping) -> ImageResult:
    boxes_xyxy = np.array(entry["boxes_xyxy"], np.float32).reshape(-1, 4)
    scores, class_indices = np.array(entry["scores"], np.float32), np.array(entry["class_indices"], np.int64)
    width, height = entry["image_wh"]
    return ImageResult(
        entry["file_name"], (width, height), Detections(boxes_xyxy, scores, class_indices), entry["note"]
    )
