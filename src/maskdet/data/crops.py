"""Square pictures of faces: how one is cut from a photo, and the store that holds them all with their index.

A store is a folder of two files: `pixels.npy`, one array (N, S, S, 3) uint8 RGB that is memory-mapped when read, and
`index.parquet`, whose row i says what crop i shows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pandera.pandas as pa
import pyarrow.parquet as pq

from maskdet.atomic import atomic_folder
from maskdet.boxes import box_area, clip_boxes
from maskdet.data.image import read_image
from maskdet.schema import BOX_COLUMNS, CROPS, OVERLAYS, read_table, write_table

PIXELS_FILE, INDEX_FILE = "pixels.npy", "index.parquet"


def cut_crop(image_rgb: np.ndarray, box_xyxy: np.ndarray, margin: float, size: int) -> np.ndarray:
    """Cut a square around a box and bring it to one size.

    The square has whole pixels: its side is `max(width, height) * (1 + 2 * margin)` of the box inside the image,
    rounded, and its centre lies within half a pixel of the box's. Beyond the image its edge is repeated, so that a face
    at the border keeps its proportions and gets no black bar that a classifier could learn from.

    Args:
        image_rgb: (H, W, 3) uint8.
        box_xyxy: (4,) pixels, maximum exclusive; what lies outside the image is cut off first.
        margin: Added on each side, as a share of the longer side; 0 or more.
        size: Side of the result in pixels, S.

    Returns:
        (S, S, 3) uint8, a new array. Shrunk by area averaging, enlarged by cubic interpolation.

    Raises:
        ValueError: If the box has no area or lies wholly outside the image, or if an argument is out of range.
    """
    _check_cut(image_rgb, margin, size)
    height, width = image_rgb.shape[:2]
    box = _box_inside(box_xyxy, (width, height))
    side = max(1, round(float(max(box[2:] - box[:2])) * (1 + 2 * margin)))
    left, top = np.floor((box[:2] + box[2:] - side) / 2 + 0.5).astype(int)
    rows = np.arange(top, top + side).clip(0, height - 1)  # (side,)
    columns = np.arange(left, left + side).clip(0, width - 1)  # (side,)
    square = image_rgb[rows[:, None], columns]  # (side, side, 3)
    if side == size:
        return square
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_CUBIC)


def _check_cut(image_rgb: np.ndarray, margin: float, size: int) -> None:
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8 or not image_rgb.size:
        raise ValueError(f"expected an image (H, W, 3) of uint8, got {image_rgb.shape} of {image_rgb.dtype}")
    if not (np.isfinite(margin) and margin >= 0):
        raise ValueError(f"expected a margin of 0 or more, got {margin}")
    if size < 1:
        raise ValueError(f"expected a size of at least 1 px, got {size}")


def _box_inside(box_xyxy: np.ndarray, image_wh: tuple[int, int]) -> np.ndarray:
    """Return the part of the box inside the image, (4,) float64; none is an error."""
    box = np.asarray(box_xyxy, np.float64).reshape(4)
    size = f"{image_wh[0]} x {image_wh[1]} px"
    if not np.isfinite(box).all() or box_area(box[None])[0] == 0:
        raise ValueError(f"expected a box with an area (image of {size}), got {box.tolist()}")
    inside = clip_boxes(box[None], image_wh)[0]
    if box_area(inside[None])[0] == 0:
        raise ValueError(f"expected a box inside the image of {size}, got {box.tolist()}")
    return inside


def face_index(annotations: pd.DataFrame, folds: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every annotated face with the fold and group of its photo.

    Args:
        annotations: Table `annotations`.
        folds: Table `folds`.

    Returns:
        Columns as `schema.CROPS`, in the order of the annotations, with a fresh index.

    Raises:
        ValueError: If a photo of a face has no row in `folds`.
    """
    dealt = folds.set_index("file_name")
    unknown = sorted(set(annotations["file_name"]) - set(dealt.index))
    if unknown:
        raise ValueError(
            f"expected a fold for every photo with faces, got none for {len(unknown)}: {', '.join(unknown[:5])}"
        )
    rows = annotations.assign(face=annotations.groupby("file_name").cumcount())
    rows = rows.join(dealt[["group", "fold"]], on="file_name")
    return rows[list(CROPS.columns)].reset_index(drop=True)


