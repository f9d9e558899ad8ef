"""Which images are shown, and what is said of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from maskdet.reporting.gallery import outcomes_by_image, rarest_class, select_images, write_gallery
from maskdet.reporting.picture import GalleryPicture, JudgedTables, judge_tables
from maskdet.stages.entry import Workspace
from table_rows import detection_rows, face_rows

BOX, FAR = (10, 10, 30, 30), (60, 60, 90, 90)
FILES = ["a.png", "b.png", "c.png", "d.png", "e.png"]


@pytest.fixture
def judged() -> JudgedTables:
    """Return a: 2 hits; b: 1 hit; c: 1 miss and a false alarm; d: no face, a false alarm; e: nothing at all."""
    faces = [
        ("a.png", "with_mask", *BOX),
        ("a.png", "with_mask", *FAR),
        ("b.png", "without_mask", *BOX),
        ("c.png", "without_mask", *BOX),
        ("c.png", "mask_weared_incorrect", *FAR),
    ]
    detections = [
        ("a.png", "with_mask", 0.9, *BOX),
        ("a.png", "with_mask", 0.8, *FAR),
        ("b.png", "without_mask", 0.9, *BOX),
        ("b.png", "without_mask", 0.2, *FAR),  # below the threshold
        ("c.png", "with_mask", 0.9, *BOX),  # wrong class
        ("c.png", "mask_weared_incorrect", 0.9, *FAR),
        ("d.png", "with_mask", 0.9, *BOX),
    ]
    return judge_tables(face_rows(faces), detection_rows(detections), score_threshold=0.3)


def test_outcomes_by_hand(judged: JudgedTables) -> None:
    table = outcomes_by_image(FILES, judged)
    assert table[["tp", "fp", "fn"]].to_numpy().tolist() == [[2, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]]
    assert table["f1"].iloc[:4].tolist() == [1, 1, 0.5, 0]
    assert np.isnan(table["f1"].iloc[4])


def test_sections_by_hand(judged: JudgedTables) -> None:
    sections = select_images(FILES, judged, num_images=2, seed=0)
    assert sections["best"] == ["a.png", "b.png"]  # equal F1: more hits first
    assert sections["worst"] == ["d.png", "c.png"]
    assert sections["rare"] == ["c.png"]
    assert len(set(sections["random"])) == 2


def test_random_follows_the_seed_and_not_the_order_of_files(judged: JudgedTables) -> None:
    draws = [select_images(files, judged, 5, 0)["random"] for files in (FILES, FILES[::-1])]
    assert draws[0] == draws[1]
    assert sorted(draws[0]) == FILES
    assert any(select_images(FILES, judged, 5, seed)["random"] != draws[0] for seed in (1, 2, 3))


def test_an_image_without_an_error_is_not_among_the_worst(judged: JudgedTables) -> None:
    assert select_images(FILES, judged, 5, 0)["worst"] == ["d.png", "c.png"]


def test_empty_tables_give_empty_sections() -> None:
    judged = judge_tables(face_rows([]), detection_rows([]), 0.3)
    assert rarest_class(judged.faces) is None
    assert select_images([], judged, 3, 0) == {"best": [], "worst": [], "random": [], "rare": []}
    assert select_images(["a.png"], judged, 3, 0)["random"] == ["a.png"]


def test_captions_count_hits_misses_and_false_alarms(judged: JudgedTables) -> None:
    picture = GalleryPicture("c.png", 0, np.zeros((100, 100, 3), np.uint8), judged.of_file("c.png"))
    assert picture.counts == {"num_faces": 2, "hits": 1, "misses": 1, "false_alarms": 1}
    assert picture.captions == ("Truth: 2 faces", "Prediction: 1 hit, 1 miss, 1 false alarm")


def test_gallery_takes_the_place_of_the_old_one(judged: JudgedTables, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    (folder / "old").mkdir(parents=True)
    picture = GalleryPicture("c.png", 0, np.zeros((50, 100, 3), np.uint8), judged.of_file("c.png"))
    captions = write_gallery({"best": [picture], "rare": []}, folder, 640)
    assert sorted(path.name for path in folder.iterdir()) == ["best", "captions.csv", "rare"]
    assert captions["picture"].tolist() == ["best/01_c.jpg"]
    with Image.open(folder / "best/01_c.jpg") as written:
        assert written.width == 2 * 200 + 6


def test_stage_writes_the_gallery(workspace: Workspace) -> None:
    folder = workspace.output("reports/gallery")
    captions = pd.read_csv(folder / "captions.csv")
    assert set(captions["section"]) == {"best", "worst", "random", "rare"}
    assert all((folder / name).is_file() for name in captions["picture"])
    worst = captions[captions["section"] == "worst"]
    assert worst["file_name"].tolist() == ["scene_05.png", "scene_03.png", "scene_04.png"]  # two errors, then one
    assert worst["misses"].tolist() == [2, 0, 1]
    assert worst["false_alarms"].tolist() == [0, 1, 0]
    assert set(captions.loc[captions["section"] == "rare", "file_name"]) == {"scene_08.png"}
