"""What a classifier of crops is trained on: how faces are dealt into parts, and the data sets of one part.

As in detection, every random choice is a function of (seed, epoch, place in the epoch) alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import StratifiedKFold, train_test_split
from torch.utils.data import ConcatDataset, Dataset, Subset

from maskdet.atomic import atomic_file
from maskdet.data.crops import CropStore
from maskdet.data.sampling import Draw
from maskdet.models.classifiers import CropClassifier
from maskdet.schema import CLASS_NAMES, GROUPED
from maskdet.training.crop_augment import CropAugmentation

PROTOCOLS = (GROUPED, "by_face_80_20", "by_face_70_30")
"""Ways to hold faces out: by the folds of look-alike photos, or face by face as published studies do, which leaks."""

NEVER_HELD_OUT = -1


def deal_parts(index: pd.DataFrame, protocol: str, seed: int) -> np.ndarray:
    """Say in which part each face is held out.

    Args:
        index: Columns `class_name` and `fold`, no fold below 0.
        protocol: `grouped`: the table's folds. `by_face_80_20`: five parts with equal shares of the classes, whatever
            photo a face is from, so that each fit is an 80/20 split and every face is judged. `by_face_70_30`: one
            part of 30 %.
        seed: Of the shuffles by face.

    Returns:
        (N,) int, parts count from 0; `NEVER_HELD_OUT` for faces that are always trained on.

    Raises:
        ValueError: If the protocol is unknown, or a class has too few faces to be dealt.
    """
    if protocol == GROUPED:
        return index["fold"].to_numpy(int)
    if protocol not in PROTOCOLS:
        raise ValueError(f"classify.protocol: expected one of {PROTOCOLS}, got {protocol!r}")
    rarest = index["class_name"].value_counts()
    num_parts = 5 if protocol == "by_face_80_20" else 2
    if rarest.empty or rarest.min() < num_parts:
        raise ValueError(
            f"classify.protocol={protocol}: expected at least {num_parts} faces of each class, got {rarest.to_dict()}"
        )
    parts = np.full(len(index), NEVER_HELD_OUT)  # (N,)
    if protocol == "by_face_80_20":
        splitter = StratifiedKFold(num_parts, shuffle=True, random_state=seed)
        for part, (_, held_out) in enumerate(splitter.split(index, index["class_name"])):
            parts[held_out] = part
    else:
        rows = np.arange(len(index))
        _, held_out = train_test_split(rows, test_size=0.3, random_state=seed, stratify=index["class_name"])
        parts[held_out] = 0
    return parts


@dataclass(frozen=True)
class LabelledCrops:
    """Crops with their classes.

    Attributes:
        pixels: N arrays (S, S, 3) uint8 RGB, read when asked for.
        class_indices: (N,) int64, places in the classifier's `class_names`.
        places: (N,) int64, rows of the cached views.
    """

    pixels: Sequence[np.ndarray]
    class_indices: np.ndarray
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.class_indices)


class FaceCrops:
    """The faces of a store with the part that holds each out, and overlaid copies of them that only train.

    Args:
        store: Faces; rows that are kept for the test (fold -1) are left out.
        protocol: One of `PROTOCOLS`.
        seed: Of parts by face, and of the choice of overlays.
        overlays: Masked copies of faces, or None. A copy is trained on only where its face is.
        overlay_classes: Classes of copies that are used.
        overlay_limit: Most copies of a part; None: all.

    Attributes:
        index: (N rows) as `schema.CROPS`, index 0 to N - 1.
        parts: (N,) int, as `deal_parts` says.
        class_names: Those of `CLASS_NAMES` that the faces have.

    Raises:
        ValueError: If there are no faces, or copies differ in size from the faces.
    """

    def __init__(
        self,
        store: CropStore,
        protocol: str,
        seed: int,
        overlays: CropStore | None = None,
        overlay_classes: Sequence[str] = CLASS_NAMES,
        overlay_limit: int | None = None,
    ) -> None:
        self._rows = np.flatnonzero(store.index["fold"] >= 0)
        self.index = store.index.iloc[self._rows].reset_index(drop=True)
        present = set(self.index["class_name"])
        self.class_names = tuple(name for name in CLASS_NAMES if name in present)
        if len(self.class_names) < 2:
            raise ValueError(f"expected faces of two classes or more outside the test, got {sorted(present)}")
        if overlays is not None and overlays.size != store.size:
            raise ValueError(
                f"classify.overlays: expected crops of {store.size} px like the faces, got {overlays.size}"
            )
        self.parts = deal_parts(self.index, protocol, seed)
        self._seed, self._limit = seed, overlay_limit
        self._copies = None if overlays is None else self._usable_copies(overlays, overlay_classes)
        self._pixels = [store.pixels] if overlays is None else [store.pixels, overlays.pixels]

    def _usable_copies(self, overlays: CropStore, classes: Sequence[str]) -> pd.DataFrame:
        """Return `row` in the store of copies, `face_row` of the face it was made from, `class_name`."""
        copies = overlays.index.assign(row=np.arange(len(overlays)))
        copies = copies[copies["class_name"].isin(set(classes) & set(self.class_names))]
        faces = self.index[["file_name", "face"]].assign(face_row=np.arange(len(self.index)))
        return copies.merge(faces, on=["file_name", "face"])[["row", "face_row", "class_name"]]

    @property
    def held_out_parts(self) -> list[int]:
        """The parts, ascending."""
        return sorted(set(self.parts.tolist()) - {NEVER_HELD_OUT})

    @property
    def everything(self) -> LabelledCrops:
        """All faces, then all copies: in the order of `LabelledCrops.places`."""
        return self._collect(np.arange(len(self.index)), self._copies)

    def training(self, part: int) -> LabelledCrops:
        """Return the faces that a part does not hold out, and copies of these."""
        rows = np.flatnonzero(self.parts != part)
        return self._collect(rows, self._copies_of(rows, part))

    def held_out(self, part: int) -> LabelledCrops:
        """Return the faces of a part, in the order of the index."""
        return self._collect(np.flatnonzero(self.parts == part), None)

    def _copies_of(self, rows: np.ndarray, part: int) -> pd.DataFrame | None:
        if self._copies is None:
            return None
        copies = self._copies[self._copies["face_row"].isin(rows)]
        if self._limit is not None and len(copies) > self._limit:
            chosen = np.random.default_rng([self._seed, part]).permutation(len(copies))[: self._limit]
            copies = copies.iloc[np.sort(chosen)]
        return copies

    def _collect(self, rows: np.ndarray, copies: pd.DataFrame | None) -> LabelledCrops:
        pixels = Subset(self._pixels[0], self._rows[rows].tolist())
        names, places = self.index["class_name"].iloc[rows].tolist(), rows
        if copies is not None and len(copies):
            pixels = ConcatDataset([pixels, Subset(self._pixels[1], copies["row"].tolist())])
            names += copies["class_name"].tolist()
            places = np.concatenate([rows, len(self.index) + copies.index.to_numpy()])
        return LabelledCrops(pixels, np.array([self.class_names.index(name) for name in names], np.int64), places)


class AugmentedCrops(Dataset):
    """Augmented training crops with their classes; each a pure function of its `Draw`.

    Args:
        crops: Of a part.
        augmentation: Applied to each.
        seed: Any non-negative integer.
    """

    def __init__(self, crops: LabelledCrops, augmentation: CropAugmentation, seed: int) -> None:
        self.crops, self.augmentation, self.seed = crops, augmentation, seed

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int]:
        """Return (3, S, S) uint8 and the class."""
        rng = np.random.default_rng([self.seed, draw.epoch, draw.place])
        image = self.augmentation(self.crops.pixels[draw.image_index], rng)
        return torch.from_numpy(image.transpose(2, 0, 1)), int(self.crops.class_indices[draw.image_index])


class CachedViews(Dataset):
    """Features of training crops: of each draw one of several augmented views that were computed beforehand.

    Args:
        crops: Of a part.
        features: (V, all crops, F) float32, as `compute_views` writes them.
        seed: Any non-negative integer.
    """

    def __init__(self, crops: LabelledCrops, features: np.ndarray, seed: int) -> None:
        self.crops, self.features, self.seed = crops, features, seed

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, int]:
        """Return (F,) float32 and the class."""
        view = np.random.default_rng([self.seed, draw.epoch, draw.place]).integers(len(self.features))
        features = np.array(self.features[view, self.crops.places[draw.image_index]])
        return torch.from_numpy(features), int(self.crops.class_indices[draw.image_index])


class PlainCrops(Dataset):
    """Crops as they are, for evaluation.

    Args:
        crops: Of a part.
        features: (all crops, F) float32 of them, where these were computed beforehand.
    """

    def __init__(self, crops: LabelledCrops, features: np.ndarray | None = None) -> None:
        self.crops, self.features = crops, features

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """Return (3, S, S) uint8, or (F,) float32, and the class."""
        if self.features is None:
            found = np.array(self.crops.pixels[index]).transpose(2, 0, 1)
        else:
            found = np.array(self.features[self.crops.places[index]])
        return torch.from_numpy(found), int(self.crops.class_indices[index])


@torch.inference_mode()
def compute_views(
    classifier: CropClassifier,
    crops: LabelledCrops,
    augmentation: CropAugmentation,
    num_views: int,
    seed: int,
    path: Path,
    batch_size: int = 64,
) -> np.ndarray:
    """Compute the base's features of several views of every crop, once: a file that is there already is taken.

    Args:
        classifier: Its base must be frozen.
        crops: All that any part trains on.
        augmentation: Makes views 1 and up; view 0 is the crop itself.
        num_views: V, at least 1.
        seed: Of the augmentation.
        path: `.npy` file, written under a temporary name first.
        batch_size: Crops at once.

    Returns:
        (V, N, F) float32, memory-mapped.
    """
    if not path.is_file():
        classifier.eval()
        device, (num_crops, num_features) = classifier.mean.device, (len(crops), classifier.num_features)
        with atomic_file(path) as temporary:
            shape = (num_views, num_crops, num_features)
            features = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float32, shape=shape)
            for view in range(num_views):
                for start in range(0, num_crops, batch_size):
                    rows = range(start, min(start + batch_size, num_crops))
                    images = np.stack([_view(crops.pixels[row], augmentation, [seed, view, row]) for row in rows])
                    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
                    features[view, start : rows.stop] = classifier.features(pixels).cpu().numpy()
            features.flush()
    return np.load(path, mmap_mode="r")


def _view(pixels: np.ndarray, augmentation: CropAugmentation, seed: list[int]) -> np.ndarray:
    if seed[1] == 0:
        return np.array(pixels)
    return augmentation(pixels, np.random.default_rng(seed))
