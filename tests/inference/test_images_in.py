"""Pictures of every kind: the pixels of training, turned as Pillow turns them, and what is refused and how."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from maskdet.data.image import read_image
from maskdet.inference.images_in import MAX_PIXELS, read_picture, rgb_of_array

RNG = np.random.default_rng(0)
RGB = cv2.resize(RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8), (35, 25), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, pixels: np.ndarray) -> bytes:
    """Encode pixels, their channels in OpenCV's order."""
    return cv2.imencode(suffix, pixels)[1].tobytes()


def pil_bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


DEEP = RNG.integers(0, 2**16, (9, 12, 4), dtype=np.uint16)
AS_IN_TRAINING = {
    "8-bit RGB": encoded(".png", RGB),
    "8-bit grey": encoded(".png", RGB[:, :, 0]),
    "8-bit with alpha": encoded(".png", np.dstack([RGB, RGB[:, :, 0]])),
    "16-bit RGB": encoded(".png", DEEP[:, :, :3]),
    "16-bit with alpha": encoded(".png", DEEP),
    "16-bit grey": encoded(".png", DEEP[:, :, 0]),
    "palette": pil_bytes(Image.fromarray(RGB).quantize(9), "png"),
    "palette with a transparent colour": pil_bytes(Image.fromarray(RGB).quantize(9), "png", transparency=3),
    "one bit": pil_bytes(Image.fromarray(RGB).convert("1"), "png"),
    "grey with alpha": pil_bytes(Image.fromarray(RGB).convert("LA"), "png"),
    "jpeg": encoded(".jpg", RGB),
    "grey jpeg": encoded(".jpg", RGB[:, :, 0]),
    "cmyk jpeg": pil_bytes(Image.fromarray(RGB).convert("CMYK"), "jpeg"),
    "progressive jpeg": pil_bytes(Image.fromarray(RGB), "jpeg", progressive=True),
}


@pytest.mark.parametrize("kind", AS_IN_TRAINING)
def test_png_and_jpeg_give_the_pixels_of_training(kind, tmp_path):
    path = tmp_path / "picture"
    path.write_bytes(AS_IN_TRAINING[kind])
    expected = read_image(path)
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        picture = read_picture(source)
        np.testing.assert_array_equal(picture.pixels, expected)
        assert picture.pixels.flags["C_CONTIGUOUS"]
        assert picture.note == ""


@pytest.mark.parametrize("kind", ["bmp", "webp", "tiff", "gif", "ppm"])
def test_other_formats_are_decoded_too(kind):
    options = {"lossless": True} if kind == "webp" else {}
    picture = read_picture(pil_bytes(Image.fromarray(RGB), kind, **options))
    if kind == "gif":  # 256 colours
        assert picture.pixels.shape == RGB.shape
    else:
        np.testing.assert_array_equal(picture.pixels, RGB)


def test_tiff_of_16_bits_gives_the_high_byte():
    content = pil_bytes(Image.fromarray(DEEP[:, :, 0]), "tiff")
    np.testing.assert_array_equal(read_picture(content).pixels, np.repeat(DEEP[:, :, :1] >> 8, 3, axis=2))


@pytest.mark.parametrize("orientation", range(10))  # 0 and 9 mean nothing
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_pictures_are_turned_as_pillow_turns_them(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = pil_bytes(Image.fromarray(RGB), kind, exif=exif)
    stored = read_picture(content, apply_exif=False).pixels
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))
    shown = read_picture(content).pixels
    assert stored.shape == (expected.shape if kind == "tiff" else RGB.shape)  # Pillow turns TIFF while it decodes
    if kind == "jpeg":  # two decoders round otherwise
        assert np.abs(shown.astype(int) - expected).max() <= 4
    else:
        np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(read_picture(Image.open(io.BytesIO(content))).pixels, expected)
    assert shown.flags["C_CONTIGUOUS"]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr", "HSV"])
def test_pil_images_of_any_mode_are_converted_as_pillow_does(mode):
    image = Image.fromarray(RGB).convert(mode)
    np.testing.assert_array_equal(read_picture(image).pixels, np.asarray(image.convert("RGB")))


