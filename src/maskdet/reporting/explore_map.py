"""The map of look-alikes for the page: points with their words, and thumbnails of photos in one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from maskdet.evaluation.exploration.classes import faces_by_image
from maskdet.reporting.embedding import jpeg_uri
from maskdet.reporting.explore_captions import counted
from maskdet.reporting.explore_mixes import mix_styles
from maskdet.reporting.palette import class_style

THUMBNAIL_PX = 64
"""Longer side of a thumbnail, at most."""

_TILE_LADDER = ((64, 72), (56, 70), (48, 68), (40, 65), (32, 60), (24, 55), (16, 50))
"""(side of a tile in pixels, JPEG quality), from the best down."""

_BACKGROUND = (128, 128, 128)
_SHEET_PX = 1600  # longer side of the static map of thumbnails
_SHEET_CELL_PX = 48


@dataclass(frozen=True)
class ThumbnailAtlas:
    """Thumbnails in rows of square tiles, each at the upper left of its tile.

    Attributes:
        uri: The picture as a `data:` URI.
        tile_px: Side of a tile.
        columns: Tiles in a row.
        sizes_wh: Width and height of each thumbnail in its tile.
    """

    uri: str
    tile_px: int
    columns: int
    sizes_wh: list[tuple[int, int]]


def build_atlas(thumbnails: Sequence[np.ndarray], max_bytes: int) -> ThumbnailAtlas | None:
    """Set thumbnails in one picture, as large as a number of bytes allows; None without thumbnails.

    Args:
        thumbnails: (h, w, 3) uint8, RGB, no side above `THUMBNAIL_PX`.
        max_bytes: Of the URI; at the smallest step it may be passed.
    """
    if not thumbnails:
        return None
    columns = int(np.ceil(np.sqrt(len(thumbnails))))
    for tile_px, quality in _TILE_LADDER:
        tiles = [_shrunk(thumbnail, tile_px) for thumbnail in thumbnails]
        uri = jpeg_uri(np.asarray(_in_rows(tiles, columns, tile_px)), quality)
        if len(uri) <= max_bytes:
            break
    return ThumbnailAtlas(uri, tile_px, columns, [tile.size for tile in tiles])


def _shrunk(thumbnail: np.ndarray, side_px: int) -> Image.Image:
    picture = Image.fromarray(thumbnail)
    picture.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return picture


def _in_rows(tiles: Sequence[Image.Image], columns: int, tile_px: int) -> Image.Image:
    rows = -(-len(tiles) // columns)
    canvas = Image.new("RGB", (columns * tile_px, rows * tile_px), _BACKGROUND)
    for index, tile in enumerate(tiles):
        canvas.paste(tile, (index % columns * tile_px, index // columns * tile_px))
    return canvas


def map_points(
    table: pd.DataFrame,
    images: pd.DataFrame,
    annotations: pd.DataFrame,
    atlas: ThumbnailAtlas | None,
    rows: Sequence[int],
) -> dict:
    """Return what the page's script draws: a list a property, entry i of image i.

    Args:
        table: Of the topic `feature_map`.
        images: Columns `file_name, width, height`, the rows of the table.
        annotations: True boxes.
        atlas: Thumbnails, or None.
        rows: Of the table: whose thumbnails they are.

    Returns:
        `x, y` in 0 … 10,000 (the plane's own aspect ratio), `name, text, mix, source, group` (−1: no look-alike),
        `tile` (−1: none), and the legend: `mixes` (label, colour, shape), `sources`, `groups` (number, images), and
        the atlas: `tile_px, columns, sizes`.
    """
    sources = sorted(set(table["source"]))
    tiles = np.full(len(table), -1)
    tiles[list(rows)] = np.arange(len(rows))
    x, y = _whole_coordinates(table)
    return {
        "x": x,
        "y": y,
        "name": list(table["file_name"]),
        "text": _texts(table, images, annotations),
        "source": [sources.index(source) for source in table["source"]],
        "sources": sources,
        "group": _shared_groups(table),
        "groups": _group_sizes(table),
        "tile": tiles.tolist(),
        **_mix_columns(table["class_mix"]),
        **_atlas_columns(atlas),
    }


def _mix_columns(class_mixes: pd.Series) -> dict:
    """Return `mix`, the place in the legend of each image's style, and `mixes`, the legend."""
    styles = mix_styles(class_mixes)
    legend = list(dict.fromkeys(styles.values()))
    return {
        "mix": [legend.index(styles[mix]) for mix in class_mixes],
        "mixes": [[style.label, style.color, style.shape] for style in legend],
    }


def _atlas_columns(atlas: ThumbnailAtlas | None) -> dict:
    if atlas is None:
        return {"tile_px": 0, "columns": 1, "sizes": []}
    return {"tile_px": atlas.tile_px, "columns": atlas.columns, "sizes": atlas.sizes_wh}


def _whole_coordinates(table: pd.DataFrame) -> tuple[list[int], list[int]]:
    """Return coordinates in 0 … 10,000, the longer extent filling it; upwards is less, as on a screen."""
    low = table[["x", "y"]].min()
    extent = max(float((table[["x", "y"]].max() - low).max()), 1e-9)
    x, y = ((table[axis] - low[axis]) / extent * 10_000 for axis in ("x", "y"))
    return x.round().astype(int).tolist(), (y.max() - y).round().astype(int).tolist()


def _shared_groups(table: pd.DataFrame) -> list[int]:
    if "group" not in table:
        return [-1] * len(table)
    return table["group"].where(table["group_size"] > 1, -1).astype(int).tolist()


def _group_sizes(table: pd.DataFrame) -> list[tuple[int, int]]:
    """Return (group, images) of groups of several images, the largest first."""
    if "group" not in table:
        return []
    sizes = table["group"].value_counts()
    shared = [(int(group), int(size)) for group, size in sizes.items() if size > 1]
    return sorted(shared, key=lambda item: (-item[1], item[0]))


def _texts(table: pd.DataFrame, images: pd.DataFrame, annotations: pd.DataFrame) -> list[str]:
    """Return a line on each image: its size, its faces, its group if others share it."""
    counts = faces_by_image(images, annotations).to_dict("index")
    sizes = images.set_index("file_name")[["width", "height"]].to_dict("index")
    texts = []
    for row in table.to_dict("records"):
        name = row["file_name"]
        faces = ", ".join(f"{count} {class_style(key).short_name}" for key, count in counts[name].items() if count)
        parts = [f"{sizes[name]['width']} × {sizes[name]['height']} px", faces or "no face"]
        if row.get("group_size", 1) > 1:
            parts.append(f"one of {counted(int(row['group_size']), 'image')} in group {int(row['group'])}")
        texts.append("; ".join(parts))
    return texts


def thumbnail_map(table: pd.DataFrame, thumbnails: Mapping[int, np.ndarray]) -> np.ndarray | None:
    """Set thumbnails, framed in the colour of their classes, at their places on the plane; None without thumbnails.

    None lies upon another: each cell of a grid shows the image nearest to its middle, so that where images crowd some
    are not shown.

    Args:
        table: Of the topic `feature_map`.
        thumbnails: Row of the table → (h, w, 3) uint8, RGB.

    Returns:
        (H, W, 3) uint8, RGB, longer side `_SHEET_PX` at most.
    """
    if not thumbnails:
        return None
    x, y = (np.array(values) / 10_000 for values in _whole_coordinates(table))
    cells = _SHEET_PX // _SHEET_CELL_PX
    places = np.stack([x, y], axis=1) * (cells - 1)  # (N, 2)
    shown: dict[tuple[int, int], int] = {}
    by_distance = np.argsort(np.abs(places - places.round()).max(axis=1), kind="stable")
    for row in (int(row) for row in by_distance if int(row) in thumbnails):
        shown.setdefault(tuple(places[row].round().astype(int).tolist()), row)
    extent_wh = (int(places[:, 0].max().round()) + 1, int(places[:, 1].max().round()) + 1)
    canvas = Image.new("RGB", (extent_wh[0] * _SHEET_CELL_PX, extent_wh[1] * _SHEET_CELL_PX), "white")
    styles = mix_styles(table["class_mix"])
    for (column, line), row in sorted(shown.items()):
        color = styles[table["class_mix"].iloc[row]].color
        tile = ImageOps.expand(_shrunk(thumbnails[row], _SHEET_CELL_PX - 6), 2, color)
        left, top = (
            c * _SHEET_CELL_PX + (_SHEET_CELL_PX - s) // 2 for c, s in zip((column, line), tile.size, strict=True)
        )
        canvas.paste(tile, (left, top))
    return np.asarray(canvas)
