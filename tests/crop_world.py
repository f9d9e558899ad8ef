"""Stores of drawn crops that a small network can learn, and the committed classifier configs shrunk to fit them."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from maskdet.data.crops import CropStore, write_crop_store
from maskdet.schema import CLASS_NAMES, CROPS, OVERLAYS
from training_world import CONF

SIZE = 16
COLOURS = ((40, 90, 200), (220, 180, 140), (200, 60, 90))
GROUPS = {"classify": "default", "logger": "csv"}
SHRUNK = {"model": {"size": SIZE, "hidden": 8, "dropout": 0.0}, "max_epochs": 3, "batch_size": 8, "balance_power": 0.0}


def drawn_crop(class_index: int, seed: int) -> np.ndarray:
    """Return (16, 16, 3) uint8 in the colour of a class, noisy."""
    noise = np.random.default_rng(seed).integers(-20, 21, (SIZE, SIZE, 3))
    return (np.array(COLOURS[class_index]) + noise).clip(0, 255).astype(np.uint8)


def face_index_table(class_indices: list[int], num_folds: int = 3, faces_a_photo: int = 2) -> pd.DataFrame:
    """Return an index of faces, two a photo; a photo is a group, and photos are dealt to folds in turn."""
    numbers = np.arange(len(class_indices))
    photos = numbers // faces_a_photo
    table = pd.DataFrame({"file_name": [f"photo_{photo}.png" for photo in photos], "face": numbers % faces_a_photo})
    table["class_name"] = [CLASS_NAMES[index] for index in class_indices]
    table["group"], table["fold"] = photos, photos % num_folds
    for name, value in (("x_min", 0), ("y_min", 0), ("x_max", 9), ("y_max", 9)):
        table[name] = np.float32(value)
    return table[list(CROPS.columns)]


def write_faces(folder: Path, class_indices: list[int], **options: int) -> CropStore:
    """Write a store of faces and open it."""
    index = face_index_table(class_indices, **options)
    pixels = [drawn_crop(class_index, seed) for seed, class_index in enumerate(class_indices)]
    write_crop_store(folder, np.stack(pixels), index)
    return CropStore.open(folder)


def write_overlays(folder: Path, faces: CropStore, rows: list[int], class_index: int = 2) -> CropStore:
    """Write masked copies of some faces, each now of one class, and open them."""
    index = faces.index.iloc[rows].assign(class_name=CLASS_NAMES[class_index])
    index = index.assign(mask_shape="flat", mask_colour="white", worn="below the nose")
    pixels = [drawn_crop(class_index, 1000 + row) for row in rows]
    write_crop_store(folder, np.stack(pixels), index[list(OVERLAYS.columns)], OVERLAYS)
    return CropStore.open(folder)


def classify_config(name: str = "sequential_cnn", /, **changes: object) -> DictConfig:
    """Return a committed classifier with the stage's options, shrunk; changes are dotted keys or nodes.

    Args:
        name: A file of `conf/classifier`.
        changes: `classifier` and `classify` nodes that are merged in.
    """
    nodes = [committed_node(group, option) for group, option in (GROUPS | {"classifier": name}).items()]
    return OmegaConf.merge(*nodes, {"classifier": SHRUNK, "classify": {"accelerator": "cpu"}}, changes)


@cache
def committed_node(group: str, option: str) -> DictConfig:
    """Return a file of `conf/` with its defaults, below the name of its group."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.create(OmegaConf.to_container(compose(f"{group}/{option}")))