def test_pil_images_of_16_bits_are_not_cut_at_255():
    image = Image.open(io.BytesIO(AS_IN_TRAINING["16-bit grey"]))
    np.testing.assert_array_equal(read_picture(image).pixels, np.repeat(DEEP[:, :, :1] >> 8, 3, axis=2))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_arrays_become_rgb_of_8_bits(dtype, shape):
    image = RNG.integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)
    before = image.copy()
    found = rgb_of_array(image)
    high = (image >> 8 if dtype == np.uint16 else image).astype(np.uint8)
    expected = high[:, :, :3] if len(shape) == 3 and shape[2] > 1 else np.repeat(high.reshape(4, 5, 1), 3, axis=2)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8
    assert found.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5, 2), np.uint8), r"expected an image \(H, W\), .* got \(4, 5, 2\)"),
        (np.zeros(4, np.uint8), r"got \(4,\)"),
        (np.zeros((1, 4, 5, 3), np.uint8), r"got \(1, 4, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), r"got \(0, 5, 3\)"),
        (np.zeros((4, 5, 3), np.float32), "expected an image of uint8 or uint16, got float32"),
        (np.zeros((4, 5), bool), "got bool"),
    ],
)
def test_arrays_of_another_kind_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        read_picture(image)


def png_of_size(width: int, height: int) -> bytes:
    """Return a sound PNG of a few bytes whose header promises any size; all its rows are there, compressed."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (1 + (width + 7) // 8), 9)
    parts = [(b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(("width", "height"), [(30_000, 30_000), (10_000, 10_000), (2**31 - 1, 2**31 - 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header(width, height):
    with pytest.raises(ValueError, match=r"bytes: expected an image of at most 89.5 million pixels, got "):
        read_picture(png_of_size(width, height))


def test_the_limit_is_the_callers():
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS
    assert read_picture(encoded(".png", RGB), max_pixels=35 * 25).pixels.shape == RGB.shape
    for source in (encoded(".png", RGB), encoded(".bmp", RGB), Image.fromarray(RGB)):
        with pytest.raises(ValueError, match=r"expected an image of at most 0\.000874 million pixels, got 35 x 25"):
            read_picture(source, max_pixels=35 * 25 - 1)


WHOLE_PNG, WHOLE_JPEG = AS_IN_TRAINING["8-bit RGB"], AS_IN_TRAINING["jpeg"]
BAD = {
    "0 bytes": (b"", "expected an image, got an empty file"),
    "text": (b"hello, this is no picture", "expected an image, got 25 bytes that no decoder reads"),
    "png cut short": (WHOLE_PNG[:-30], "expected a whole image, got a file that ends early"),
    "jpeg cut short": (WHOLE_JPEG[:-30], "expected a whole image, got a file that ends early"),
    "png of a header alone": (WHOLE_PNG[:8], "expected a whole image, got a file that ends early"),
    "jpeg of a header alone": (WHOLE_JPEG[:20] + b"\xff\xd9", "expected an image, got 22 bytes that no decoder reads"),
    "png with damaged pixels": (WHOLE_PNG[:60] + b"\0" * 40 + WHOLE_PNG[100:], "expected an image, got "),
    "gif cut short": (pil_bytes(Image.fromarray(RGB), "gif")[:-60], "expected a whole image, got one that Pillow"),
    "webp cut short": (pil_bytes(Image.fromarray(RGB), "webp")[:60], "expected "),
    "html": (b"<!doctype html><title>404</title>", "expected an image, got 33 bytes that no decoder reads"),
    "video": (b"\0\0\0 ftypisom\0\0\2\0isomiso2mp41", "that no decoder reads"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_named_with_what_is_wrong(kind, tmp_path):
    content, message = BAD[kind]
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: expected ")
    with pytest.raises(ValueError, match=rf"^{len(content)} bytes: "):
        read_picture(content)


def animation(num_frames: int) -> list[Image.Image]:
    return [Image.fromarray(np.full((6, 8, 3), 60 * index, np.uint8)) for index in range(num_frames)]


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "tiff"])
def test_of_an_animation_the_first_frame_is_taken_with_a_note(kind):
    first, *others = animation(3)
    picture = read_picture(pil_bytes(first, kind, save_all=True, append_images=others))
    assert picture.note == "the first of 3 frames"
    assert picture.pixels.shape == (6, 8, 3)
    assert picture.pixels.max() <= 1


def test_addresses_folders_pipes_and_missing_files_are_refused(tmp_path):
    for address in ("https://example.org/a.jpg", "file:///etc/a.png", "s3://bucket/a.png"):
        with pytest.raises(ValueError, match="expected a file on this machine, got an address"):
            read_picture(address)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="expected an image file, got a folder, a pipe or a device"):
            read_picture(path)
    with pytest.raises(FileNotFoundError, match=r"no\.png"):
        read_picture(tmp_path / "no.png")
    with pytest.raises(TypeError, match="expected a path, bytes, a PIL image or an array, got int"):
        read_picture(3)


def test_a_huge_file_is_not_read(tmp_path):
    with (tmp_path / "huge.png").open("wb") as stream:
        stream.truncate(2**30 + 1)  # takes no room on the disk
    with pytest.raises(ValueError, match="expected a file of at most 1024 MB, got 1024 MB"):
        read_picture(tmp_path / "huge.png")
