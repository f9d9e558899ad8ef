"""How well anchors cover the faces at an input size, and which anchors would cover them better."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans

from maskdet.schema import BOX_COLUMNS

MIN_LEVEL, MAX_LEVEL = 3, 7
"""Feature levels of every EfficientDet but d7x, which has one more."""

SIZE_EDGES_PX = (0, 8, 16, 32, 64, 128, np.inf)
"""Groups of faces by the root of their area in input pixels."""

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SCALES_PER_OCTAVE = (1, 2, 3, 4)
DEFAULT_RATIOS = (1.0, 2.0, 0.5)

_CHUNK = 50_000  # boxes at once: with 80 shapes of anchors some 30 MB an array


@dataclass(frozen=True)
class AnchorSettings:
    """The settings of the config group `model.anchors` that shape anchors.

    Attributes:
        scale: Side of the smallest square anchor in strides.
        num_scales: Anchors an octave.
        aspect_ratios: Width / height.
    """

    scale: float
    num_scales: int
    aspect_ratios: tuple[float, ...]

    def __post_init__(self) -> None:
        positive = self.scale > 0 and self.num_scales >= 1 and all(ratio > 0 for ratio in self.aspect_ratios)
        if not positive or not self.aspect_ratios:
            raise ValueError(f"expected a positive scale, num_scales >= 1 and positive aspect_ratios, got {self}")

    @property
    def num_per_cell(self) -> int:
        """Return the number of anchors at a cell of a feature map; the heads' cost grows with it."""
        return self.num_scales * len(self.aspect_ratios)

    @property
    def yaml(self) -> str:
        """Return the lines to copy into an experiment of `conf/experiment/`."""
        ratios = ", ".join(f"{ratio:g}" for ratio in self.aspect_ratios)
        values = (f"scale: {self.scale:g}", f"num_scales: {self.num_scales}", f"aspect_ratios: [{ratios}]")
        return "\n".join(["model:", "  anchors:", *(f"    {value}" for value in values)]) + "\n"


@dataclass(frozen=True)
class AnchorFit:
    """How well a set of anchors covers the faces.

    Attributes:
        best_ious: (N,) float64, in the order of the annotations, the largest IoU of each face with any anchor.
        covered: Share of faces with at least the IoU threshold; NaN without faces.
        mean_best_iou: NaN without faces.
        by_size: Columns `size` (group of the root of the area in input pixels), `num_faces, covered, mean_best_iou`.
    """

    best_ious: np.ndarray
    covered: float
    mean_best_iou: float
    by_size: pd.DataFrame


