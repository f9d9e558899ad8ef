"""What the header of an image file says, read without decoding a pixel."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.Image import DecompressionBombError, DecompressionBombWarning

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
_ORIENTATION = 0x0112  # of EXIF
UPRIGHT = 1
"""The orientation that asks for no turning."""

PNG_TEXT_EXIF = "Raw profile type exif"
"""The keyword under which ImageMagick writes EXIF into PNG files."""

_LAST_ORIENTATION = 8
_QUARTER_TURNED = (5, 6, 7, 8)
_PNG_DEPTH_BYTE = 24  # of the file: bits a channel, in IHDR


@dataclass(frozen=True)
class Header:
    """What a header says.

    Attributes:
        format: `PNG`, `JPEG`, `GIF` …; the JPEG of a camera that holds a preview too counts as JPEG.
        image_wh: Width and height of the stored pixels.
        is_animated: It holds several pictures.
        is_cmyk: Its colours are cyan, magenta, yellow, black.
        is_16_bit: 16 bits a channel.
        orientation: EXIF's, 1 to 8; 1 is upright, what there is without a tag, and of TIFF files, which every decoder
            turns, so that `image_wh` is that of the turned picture already.
    """

    format: str
    image_wh: tuple[int, int]
    is_animated: bool
    is_cmyk: bool
    is_16_bit: bool
    orientation: int

    @property
    def turned_wh(self) -> tuple[int, int]:
        """Return the size after turning as the orientation asks."""
        width, height = self.image_wh
        return (height, width) if self.orientation in _QUARTER_TURNED else (width, height)


class HugeImageError(ValueError):
    """A header that claims so many pixels that Pillow calls it a decompression bomb."""


def read_header(path: Path) -> Header:
    """Read the header of an image file.

    Raises:
        HugeImageError: If Pillow refuses the number of pixels.
        ValueError: If the file is no image of a known format, or its header is damaged.
        OSError: If there is no such file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DecompressionBombWarning)
        try:
            with Image.open(path, formats=_FORMATS) as image:
                return Header(
                    format="JPEG" if image.format == "MPO" else image.format,
                    image_wh=image.size,
                    is_animated=image.format != "MPO" and getattr(image, "is_animated", False),
                    is_cmyk=image.mode == "CMYK",
                    is_16_bit=image.mode.startswith("I;16") or _png_depth(path, image.format) == 16,
                    orientation=_orientation(image),
                )
        except DecompressionBombError as error:
            raise HugeImageError(f"{path}: expected a picture of usual size, got {error}") from error
        except FileNotFoundError:
            raise
        # a damaged header raises whatever its plugin stumbles over: SyntaxError, struct.error, EOFError …
        except Exception as error:
            raise ValueError(f"{path}: expected an image, got a header that cannot be read: {error}") from error


def _png_depth(path: Path, format_name: str) -> int | None:
    """Return the bits a channel of a PNG file; Pillow's modes do not tell 16 from 8 where there are colours."""
    if format_name != "PNG":
        return None
    with path.open("rb") as stream:
        return stream.read(_PNG_DEPTH_BYTE + 1)[_PNG_DEPTH_BYTE]


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF" or (image.format == "PNG" and not {"exif", PNG_TEXT_EXIF} & image.info.keys()):
        return UPRIGHT  # decoders turn TIFF files themselves; of PNG getexif would decode the picture to look behind it
    value = Image.Image.getexif(image).get(_ORIENTATION, UPRIGHT)  # that of PNG decodes where there is text alone
    return value if isinstance(value, int) and UPRIGHT <= value <= _LAST_ORIENTATION else UPRIGHT


def has_whole_chunks(path: Path) -> bool:
    """Say whether the checksums of a PNG file hold; a decoder may show grey rows where they do not."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            image.verify()
    except Exception:
        return False
    return True
