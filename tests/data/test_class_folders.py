"""Folder-per-class sets: found, unpacked, checked and indexed."""

import stat
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

from maskdet.data.class_folders import find_class_folders, folder_index, read_class_folders, read_pictures
from maskdet.schema import CROPS, validate
from raw_archive import noise_png, write_folder, write_zip

WITH, WITHOUT = "with_mask", "without_mask"
CLASSES = {WITH: WITH, WITHOUT: WITHOUT}


def members(num_pictures: int = 4, below: str = "") -> dict[str, bytes]:
    """Return pictures of both classes in turn, `with_mask/0.png`, `without_mask/1.png` …"""
    return {f"{below}{(WITH, WITHOUT)[n % 2]}/{n}.png": noise_png(n) for n in range(num_pictures)}


@pytest.fixture(params=["zip", "folder"])
def read(request, tmp_path):
    """Return a function that reads members from an archive, or from a folder, with a class map."""

    def read_members(content: dict[str, bytes], classes: dict = CLASSES, max_unpacked_mb: float = 5):
        is_zip = request.param == "zip"
        source = write_zip(tmp_path / "set.zip", content) if is_zip else write_folder(tmp_path / "set", content)
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return read_class_folders(source, scratch, classes, max_unpacked_mb)

    return read_members


NAMES = ["with_mask/0.png", "with_mask/2.png", "without_mask/1.png", "without_mask/3.png"]


@pytest.mark.parametrize("below", ["", "faces/"])
def test_the_folder_gives_the_class(read, below):
    files = read(members(below=below))
    assert list(files.classes) == NAMES
    assert list(files.classes.values()) == [WITH, WITH, WITHOUT, WITHOUT]
    assert files.left_out == ()
    assert (files.root / NAMES[2]).read_bytes() == noise_png(1)


def test_files_that_are_no_pictures_of_a_class_are_left_out_and_named(read):
    others = ["README.md", "cover.png", "with_mask/notes.txt", "with_mask/.hidden.png", "__MACOSX/with_mask/0.png"]
    files = read(members() | {name: noise_png(9) for name in others})
    assert list(files.classes) == NAMES
    assert files.left_out == tuple(sorted(others))


def test_folders_below_a_class_and_folders_of_one_class(read):
    content = members() | {"with_mask/studio/7.JPG": noise_png(7), "bare/8.png": noise_png(8)}
    files = read(content, CLASSES | {"bare": WITHOUT})
    assert files.classes["with_mask/studio/7.JPG"] == WITH
    assert files.classes["bare/8.png"] == WITHOUT


def test_a_folder_can_be_left_out_on_purpose_and_need_not_be_there(read):
    files = read(members() | {"unsure/9.png": noise_png(9)}, CLASSES | {"unsure": None, "absent": None})
    assert list(files.classes) == NAMES
    assert files.left_out == ("unsure/9.png",)


@pytest.mark.parametrize(
    ("content", "classes", "message"),
    [
        ({"notes.txt": b""}, CLASSES, r"expected pictures in the folders with_mask, without_mask .* got no picture"),
        ({"a.png": b"x"}, CLASSES, r"at the top or in one folder, got \."),
        ({"images/a.png": b"x", "notes.txt": b""}, CLASSES, "at the top or in one folder, got images"),
        (members(below="a/") | members(below="b/"), CLASSES, "in one folder, got a/with_mask, a/without_mask, b/w"),
        (members() | {"masked/9.png": b"x"}, CLASSES, r"got masked/9\.png; add masked to folder_crops\.classes, with"),
        ({"with_mask/a.png": b"x"}, CLASSES, "expected pictures in every class folder, got none in without_mask"),
        (members(), {WITH: "mask"}, r"folder_crops\.classes\.with_mask: expected null or one of .*'mask'"),
        (members(), {WITH: None}, r"folder_crops\.classes: expected a folder with a class, got none"),
    ],
)  # fmt: skip
def test_a_set_that_does_not_fit_the_class_map(read, content, classes, message):
    with pytest.raises(ValueError, match=message):
        read(content, classes)


def unpack(source, tmp_path, max_unpacked_mb=5):
    (tmp_path / "scratch").mkdir()
    return read_class_folders(source, tmp_path / "scratch", CLASSES, max_unpacked_mb)


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "with_mask/../../out.png", "..\\out.png", "C:/out.png"])
def test_a_member_that_leaves_the_archive_is_refused(tmp_path, name):
    source = write_zip(tmp_path / "set.zip", members() | {name: noise_png(9)})
    with pytest.raises(ValueError, match=r"set\.zip: expected members inside the archive's folder, got"):
        unpack(source, tmp_path)
    assert not list((tmp_path / "scratch").iterdir())
    assert not list(tmp_path.rglob("out.png"))


