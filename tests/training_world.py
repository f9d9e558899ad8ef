"""A world small enough to train in: drawn images with their tables, and the real config shrunk to fit them."""

import copy
import functools
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from PIL import Image, ImageDraw

from maskdet.models.efficientdet import EfficientDetector
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, IMAGES, write_table
from maskdet.stages.entry import Workspace
from table_rows import face_rows

CONF = Path(__file__).parents[1] / "conf"

SHRUNK = (
    "model=efficientdet_lite0",
    "model.pretrained=none",
    "framing.size=128",
    "framing.long_side_range=[100,200]",
    "scheduler.warmup_steps=1",
    "split.num_folds=2",
    "split.train_folds=[0,1]",
    "trainer.max_epochs=2",
    "trainer.samples_per_epoch=4",
    "trainer.batch_size=2",
    "trainer.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.validation.every_n_epochs=1",
    "trainer.validation.batch_size=2",
    "trainer.validation.framing.size=128",
    "predict.framing.size=128",
    "predict.num_workers=0",
    "predict.detect.box_voting_iou=1",  # as the validation in training
    "logger=csv",
)
"""Sizes alone: what the code does is what the real config does."""

MODEL = {
    "architecture": "tf_efficientdet_lite0",
    "num_classes": 3,
    "pretrained": "none",
    "anchors": {
        "scale": 3,
        "num_scales": 3,
        "aspect_ratios": [1.0, 2.0, 0.5],
        "assignment": "iou",
        "match_iou_threshold": 0.5,
        "atss_candidates": 9,
    },
    "loss": {
        "class_loss": "focal",
        "focal_alpha": 0.25,
        "focal_gamma": 1.5,
        "label_smoothing": 0.0,
        "box_loss": "huber",
        "box_weight": 50.0,
        "huber_delta": 0.1,
    },
    "detect": {"score_threshold": 0.05, "nms_iou_threshold": 0.5, "max_candidates": 5000, "max_detections": 300},
}

IMAGE_SIZES_WH = ((160, 100), (100, 160), (128, 128), (150, 110), (90, 90), (140, 100), (100, 140), (120, 96))
FACES = (  # (image, class index, x_min, y_min, x_max, y_max); images 3 and 7 have none
    (0, 0, 10, 20, 60, 80),
    (0, 1, 90, 10, 140, 70),
    (1, 0, 20, 30, 70, 90),
    (2, 2, 30, 30, 90, 100),
    (4, 1, 10, 10, 70, 60),
    (5, 0, 0, 0, 50, 60),
    (5, 2, 70, 40, 140, 100),
    (6, 0, 10, 70, 80, 140),
)
COLOURS = ((40, 90, 200), (220, 180, 140), (200, 60, 90))


def compose_config(*overrides: str) -> DictConfig:
    """Return the committed config with overrides, as the command line would; the caller's own copy."""
    return copy.deepcopy(_composed(overrides))


@functools.cache  # half a second a time
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def shrunk_config(*overrides: str) -> DictConfig:
    """Return the committed config in the smallest size that trains."""
    return compose_config(*SHRUNK, *overrides)


def file_name(index: int) -> str:
    return f"drawn_{index}.png"


def draw_images(folder: Path) -> None:
    """Write eight images of unequal sizes; a face is a rectangle in the colour of its class."""
    folder.mkdir(parents=True)
    for index, size_wh in enumerate(IMAGE_SIZES_WH):
        image = Image.new("RGB", size_wh, (90, 120 + 10 * index, 90))
        canvas = ImageDraw.Draw(image)
        for _, class_index, x_min, y_min, x_max, y_max in (face for face in FACES if face[0] == index):
            canvas.rectangle((x_min, y_min, x_max - 1, y_max - 1), fill=COLOURS[class_index])
        image.save(folder / file_name(index))


def annotations_table() -> pd.DataFrame:
    return face_rows([(file_name(index), CLASS_NAMES[class_index], *box) for index, class_index, *box in FACES])


def images_table() -> pd.DataFrame:
    num_faces = [sum(face[0] == index for face in FACES) for index in range(len(IMAGE_SIZES_WH))]
    rows = [
        (file_name(index), "drawn", *size_wh, num, f"{index:064x}")
        for index, (size_wh, num) in enumerate(zip(IMAGE_SIZES_WH, num_faces, strict=True))
    ]
    return pd.DataFrame(rows, columns=list(IMAGES.columns))


def folds_table() -> pd.DataFrame:
    """Return two folds of four images each: the even ones and the odd ones."""
    names = [file_name(index) for index in range(len(IMAGE_SIZES_WH))]
    table = pd.DataFrame({"file_name": names, "group": range(len(names)), "split_role": "fold"})
    return table.assign(fold=np.arange(len(names)) % 2)


def write_world(root: Path) -> Workspace:
    """Write what the stages `fetch`, `table` and `split` leave behind; outputs go to the same root, as under DVC."""
    draw_images(root / "build/raw/images")
    write_table(images_table(), root / "build/table/images.parquet", IMAGES)
    write_table(annotations_table(), root / "build/table/annotations.parquet", ANNOTATIONS)
    write_table(folds_table(), root / "build/folds.parquet", FOLDS)
    return Workspace(root, root)


def tiny_detector(**changes: object) -> EfficientDetector:
    """Return a network with random weights; `detect` and other arguments may be replaced."""
    return EfficientDetector(**(MODEL | changes)).eval()


def write_params(cfg: DictConfig, root: Path) -> None:
    """Write what DVC's Hydra integration writes."""
    OmegaConf.save(cfg, root / "params.yaml", resolve=True)
