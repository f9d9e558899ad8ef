"""`maskdet convert`: strict, whole or not at all, from folders and archives."""

import re
import stat
import zipfile

import pytest

from damaged_set import HEIGHT, WIDTH, oriented_jpeg, scene
from foreign_sets import coco_members, faces_of, yolo_members
from maskdet.commands.convert import parse_renames, rename_classes, run_convert
from maskdet.data.formats import opened_source, read_labelled_set
from raw_archive import WITH, WITHOUT, noise_png, voc_xml, write_folder, write_zip

LINES = ["1 0.25 0.5 0.25 0.5", "0 0.5 0.5 0.5 0.5"]
MEMBERS = yolo_members(*LINES, names="no_mask\nmask\nnever\n") | {"obj/b.png": noise_png(1), "obj/b.txt": b""}


@pytest.mark.parametrize("to", ["yolo", "coco", "voc", "csv"])
def test_an_archive_becomes_another_format(tmp_path, capsys, to):
    source = write_zip(tmp_path / "set.zip", MEMBERS | {"obj/c.png": noise_png(2), "__MACOSX/x.txt": b"x"})
    run_convert(source, tmp_path / "out", to, renames=["mask=with mask"])
    found = read_labelled_set(tmp_path / "out")
    assert found.format == to
    assert faces_of(found) == {
        "obj/a": [("with mask", (8.0, 12.0, 24.0, 36.0), False), ("no_mask", (16.0, 12.0, 48.0, 36.0), False)],
        "obj/b": [],
        "obj/c": None,
    }
    assert (tmp_path / "out/images/obj/a.png").read_bytes() == MEMBERS["obj/a.png"]
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == f"read     {source} (yolo)"
    assert lines[1] == "         image-without-labels: 1, such as obj/c.png: expected labels, found none"
    assert lines[2:4] == [
        "images   3 (1 without faces, 1 without labels)",
        "faces    2 (no_mask 1, with mask 1, never 0)",
    ]
    assert lines[-1] == f"wrote    {tmp_path / 'out'} ({to})"
    assert sum(line.startswith("lost") for line in lines) == (to in ("voc", "csv"))


def test_what_is_lost_is_told(tmp_path, capsys):
    xml = voc_xml((WITH, 4, 5, 20, 25), (WITHOUT, 1, 2, 3, 4)).replace(b"t>0</d", b"t>1</d", 1)
    source = write_folder(tmp_path / "set", {"a.png": noise_png(0), "a.xml": xml})
    run_convert(source, tmp_path / "out", "yolo")
    assert "lost     1 boxes are no longer marked as difficult, since yolo has no such flag" in capsys.readouterr().out


def test_classes_can_be_renamed_and_merged(tmp_path):
    source = write_folder(tmp_path / "set", MEMBERS)
    written = run_convert(source, tmp_path / "out", "coco", renames=["no_mask=face", "mask = face"])
    assert written.faces_per_class == {"face": 2, "never": 0}
    assert rename_classes(read_labelled_set(source), {"no_mask": "never"}).number_of == {"never": 0, "mask": 1}
    swapped = rename_classes(read_labelled_set(source), {"mask": "no_mask", "no_mask": "mask"})
    assert swapped.class_names == ("mask", "no_mask", "never")
    assert [box.class_name for box in swapped.images[0].boxes] == ["no_mask", "mask"]


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        (["Mask=face"], "--class: expected classes of the set ('no_mask', 'mask', 'never'), got 'Mask'"),
        (["mask"], "--class: expected OLD=NEW, got 'mask'"),
        (["mask="], "--class: expected OLD=NEW, got 'mask='"),
        (["mask=a", "mask=b"], "--class: expected each class once, got 'mask' again"),
    ],
)
def test_wrong_renames(tmp_path, renames, message):
    source = write_folder(tmp_path / "set", MEMBERS)
    with pytest.raises(ValueError, match=re.escape(message)):
        run_convert(source, tmp_path / "out", "coco", renames=renames)
    assert not (tmp_path / "out").exists()
    assert parse_renames([]) == {}


