"""Which files a command line means: each image once, named so that no two meet."""

from pathlib import Path

import pytest

from maskdet.inference.sources import find_sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Return a folder of files whose content does not matter; it is the current one."""
    for name in (
        "a/one.png",
        "a/deep/two.JPG",
        "b/one.png",
        "b/three.jpeg",
        "a/notes.txt",
        "a/.hidden.png",
        "other.ppm",
        "b/four.webp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a/.cache").mkdir()
    (tmp_path / "a/.cache/four.png").touch()
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*sources: str, **options: Path) -> list[str]:
    found = find_sources(sources, **options)
    assert not found.videos
    return [image.file_name for image in found.images]


def test_a_folder_is_searched_to_its_depth_and_names_are_relative_to_it(tree):
    assert names("a") == ["deep/two.JPG", "one.png"]
    assert [image.path for image in find_sources(["a"]).images] == [tree / "a/deep/two.JPG", tree / "a/one.png"]


def test_equal_names_of_two_folders_stay_apart(tree):
    assert names("a", "b") == ["a/deep/two.JPG", "a/one.png", "b/four.webp", "b/one.png", "b/three.jpeg"]
    assert names("a/one.png", "b/one.png") == ["a/one.png", "b/one.png"]


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    assert names("other.ppm") == ["other.ppm"]
    assert names("a/notes.txt") == ["notes.txt"]


def test_an_image_that_two_sources_name_comes_once(tree):
    assert names("a", "a/one.png", "b/../a", str(tree / "a")) == ["deep/two.JPG", "one.png"]


def test_the_output_folder_inside_a_source_is_not_searched(tree):
    assert names(".", ignored_dir=Path("b")) == ["a/deep/two.JPG", "a/one.png"]


def test_a_linked_image_keeps_its_own_name(tree):
    (tree / "linked").mkdir()
    (tree / "linked/mine.png").symlink_to(tree / "a/one.png")
    assert names("linked") == ["mine.png"]


@pytest.mark.parametrize("source", ["nowhere", "nowhere/x.png"])
def test_a_missing_source_is_named(tree, source):
    with pytest.raises(FileNotFoundError, match=rf"^{source}: expected a picture, a folder or a video, found none"):
        names("a", source)


def test_a_folder_without_images_is_named(tree):
    with pytest.raises(
        FileNotFoundError, match=r"^empty: expected a folder with pictures \(.png, .jpg, .*\), found none"
    ):
        names("a", "empty")


def test_a_pattern_means_the_files_that_match(tree):
    assert names("b/*.jp*g") == ["three.jpeg"]
    assert names("**/one.png") == ["a/one.png", "b/one.png"]
    assert names(f"{tree}/a/**/*.JPG") == ["two.JPG"]
    assert names("**/*.png", ignored_dir=Path("b")) == ["one.png"]
    assert names("[ab]") == ["a/deep/two.JPG", "a/one.png", "b/four.webp", "b/one.png", "b/three.jpeg"]


def test_a_file_that_is_called_like_a_pattern_is_that_file(tree):
    (tree / "a/x[1].png").touch()
    assert names("a/x[1].png") == ["x[1].png"]


def test_a_pattern_without_a_match_is_named(tree):
    with pytest.raises(FileNotFoundError, match=r"^a/\*\.gif: expected files that match, found none"):
        names("a/*.gif")


def test_videos_cameras_and_streams_are_told_from_pictures(tree):
    (tree / "a/clip.MP4").touch()
    (tree / "1").touch()
    found = find_sources(["a", "a/clip.MP4", "0", "rtsp://door/live", "a/*.MP4", "1"])
    assert found.videos == ("a/clip.MP4", "0", "rtsp://door/live")
    assert [image.file_name for image in found.images] == ["1", "a/deep/two.JPG", "a/one.png"]
    assert find_sources(["missing.mp4"]).videos == ("missing.mp4",)


def test_links_to_nothing_and_web_addresses_of_pictures_are_named(tree):
    for name in ("gone", "gone.png", "gone.mp4"):
        (tree / name).symlink_to("nowhere")
        with pytest.raises(FileNotFoundError, match=rf"^{name}: expected a picture, .* found a link to nothing$"):
            find_sources([name])
    with pytest.raises(
        ValueError, match=r"^https://host/a\.JPG: expected a file, got a web address: download it first$"
    ):
        find_sources(["https://me:secret@host/a.JPG?key=1"])
    assert find_sources(["https://host/live.ts"]).videos == ("https://host/live.ts",)


def test_no_source_is_refused():
    with pytest.raises(ValueError, match="expected pictures, folders or videos, got none"):
        find_sources([])
