"""VOC files and the tables built from them: repairs are listed, malformed input is refused by name."""

import pytest

from maskdet.boxes import box_area
from maskdet.data.summary import summarize, summary_markdown
from maskdet.data.tables import build_tables
from maskdet.data.voc import VocFile, VocObject, read_voc
from maskdet.schema import BOX_COLUMNS
from raw_archive import WITH, WITHOUT, WRONG, noise_png, voc_xml, write_folder

GOOD = voc_xml((WITH, 4, 5, 20, 25))


def _raw(tmp_path, annotations: dict[str, bytes], images: tuple[str, ...] | None = None):
    names = images if images is not None else tuple(annotations)
    members = {f"images/{name}.png": noise_png(0) for name in names}
    members |= {f"annotations/{name}.xml": content for name, content in annotations.items()}
    (tmp_path / "images").mkdir(exist_ok=True)
    (tmp_path / "annotations").mkdir(exist_ok=True)
    return write_folder(tmp_path, members)


def test_no_object_and_numbers_as_they_stand(tmp_path):
    (tmp_path / "none.xml").write_bytes(voc_xml())
    assert read_voc(tmp_path / "none.xml") == VocFile((64, 48), ())
    (tmp_path / "one.xml").write_bytes(voc_xml((WITH, 1, 2, " 3.5 ", 401)))
    assert read_voc(tmp_path / "one.xml").objects == (VocObject(WITH, (1.0, 2.0, 3.5, 401.0), False),)


def test_difficult_is_optional(tmp_path):
    for text, flag in ((b"<difficult>1</difficult>", True), (b"", False)):
        (tmp_path / "a.xml").write_bytes(GOOD.replace(b"<difficult>0</difficult>", text))
        assert read_voc(tmp_path / "a.xml").objects[0].is_difficult is flag


ENTITY = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected well-formed XML without entities, got ParseError"),
        (GOOD[:-20], "expected well-formed XML without entities, got ParseError"),
        (ENTITY, "expected well-formed XML without entities, got EntitiesForbidden"),
        (b"<svg/>", "expected the root <annotation>, got <svg>"),
        (GOOD.replace(b"bndbox", b"box"), "object 0: expected <bndbox>, got none"),
        (GOOD.replace(b"ymin", b"top"), "object 0: expected <ymin> with a value, got none"),
        (GOOD.replace(b"<name>with_mask</name>", b""), "object 0: expected <name> with a value, got none"),
        (voc_xml((WITH, "four", 5, 20, 25)), "object 0: expected a number in <xmin>, got 'four'"),
        (voc_xml((WITH, 1, 5, "nan", 25)), "object 0: expected a finite number in <xmax>, got 'nan'"),
        (voc_xml((WITH, 1, 5, 20, "inf")), "object 0: expected a finite number in <ymax>, got 'inf'"),
        (voc_xml((WITH, 1, 5, 20, 9), width="wide"), "size: expected a number in <width>, got 'wide'"),
        (GOOD.replace(b"t>0</d", b"t>maybe</d"), "object 0: expected <difficult> 0 or 1, got 'maybe'"),
    ],
)
def test_malformed_annotations(tmp_path, content, message):
    (tmp_path / "bad.xml").write_bytes(content)
    with pytest.raises(ValueError, match=f"bad.xml: {message}"):
        read_voc(tmp_path / "bad.xml")


def test_boxes_are_clipped_or_dropped_and_listed(tmp_path):
    faces = [
        (WITH, 4, 5, 20, 25),  # as it is
        (WITHOUT, -3, 5, 65, 25),  # clipped
        (WITH, 7, 5, 7, 25),  # empty
        (WITH, 20, 5, 4, 25),  # inverted in x
        (WITH, 20, 25, 4, 5),  # inverted in both: its product of sides is positive
        (WRONG, 64, 5, 70, 25),  # wholly outside
    ]
    tables = build_tables(_raw(tmp_path, {"a": voc_xml(*faces)}), "test")
    assert tables.annotations[["class_name", *BOX_COLUMNS]].to_numpy().tolist() == [
        [WITH, 4, 5, 20, 25],
        [WITHOUT, 0, 5, 64, 25],
    ]
    assert tables.repairs.clipped == ({"file": "a.png", "class_name": WITHOUT, "box": [-3, 5, 65, 25]},)
    assert [item["box"] for item in tables.repairs.dropped] == [list(face[1:]) for face in faces[2:]]
    assert tables.images["num_faces"].tolist() == [2]
    assert (box_area(tables.annotations[BOX_COLUMNS].to_numpy()) > 0).all()


