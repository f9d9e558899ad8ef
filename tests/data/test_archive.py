"""Finding and unpacking archives: what is taken, and every reason to refuse one."""

import stat
import struct
import sys
import types
import zipfile

import pytest
from omegaconf import OmegaConf

from maskdet.data.archive import find_archive, unpack
from raw_archive import small_members, write_folder, write_zip

GOOD = small_members(2)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("top", ["", "face-mask/", "./"])
def test_layouts_and_left_out_members(tmp_path, folder, top):
    extra = {"README.md": b"hi", "images/notes.txt": b"x", "__MACOSX/images/._img00.png": b"x"}
    source = write_zip(tmp_path / "a.zip", extra | {top + name: content for name, content in GOOD.items()})
    unpacked = unpack(source, folder, 1)
    assert unpacked.images == ("img00.png", "img01.png")
    assert unpacked.annotations == ("img00.xml", "img01.xml")
    assert set(extra) == set(unpacked.others)
    assert unpacked.num_bytes == sum(map(len, GOOD.values()))
    assert {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")} == GOOD


def test_a_folder_is_a_source_too(tmp_path, folder):
    unpacked = unpack(write_folder(tmp_path / "cache", GOOD), folder, 1)
    assert len(unpacked.images) == len(unpacked.annotations) == 2
    assert (folder / "images/img00.png").read_bytes() == GOOD["images/img00.png"]


@pytest.mark.parametrize(
    "name", ["../evil.png", "images/../../evil.png", "/etc/evil.png", "C:\\evil.png", "images\\..\\..\\evil.png"]
)
def test_members_that_leave_the_folder(tmp_path, folder, name):
    source = write_zip(tmp_path / "a.zip", GOOD | {name: b"x"})
    with pytest.raises(ValueError, match=r"a\.zip: expected members inside the archive's folder, got '.*evil\.png'"):
        unpack(source, folder, 1)
    assert not list(folder.iterdir())
    assert not list(tmp_path.rglob("evil*"))


def test_a_colon_is_named(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", GOOD | {"images/shot 12:30.png": b"x"})
    with pytest.raises(ValueError, match=r"got 'images/shot 12:30.png': a colon names a drive on some systems"):
        unpack(source, folder, 1)


def test_symbolic_link_in_a_zip(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(source, "a") as archive:
        link = zipfile.ZipInfo("images/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match=r"a\.zip: expected files, got the symbolic link 'images/link.png'"):
        unpack(source, folder, 1)


def test_symbolic_link_in_a_folder(tmp_path, folder):
    source = write_folder(tmp_path / "cache", GOOD)
    (source / "images/link.png").symlink_to(source / "images/img00.png")
    with pytest.raises(ValueError, match=r"cache: expected files, got the symbolic link 'images/link\.png'"):
        unpack(source, folder, 1)


def test_too_large_as_declared(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", GOOD | {"images/zeros.png": bytes(3_000_000)})
    with pytest.raises(ValueError, match=r"a\.zip: expected at most 1 MB unpacked .*, got 3\.0 MB"):
        unpack(source, folder, 1)
    assert not list(folder.iterdir())


def test_a_member_larger_than_declared_is_not_written_whole(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", GOOD | {"images/zeros.png": bytes(3_000_000)})
    data = source.read_bytes().replace(struct.pack("<L", 3_000_000), struct.pack("<L", 100))
    source.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.zip: expected a whole archive, images/zeros\.png cannot be read"):
        unpack(source, folder, 1)
    assert (folder / "images/zeros.png").stat().st_size <= 100


def test_damaged_member(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", {})
    with zipfile.ZipFile(source, "w") as archive:  # stored, so that a byte can be changed
        for name, content in GOOD.items():
            archive.writestr(name, content)
    data = bytearray(source.read_bytes())
    data[data.index(GOOD["images/img01.png"]) + 40] ^= 0xFF
    source.write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.zip: .*images/img01\.png cannot be read: Bad CRC"):
        unpack(source, folder, 1)


@pytest.mark.parametrize("keep", [0, 10, -30])
def test_cut_or_foreign_file(tmp_path, folder, keep):
    source = write_zip(tmp_path / "a.zip", GOOD)
    source.write_bytes(source.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"a\.zip: expected a zip archive, got a damaged one"):
        unpack(source, folder, 1)


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({}, "no files"),
        ({"images/a.png": b"x"}, "images/a.png"),
        ({"pictures/a.png": b"x", "annotations/a.xml": b"x"}, "annotations/a.xml, pictures/a.png"),
        ({"a/b/images/a.png": b"x", "a/b/annotations/a.xml": b"x"}, "a/b/annotations/a.xml"),
        ({f"{top}/{name}": content for top in "ab" for name, content in GOOD.items()}, "2 such folders"),
    ],
)
def test_wrong_layout(tmp_path, folder, members, found):
    source = write_zip(tmp_path / "a.zip", members)
    with pytest.raises(ValueError, match=rf"a\.zip: expected images/.* and annotations/.*, got {found}"):
        unpack(source, folder, 1)
    assert not list(folder.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_twice(tmp_path, folder):
    source = write_zip(tmp_path / "a.zip", GOOD)
    with zipfile.ZipFile(source, "a") as archive:
        archive.writestr("images/img00.png", b"other")
    with pytest.raises(ValueError, match=r"expected each member once, got images/img00\.png twice"):
        unpack(source, folder, 1)


def _data(**changes):
    return OmegaConf.create({"name": "x", "archive": "a.zip", "archive_dir": None, "kaggle_id": None} | changes)


def test_the_shipped_archive_is_the_only_place(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKDET_ARCHIVES", str(tmp_path))
    (tmp_path / "a.zip").touch()
    with pytest.raises(ValueError, match=r"data/a\.zip: expected the archive of data=x, .*dvc pull data\.dvc"):
        find_archive(_data(archive_dir="data"), tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.zip").touch()
    assert find_archive(_data(archive_dir="data"), tmp_path) == tmp_path / "data/a.zip"


def test_the_variable_may_name_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MASKDET_ARCHIVES", "here")
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a.zip").touch()
    assert find_archive(_data(), tmp_path).samefile(tmp_path / "here/a.zip")


def test_download_and_its_failure(tmp_path, monkeypatch):
    monkeypatch.setenv("MASKDET_ARCHIVES", str(tmp_path))
    hub = types.SimpleNamespace(dataset_download=lambda name: str(tmp_path / name))
    monkeypatch.setitem(sys.modules, "kagglehub", hub)
    assert find_archive(_data(kaggle_id="who/what"), tmp_path) == tmp_path / "who/what"

    def fail(name):
        raise ConnectionError("no route\nto host")

    hub.dataset_download = fail
    with pytest.raises(
        ValueError, match=r"a\.zip.*download of who/what failed \(ConnectionError: no route\); put a\.zip"
    ):
        find_archive(_data(kaggle_id="who/what"), tmp_path)
    monkeypatch.delenv("MASKDET_ARCHIVES")
    with pytest.raises(ValueError, match=r"MASKDET_ARCHIVES=\(not set\) and data.kaggle_id=null"):
        find_archive(_data(), tmp_path)
