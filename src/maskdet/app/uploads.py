"""What people send: a picture, a video, or something else, which is told apart before it does harm."""

import io
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO

from PIL import Image
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartParser

from maskdet.app.limits import AppLimits
from maskdet.inference.images_in import HEADER_ERRORS, Picture, read_picture

PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
"""Pillow's names of the formats that are decoded; others, of which some start programs, are not even tried."""

BROKEN, TOO_SLOW, TOO_LARGE, OTHER_KIND = 400, 408, 413, 415
"""HTTP statuses: what is wrong with an upload."""

UPLOADS = "uploads"
"""The folder, in that of the server, where the files of visitors lie."""

_SNIFFED_BYTES = 12
_BOX_TYPES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # of MP4 and QuickTime
_VIDEO_STARTS = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"\x30\x26\xb2\x75",  # ASF: WMV
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"OggS",
    b"FLV",
    b"\x47",  # MPEG transport stream
    b"\x06\x0e\x2b\x34",  # MXF
)


class UploadError(ValueError):
    """An upload that is refused.

    Args:
        status: HTTP status that says why.
        message: One sentence for the person who sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_uploaded(path: str | Path, uploads_dir: Path) -> Path:
    """Refuse a path that leads elsewhere than to what visitors have sent: a file of the server, a link, an address.

    A request can name any path, whatever the page would send.

    Args:
        path: What a visitor says; need not exist, and may be of any type.
        uploads_dir: Where uploads lie.

    Returns:
        The path without links; it lies below the folder.

    Raises:
        UploadError: If it leads elsewhere; nothing was read.
    """
    try:
        real = Path(path).resolve()
    except (TypeError, ValueError, OSError, RuntimeError):  # no text, a zero byte, links in a circle
        real = None
    uploads_dir = uploads_dir.resolve()
    if real is None or real == uploads_dir or not real.is_relative_to(uploads_dir):
        raise UploadError(BROKEN, "This is no file that was sent here.")
    return real


def read_upload(content: bytes, limits: AppLimits) -> Picture:
    """Return the picture that somebody sent, upright.

    Args:
        content: Of the file.
        limits: Of its size in bytes and pixels; a bomb is refused by its header.

    Raises:
        UploadError: If it is empty, too large, no picture, or broken.
    """
    if not content:
        raise UploadError(BROKEN, "The file is empty (0 bytes).")
    check_size(len(content), limits)
    _check_header(content, limits)
    try:
        return read_picture(content, max_pixels=limits.max_pixels)
    except ValueError as error:
        raise UploadError(BROKEN, f"The picture is damaged or cut short: {_reason(error)}.") from error


def check_size(num_bytes: int, limits: AppLimits) -> None:
    """Refuse a file with too many bytes.

    Raises:
        UploadError: Says how many there may be.
    """
    if num_bytes > limits.max_upload_bytes:
        raise UploadError(TOO_LARGE, f"The file is too large: expected at most {limits.max_upload_mb:g} MB.")


def check_pixels(image_wh: tuple[int, int], limits: AppLimits) -> None:
    """Refuse a picture or frame with too many pixels.

    Raises:
        UploadError: Says how many there may be.
    """
    width, height = image_wh
    if width * height > limits.max_pixels:
        most = limits.max_pixels / 1e6
        raise UploadError(TOO_LARGE, f"Too many pixels: expected at most {most:g} million, got {width} x {height}.")


def check_video_file(path: Path, limits: AppLimits) -> None:
    """Refuse a file that is no video by its first bytes: playlists and scripts that FFmpeg would follow, too.

    Raises:
        UploadError: If it is empty, too large, or of another kind.
    """
    num_bytes = path.stat().st_size
    if not num_bytes:
        raise UploadError(BROKEN, "The file is empty (0 bytes).")
    check_size(num_bytes, limits)
    with path.open("rb") as stream:
        start = stream.read(_SNIFFED_BYTES)
    is_video = start.startswith(_VIDEO_STARTS) or start[4:8] in _BOX_TYPES
    if not is_video and not (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        raise UploadError(OTHER_KIND, "This is no video that is read here: expected MP4, MOV, WebM, MKV, AVI or MPEG.")


async def bounded(stream: AsyncIterable[bytes], max_bytes: int, limits: AppLimits) -> AsyncIterator[bytes]:
    """Yield what a stream yields; stop reading as soon as it is too much.

    Args:
        stream: Parts of a request's body.
        max_bytes: Of the body; more than those of the file where it has a wrapping.
        limits: What the message says.

    Raises:
        UploadError: If there is more.
    """
    num_bytes = 0
    async for part in stream:
        num_bytes += len(part)
        if num_bytes > max_bytes:
            raise UploadError(TOO_LARGE, f"The file is too large: expected at most {limits.max_upload_mb:g} MB.")
        yield part


@asynccontextmanager
async def spooled(stream: AsyncIterable[bytes]) -> AsyncIterator[BinaryIO]:
    """Yield what a stream yields as a file, at its start: in memory while it is small, on disk otherwise.

    A hundred uploads that wait for their turn would fill the memory.
    """
    with SpooledTemporaryFile(max_size=MultiPartParser.spool_max_size) as file:
        upload = UploadFile(file)  # writes in a thread what goes to the disk
        async for part in stream:
            await upload.write(part)
        await upload.seek(0)
        yield file


def _check_header(content: bytes, limits: AppLimits) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=PICTURE_FORMATS) as header:
            image_wh = header.size
    except Image.DecompressionBombError as error:
        most = limits.max_pixels / 1e6
        raise UploadError(TOO_LARGE, f"Too many pixels: expected at most {most:g} million, got a bomb.") from error
    except HEADER_ERRORS as error:
        raise UploadError(OTHER_KIND, _other_kind(content)) from error
    check_pixels(image_wh, limits)


def _other_kind(content: bytes) -> str:
    """Return what is said of content whose header no decoder takes; a cut header begins like a picture still."""
    if content.startswith((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")):
        return "The file begins like a picture, but its header is damaged or cut short."
    return "This is no picture that is read here: expected PNG, JPEG, WebP, GIF, BMP or TIFF."


def _reason(error: ValueError) -> str:
    """Return what was wrong, without the part that names the bytes."""
    return str(error).partition(": ")[2].strip().rstrip(".") or "no decoder reads it"
