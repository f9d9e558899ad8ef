"""A composite: sources found, read, recoded, named and turned; what is refused, and how it is said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from maskdet.boxes import box_area
from maskdet.data.composite import TURNS, compose, composite_names, turned_box
from maskdet.data.composite_origins import Origin, originals_of_copies, read_origins, write_origins
from maskdet.data.composite_sources import find_sources, source_settings
from maskdet.data.image import read_image
from maskdet.data.voc import read_voc
from raw_archive import noise_png, small_members, voc_xml, write_folder, write_zip

YOLO_MAP = {"mask": "with_mask", "no_mask": "without_mask"}
VOC_MAP = {"with_mask": "with_mask", "without_mask": "without_mask"}


def yolo_members() -> dict[str, bytes]:
    """Return two images of 64 x 48 pixels, one with a masked and a bare face, one without a face."""
    return {
        "obj.names": b"no_mask\nmask\n",
        "obj/a.png": noise_png(70),
        "obj/a.txt": b"1 0.5 0.5 0.25 0.5\n0 0.125 0.25 0.125 0.25\n",
        "obj/b.png": noise_png(71),
        "obj/b.txt": b"",
    }


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A folder of two archives, one in VOC and one in YOLO format, that MASKDET_ARCHIVES names."""
    folder = tmp_path / "archives"
    folder.mkdir()
    write_zip(folder / "voc.zip", {f"set/{name}": content for name, content in small_members(3).items()})
    write_zip(folder / "yolo.zip", yolo_members())
    monkeypatch.setenv("MASKDET_ARCHIVES", str(folder))
    return folder


def sources(**changes: dict | None) -> dict:
    """Return the node `data.sources` for both archives, with changes by name; None leaves a source out."""
    known = {
        "drawn": {"archive": "voc.zip", "class_map": VOC_MAP},
        "web": {"archive": "yolo.zip", "class_map": YOLO_MAP, "format": "yolo"},
    }
    names = [*known, *(name for name in changes if name not in known)]
    return OmegaConf.create(
        {name: known.get(name, {}) | changes.get(name, {}) for name in names if changes.get(name, {}) is not None}
    )


def composed(root, rotated_copies=(), **changes):
    folder = root / "raw"
    folder.mkdir()
    return compose(find_sources(sources(**changes), root), rotated_copies, folder), folder