def cut_faces(index: pd.DataFrame, image_dir: Path, margin: float, size: int) -> Iterator[np.ndarray]:
    """Yield the crop of every row, in the order of the rows.

    A photo is read once for as long as its rows follow each other.

    Args:
        index: Columns `file_name`, `face` and the box, as in `schema.CROPS`.
        image_dir: Folder of the photos.
        margin: See `cut_crop`.
        size: See `cut_crop`.

    Yields:
        (S, S, 3) uint8.

    Raises:
        FileNotFoundError: If a photo is missing.
        ValueError: If a photo cannot be read, or a face has no area in it; the message names file, face and box.
    """
    read_name, image = None, None
    boxes_xyxy = index[BOX_COLUMNS].to_numpy()  # (N, 4)
    for file_name, face, box in zip(index["file_name"], index["face"], boxes_xyxy, strict=True):
        if file_name != read_name:
            read_name, image = file_name, read_image(Path(image_dir) / file_name)
        try:
            yield cut_crop(image, box, margin, size)
        except ValueError as error:
            raise ValueError(f"{file_name}, face {face}: {error}") from error


@dataclass(frozen=True)
class CropStore:
    """Crops and what they show; row i of the index belongs to `pixels[i]`.

    Attributes:
        index: N rows, columns as `schema.CROPS` or `schema.OVERLAYS`, index 0 to N - 1.
        pixels: (N, S, S, 3) uint8, RGB, read-only and memory-mapped: a slice reads only its own crops.
    """

    index: pd.DataFrame
    pixels: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> "CropStore":
        """Open a store; the columns of its index say whether it holds plain faces or overlaid ones.

        Raises:
            FileNotFoundError: If one of the two files is missing.
            ValueError: If a file is damaged, the index breaks its schema, or the two differ in length.
        """
        folder = Path(folder)
        for name in (INDEX_FILE, PIXELS_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name}: expected a store of crops, found no file; run its stage")
        index = read_table(folder / INDEX_FILE, _schema_of(folder / INDEX_FILE))
        pixels = _mapped(folder / PIXELS_FILE)
        if len(pixels) != len(index):
            raise ValueError(f"{folder}: expected a crop for each of {len(index)} rows, got {len(pixels)} crops")
        return cls(index, pixels)

    @property
    def size(self) -> int:
        """Return the side of the crops in pixels, S."""
        return self.pixels.shape[1]

    def __len__(self) -> int:
        return len(self.index)


def _schema_of(path: Path) -> pa.DataFrameSchema:
    try:
        columns = pq.read_schema(path).names
    except (OSError, ValueError):
        return CROPS  # `read_table` says what is wrong with the file
    return OVERLAYS if set(OVERLAYS.columns) - set(CROPS.columns) <= set(columns) else CROPS


def _mapped(path: Path) -> np.ndarray:
    try:
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: expected an array of crops, got a file that NumPy refuses: {error}") from error
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != pixels.shape[2] or pixels.shape[3] != 3:
        raise ValueError(f"{path}: expected crops (N, S, S, 3) of uint8, got {pixels.shape} of {pixels.dtype}")
    return pixels


def write_crop_store(
    folder: Path, pixels: Iterable[np.ndarray], index: pd.DataFrame, schema: pa.DataFrameSchema = CROPS
) -> None:
    """Write a store under a temporary name first; a store that stood there is kept until the new one is whole.

    Crops go to the disk one by one, so that a store may be larger than the memory. Equal input gives equal bytes.

    Args:
        folder: The store's folder.
        pixels: As many (S, S, 3) uint8 RGB pictures of one size as `index` has rows, in its order: an array or a
            generator. Without rows an array (0, S, S, 3) keeps its size; an empty generator leaves S = 0.
        index: Columns as `schema`.
        schema: `schema.CROPS` or `schema.OVERLAYS`.

    Raises:
        ValueError: If the number of pictures is not that of the rows, a picture has another shape or type, or the
            index breaks the schema; nothing is written then.
    """
    size = pixels.shape[1] if isinstance(pixels, np.ndarray) and pixels.ndim == 4 else None
    with atomic_folder(folder) as temporary:
        write_table(index, temporary / INDEX_FILE, schema)
        _write_pixels(temporary / PIXELS_FILE, iter(pixels), index["file_name"].tolist(), size)


def _write_pixels(path: Path, pixels: Iterator[np.ndarray], file_names: list[str], size: int | None) -> None:
    array = None
    for row, file_name in enumerate(file_names):
        crop = next(pixels, None)
        if crop is None:
            raise ValueError(f"expected a crop for each of {len(file_names)} rows, got {row} crops")
        if array is None:
            array = _new_array(path, len(file_names), crop.shape[0])
        if crop.shape != array.shape[1:] or crop.dtype != np.uint8:
            raise ValueError(
                f"{file_name}: expected a crop {array.shape[1:]} of uint8, got {crop.shape} of {crop.dtype}"
            )
        array[row] = crop
    if next(pixels, None) is not None:
        raise ValueError(f"expected a crop for each of {len(file_names)} rows, got more")
    if array is None:
        array = _new_array(path, 0, size or 0)
    array.flush()


def _new_array(path: Path, num_crops: int, size: int) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(num_crops, size, size, 3))
