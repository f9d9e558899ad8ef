"""Files and folders appear whole or not at all."""

import pytest

from maskdet.atomic import atomic_file, atomic_folder


def _fail_after(written):
    raise RuntimeError("stop")


def test_a_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new/a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert [file.name for file in path.parent.iterdir()] == ["a.txt"]


def test_a_failed_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_file(path) as temporary:
        _fail_after(temporary.write_text("half"))
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    for name in ("first", "second"):
        with atomic_folder(tmp_path / "out") as folder:
            assert not list(folder.iterdir())
            (folder / name).touch()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["second"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    with pytest.raises(RuntimeError, match="stop"), atomic_folder(tmp_path / "out") as folder:
        _fail_after((folder / "half").touch())
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_remains_of_a_killed_run_are_removed(tmp_path):
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial/half").touch()
    with atomic_folder(tmp_path / "out") as folder:
        assert not list(folder.iterdir())
    assert [file.name for file in tmp_path.iterdir()] == ["out"]
