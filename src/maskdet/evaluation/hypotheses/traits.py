"""What the data say of each face beside its mask: orientation of the photo, sizes, crowd, place, light."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.boxes import box_area
from maskdet.schema import BOX_COLUMNS

ORIENTATIONS = ("landscape", "portrait", "square")


@dataclass(frozen=True)
class Trait:
    """A property of faces.

    Attributes:
        name: In words, with its unit.
        values: (N,) float of an ordered trait, (N,) str of one with levels.
        levels: The levels that occur; empty for an ordered trait.
    """

    name: str
    values: np.ndarray
    levels: tuple[str, ...] = ()

    @property
    def is_ordered(self) -> bool:
        """Return whether the trait is a number."""
        return not self.levels


def face_traits(images: pd.DataFrame, annotations: pd.DataFrame, quality: pd.DataFrame) -> list[Trait]:
    """Return the traits whose association with the mask is tested, all fixed before any is looked at.

    Args:
        images: Columns `file_name, width, height`.
        annotations: (N) true boxes, columns as `schema.ANNOTATIONS`.
        quality: Column `brightness`, in the order of the annotations.

    Returns:
        Orientation of the photo; root of the face's area in pixels; number of faces in the photo; distance of the
        face's centre from the vertical midline, as a share of half the width; height of the centre below the top, as a
        share of the height; mean luminance of the face.

    Raises:
        ValueError: If the quality is that of another number of faces.
    """
    if len(quality) != len(annotations):
        raise ValueError(f"quality: expected {len(annotations)} faces, got {len(quality)}")
    boxes = annotations[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    image_wh = images.set_index("file_name").loc[annotations["file_name"], ["width", "height"]].to_numpy()  # (N, 2)
    width, height = image_wh.T  # (N,), (N,)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / image_wh  # (N, 2) in [0, 1]
    orientation = np.select([width > height, width < height], ORIENTATIONS[:2], ORIENTATIONS[2])  # (N,)
    crowd = annotations.groupby("file_name")["file_name"].transform("size").to_numpy(np.float64)  # (N,)
    return [
        Trait("image orientation", orientation, tuple(name for name in ORIENTATIONS if (orientation == name).any())),
        Trait("face size (px)", np.sqrt(box_area(boxes))),
        Trait("faces in the image", crowd),
        Trait("distance from the midline (share)", np.abs(2 * centres[:, 0] - 1)),
        Trait("distance from the top (share)", centres[:, 1]),
        Trait("brightness (0 to 255)", quality["brightness"].to_numpy(np.float64)),
    ]
