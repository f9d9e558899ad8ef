"""Sample sheets: what the faces of a class look like, cut out with their surroundings and boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from maskdet.data.image import read_image
from maskdet.evaluation.exploration.topic import occurring_classes
from maskdet.reporting.contact_sheet import contact_sheet
from maskdet.reporting.drawing import draw_boxes
from maskdet.schema import BOX_COLUMNS

CELL_PX = 240
"""Side of a sample; a sheet sets them in rows."""

_CONTEXT = 3.0  # a window is so many times the longer side of its face
_MIN_WINDOW_PX = 72  # so that a face of ten pixels is not blown up beyond recognition


@dataclass(frozen=True)
class Sample:
    """A face with its surroundings.

    Attributes:
        file_name: Of the image.
        class_name: Of the face.
        size_px: Root of the area of its box.
        picture: (h, w, 3) uint8, RGB, with the boxes of every face in it; at most `CELL_PX` a side.
    """

    file_name: str
    class_name: str
    size_px: float
    picture: np.ndarray


def choose_samples(
    annotations: pd.DataFrame, groups: Mapping[str, int], num_samples: int, seed: int
) -> dict[str, pd.DataFrame]:
    """Draw faces of each class: no group of look-alikes twice before all have had their turn, nor an image.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`.
        groups: File → its group; a file that is absent is a group of its own.
        num_samples: Of each class, at most.
        seed: Of the choice; 0 is a seed like any other.

    Returns:
        Class → its chosen rows, in the order of drawing; classes without faces are absent.
    """
    chosen = {}
    for name in occurring_classes(annotations):
        faces = annotations[annotations["class_name"] == name]
        faces = faces.iloc[np.random.default_rng(seed).permutation(len(faces))]
        origins = faces["file_name"].map(lambda file: groups.get(file, file))
        turns = pd.DataFrame(
            {
                "group": faces.groupby(origins.to_numpy(object)).cumcount(),
                "image": faces.groupby("file_name").cumcount(),
            }
        )
        order = turns.reset_index(drop=True).sort_values(["image", "group"], kind="stable").index
        chosen[name] = faces.iloc[order].head(num_samples)
    return chosen


def cut_samples(chosen: pd.DataFrame, annotations: pd.DataFrame, image_dir: Path) -> Iterator[Sample]:
    """Cut chosen faces out of their photos, one photo in memory at a time.

    Args:
        chosen: Rows of `annotations`.
        annotations: All true boxes: neighbours in a window are drawn too.
        image_dir: Where the photos lie.

    Yields:
        A sample a row, in their order.

    Raises:
        FileNotFoundError: If a photo is missing.
        ValueError: If a photo cannot be read.
    """
    for row in chosen.itertuples():
        image = read_image(Path(image_dir) / row.file_name)
        box_xyxy = np.array([row.x_min, row.y_min, row.x_max, row.y_max], np.float64)
        in_image = annotations[annotations["file_name"] == row.file_name]
        picture = _window_picture(image, box_xyxy, in_image)
        yield Sample(row.file_name, row.class_name, float(np.sqrt((box_xyxy[2:] - box_xyxy[:2]).prod())), picture)


def _window_picture(image: np.ndarray, box_xyxy: np.ndarray, faces: pd.DataFrame) -> np.ndarray:
    """Return the part of a photo around a face, scaled to `CELL_PX`, with boxes."""
    x_min, y_min, x_max, y_max = window(box_xyxy, (image.shape[1], image.shape[0]))
    part = np.ascontiguousarray(image[y_min:y_max, x_min:x_max])
    boxes = faces[BOX_COLUMNS].to_numpy(np.float64) - np.array([x_min, y_min, x_min, y_min])  # (M, 4)
    is_seen = (boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < np.array([x_max - x_min, y_max - y_min])).all(axis=1)
    scaled, scaled_boxes = _scaled(part, boxes[is_seen])
    return draw_boxes(scaled, scaled_boxes, list(faces.loc[is_seen, "class_name"]))


def window(box_xyxy: np.ndarray, image_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the square around a face that a sample shows: moved into the image where it can be, else clipped.

    Args:
        box_xyxy: (4,) float, xyxy in pixels, inside the image.
        image_wh: Width and height of the image in pixels.

    Returns:
        Whole pixels, xyxy, maximum exclusive; holds the box.

    >>> window(np.array([90.0, 40, 100, 60]), (100, 100))
    (28, 14, 100, 86)
    """
    side = int(np.ceil(max(_CONTEXT * (box_xyxy[2:] - box_xyxy[:2]).max(), _MIN_WINDOW_PX)))
    extent = np.minimum(side, image_wh)  # (2,)
    low = np.floor((box_xyxy[:2] + box_xyxy[2:] - extent) / 2).clip(0, np.array(image_wh) - extent).astype(int)
    return (*low.tolist(), *(low + extent).tolist())


def _scaled(part: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bring a window to `CELL_PX`, small ones enlarged beyond `fit_for_display`: samples are looked at face by face."""
    height, width = part.shape[:2]
    scale = CELL_PX / max(height, width)
    new_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
    pixels = np.asarray(Image.fromarray(part).resize(new_wh, Image.Resampling.LANCZOS))
    return pixels, boxes * np.tile(np.array(new_wh) / (width, height), 2)


def sample_sheet(samples: Sequence[Sample], columns: int = 4) -> np.ndarray:
    """Return samples in rows as one picture, (H, W, 3) uint8, RGB."""
    pictures = [sample.picture for sample in samples]
    no_boxes = [np.empty((0, 4))] * len(pictures)  # they are drawn already
    return contact_sheet(pictures, no_boxes, [()] * len(pictures), columns, CELL_PX)
