"""The stage `overlays` on photos of one portrait, whole, cut, small and beside faces that are none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from maskdet.data.crops import CropStore, cut_crop
from maskdet.schema import ANNOTATIONS, FOLDS, OVERLAYS, write_table
from maskdet.stages.entry import Workspace
from maskdet.stages.overlays import run
from portrait import BOX, scaled
from table_rows import face_rows

CONF = Path(__file__).parents[2] / "conf"
SCALES = {"large.png": 0.6, "masked.png": 0.4, "medium.png": 0.4, "small.png": 0.2, "cut.png": 0.6, "jacket.png": 0.6}
MOUTH_Y = 165  # of the portrait at 0.6
PHOTOS = {name: scaled(scale)[: MOUTH_Y if name == "cut.png" else None] for name, scale in SCALES.items()}
BOXES = {name: (BOX * scale).round() for name, scale in SCALES.items()}
BOXES["cut.png"][3] = MOUTH_Y
BOXES["jacket.png"] = np.array([240.0, 258, 300, 336])
GROUPS = {name: 10 + i for i, name in enumerate(PHOTOS)}


def config(*overrides: str) -> DictConfig:
    """Return what the stage reads of the committed config, with two masks a face."""
    cfg = OmegaConf.create({"seed": 0, "overlay": OmegaConf.load(CONF / "overlay/default.yaml")})
    cfg.crops = {"margin": 0.25, "size": 64}
    cfg.overlay.variants = 2
    cfg.merge_with_dotlist(list(overrides))
    return cfg


def write_world(root: Path, names: tuple[str, ...] = tuple(PHOTOS)) -> Workspace:
    (root / "build/raw/images").mkdir(parents=True)
    for name in names:
        Image.fromarray(PHOTOS[name]).save(root / "build/raw/images" / name)
    classes = {name: "with_mask" if name == "masked.png" else "without_mask" for name in names}
    annotations = face_rows([(name, classes[name], *BOXES[name]) for name in names])
    write_table(annotations, root / "build/table/annotations.parquet", ANNOTATIONS)
    folds = pd.DataFrame({"file_name": names, "group": [GROUPS[name] for name in names], "split_role": "fold"})
    write_table(folds.assign(fold=folds["group"] % 3), root / "build/folds.parquet", FOLDS)
    return Workspace(root, root)


@pytest.fixture
def workspace(tmp_path):
    return write_world(tmp_path)


def opened(workspace: Workspace) -> CropStore:
    return CropStore.open(workspace.output("build/overlays"))


def test_large_bare_faces_are_masked_and_all_others_counted(workspace):
    report = run(config(), workspace)
    store = opened(workspace)
    assert list(store.index.columns) == list(OVERLAYS.columns)
    assert store.index["file_name"].tolist() == ["large.png"] * 2 + ["medium.png"] * 2
    assert store.pixels.shape == (4, 64, 64, 3)
    expected = {"too_small": 1, "no_face_found": 1, "another_face": 0, "cut_by_the_photo": 1, "turned_aside": 0}
    assert report["num_skipped"] == expected
    assert (report["num_bare_faces"], report["num_faces_masked"], report["num_overlays"]) == (5, 2, 4)
    assert report["num_groups_of_photos"] == 2
    assert sum(report["per_class"].values()) == sum(report["per_shape"].values()) == 4
    assert sum(report["per_colour"].values()) == sum(report["per_way_worn"].values()) == 4
    assert workspace.output("reports/two_phase/overlays.json").is_file()


def test_an_overlay_keeps_its_faces_fold_group_and_box(workspace):
    run(config(), workspace)
    for row in opened(workspace).index.itertuples():
        assert row.group == GROUPS[row.file_name]
        assert row.fold == GROUPS[row.file_name] % 3
        assert [row.x_min, row.y_min, row.x_max, row.y_max] == BOXES[row.file_name].tolist()


@pytest.mark.parametrize(
    ("worn", "class_name"),
    [("over_nose", "with_mask"), ("below_nose", "mask_weared_incorrect"), ("under_chin", "mask_weared_incorrect")],
)
def test_the_class_is_what_the_face_shows(tmp_path, worn, class_name):
    workspace = write_world(tmp_path, ("medium.png",))
    cfg = config()
    cfg.overlay.worn = {worn: 1}
    report = run(cfg, workspace)
    store = opened(workspace)
    assert set(store.index["class_name"]) == {class_name}
    assert report["per_class"][class_name] == 2
    bare = cut_crop(PHOTOS["medium.png"], BOXES["medium.png"], 0.25, 64).astype(int)
    for masked in store.pixels:  # the same crop, but for the mask
        changed = (np.abs(masked - bare) > 20).any(axis=2)
        assert (masked[:20] == bare[:20]).all()
        assert 0.02 < changed.mean() < 0.5


def test_a_picture_follows_from_seed_name_face_and_variant_alone(tmp_path):
    alone, among, more, other = (
        write_world(tmp_path / name, photos)
        for name, photos in (
            ("alone", ("medium.png",)),
            ("among", ("large.png", "medium.png")),
            ("more", ("medium.png",)),
            ("other", ("medium.png",)),
        )
    )
    run(config(), alone)
    run(config(), among)
    run(config("overlay.variants=3"), more)
    run(config("seed=1"), other)
    expected = opened(alone).pixels
    assert (opened(among).pixels[2:] == expected).all()
    assert (opened(more).pixels[:2] == expected).all()
    assert (opened(other).pixels != expected).any(axis=(1, 2, 3)).all()
    assert (expected[0] != expected[1]).any()


def test_equal_runs_write_equal_bytes(workspace):
    contents = []
    for _ in range(2):
        run(config(), workspace)
        files = sorted(path for path in workspace.output("build/overlays").iterdir())
        contents.append([path.read_bytes() for path in [*files, workspace.output("reports/two_phase/overlays.json")]])
    assert contents[0] == contents[1]


def test_reasons_for_skipping_follow_the_settings(workspace):
    report = run(config("overlay.max_yaw_degrees=0.001", "overlay.min_face_px=30"), workspace)
    assert report["num_skipped"]["turned_aside"] == 3
    assert report["num_overlays"] == 0
    report = run(config("overlay.min_agreement=1.0"), workspace)
    assert report["num_skipped"]["another_face"] == 3


def test_no_face_to_mask_leaves_an_empty_store(tmp_path):
    workspace = write_world(tmp_path, ("masked.png", "small.png"))
    report = run(config(), workspace)
    assert report["num_overlays"] == 0
    assert report["faces_masked_per_fold"] == {}
    store = opened(workspace)
    assert len(store) == 0
    assert store.pixels.shape == (0, 64, 64, 3)
    assert list(store.index.columns) == list(OVERLAYS.columns)


def test_a_missing_photo_leaves_nothing_behind(workspace):
    workspace.input("build/raw/images/medium.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"medium\.png"):
        run(config(), workspace)
    assert not workspace.output("build/overlays").exists()
    assert not workspace.output("reports/two_phase/overlays.json").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("overlay.min_presence=1.2", r"overlay.min_presence: expected a share in \[0, 1\], got 1.2"),
        ("overlay.min_inside=-1", r"overlay.min_inside: expected a share in \[0, 1\], got -1"),
        ("overlay.variants=0", r"overlay.variants: expected at least 1, got 0"),
        ("overlay.max_yaw_degrees=0", r"overlay.max_yaw_degrees: expected more than 0 and at most 90, got 0"),
        ("overlay.shapes.veil=1", r"overlay.shapes: expected some of .*, got \['veil'\]"),
    ],
)
def test_bad_settings_are_refused_before_any_work(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        run(config(override), Workspace(tmp_path, tmp_path))
