"""supervision and pycocotools read what we write, and we read what supervision writes."""

from pathlib import Path

import pytest
import supervision as sv
from pycocotools.coco import COCO

from foreign_sets import faces_of, labelled_set
from maskdet.data.formats import WRITERS, read_labelled_set, write_labelled_set
from maskdet.data.labelled_set import LabelledSet

FLAT = {
    "a.png": [("with mask", (4.0, 5.0, 20.0, 25.0), False), ("none", (0.1, 0.2, 64.0, 48.0), True)],
    "b.png": [],
    "c.png": [("none", (1.0, 2.0, 3.0, 4.0), False)],
}
NAMES = ("none", "with mask", "never")


def boxes_of(dataset: sv.DetectionDataset) -> dict[str, list[tuple]]:
    """Return image → (class, box) of a data set of supervision."""
    return {
        Path(path).stem: [
            (dataset.classes[index], *map(float, box)) for box, index in zip(found.xyxy, found.class_id, strict=True)
        ]
        if len(found)
        else []
        for path, found in dataset.annotations.items()
    }


def expected_boxes(labelled: LabelledSet, shift: float = 0) -> dict[str, list]:
    """Return the same of ours; approximately, since supervision's numbers are float32."""
    shifts = (shift, shift, 0, 0)
    return {
        name: [
            (face[0], *(pytest.approx(v + s, abs=1e-4) for v, s in zip(face[1], shifts, strict=True))) for face in faces
        ]
        for name, faces in faces_of(labelled).items()
    }


def test_supervision_and_pycocotools_read_what_we_write(tmp_path):
    labelled = labelled_set(tmp_path / "set", FLAT, NAMES, has_pixels=True)
    for name in WRITERS:
        write_labelled_set(labelled, tmp_path / name, name)
    yolo = sv.DetectionDataset.from_yolo(
        str(tmp_path / "yolo/images"), str(tmp_path / "yolo/labels"), str(tmp_path / "yolo/data.yaml")
    )
    assert yolo.classes == list(NAMES)
    assert boxes_of(yolo) == expected_boxes(labelled)
    voc = sv.DetectionDataset.from_pascal_voc(str(tmp_path / "voc/images"), str(tmp_path / "voc/annotations"))
    assert boxes_of(voc) == expected_boxes(labelled, shift=-1)  # supervision counts VOC's minima from 1, we do not
    coco = sv.DetectionDataset.from_coco(str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations.json"))
    assert coco.classes == list(NAMES)
    assert boxes_of(coco) == expected_boxes(labelled)
    reference = COCO(str(tmp_path / "coco/annotations.json"))
    assert [category["name"] for category in reference.loadCats(reference.getCatIds())] == list(NAMES)
    found = {
        Path(image["file_name"]).stem: [
            (reference.cats[row["category_id"]]["name"], tuple(row["bbox"])) for row in reference.imgToAnns[image["id"]]
        ]
        for image in reference.loadImgs(reference.getImgIds())
    }
    wanted = {
        name: [
            (face[0], (*face[1][:2], *(pytest.approx(face[1][n + 2] - face[1][n]) for n in (0, 1)))) for face in faces
        ]
        for name, faces in faces_of(labelled).items()
    }
    assert found == wanted


def test_we_read_what_supervision_writes(tmp_path):
    labelled = labelled_set(tmp_path / "set", FLAT, NAMES, has_pixels=True)
    write_labelled_set(labelled, tmp_path / "coco", "coco")
    dataset = sv.DetectionDataset.from_coco(str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations.json"))
    for name in ("yolo", "voc", "coco"):
        images = str(tmp_path / f"their-{name}/images")
        if name == "yolo":
            labels = str(tmp_path / "their-yolo/labels")
            dataset.as_yolo(images, labels, str(tmp_path / "their-yolo/data.yaml"))
        elif name == "voc":
            dataset.as_pascal_voc(images, str(tmp_path / "their-voc/annotations"))
        else:
            dataset.as_coco(images, str(tmp_path / "their-coco/annotations.json"))
        found = read_labelled_set(tmp_path / f"their-{name}")
        assert found.format == name
        shift = 1 if name == "voc" else 0  # supervision adds VOC's pixel
        assert not found.findings
        for key, faces in expected_boxes(labelled, shift).items():
            theirs = [(box_class, *box) for box_class, box, _ in faces_of(found)[key]]
            tolerance = {"yolo": 64 * 1e-5, "voc": 0.5, "coco": 1e-4}[name]  # it writes five decimals, whole pixels
            wanted = [(face[0], *(pytest.approx(v.expected, abs=tolerance) for v in face[1:])) for face in faces]
            assert theirs == wanted