def test_two_formats_become_one_set(archives, tmp_path):
    (drawn, web), folder = composed(tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == ["annotations", "images", "sources.csv"]
    names = ["drawn__img00.png", "drawn__img01.png", "drawn__img02.png", "web__a.png", "web__b.png"]
    assert sorted(file.name for file in (folder / "images").iterdir()) == names
    assert (folder / "images/web__a.png").read_bytes() == noise_png(70)
    faces = {name: read_voc(folder / "annotations" / name.replace(".png", ".xml")).objects for name in names}
    assert [(face.class_name, face.box) for face in faces["web__a.png"]] == [
        ("with_mask", (24, 12, 40, 36)),
        ("without_mask", (4, 6, 12, 18)),
    ]
    assert [len(found) for found in faces.values()] == [1, 2, 0, 2, 0]
    assert (drawn.format, web.format) == ("voc", "yolo")
    assert drawn.recoded.num_boxes == {"with_mask": 2, "without_mask": 1}
    origins = read_origins(folder)
    assert list(origins) == names
    assert origins["drawn__img00.png"] == Origin("drawn__img00.png", "drawn", "set/images/img00.png")
    assert originals_of_copies(origins) == {}


def test_a_folder_of_ones_own_stays_as_it_is(archives, tmp_path):
    members = yolo_members()
    mine = write_folder(tmp_path / "mine", members)
    settings = {"path": "mine", "class_map": YOLO_MAP}
    parts, folder = composed(tmp_path, drawn=None, web=None, mine=settings)
    assert {file.relative_to(mine).as_posix(): file.read_bytes() for file in mine.rglob("*.*")} == members
    assert sorted(file.name for file in (folder / "images").iterdir()) == ["mine__a.png", "mine__b.png"]
    assert parts[0].source.place == mine


def test_a_source_may_be_switched_off(archives, tmp_path):
    (only,), _ = composed(tmp_path, drawn={"enabled": False})
    assert only.source.name == "web"


def test_unlabelled_images_are_no_images_without_faces(archives, tmp_path):
    write_zip(archives / "yolo.zip", yolo_members() | {"obj/c.png": noise_png(72)})
    (web,), folder = composed(tmp_path, drawn=None)
    assert web.unlabelled == ("obj/c.png",)
    assert web.findings == {"image-without-labels": 1}
    assert not (folder / "images/web__c.png").exists()


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(TURNS), st.integers(1, 9), st.integers(1, 9))
def test_boxes_turn_with_their_pixels(data, degrees, width, height):
    x_min, x_max = sorted(data.draw(st.tuples(*[st.integers(0, width)] * 2)))
    y_min, y_max = sorted(data.draw(st.tuples(*[st.integers(0, height)] * 2)))
    is_face = np.zeros((height, width), bool)
    is_face[y_min:y_max, x_min:x_max] = True
    turned = np.rot90(is_face, degrees // 90)
    left, top, right, bottom = turned_box((x_min, y_min, x_max, y_max), (width, height), degrees)
    expected = np.zeros_like(turned)
    expected[top:bottom, left:right] = True
    assert (turned == expected).all()


@given(st.tuples(*[st.integers(-20, 20)] * 4), st.integers(1, 9), st.integers(1, 9))
def test_four_quarter_turns_are_none(box_xyxy, width, height):
    """Inverted boxes and boxes beyond the image too."""
    quarter = turned_box(box_xyxy, (width, height), 90)
    assert turned_box(quarter, (height, width), 270) == box_xyxy
    assert turned_box(quarter, (height, width), 90) == turned_box(box_xyxy, (width, height), 180)
    assert box_area([quarter])[0] == box_area([box_xyxy])[0]


def test_turned_copies(archives, tmp_path):
    (web,), folder = composed(tmp_path, [90, 270], drawn=None)
    original = read_image(folder / "images/web__a.png")
    for degrees in (90, 270):
        name = f"web__a__rot{degrees}"
        assert (read_image(folder / f"images/{name}.png") == np.rot90(original, degrees // 90)).all()
        labels = read_voc(folder / f"annotations/{name}.xml")
        assert labels.image_wh == (48, 64)
        boxes = [turned_box(box, (64, 48), degrees) for box in ((24, 12, 40, 36), (4, 6, 12, 18))]
        assert [face.box for face in labels.objects] == boxes
    origins = read_origins(folder)
    assert origins["web__a__rot90.png"] == Origin("web__a__rot90.png", "web", "obj/a.png", "web__a.png", 90)
    copies = {f"web__{stem}__rot{turn}.png": f"web__{stem}.png" for stem in "ab" for turn in (90, 270)}
    assert originals_of_copies(origins) == copies
    assert len(web.recoded.images) == 2


@pytest.mark.parametrize("turns", [[45], [90, 90], [0]])
def test_other_turns_are_refused(archives, tmp_path, turns):
    with pytest.raises(ValueError, match=r"data\.rotated_copies: expected different ones of 90, 180, 270, got"):
        composed(tmp_path, turns)


FOLDERS, STEMS, SUFFIXES = ["", "train/", "test/", "a/b/"], ["a", "A", "b", "c.d"], ["png", "jpg", "JPG"]
PATHS = st.lists(st.builds("{}{}.{}".format, *map(st.sampled_from, (FOLDERS, STEMS, SUFFIXES))), unique=True)


@given(PATHS)
def test_every_file_gets_a_name_that_says_its_source(paths):
    names = composite_names("web", paths)
    assert sorted(names) == sorted(paths)
    assert len(set(names.values())) == len(paths)
    assert all(name.startswith("web__") and "/" not in name for name in names.values())
    others = composite_names("web", [*paths, "lonely.png"])
    assert {path: others[path] for path in paths} == names


def test_names_that_would_share_a_label_file(archives, tmp_path):
    members = yolo_members() | {"obj/a__rot90.png": noise_png(73), "obj/a__rot90.txt": b""}
    write_zip(archives / "yolo.zip", members)
    message = (
        r"data\.sources\.web: expected files that can be told apart, got obj/a.* as web__a__rot90\.png and obj/a.*"
    )
    with pytest.raises(ValueError, match=message):
        composed(tmp_path, [90], drawn=None)


def test_every_missing_source_is_named_with_its_remedy(archives, tmp_path):
    lost = {"drawn": {"archive": "gone.zip"}, "other": {"path": "nowhere", "class_map": {}}, "bare": {"class_map": {}}}
    with pytest.raises(ValueError, match="gone") as raised:
        find_sources(sources(**lost), tmp_path)
    bare, drawn, other = str(raised.value).splitlines()
    assert bare.startswith("data.sources.bare: expected a path or the name of an archive, got neither")
    assert "gone.zip: expected the archive, got no gone.zip in MASKDET_ARCHIVES=" in drawn
    assert drawn.endswith("or leave this source out: data.sources.drawn.enabled=false")
    assert "expected a folder or a zip archive, found nothing at path=nowhere" in other


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({}, r"expected an enabled source, got 0 that are not"),
        ({"web": {"class_map": {}, "enabled": False}}, r"expected an enabled source, got 1 that are not"),
        ({"a__b": {"class_map": {}}}, r"expected names of a-z, 0-9 and single - or _, got 'a__b'"),
        ({"../web": {"class_map": {}}}, r"expected names of a-z, 0-9 and single - or _, got '\.\./web'"),
        ({"web": {"class_mapp": {}}}, r"data\.sources\.web: .*class_mapp"),
        ({"web": {"path": "web"}}, r"data\.sources\.web: .*missing mandatory value: class_map"),
        ({"web": {"class_map": {}, "max_unpacked_mb": "much"}}, r"data\.sources\.web: Value 'much' .*Float"),
    ],
)
def test_settings_that_are_refused(node, message):
    with pytest.raises(ValueError, match=message):
        source_settings(OmegaConf.create(node))


def test_classes_may_be_numbers():
    (settings,) = source_settings(OmegaConf.create({"web": {"class_map": {0: "with_mask", "1": None}}}))
    assert settings.class_map == {"0": "with_mask", "1": None}


def test_labels_in_error_are_refused_with_a_remedy(archives, tmp_path):
    write_zip(archives / "yolo.zip", yolo_members() | {"obj/b.txt": b"7 0.5 0.5 0.1 0.1\n"})
    message = (
        r"(?s)data\.sources\.web: expected labels without errors, got 1 class-unknown.*obj/b\.txt.*`maskdet audit "
    )
    with pytest.raises(ValueError, match=message + r"yolo\.zip --repair FOLDER`, then data\.sources\.web\.path=FOLDER"):
        composed(tmp_path)


def test_an_unknown_class_and_another_format_name_the_source(archives, tmp_path):
    with pytest.raises(ValueError, match=r"data\.sources\.drawn\.class_map: .*got none for 'without_mask'"):
        composed(tmp_path, drawn={"class_map": {"with_mask": "with_mask"}})
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"data\.sources\.web: yolo\.zip: expected a set in the format coco"):
        composed(tmp_path / "other", web={"format": "coco"})


