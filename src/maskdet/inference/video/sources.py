"""What words name a video, and what it is called in messages and results. Loads no library: asking is quick."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp",
    ".ogv", ".mxf",
)  # fmt: skip
"""Names of video files end so, in any case. A file that is named by itself is opened whatever its suffix."""


def is_video_source(source: str | Path) -> bool:
    """Say whether a word of a command line means a video: a camera's number, an address, or a file called like one.

    >>> [is_video_source(word) for word in ("0", "rtsp://camera/1", "a/Clip.MOV", "a.png")]
    [True, True, True, False]
    """
    text = str(source)
    return text.isdecimal() or is_address(text) or text.lower().endswith(VIDEO_SUFFIXES)


def is_address(location: str) -> bool:
    """Say whether a source is an address of the network, not a path.

    >>> is_address("rtsp://camera/1"), is_address("clips/a.mp4")
    (True, False)
    """
    return "://" in location


def public_address(address: str) -> str:
    """Return an address without user, password and query, which may hold a key: it is printed and written to tables.

    >>> public_address("rtsp://me:secret@10.0.0.2:554/live?key=1")
    'rtsp://10.0.0.2:554/live'
    """
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def camera_name(index: int) -> str:
    """Return what a camera is called."""
    return f"camera {index}"


def source_name(source: str | Path | int) -> str:
    """Return what messages call a source: its path as given, `camera 0`, an address without passwords.

    >>> source_name("0"), source_name("rtsp://me:secret@door/live")
    ('camera 0', 'rtsp://door/live')
    """
    text = str(source)
    if text.isdecimal():
        return camera_name(int(text))
    return public_address(text) if is_address(text) else text


def result_stems(sources: Sequence[str | Path | int]) -> list[str]:
    """Return a name for the results of each source, no two alike: `result_stem`, numbered where it is taken.

    >>> result_stems(["a/clip.mp4", "b/Clip.mov", "0"])
    ['clip', 'Clip_2', 'camera_0']
    """
    taken: set[str] = set()
    stems = []
    for source in sources:
        stem = result_stem(source)
        numbered = (f"{stem}_{number}" for number in count(2))
        stems.append(next(name for name in chain([stem], numbered) if name.lower() not in taken))
        taken.add(stems[-1].lower())  # some file systems take capitals for small letters
    return stems


def result_stem(source: str | Path | int) -> str:
    """Return the name that results of a source begin with: letters, digits, dots, dashes and underscores.

    >>> result_stem("clips/door 3.mov"), result_stem("0"), result_stem("rtsp://me:secret@10.0.0.2:554/live?key=1")
    ('door 3', 'camera_0', '10.0.0.2_554_live')
    """
    text = str(source)
    if text.isdecimal():
        return camera_name(int(text)).replace(" ", "_")
    if not is_address(text):
        return Path(text).stem
    kept = public_address(text).partition("://")[2]
    return "".join(letter if letter.isalnum() or letter in ".-_" else "_" for letter in kept).strip("_.") or "stream"
