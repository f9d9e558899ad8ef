"""Headers are read without decoding, and say which way up a picture was labelled."""

import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from damaged_set import HEIGHT, WIDTH, encoded, oriented_jpeg, png_header, scene
from maskdet.data.audit.headers import Header, HugeImageError, has_whole_chunks, read_header
from maskdet.data.audit.orientation import is_labelled_turned
from maskdet.data.audit.repair_pictures import without_exif
from maskdet.data.formats import read_labelled_set
from maskdet.data.image import read_image
from maskdet.data.labelled_set import LabelledBox, LabelledImage
from raw_archive import voc_xml


def header_of(tmp_path, content: bytes) -> Header:
    path = tmp_path / "picture"
    path.write_bytes(content)
    return read_header(path)


def test_a_plain_picture(tmp_path):
    expected = Header("PNG", (WIDTH, HEIGHT), is_animated=False, is_cmyk=False, is_16_bit=False, orientation=1)
    assert header_of(tmp_path, encoded(scene(0))) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turned_size_is_that_of_pillow(tmp_path, orientation):
    content = oriented_jpeg(scene(0), orientation)
    header = header_of(tmp_path, content)
    assert header.orientation == orientation
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = Image.open(io.BytesIO(encoded(scene(0), exif=exif)))
    assert header_of(tmp_path, encoded(scene(0), exif=exif)).orientation == orientation
    from PIL import ImageOps

    assert header.turned_wh == ImageOps.exif_transpose(turned).size


def test_exif_as_text_of_a_png(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes()):8d}\n{exif.tobytes().hex()}\n", zip=True)
    content = encoded(scene(0), pnginfo=info)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
        assert header_of(tmp_path, content).orientation == 6
    assert header_of(tmp_path, without_exif(content)).orientation == 1
    assert len(without_exif(content)) < len(content)


def test_a_tiff_file_is_turned_by_its_decoders(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    header = header_of(tmp_path, encoded(scene(0), "TIFF", exif=exif))
    assert (header.orientation, header.image_wh, header.turned_wh) == (1, (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    assert read_image(tmp_path / "picture").shape == (WIDTH, HEIGHT, 3)


def test_an_orientation_that_is_none(tmp_path):
    assert header_of(tmp_path, oriented_jpeg(scene(0), 77)).orientation == 1


def test_no_pixel_is_decoded(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    contents = [encoded(scene(0)), encoded(scene(0), exif=exif), oriented_jpeg(scene(0), 6), png_header(9000, 9000)]
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for content in contents:
        header_of(tmp_path, content)


def test_a_bomb_is_named_and_prose_is_refused(tmp_path):
    with pytest.raises(HugeImageError, match="3600000000 pixels"):
        header_of(tmp_path, png_header(60_000, 60_000))
    with pytest.raises(ValueError, match="picture: expected an image, got a header that cannot be read"):
        header_of(tmp_path, b"prose")
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "absent.png")


def test_checksums(tmp_path):
    path, content = tmp_path / "a.png", bytearray(encoded(scene(0)))
    path.write_bytes(content)
    assert has_whole_chunks(path)
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not has_whole_chunks(path)


QUARTER = Header("JPEG", (WIDTH, HEIGHT), is_animated=False, is_cmyk=False, is_16_bit=False, orientation=6)


@pytest.mark.parametrize(
    ("declared_wh", "box", "expected"),
    [
        ((HEIGHT, WIDTH), (20, 20, 60, 70), True),  # declared as turned
        ((WIDTH, HEIGHT), (20, 20, 60, 70), False),  # declared as stored
        ((999, 999), (20, 20, 60, 70), False),  # declared as neither
        ((WIDTH, HEIGHT), (20, 100, 60, 150), True),  # fits the turned picture alone
        ((WIDTH, HEIGHT), (20, 118, 60, 124), True),  # its centre lies outside of the stored one
        ((WIDTH, HEIGHT), (20, 80, 60, 122), False),  # a slip of 2 px, to be clipped
        ((WIDTH, HEIGHT), (140, 100, 160, 150), False),  # fits neither
    ],
)
def test_the_labels_decide(tmp_path, declared_wh, box, expected):
    (tmp_path / "a.jpg").write_bytes(oriented_jpeg(scene(0), 6))
    (tmp_path / "a.xml").write_bytes(voc_xml(("mask", *box), width=declared_wh[0], height=declared_wh[1]))
    labelled = read_labelled_set(tmp_path)
    assert is_labelled_turned(labelled.images[0], read_header(tmp_path / "a.jpg")) is expected


def test_nothing_can_tell_a_half_turn():
    half = Header("JPEG", (WIDTH, HEIGHT), is_animated=False, is_cmyk=False, is_16_bit=False, orientation=3)
    beyond = LabelledImage("a.jpg", (WIDTH, HEIGHT), (LabelledBox("mask", (0.0, 0.0, 999.0, 9.0)),), "a.xml")
    assert not is_labelled_turned(beyond, half)


def test_without_boxes_the_stored_picture_is_meant():
    assert not is_labelled_turned(LabelledImage("a.jpg", (WIDTH, HEIGHT), (), None), QUARTER)


def test_a_deep_picture_and_a_grey_one(tmp_path):
    grey = np.zeros((8, 8), np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    assert header_of(tmp_path, buffer.getvalue()).is_16_bit
    assert not header_of(tmp_path, encoded(np.zeros((8, 8), np.uint8))).is_16_bit
