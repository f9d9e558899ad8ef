"""Many training images in one picture, as the network gets them: the look before the first epoch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from maskdet.atomic import atomic_file
from maskdet.reporting.drawing import draw_boxes, fit_for_display

_BACKGROUND = (32, 33, 36)
_GAP_PX = 6
_JPEG_QUALITY = 88


def contact_sheet(
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    class_names: Sequence[Sequence[str]],
    columns: int = 4,
    cell_px: int = 320,
) -> np.ndarray:
    """Set images with their boxes in rows.

    Args:
        images: N pictures, (H_i, W_i, 3) uint8, RGB.
        boxes: For each image (M_i, 4) float, xyxy in its pixels; may be empty.
        class_names: For each image M_i names.
        columns: Cells in a row.
        cell_px: Side of a square cell; the longer side of an image is scaled to it.

    Returns:
        (rows of cells, columns of cells, 3) uint8, RGB.

    Raises:
        ValueError: If there is no image, `columns` is not positive or the lists do not have one length.
    """
    if not images or columns < 1 or not len(images) == len(boxes) == len(class_names):
        raise ValueError(
            f"expected images with boxes and class names each and at least one column, got {len(images)} images, "
            f"{len(boxes)} box arrays, {len(class_names)} name lists, {columns} columns"
        )
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    pitch = cell_px + _GAP_PX
    canvas = Image.new("RGB", (columns * pitch - _GAP_PX, rows * pitch - _GAP_PX), _BACKGROUND)
    for index, (image, image_boxes, names) in enumerate(zip(images, boxes, class_names, strict=True)):
        scaled, scaled_boxes = fit_for_display(image, image_boxes, cell_px)
        drawn = Image.fromarray(draw_boxes(scaled, scaled_boxes, names))
        left = index % columns * pitch + (cell_px - drawn.width) // 2
        top = index // columns * pitch + (cell_px - drawn.height) // 2
        canvas.paste(drawn, (left, top))
    return np.asarray(canvas)


def write_contact_sheet(
    images: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    class_names: Sequence[Sequence[str]],
    path: Path,
    columns: int = 4,
) -> None:
    """Write what `contact_sheet` returns as JPEG, under a temporary name first.

    Args:
        images: See `contact_sheet`.
        boxes: See `contact_sheet`.
        class_names: See `contact_sheet`.
        path: The file to write; missing parent folders are made.
        columns: Cells in a row.

    Raises:
        ValueError: See `contact_sheet`.
    """
    sheet = contact_sheet(images, boxes, class_names, columns)
    with atomic_file(path) as temporary:
        Image.fromarray(sheet).save(temporary, format="JPEG", quality=_JPEG_QUALITY)