def test_links_are_refused(tmp_path):
    source = write_zip(tmp_path / "set.zip", members())
    with zipfile.ZipFile(source, "a") as archive:
        link = zipfile.ZipInfo("with_mask/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(ValueError, match=r"got the symbolic link 'with_mask/link\.png'"):
        unpack(source, tmp_path)


def test_archives_that_are_damaged_or_too_large(tmp_path):
    source = write_zip(tmp_path / "set.zip", members())
    with pytest.raises(ValueError, match=r"set\.zip: expected at most 0\.0001 MB unpacked"):
        unpack(source, tmp_path, 0.0001)
    source.write_bytes(source.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"set\.zip: expected a zip archive, got a damaged one"):
        read_class_folders(source, tmp_path / "scratch", CLASSES, 5)


def test_a_folder_is_read_where_it_stands(tmp_path):
    source = write_folder(tmp_path / "set", members())
    files = unpack(source, tmp_path)
    assert files.root == source
    assert not list((tmp_path / "scratch").iterdir())


def test_pictures_have_sizes_and_hashes(read):
    pictures = read_pictures(read(members() | {"with_mask/copy.png": noise_png(0)}), "stop")
    assert pictures.table["file_name"].tolist() == sorted([*NAMES, "with_mask/copy.png"])
    assert set(zip(pictures.table["width"], pictures.table["height"], strict=True)) == {(64, 48)}
    assert pictures.table["sha256"].nunique() == 4
    assert pictures.unreadable == {}


BROKEN = {
    "with_mask/cut.png": noise_png(9)[:100],
    "without_mask/empty.jpg": b"",
    "without_mask/text.png": b"no picture",
}


def test_unreadable_files_stop_and_are_all_named(read):
    files = read(members() | BROKEN)
    with pytest.raises(
        ValueError, match=r"expected 7 pictures, got 3 unreadable: .*folder_crops\.unreadable=skip"
    ) as caught:
        read_pictures(files, "stop")
    assert "with_mask/cut.png: expected a whole image, got a file that ends early (100 bytes)" in str(caught.value)
    assert "without_mask/empty.jpg: expected an image, got an empty file" in str(caught.value)
    assert "without_mask/text.png: expected an image, got 10 bytes that no decoder reads" in str(caught.value)
    assert str(files.root) not in str(caught.value)


def test_unreadable_files_can_be_skipped_and_are_reported(read):
    pictures = read_pictures(read(members() | BROKEN), "skip")
    assert pictures.table["file_name"].tolist() == NAMES
    assert list(pictures.unreadable) == sorted(BROKEN)
    with pytest.raises(ValueError, match=r"folder_crops\.unreadable: expected one of stop, skip, got 'ignore'"):
        read_pictures(read(members()), "ignore")


def test_a_class_whose_files_are_all_unreadable(read):
    files = read({"with_mask/0.png": noise_png(0), "without_mask/text.png": b"no"})
    with pytest.raises(ValueError, match="expected a readable picture of every class, got none of without_mask"):
        read_pictures(files, "skip")


def test_the_index_has_one_face_that_fills_each_picture(tmp_path):
    content = members() | {"with_mask/wide.png": cv2.imencode(".png", np.zeros((10, 90, 3), np.uint8))[1].tobytes()}
    pictures = read_pictures(unpack(write_folder(tmp_path / "set", content), tmp_path), "stop")
    folds = pd.DataFrame({"file_name": pictures.table["file_name"][::-1], "group": range(5), "fold": [0, 1, 0, 1, 0]})
    index = validate(folder_index(pictures.table, folds), CROPS, "test")
    assert index["file_name"].tolist() == pictures.table["file_name"].tolist()
    assert index["group"].tolist() == [4, 3, 2, 1, 0]
    assert (index["face"] == 0).all()
    wide = index.set_index("file_name").loc["with_mask/wide.png"]
    assert wide[["x_min", "y_min", "x_max", "y_max"]].tolist() == [0, 0, 90, 10]


def test_where_a_set_is_looked_for(tmp_path, monkeypatch):
    archives = tmp_path / "archives"
    source = write_zip(write_folder(archives, {"x": b""}) / "set.zip", members())
    monkeypatch.setenv("MASKDET_ARCHIVES", str(archives))
    assert find_class_folders(None, "set.zip", tmp_path) == source
    assert find_class_folders("archives/set.zip", "other.zip", tmp_path) == source
    assert find_class_folders(str(archives), "other.zip", tmp_path) == archives
    with pytest.raises(
        ValueError, match=r"other\.zip: expected the archive, found none in MASKDET_ARCHIVES=.*archives;"
    ):
        find_class_folders(None, "other.zip", tmp_path)
    monkeypatch.delenv("MASKDET_ARCHIVES")
    with pytest.raises(ValueError, match=r"set\.zip: expected the archive, found none in MASKDET_ARCHIVES=\(not set\)"):
        find_class_folders(None, "set.zip", tmp_path)
    with pytest.raises(
        ValueError, match=r"folder_crops\.source: expected a folder or zip archive, found nothing at no"
    ):
        find_class_folders("nowhere", "set.zip", tmp_path)