def anchor_fit(
    annotations: pd.DataFrame,
    images: pd.DataFrame,
    image_size: int,
    settings: AnchorSettings,
    framing: str = "stretch",
    iou_threshold: float = 0.5,
) -> AnchorFit:
    """Measure how well anchors cover the faces at one input size.

    Args:
        annotations: True boxes, columns as `schema.ANNOTATIONS`.
        images: Columns `file_name, width, height`; every file of the annotations among them.
        image_size: Side of the square input in pixels.
        settings: The anchors.
        framing: `stretch` (both sides to `image_size`) or `letterbox` (the longer side; the rest is padding).
        iou_threshold: In (0, 1]; a face is covered from this IoU on.

    Raises:
        ValueError: If an image is unknown, the framing is not one of the two, or a number lies outside its range.
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"expected 0 < iou_threshold <= 1, got {iou_threshold}")
    boxes = input_boxes(annotations, images, image_size, framing)  # (N, 4)
    best_ious = best_anchor_ious(boxes, image_size, settings)  # (N,)
    sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))  # (N,)
    faces = pd.DataFrame({"best_iou": best_ious, "is_covered": best_ious >= iou_threshold})
    by_size = faces.groupby(pd.cut(sizes, SIZE_EDGES_PX, right=False, labels=_size_labels()), observed=False)
    table = by_size.agg(
        num_faces=("best_iou", "size"), covered=("is_covered", "mean"), mean_best_iou=("best_iou", "mean")
    )
    table = table.rename_axis("size").reset_index().astype({"size": str})
    return AnchorFit(best_ious, float(faces["is_covered"].mean()), float(faces["best_iou"].mean()), table)


def _size_labels() -> list[str]:
    inner = [f"{low}-{high} px" for low, high in pairwise(SIZE_EDGES_PX[1:-1])]
    return [f"< {SIZE_EDGES_PX[1]} px", *inner, f">= {SIZE_EDGES_PX[-2]} px"]


def input_boxes(annotations: pd.DataFrame, images: pd.DataFrame, image_size: int, framing: str) -> np.ndarray:
    """Return the boxes as the network sees them.

    Args:
        annotations: See `anchor_fit`.
        images: See `anchor_fit`.
        image_size: See `anchor_fit`.
        framing: See `anchor_fit`.

    Returns:
        (N, 4) float64, xyxy in input pixels; the same scales as `maskdet.data.framing` of that name.

    Raises:
        ValueError: See `anchor_fit`.
    """
    if image_size < 1:
        raise ValueError(f"image_size: expected a side in pixels, got {image_size}")
    if framing not in ("stretch", "letterbox"):
        raise ValueError(f"framing: expected 'stretch' or 'letterbox', got {framing!r}")
    known = images.set_index("file_name")[["width", "height"]]
    image_wh = known.reindex(annotations["file_name"]).to_numpy(np.float64)  # (N, 2)
    if np.isnan(image_wh).any():
        unknown = annotations.loc[np.isnan(image_wh).any(axis=1), "file_name"].iloc[0]
        raise ValueError(f"annotations: expected files of the images table, got {unknown!r}")
    sides = image_wh if framing == "stretch" else image_wh.max(axis=1, keepdims=True, initial=0).repeat(2, axis=1)
    return annotations[BOX_COLUMNS].to_numpy(np.float64) * np.tile(image_size / sides, 2)


def best_anchor_ious(boxes: np.ndarray, image_size: int, settings: AnchorSettings) -> np.ndarray:
    """Return each box's largest IoU with any anchor, without making the anchors.

    Of the anchors of one shape the one whose centre is nearest in x and in y overlaps most, so that a box meets as
    many anchors as there are shapes, whatever the size of the feature maps.

    Args:
        boxes: (N, 4) float, xyxy in input pixels.
        image_size: Side of the square input in pixels.
        settings: The anchors.

    Returns:
        (N,) float64 in [0, 1].

    Reference:
        The placement is that of effdet's `Anchors`: centres in the middle of cells, also over padding, not clipped.
    """
    strides, num_cells = _levels(image_size)  # (L,), (L,)
    octaves = 2 ** (np.arange(settings.num_scales) / settings.num_scales)  # (S,)
    roots = np.sqrt(settings.aspect_ratios)  # (R,)
    sides = (settings.scale * octaves[:, None, None] * np.stack([roots, 1 / roots], axis=-1)).reshape(-1, 2)  # (A, 2)
    anchors_wh = strides[:, None, None] * sides  # (L, A, 2)
    best = np.zeros(len(boxes))  # (N,)
    for start in range(0, len(boxes), _CHUNK):
        part = boxes[start : start + _CHUNK].astype(np.float64)
        best[start : start + _CHUNK] = _best_of_part(part, strides, num_cells, anchors_wh)
    return best


def _best_of_part(boxes: np.ndarray, strides: np.ndarray, num_cells: np.ndarray, anchors_wh: np.ndarray) -> np.ndarray:
    """Return (N,) largest IoUs of (N, 4) boxes; the other arrays as in `best_anchor_ious`."""
    centres, boxes_wh = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]  # (N, 2), (N, 2)
    best = np.zeros(len(boxes))  # (N,)
    for stride, cells, shapes in zip(strides, num_cells, anchors_wh, strict=True):
        cell = np.clip(np.floor(centres / stride), 0, cells - 1)  # (N, 2)
        distance = np.abs((cell + 0.5) * stride - centres)[:, None]  # (N, 1, 2)
        facing = (boxes_wh[:, None] + shapes) / 2 - distance  # (N, A, 2) overlap where neither contains the other
        shared = np.minimum(facing, np.minimum(boxes_wh[:, None], shapes)).clip(0).prod(axis=-1)  # (N, A)
        union = boxes_wh.prod(axis=1)[:, None] + shapes.prod(axis=1) - shared  # (N, A)
        best = np.maximum(best, (shared / union).max(axis=1))
    return best


def _levels(image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (L,) strides in pixels and (L,) int, cells along a side; strides that do not divide it shrink a little."""
    num_cells = np.array([-(-image_size // 2**level) for level in range(MIN_LEVEL, MAX_LEVEL + 1)])
    return image_size / num_cells, num_cells


def best_anchors(
    annotations: pd.DataFrame,
    images: pd.DataFrame,
    image_size: int,
    framing: str = "stretch",
    iou_threshold: float = 0.5,
    scales: Sequence[float] = SCALES,
    scales_per_octave: Sequence[int] = SCALES_PER_OCTAVE,
    ratio_sets: Sequence[Sequence[float]] | None = None,
) -> pd.DataFrame:
    """Rank the anchors of a grid by the faces that they cover.

    Args:
        annotations: See `anchor_fit`; at least one face.
        images: See `anchor_fit`.
        image_size: See `anchor_fit`.
        framing: See `anchor_fit`.
        iou_threshold: See `anchor_fit`.
        scales: Values of `scale` to try.
        scales_per_octave: Values of `num_scales` to try.
        ratio_sets: Sets of aspect ratios to try; None: (1, 2, 0.5) and what `aspect_ratio_sets` finds in the boxes.

    Returns:
        Columns `scale, num_scales, aspect_ratios` (tuple), `num_per_cell, covered, mean_best_iou, is_efficient` (bool:
        no row with as few anchors a cell covers more), `yaml` (lines to copy); a row a combination, most faces covered
        first, of equal ones fewest anchors, then the best mean.

    Raises:
        ValueError: If there is no face, or see `anchor_fit`.
    """
    if annotations.empty:
        raise ValueError("annotations: expected at least one face to fit anchors to, got none")
    boxes = input_boxes(annotations, images, image_size, framing)  # (N, 4)
    ratio_sets = [DEFAULT_RATIOS, *aspect_ratio_sets(boxes)] if ratio_sets is None else ratio_sets
    rows = []
    for ratios in dict.fromkeys(tuple(map(float, ratios)) for ratios in ratio_sets):
        for scale in scales:
            for num_scales in scales_per_octave:
                settings = AnchorSettings(scale, num_scales, ratios)
                ious = best_anchor_ious(boxes, image_size, settings)  # (N,)
                fit = (settings.num_per_cell, float((ious >= iou_threshold).mean()), float(ious.mean()))
                rows.append((scale, num_scales, ratios, *fit, settings.yaml))
    columns = ["scale", "num_scales", "aspect_ratios", "num_per_cell", "covered", "mean_best_iou", "yaml"]
    table = pd.DataFrame(rows, columns=columns)
    order = ["covered", "num_per_cell", "mean_best_iou"]
    most_with_as_few = table.sort_values("num_per_cell").groupby("num_per_cell")["covered"].max().cummax()
    table.insert(6, "is_efficient", table["covered"] >= table["num_per_cell"].map(most_with_as_few))
    return table.sort_values(order, ascending=[False, True, False], kind="stable", ignore_index=True)


def aspect_ratio_sets(boxes: np.ndarray, max_ratios: int = 3) -> list[tuple[float, ...]]:
    """Return the aspect ratios around which boxes gather: one, two, … `max_ratios` of them.

    Args:
        boxes: (N, 4) float, xyxy in input pixels, N > 0.
        max_ratios: Size of the largest set.

    Returns:
        Sets of 1, 2, … rising ratios (width / height), the centres of k-means on their logarithms, to two decimals;
        fewer sets where the boxes have fewer different ratios.
    """
    boxes_wh = boxes[:, 2:] - boxes[:, :2]  # (N, 2)
    logs = np.log(boxes_wh[:, :1] / boxes_wh[:, 1:]).astype(np.float64)  # (N, 1)
    num_different = len(np.unique(logs.round(6)))
    sets = []
    for num in range(1, min(max_ratios, num_different) + 1):
        centres = KMeans(num, n_init=10, random_state=0).fit(logs).cluster_centers_[:, 0]  # (num,)
        sets.append(tuple(float(ratio) for ratio in np.exp(np.sort(centres)).round(2)))
    return sets
