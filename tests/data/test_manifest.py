"""The manifest, and the pixels that it speaks of: equal to PIL's for every encoding."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from maskdet.data.archive import unpack
from maskdet.data.image import pixel_hash, read_image
from maskdet.data.manifest import Verification, hash_files, read_manifest, refuse_altered, verify
from raw_archive import noise_png, voc_xml, write_folder

ORIGINALS = "kaggle-original-encoding-sample.zip"
RNG = np.random.default_rng(0)


def test_sixteen_bit_rgba_reads_as_its_high_byte(tmp_path):
    pixels = RNG.integers(0, 2**16, (9, 7, 4), dtype=np.uint16)  # BGRA
    cv2.imwrite(str(tmp_path / "deep.png"), pixels)
    high_bytes = (pixels[..., 2::-1] >> 8).astype(np.uint8)  # RGB
    assert np.array_equal(read_image(tmp_path / "deep.png"), high_bytes)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep.png").convert("RGB")), high_bytes)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA"])
def test_png_modes_read_as_pil_reads_them(tmp_path, mode):
    image = Image.fromarray(RNG.integers(0, 256, (9, 7, 4), dtype=np.uint8), "RGBA").convert(mode)
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), np.asarray(Image.open(tmp_path / "a.png").convert("RGB")))


def test_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (4, 8, 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.png", b"", r"expected an image, got an empty file \(0 bytes\)"),
        ("a.png", b"hello", r"expected an image, got 5 bytes that no decoder reads"),
        ("a.png", noise_png(0)[:-20], r"expected a whole image, got a file that ends early"),
        ("a.jpg", cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()[:-9], r"ends early"),
    ],
)
def test_unreadable_images(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        read_image(tmp_path / name)


def test_a_damaged_png_is_never_a_silent_picture(tmp_path):
    content = bytearray(noise_png(0))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png: expected an image"):
        read_image(tmp_path / "a.png")


def test_every_file_is_in_one_list():
    found = {"images/a.png": "1", "images/b.png": "2", "images/c.png": "3"}
    expected = {"images/a.png": "1", "images/b.png": "x", "annotations/d.xml": "4"}
    assert verify(found, expected) == Verification(
        known=("images/a.png",),
        altered=("images/b.png",),
        unknown=("images/c.png",),
        missing=("annotations/d.xml",),
    )
    assert verify({}, {}) == Verification((), (), (), ())


def test_altered_files_are_refused_by_name():
    refuse_altered(Verification(("images/a.png",), (), (), ()))
    with pytest.raises(ValueError, match=r"got 2 altered: annotations/a\.xml, images/b\.png; set data\.allow_altered"):
        refuse_altered(Verification((), ("annotations/a.xml", "images/b.png"), (), ()))


def test_hashes_are_of_pixels_and_of_xml_bytes(tmp_path):
    write_folder(tmp_path, {"images/a.png": noise_png(0), "annotations/a.xml": voc_xml()})
    pixels = read_image(tmp_path / "images/a.png")
    cv2.imwrite(str(tmp_path / "images/b.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA))
    hashes = hash_files(tmp_path)
    assert list(hashes) == ["annotations/a.xml", "images/a.png", "images/b.png"]
    assert hashes["images/a.png"] == hashes["images/b.png"] == pixel_hash(pixels)


def test_the_committed_manifest():
    manifest = read_manifest("kaggle")
    assert sum(path.startswith("images/") for path in manifest) == 853
    assert sum(path.startswith("annotations/") for path in manifest) == 853
    assert all(len(digest) == 64 for digest in manifest.values())
    with pytest.raises(ValueError, match=r"data\.manifest: expected null or one of kaggle, got 'kagle'"):
        read_manifest("kagle")


def test_original_encodings_equal_the_manifest(tmp_path):
    archive = Path(os.environ.get("MASKDET_ARCHIVES", ".")) / ORIGINALS
    if not archive.is_file():
        pytest.skip(f"MASKDET_ARCHIVES names no folder with {ORIGINALS}: the 16-bit originals are NOT checked")
    unpack(archive, tmp_path, 100)
    verification = verify(hash_files(tmp_path), read_manifest("kaggle"))
    assert len(verification.known) == 32
    assert verification.altered == verification.unknown == ()
