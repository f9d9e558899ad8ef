"""Repaired picture files: renamed after their content, one picture, RGB, no EXIF orientation."""

import io
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from PIL import Image

from maskdet.data.audit.headers import PNG_TEXT_EXIF, Header
from maskdet.data.audit.pictures import SUFFIXES
from maskdet.data.formats.pairing import pairing_key
from maskdet.data.image import read_image

LEFT_OUT_RULES = ("image-unreadable", "image-truncated", "image-huge")
"""A picture that breaks one of these is left out of a repaired set."""

FILE_RULES = ("image-suffix", "image-animated", "image-exif-rotated", "image-cmyk")
"""A picture that breaks one of these becomes another file."""

_REDRAWN_RULES = ("image-animated", "image-cmyk")
_JPEG_OPTIONS = {"quality": 95, "subsampling": 0}
_TRANSPOSITIONS = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG_START, _PNG_EXIF, _PNG_FRAME = 8, b"eXIf", 12  # bytes of the signature; bytes of a chunk around its data
_PNG_TEXTS, _PNG_TEXT_EXIF = (b"tEXt", b"zTXt", b"iTXt"), PNG_TEXT_EXIF.encode() + b"\0"
_JPEG_START, _JPEG_SCAN = 2, 0xDA
_JPEG_DROPPED = {0xE1: (b"Exif\0", b"http://ns.adobe.com/xap/"), 0xE2: (b"MPF\0",)}  # XMP may say the orientation too


def repaired_name(file_name: str, header: Header) -> str:
    """Return the name of a picture's repaired file: its own where its suffix is right.

    Args:
        file_name: Posix path.
        header: Of the file.
    """
    suffixes, path = SUFFIXES.get(header.format, SUFFIXES["PNG"]), PurePosixPath(file_name)
    return file_name if path.suffix.lower() in suffixes else str(path.with_suffix(suffixes[0]))


def apart(names: Mapping[str, str], *, is_by_stem: bool) -> dict[str, str]:
    """Return the names with underscores at the end of those that would meet in a written set.

    Args:
        names: Old name → the new one that is wanted; one that is not to change keeps it if no earlier one has it.
        is_by_stem: Label files are named after pictures without their suffix, so that two suffixes meet too.

    Returns:
        Old → new, in the order of `names`.
    """

    def key(name: str) -> str:
        return pairing_key(name) + ("" if is_by_stem else PurePosixPath(name).suffix)

    owners: dict[str, str] = {}
    for old in names:
        owners.setdefault(key(old), old)
    found = {}
    for old, wanted in names.items():
        path = PurePosixPath(wanted)
        while owners.get(key(str(path)), old) != old:
            path = path.with_stem(f"{path.stem}_")
        owners[key(str(path))] = old
        found[old] = str(path)
    return found


def repaired_content(path: Path, header: Header, rules: Collection[str], *, is_turned: bool) -> bytes:
    """Return the bytes of a repaired picture file.

    Pixels stay as they are wherever the file can be mended without decoding it; else they are those that the pipeline
    reads, written without loss as PNG, or as JPEG of quality 95 where the file was one.

    Args:
        path: The file as it is.
        header: Of it.
        rules: Those of `FILE_RULES` that it breaks.
        is_turned: Its pixels are to be turned as EXIF says.
    """
    if header.format in SUFFIXES and not is_turned and not set(rules) & set(_REDRAWN_RULES):
        content = path.read_bytes()
        return without_exif(content) if "image-exif-rotated" in rules else content
    picture = Image.fromarray(read_image(path))
    if is_turned:
        picture = picture.transpose(_TRANSPOSITIONS[header.orientation])
    buffer = io.BytesIO()
    is_jpeg = header.format == "JPEG"
    picture.save(buffer, format="JPEG" if is_jpeg else "PNG", **(_JPEG_OPTIONS if is_jpeg else {}))
    return buffer.getvalue()


def without_exif(content: bytes) -> bytes:
    """Return a PNG or JPEG file without its EXIF block, every other byte as it was.

    Args:
        content: Of a file whose header was read.

    Raises:
        ValueError: If it is neither.
    """
    if content.startswith(b"\x89PNG"):
        return b"".join([content[:_PNG_START], *_png_chunks(content)])
    if content.startswith(b"\xff\xd8"):
        return b"".join([content[:_JPEG_START], *_jpeg_segments(content)])
    raise ValueError(f"expected a PNG or JPEG file, got one that starts with {content[:4]!r}")


def _png_chunks(content: bytes) -> Iterator[bytes]:
    start = _PNG_START
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        stop = start + _PNG_FRAME + length
        is_text_exif = kind in _PNG_TEXTS and content.startswith(_PNG_TEXT_EXIF, start + 8)
        if kind != _PNG_EXIF and not is_text_exif:
            yield content[start:stop]
        start = stop


def _jpeg_segments(content: bytes) -> Iterator[bytes]:
    """Yield what follows the first marker: segments up to the scan, then the rest in one piece."""
    start = _JPEG_START
    while start + 4 <= len(content) and content[start] == 0xFF and content[start + 1] != _JPEG_SCAN:
        kind = content[start + 1]
        if kind == 0xFF:  # fill byte
            start += 1
            continue
        stop = start + 2 + struct.unpack_from(">H", content, start + 2)[0]
        if not content[start + 4 : stop].startswith(_JPEG_DROPPED.get(kind, ())):
            yield content[start:stop]
        start = stop
    yield content[start:]
