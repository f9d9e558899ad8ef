"""Tables of videos: the three forms say the same, and read back."""

import json

import numpy as np
import pandas as pd
import pytest

from maskdet.inference.video.faces import VideoFace, faces_of
from maskdet.inference.video.frames import VideoInfo
from maskdet.inference.video.summary import Timeline, VideoSummary, write_people
from maskdet.inference.video.tables import COLUMNS, TABLE_FORMATS, check_formats
from maskdet.inference.video.tracking import Person
from maskdet.schema import CLASS_NAMES

INFO = VideoInfo("clips/tür,1.mp4", (640, 360), 25, None, False, 0.0)


def face(left: float, class_index: int, score: float, person: int | None = None) -> VideoFace:
    return VideoFace(np.float32([left, 10.1, left + 30.3, 40]), class_index, np.float32(score), person)


FRAMES = [
    (0, 0.0, [face(10, 0, 0.9, 1), face(100, 1, 0.1)]),
    (3, 0.12, []),
    (6, 1.24, [face(11 / 3, 2, 1 / 3, 1)]),
]


def written(kind: str, folder, frames=FRAMES):
    path = folder / f"a{TABLE_FORMATS[kind].suffix}"
    with TABLE_FORMATS[kind].open(path, INFO, CLASS_NAMES) as table:
        for frame in frames:
            table.add(*frame)
    return path


def expected_rows(frames=FRAMES) -> list[tuple]:
    return [
        (INFO.name, index, seconds, face.person, CLASS_NAMES[face.class_index], face.score, *face.box_xyxy)
        for index, seconds, faces in frames
        for face in faces
    ]


def rows_of(table: pd.DataFrame) -> list[tuple]:
    assert tuple(table.columns) == COLUMNS
    table = table.astype(dict.fromkeys(COLUMNS[5:], np.float32))
    return [
        tuple(
            None if column == "person" and pd.isna(value) else value for column, value in zip(COLUMNS, row, strict=True)
        )
        for row in table.itertuples(index=False, name=None)
    ]


def test_csv_reads_back_to_the_last_bit(tmp_path):
    assert rows_of(pd.read_csv(written("csv", tmp_path))) == expected_rows()


def test_parquet_reads_back_with_its_types(tmp_path):
    table = pd.read_parquet(written("parquet", tmp_path), dtype_backend="pyarrow")
    assert rows_of(table) == expected_rows()
    kinds = ["string", "int64", "double", "int32", "string", *["float"] * 5]
    assert [str(kind).removesuffix("[pyarrow]") for kind in table.dtypes] == kinds


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("frames", [[], [(0, 0.0, [])]])
def test_a_video_without_faces_has_the_columns_alone(tmp_path, kind, frames):
    path = written(kind, tmp_path, frames)
    table = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert (tuple(table.columns), len(table)) == (COLUMNS, 0)


def test_parquet_of_more_rows_than_are_kept_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("maskdet.inference.video.tables._PARQUET_ROWS", 2)
    frames = [(k, k / 25, FRAMES[0][2]) for k in range(5)]
    assert rows_of(pd.read_parquet(written("parquet", tmp_path, frames), dtype_backend="pyarrow")) == expected_rows(
        frames
    )


def test_coco_lists_every_inferred_frame(tmp_path):
    record = json.loads(written("coco", tmp_path).read_text(encoding="utf-8"))
    assert record["categories"] == [{"id": k, "name": name} for k, name in enumerate(CLASS_NAMES, start=1)]
    assert [(row["id"], row["frame"], row["seconds"]) for row in record["images"]] == [
        (1, 0, 0.0),
        (2, 3, 0.12),
        (3, 6, 1.24),
    ]
    assert {(row["width"], row["height"]) for row in record["images"]} == {(640, 360)}
    assert len({row["file_name"] for row in record["images"]}) == 3
    rows = [(row["id"], row["image_id"], row["category_id"], row.get("person")) for row in record["annotations"]]
    assert rows == [(1, 1, 1, 1), (2, 1, 2, None), (3, 3, 3, 1)]
    assert np.float32(record["annotations"][2]["score"]) == np.float32(1 / 3)
    assert record["annotations"][0]["bbox"] == pytest.approx([10, 10.1, 30.3, 29.9], abs=1e-5)
    assert record["annotations"][0]["area"] == pytest.approx(30.3 * 29.9, rel=1e-5)


def test_coco_of_a_video_without_faces(tmp_path):
    record = json.loads(written("coco", tmp_path, []).read_text())
    assert (record["images"], record["annotations"]) == ([], [])


def test_unknown_formats_are_refused():
    check_formats(["csv", "coco", "parquet"])
    with pytest.raises(ValueError, match="expected formats of a video out of csv, parquet, coco, got yolo, voc"):
        check_formats(["csv", "yolo", "voc"])


def test_the_timeline_has_a_row_a_second(tmp_path):
    timeline = Timeline(CLASS_NAMES)
    for _, seconds, faces in FRAMES:
        timeline.add(seconds, faces)
    timeline.add(5.5, [])
    timeline.write_csv(tmp_path / "t.csv")
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["second"].tolist() == [0, 1, 5]
    assert table["num_frames"].tolist() == [2, 1, 1]
    assert table[list(CLASS_NAMES)].to_numpy().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert table["share_masked"].fillna(-1).tolist() == [0.5, 0, -1]
    assert timeline.totals() == dict(zip(CLASS_NAMES, (1, 1, 1), strict=True))


def test_an_empty_timeline():
    assert Timeline(CLASS_NAMES).totals() == dict.fromkeys(CLASS_NAMES, 0)


def test_people_are_written_with_their_class_and_times(tmp_path):
    people = [Person(3, 0.5, 2.25, 40, np.array([1.0, 3.0, 0.0]), np.zeros(3))]
    write_people(people, CLASS_NAMES, tmp_path / "p.csv")
    row = pd.read_csv(tmp_path / "p.csv").iloc[0].to_dict()
    assert row == {
        "person": 3, "class_name": "without_mask", "share_of_score": 0.75, "first_seconds": 0.5, "last_seconds": 2.25,
        "num_frames": 40,
    }  # fmt: skip


def test_the_summary_speaks_of_people_where_they_were_tracked():
    summary = VideoSummary("a.mp4", 3, dict(zip(CLASS_NAMES, (30, 10, 0), strict=True)), 40, 14, 2, 1.6, 2.0)
    assert summary.frames_per_second == 20
    assert summary.share_masked == 0.75
    assert "frames: 40 (1.6 s) in 2.0 s (20.0 frames/s, one in 3 inferred, its boxes held between)" in summary.lines()
    assert "masked: 75% of the faces" in summary.lines()
    summary.num_people = dict(zip(CLASS_NAMES, (1, 1, 0), strict=True))
    assert "people: 2 (with_mask 1, without_mask 1, mask_weared_incorrect 0)" in summary.lines()
    assert "masked: 50% of the people" in summary.lines()
    assert json.loads(json.dumps(summary.to_record(), allow_nan=False))["share_masked"] == 0.5


def test_detections_become_faces_in_their_order():
    from maskdet.inference.suppression import Detections

    boxes = np.float32([[1, 2, 3, 4], [5, 6, 7, 8]])
    faces = faces_of(Detections(boxes, np.float32([0.9, 0.8]), np.array([2, 0])))
    assert [(face.box_xyxy.tolist(), face.class_index, face.person) for face in faces] == [
        ([1, 2, 3, 4], 2, None),
        ([5, 6, 7, 8], 0, None),
    ]