def test_a_hostile_source_is_refused(archives, tmp_path):
    write_zip(archives / "yolo.zip", yolo_members() | {"../evil.txt": b""})
    with pytest.raises(ValueError, match=r"yolo\.zip: expected members inside the archive's folder"):
        composed(tmp_path)
    write_zip(archives / "yolo.zip", yolo_members())
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"expected at most 0\.001 MB"):
        composed(tmp_path / "other", web={"max_unpacked_mb": 0.001})


def test_an_altered_file_of_a_manifest_names_the_source(archives, tmp_path):
    members = {"images/maksssksksss0.png": noise_png(0), "annotations/maksssksksss0.xml": voc_xml()}
    write_zip(archives / "voc.zip", members)
    with pytest.raises(
        ValueError, match=r"data\.sources\.drawn: .*2 altered.*data\.sources\.drawn\.allow_altered=true"
    ):
        composed(tmp_path, drawn={"manifest": "kaggle"})
    (tmp_path / "other").mkdir()
    (drawn, _), _ = composed(tmp_path / "other", drawn={"manifest": "kaggle", "allow_altered": True})
    assert len(drawn.verification.altered) == 2


def test_origins_are_read_as_written(tmp_path):
    origins = [Origin("b,c.png", "web", 'x/"b".png'), Origin("NA.png", "NA", "ü.png", "b,c.png", 90)]
    write_origins(origins, tmp_path)
    assert list(read_origins(tmp_path).values()) == origins[::-1]
    assert read_origins(tmp_path / "elsewhere") == {}
    (tmp_path / "sources.csv").write_text("file_name,source\na.png,web\n")
    with pytest.raises(
        ValueError, match=r"sources\.csv: expected the columns file_name, source, original, .*got file_name"
    ):
        read_origins(tmp_path)
