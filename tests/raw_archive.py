"""Tiny archives for the tests of data entry: drawn noise images with VOC annotations."""

import zipfile
from pathlib import Path

import cv2
import numpy as np

WITH, WITHOUT, WRONG = "with_mask", "without_mask", "mask_weared_incorrect"


def noise_png(seed: int, width: int = 64, height: int = 48) -> bytes:
    """Return a PNG of coarse noise; every seed is another picture."""
    cells = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    return cv2.imencode(".png", image)[1].tobytes()


def voc_xml(*faces: tuple, width: object = 64, height: object = 48) -> bytes:
    """Return a VOC file with faces given as (class_name, x_min, y_min, x_max, y_max)."""
    objects = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x_min}</xmin><ymin>{y_min}</ymin>"
        f"<xmax>{x_max}</xmax><ymax>{y_max}</ymax></bndbox></object>"
        for name, x_min, y_min, x_max, y_max in faces
    )
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{objects}</annotation>".encode()


def small_members(num_images: int = 12) -> dict[str, bytes]:
    """Return the members of a sound archive: three kinds of images in turn, one of them without a face."""
    kinds = [[(WITH, 4, 5, 20, 25)], [(WITH, 1, 1, 9, 9), (WITHOUT, 30, 10, 50, 40)], []]
    members = {}
    for index in range(num_images):
        members[f"images/img{index:02d}.png"] = noise_png(index)
        members[f"annotations/img{index:02d}.xml"] = voc_xml(*kinds[index % 3])
    return members


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """Write members as a zip archive, in the given order."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_folder(folder: Path, members: dict[str, bytes]) -> Path:
    """Write members as files below a folder."""
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