def test_errors_are_refused_with_the_remedy(tmp_path):
    source = write_folder(tmp_path / "set", MEMBERS | {"obj/b.txt": b"7 0.5 0.5 0.5 0.5\n1 0.5\n"})
    with pytest.raises(ValueError, match="expected labels without errors") as caught:
        run_convert(source, tmp_path / "out", "voc")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{source}: expected labels without errors, got 1 class-unknown, 1 label-columns:"
    assert lines[1] == "  obj/b.txt: line 1: expected a class of obj.names (0, 1, 2), got 7"
    assert lines[-1] == f"`maskdet audit {source} --repair FOLDER` writes a corrected copy"
    assert not (tmp_path / "out").exists()


def test_the_format_can_be_named(tmp_path):
    members = {name: content for name, content in coco_members([]).items() if name != "images/a.png"}
    source = write_folder(tmp_path / "set", MEMBERS | members)
    with pytest.raises(ValueError, match=r"expected labels in one format, found yolo .*, coco"):
        run_convert(source, tmp_path / "out", "voc")
    run_convert(source, tmp_path / "out", "voc", from_format="yolo")
    assert read_labelled_set(tmp_path / "out").format == "voc"


def link_member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"../evil.png": b"x"}, "expected members inside the archive's folder, got '../evil.png'"),
        ({"/evil.png": b"x"}, "expected members inside the archive's folder, got '/evil.png'"),
        ({link_member("link.png"): b"/etc/passwd"}, "expected files, got the symbolic link 'link.png'"),
        ({"zeros.png": bytes(3_000_000)}, r"expected at most 2 MB unpacked \(max_unpacked_mb\), got 3.0 MB"),
    ],
)
def test_malicious_archives(tmp_path, members, message):
    source = write_zip(tmp_path / "set.zip", members | MEMBERS)
    with pytest.raises(ValueError, match=message):
        run_convert(source, tmp_path / "out", "voc", max_unpacked_mb=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_what_is_no_source(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    for name, found in (("a.txt", "another file"), ("b.zip", "nothing")):
        with (
            pytest.raises(ValueError, match=f"{name}: expected a folder or a zip archive, found {found}"),
            opened_source(tmp_path / name),
        ):
            pass


def test_an_unpacked_archive_is_removed(tmp_path):
    with opened_source(write_zip(tmp_path / "set.zip", MEMBERS)) as folder:
        assert (folder / "obj.names").is_file()
        assert folder.name == "set"
    assert not folder.exists()
    with opened_source(tmp_path) as folder:
        assert folder == tmp_path


@pytest.mark.parametrize(
    ("members", "told"),
    [({}, "got none"), ({"a.txt": b"# drawn by hand\n0,0.5,0.5,0.2,0.2\n"}, r"got files in no known form \(a\.txt\)")],
)
def test_pictures_alone_are_converted_only_when_asked_for(tmp_path, members, told):
    source = write_folder(tmp_path / "set", {"a.png": noise_png(0), **members})
    with pytest.raises(ValueError, match=f"expected labels as VOC, YOLO, COCO or CSV, {told}"):
        run_convert(source, tmp_path / "out", "coco")
    assert not (tmp_path / "out").exists()
    assert run_convert(source, tmp_path / "out", "coco", from_format="images").num_images == 1


def test_labels_of_a_picture_as_exif_turns_it_are_refused(tmp_path):
    xml = voc_xml((WITH, 20, 20, 60, 70), width=HEIGHT, height=WIDTH)
    source = write_folder(tmp_path / "set", {"a.jpg": oriented_jpeg(scene(0), 6), "a.xml": xml})
    with pytest.raises(ValueError, match=r"as EXIF turns them, such as a\.jpg\n`maskdet audit .*--repair"):
        run_convert(source, tmp_path / "out", "yolo")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("line", ["0 0.5 0.5 1.0 1.0", "0 0.5 0.5 1.0000001 1.0"])
def test_a_box_that_ends_a_hair_outside_is_held_by_yolo(tmp_path, line):
    x_max = WIDTH + (0.005 if "0001" in line else 0)
    csv = f"file_name,class_name,x_min,y_min,x_max,y_max\na.jpg,mask,0,0,{x_max},{HEIGHT}\n".encode()
    source = write_folder(tmp_path / "set", {"a.jpg": oriented_jpeg(scene(0), 1), "labels.csv": csv})
    run_convert(source, tmp_path / "out", "yolo")
    [image] = read_labelled_set(tmp_path / "out").images
    assert image.boxes[0].box_xyxy == (0, 0, WIDTH, HEIGHT)