def test_no_faces_is_not_the_same_as_not_annotated(tmp_path):
    raw = _raw(tmp_path, {"a": voc_xml(), "b": GOOD, "orphan": GOOD}, images=("a", "b", "c"))
    tables = build_tables(raw, "test")
    assert tables.images[["file_name", "num_faces"]].to_numpy().tolist() == [["a.png", 0], ["b.png", 1]]
    assert tables.repairs.not_annotated == ("c.png",)
    assert tables.repairs.without_image == ("orphan.xml",)


def test_only_images_without_faces(tmp_path):
    tables = build_tables(_raw(tmp_path, {"a": voc_xml()}), "test")
    assert tables.annotations.shape == (0, 7)
    assert str(tables.annotations["x_min"].dtype) == "float32"
    assert "0 faces" in summary_markdown(summarize(tables))


def test_the_real_size_counts(tmp_path):
    no_size = b"<annotation/>"
    raw = _raw(tmp_path, {"a": voc_xml((WITH, 4, 5, 90, 25), width=100), "b": no_size, "c": GOOD})
    tables = build_tables(raw, "test")
    assert tables.images[["width", "height"]].to_numpy().tolist() == [[64, 48]] * 3
    assert tables.annotations["x_max"].tolist() == [64, 20]
    assert tables.repairs.size_differs == (
        {"file": "a.xml", "declared_wh": [100, 48], "real_wh": [64, 48]},
        {"file": "b.xml", "declared_wh": None, "real_wh": [64, 48]},
    )


def test_unknown_classes_are_all_listed(tmp_path):
    raw = _raw(tmp_path, {"a": voc_xml(("mask", 1, 1, 9, 9)), "b": GOOD, "c": voc_xml(("With_Mask", 1, 1, 9, 9))})
    message = (
        "expected the classes with_mask, without_mask, mask_weared_incorrect, got a.xml: 'mask', c.xml: 'With_Mask'"
    )
    with pytest.raises(ValueError, match=message):
        build_tables(raw, "test")


def test_refused_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="images: expected the folder that the stage `fetch` writes"):
        build_tables(tmp_path, "test")
    raw = _raw(tmp_path, {}, images=("a",))
    with pytest.raises(ValueError, match="expected images with annotations, got 1 images, none with an XML file"):
        build_tables(raw, "test")
    (raw / "images/a.jpg").write_bytes(noise_png(0))
    with pytest.raises(ValueError, match=r"images: expected one file a name, got a\.jpg and a\.png"):
        build_tables(raw, "test")
    (raw / "images/a.jpg").unlink()
    (raw / "annotations/a.xml").write_bytes(GOOD)
    (raw / "images/a.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.png: expected an image, got an empty file"):
        build_tables(raw, "test")


def test_summary(tmp_path):
    faces = [(WITH, 0, 0, 10, 20), (WITHOUT, 0, 0, 30, 40), (WITH, 0, 0, 99, 9)]
    raw = _raw(tmp_path, {"a": voc_xml(*faces), "b": voc_xml()})
    summary = summarize(build_tables(raw, "test"))
    assert summary["num_images"] == 2
    assert summary["num_images_without_faces"] == 1
    assert summary["faces_per_class"] == {WITH: 2, WITHOUT: 1, WRONG: 0}
    assert summary["class_shares"][WITH] == pytest.approx(2 / 3, abs=1e-4)
    assert summary["box_sizes_px"]["height"]["0.5"] == 20
    page = summary_markdown(summary)
    assert "| `with_mask` | 2 | 66.7% | 1 |" in page
    assert "- Boxes that reached beyond the image, clipped: 1\n  - `a.png`: class name with_mask, box" in page
