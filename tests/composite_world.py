"""A world of two made archives, in two formats and with two class lists, that hold one picture in common."""

from pathlib import Path

import cv2
import numpy as np
from omegaconf import DictConfig, OmegaConf

from raw_archive import WITH, WITHOUT, noise_png, voc_xml, write_zip
from tiny_run import CONF

NUM_DRAWN, NUM_WEB = 12, 8
TWIN = "web__7.jpg"  # drawn__0.png once more, mirrored and compressed


def drawn_members() -> dict[str, bytes]:
    """Return images in VOC format; the last one has a wrongly worn mask beside the others."""
    members = {}
    for i in range(NUM_DRAWN):
        faces = [(WITH if i % 2 else WITHOUT, 4, 5, 20, 25), (WITH, 30, 5, 65, 25)]
        members[f"images/{i}.png"] = noise_png(i)
        members[f"annotations/{i}.xml"] = voc_xml(*faces, *([("worn_wrong", 1, 1, 3, 3)] if i == NUM_DRAWN - 1 else []))
    return members


def web_members() -> dict[str, bytes]:
    """Return images in YOLO format, the first without a face."""
    members = {"obj.names": b"bare\nmasked\n"}
    for i in range(NUM_WEB):
        members[f"obj/{i}.jpg"] = cv2.imencode(".jpg", _picture(i))[1].tobytes()
        members[f"obj/{i}.txt"] = f"{i % 2} 0.5 0.5 0.25 0.25\n".encode() if i else b""
    return members


def _picture(index: int) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(noise_png(0 if index == NUM_WEB - 1 else 100 + index), np.uint8), 1)
    return pixels[:, ::-1] if index == NUM_WEB - 1 else pixels


def write_archives(folder: Path) -> None:
    """Write `drawn.zip` and `web.zip`."""
    folder.mkdir()
    write_zip(folder / "drawn.zip", drawn_members())
    write_zip(folder / "web.zip", web_members())


def config(strategy: str = "stratified_group", **split_changes) -> DictConfig:
    """Return the settings of the data stages, with a file of conf/split made fit for few images."""
    class_map = {WITH: WITH, WITHOUT: WITHOUT, "worn_wrong": None}
    drawn = {"archive": "drawn.zip", "class_map": class_map, "series_wh": None}
    web = {"archive": "web.zip", "class_map": {"masked": WITH, "bare": WITHOUT}}
    data = {"name": "mixed", "rotated_copies": [], "sources": {"web": web, "drawn": drawn}}
    chosen = OmegaConf.load(CONF / "split" / f"{strategy}.yaml")
    small = {"num_folds": 2, "train_folds": [0], "max_class_share_gap": 0.5, "num_tries": 20}
    return OmegaConf.create({"data": data, "split": OmegaConf.merge(chosen, small | split_changes)})
