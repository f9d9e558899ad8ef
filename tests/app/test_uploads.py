"""What is sent is told apart: pictures, bombs, damaged files, videos, playlists."""

import asyncio
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from drawn_film import Walker, film, write_film
from exported_model import scene_images
from maskdet.app.limits import AppLimits
from maskdet.app.uploads import UploadError, bounded, check_video_file, read_upload, spooled
from maskdet.inference.images_in import read_picture
from running_app import BAD_NAMES, LIMITS, animated_gif, bad_uploads, png


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_uploads_are_refused_in_a_sentence(name):
    content, status = bad_uploads()[name]
    with pytest.raises(UploadError) as raised:
        read_upload(content, LIMITS)
    message = str(raised.value)
    assert raised.value.status == status
    assert message[0].isupper()
    assert message.endswith(".")
    assert "\n" not in message
    assert "/" not in message.replace("x", "")  # no path of the server


def test_pictures_come_as_the_predictor_reads_them(tmp_path):
    image = scene_images(1)[0]
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(path, exif=exif)
    read = read_upload(path.read_bytes(), LIMITS)
    assert read.pixels.shape[:2] == image.shape[1::-1]
    np.testing.assert_array_equal(read.pixels, read_picture(path).pixels)
    np.testing.assert_array_equal(read_upload(png(image), LIMITS).pixels, image)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
def test_every_promised_format_is_read(suffix):
    image = scene_images(1)[0]
    content = cv2.imencode(suffix, image)[1].tobytes()
    assert read_upload(content, LIMITS).pixels.shape == image.shape


def test_an_animation_says_that_it_is_one():
    assert read_upload(animated_gif(3), LIMITS).note == "the first of 3 frames"


def test_videos_are_known_by_their_first_bytes(tmp_path):
    frames = film([Walker(0, (80, 70), (2, 0))], 3)
    for name, codec in (("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")):
        check_video_file(write_film(tmp_path / name, frames, codec=codec), LIMITS)
    check_video_file(write_film(tmp_path / "a.ts", frames), LIMITS)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
        (b"hello", 415),
        (b"RIFF\0\0\0\0WAVEfmt ", 415),
        (bytes(4) + b"ftyp" + bytes(2_000_001), 413),
    ],
)
def test_what_is_no_video_never_reaches_the_decoder(tmp_path: Path, content, status):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    with pytest.raises(UploadError) as raised:
        check_video_file(path, LIMITS)
    assert raised.value.status == status


def test_reading_stops_at_the_limit():
    read = []

    async def endless():
        while True:
            read.append(1)
            yield bytes(1000)

    async def read_all():
        async with spooled(bounded(endless(), 5000, LIMITS)):
            pass

    with pytest.raises(UploadError, match="at most 2 MB"):
        asyncio.run(read_all())
    assert len(read) == 6


@pytest.mark.parametrize(("num_parts", "is_on_disk"), [(0, False), (3, False), (30, True)])
def test_large_uploads_wait_on_disk(num_parts, is_on_disk):
    async def parts():
        for number in range(num_parts):
            yield bytes([number]) * 100_000

    async def held():
        async with spooled(parts()) as file:
            return file._rolled, file.read()

    expected = b"".join(bytes([number]) * 100_000 for number in range(num_parts))
    assert asyncio.run(held()) == (is_on_disk, expected)


def test_limits_that_leave_nothing_are_refused():
    for wrong in ({"max_upload_mb": 0}, {"max_seconds": float("nan")}, {"num_at_once": 0}, {"max_pixels": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AppLimits(**wrong)
