"""Images with their boxes as a torch data set.

Every random choice is a function of (seed, epoch, place in the epoch) and of nothing else, see `data.sampling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset

from maskdet.data.augment import Augmentation
from maskdet.data.framing import Frame, Letterbox, RandomCrop, Stretch, visible_boxes
from maskdet.data.image import read_image
from maskdet.data.mixing import Face, cut_faces, mosaic, replace_faces
from maskdet.data.sampling import Draw
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

Framing = Stretch | Letterbox | RandomCrop


@dataclass(frozen=True)
class Example:
    """One network input.

    Attributes:
        image: (3, S, S) uint8 RGB.
        boxes_xyxy: (N, 4) float32, pixels of `image`.
        class_indices: (N,) int64, 0-based.
        file_name: The image it was made from.
        frame: How to map boxes back to that image.
        image_wh: Width and height of that image in pixels.
    """

    image: torch.Tensor
    boxes_xyxy: torch.Tensor
    class_indices: torch.Tensor
    file_name: str
    frame: Frame
    image_wh: tuple[int, int]


@dataclass(frozen=True)
class LabelledImages:
    """Images of a table with their annotations, decoded on demand.

    Attributes:
        image_dir: Folder of the files.
        file_names: The images, in order.
        boxes_xyxy: For each image (N_i, 4) float32 in pixels; N_i may be 0.
        class_indices: For each image (N_i,) int64.
        in_memory: Keep decoded images; `preload` fills them before workers start, so that these share them.
    """

    image_dir: Path
    file_names: list[str]
    boxes_xyxy: list[np.ndarray]
    class_indices: list[np.ndarray]
    in_memory: bool = False
    _decoded: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def from_tables(
        cls, image_dir: Path, file_names: Sequence[str], annotations: pd.DataFrame, in_memory: bool = False
    ) -> "LabelledImages":
        """Collect the annotations of the named images; an image without any has zero boxes.

        Raises:
            FileNotFoundError: If the folder does not hold an image.
        """
        absent = [name for name in file_names if not (image_dir / name).is_file()]
        if absent:
            raise FileNotFoundError(
                f"{image_dir}: expected {len(file_names)} images, {len(absent)} absent: {absent[:5]}"
            )
        by_file = dict(tuple(annotations.groupby("file_name")))
        tables = [by_file.get(name, annotations[:0]) for name in file_names]
        boxes = [table[BOX_COLUMNS].to_numpy(np.float32) for table in tables]
        indices = [table["class_name"].map(CLASS_NAMES.index).to_numpy(np.int64) for table in tables]
        return cls(Path(image_dir), list(file_names), boxes, indices, in_memory)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.file_names)

    def image(self, index: int) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB."""
        if index in self._decoded:
            return self._decoded[index]
        image = read_image(self.image_dir / self.file_names[index])
        if self.in_memory:
            self._decoded[index] = image
        return image

    def preload(self) -> None:
        """Decode every image now if they are to stay in memory."""
        for index in range(len(self) if self.in_memory else 0):
            self.image(index)


class TrainingSet(Dataset):
    """Framed and augmented examples; an example is a pure function of its `Draw`.

    Args:
        source: The images.
        framing: Makes the frame; `RandomCrop` prefers faces of classes with a high weight.
        augmentation: Applied to the framed image.
        class_weights: (C,) positive; how likely a face of each class is to be chosen for a crop.
        seed: Any non-negative integer.
        min_visible: Share of a face that must lie inside a crop to count as a face there.

    Raises:
        ValueError: If mosaics are wanted of a framing that cuts no crops.
    """

    def __init__(
        self,
        source: LabelledImages,
        framing: Framing,
        augmentation: Augmentation,
        class_weights: np.ndarray,
        seed: int,
        min_visible: float = 0.3,
    ) -> None:
        self.source, self.framing, self.augmentation = source, framing, augmentation
        self.class_weights, self.seed, self.min_visible = class_weights, seed, min_visible
        self._tile_framing = None
        if augmentation.mosaic_probability:
            if not isinstance(framing, RandomCrop):
                raise ValueError(f"augment.mosaic_probability: expected a framing of random crops, got {framing}")
            self._tile_framing = replace(framing, size=framing.size // 2)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def __getitem__(self, draw: Draw) -> Example:
        """Return the example that belongs to a draw; of a mosaic, file name and frame are those of its first tile."""
        epoch, place, index = draw
        rng = np.random.default_rng([self.seed, epoch, place])
        if self._tile_framing and rng.random() < self.augmentation.mosaic_probability:
            indices = [index, *rng.integers(len(self.source), size=3).tolist()]
            tiles = [self._crop(tile_index, self._tile_framing, rng) for tile_index in indices]
            frame, framed = tiles[0][0], mosaic([crop for _, crop in tiles], self.framing.size)
        else:
            frame, framed = self._crop(index, self.framing, rng)
        augmented = self.augmentation(*framed, int(rng.integers(2**32)))
        height, width = self.source.image(index).shape[:2]
        return _example(*augmented, self.source.file_names[index], frame, (width, height))

    def _crop(
        self, index: int, framing: Framing, rng: np.random.Generator
    ) -> tuple[Frame, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Frame an image: (S, S, 3) uint8 pixels, (N, 4) visible boxes xyxy, (N,) their classes."""
        image, boxes = self.source.image(index), self.source.boxes_xyxy[index]
        classes = self.source.class_indices[index]
        if self.augmentation.replace_probability:
            image, classes = replace_faces(
                image, boxes, classes, self._faces, self.augmentation.replace_probability, rng
            )
        frame = framing.frame((image.shape[1], image.shape[0]), boxes, self.class_weights[classes], rng)
        boxes, kept = visible_boxes(frame.to_input(boxes), frame.size, self.min_visible)
        return frame, (frame.apply(image), boxes, classes[kept])

    @cached_property
    def _faces(self) -> list[Face]:
        """The faces that may be laid over others."""
        wanted = self.augmentation.replacing_classes
        chosen = [i for i, classes in enumerate(self.source.class_indices) if wanted & set(classes.tolist())]
        return cut_faces(
            [self.source.image(i) for i in chosen],
            [self.source.boxes_xyxy[i] for i in chosen],
            [self.source.class_indices[i] for i in chosen],
            wanted,
        )


class EvaluationSet(Dataset):
    """Framed examples, every image once, nothing random.

    Args:
        source: The images.
        framing: `Letterbox` or `Stretch`.
    """

    def __init__(self, source: LabelledImages, framing: Letterbox | Stretch) -> None:
        self.source, self.framing = source, framing

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        """Return the example of an image; its boxes are all kept, in input pixels."""
        image = self.source.image(index)
        image_wh = (image.shape[1], image.shape[0])
        frame = self.framing.frame(image_wh)
        boxes = frame.to_input(self.source.boxes_xyxy[index])
        classes = self.source.class_indices[index]
        return _example(frame.apply(image), boxes, classes, self.source.file_names[index], frame, image_wh)


def _example(
    image: np.ndarray, boxes: np.ndarray, classes: np.ndarray, file_name: str, frame: Frame, image_wh: tuple[int, int]
) -> Example:
    tensor = torch.from_numpy(image.transpose(2, 0, 1).copy())  # (3, S, S)
    boxes_tensor = torch.from_numpy(np.array(boxes, np.float32)).reshape(-1, 4)
    return Example(tensor, boxes_tensor, torch.from_numpy(np.array(classes, np.int64)), file_name, frame, image_wh)
