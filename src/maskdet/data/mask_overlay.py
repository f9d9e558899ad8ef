"""Draw a mask on a face in a photo: the cloth's surface, lit as the face is, as sharp and as noisy as the photo."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from maskdet.data.mask_fabric import COLOURS, Fabric, random_fabric, weave
from maskdet.data.mask_light import FaceLight, measure_light
from maskdet.data.mask_shapes import SHAPES, WEARINGS, FaceFrame, WornMask, fit_mask

_DRAWN_PX = 160  # a face is drawn at least this wide, then shrunk: the edges are smooth
_SHADOW = 0.025  # softness of the shadow beside a mask, in face widths


@dataclass(frozen=True)
class MaskChoice:
    """A mask to draw.

    Attributes:
        shape: A key of `mask_shapes.SHAPES`.
        worn: A key of `mask_shapes.WEARINGS`.
        fabric: Colour and make.

    Raises:
        ValueError: If a name is unknown.
    """

    shape: str
    worn: str
    fabric: Fabric

    def __post_init__(self) -> None:
        for value, known in ((self.shape, SHAPES), (self.worn, WEARINGS)):
            if value not in known:
                raise ValueError(f"expected one of {sorted(known)}, got {value!r}")

    @property
    def class_name(self) -> str:
        """What a face that wears it so shows."""
        return WEARINGS[self.worn].class_name


def random_mask(shapes: Mapping[str, float], worn: Mapping[str, float], rng: np.random.Generator) -> MaskChoice:
    """Draw a mask and a way to wear it.

    Args:
        shapes: Relative frequency of each shape, names as in `mask_shapes.SHAPES`.
        worn: Relative frequency of each way to wear it, names as in `mask_shapes.WEARINGS`.
        rng: Source of all randomness.

    Raises:
        ValueError: If a name is unknown, a frequency is negative or all are zero.
    """
    shape = _drawn_name("shapes", shapes, SHAPES, rng)
    way = _drawn_name("worn", worn, WEARINGS, rng)
    return MaskChoice(shape, way, random_fabric(shape, WEARINGS[way].crease, rng))


def _drawn_name(
    setting: str, shares: Mapping[str, float], known: Mapping[str, object], rng: np.random.Generator
) -> str:
    unknown = sorted(set(shares) - set(known))
    if unknown:
        raise ValueError(f"overlay.{setting}: expected some of {sorted(known)}, got {unknown}")
    weights = np.array(list(shares.values()), np.float64)
    if not len(weights) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() == 0:
        raise ValueError(f"overlay.{setting}: expected frequencies of 0 or more, not all 0, got {dict(shares)}")
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def draw_mask(image_rgb: np.ndarray, points_px: np.ndarray, choice: MaskChoice, rng: np.random.Generator) -> np.ndarray:
    """Return the photo with a mask on one face.

    Args:
        image_rgb: (H, W, 3) uint8; not modified.
        points_px: (468, 3) float, the face's points: x and y in pixels of the image, z in the same unit, away from the
            camera. May lie beyond the image: what is drawn there is cut off.
        choice: What to draw.
        rng: Source of all randomness: fit, fabric, shades, noise.

    Returns:
        (H, W, 3) uint8. Pixels further from the mask than its shadow reaches are those of the photo.

    Raises:
        ValueError: If the image is no (H, W, 3) uint8 or the points span no face.
    """
    if image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or image_rgb.dtype != np.uint8:
        raise ValueError(f"expected an image (H, W, 3) of uint8, got {image_rgb.shape} of {image_rgb.dtype}")
    frame = FaceFrame.from_points(points_px)
    light = measure_light(image_rgb, frame)
    worn = fit_mask(frame, SHAPES[choice.shape], WEARINGS[choice.worn], rng)
    reflectance = weave(choice.shape, choice.fabric, rng)  # (T, S, 3)
    layer, origin = _drawn_layer(frame, worn, reflectance, choice.fabric, light)
    return _blended(image_rgb, layer, origin, light, frame.width_px, rng)


def _drawn_layer(
    frame: FaceFrame, worn: WornMask, reflectance: np.ndarray, fabric: Fabric, light: FaceLight
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the mask alone, (h, w, 4) float32 premultiplied RGBA in pixels of the photo, and its corner (x, y)."""
    grid = frame.to_image(worn.surface)  # (T, S, 3)
    cords = [frame.to_image(cord)[:, :2] for cord in worn.cords]
    corners = np.concatenate([grid[..., :2].reshape(-1, 2), *cords])
    rim = 4 + round(4 * _SHADOW * frame.width_px)  # blur and shadow fade to nothing within it
    low, high = np.floor(corners.min(axis=0)).astype(int) - rim, np.ceil(corners.max(axis=0)).astype(int) + rim + 1
    scale = max(1, int(np.ceil(_DRAWN_PX / frame.width_px)))
    width, height = (high - low).tolist()
    canvas = np.zeros((height * scale, width * scale, 4), np.float32)
    normals = _normals(grid)
    _draw_cords(canvas, [(cord - low) * scale for cord in cords], fabric, light, frame.width_px * scale)
    on_canvas = (grid - [*low, 0]) * scale
    _draw_cloth(canvas, on_canvas, normals, reflectance * _shading(normals, light))
    layer = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    sigma = np.sqrt(max(light.blur_px**2 - 0.3**2, 0.05))  # shrinking has blurred by 0.3 px already
    return cv2.GaussianBlur(layer, (0, 0), sigma), (int(low[0]), int(low[1]))


def _normals(grid: np.ndarray) -> np.ndarray:
    """Return (T, S, 3) unit normals of a surface, z negative where it faces the camera."""
    along_rows, along_columns = np.gradient(grid, axis=0), np.gradient(grid, axis=1)
    normals = np.cross(along_rows, along_columns)
    return normals / np.linalg.norm(normals, axis=2, keepdims=True).clip(1e-9)


def _shading(normals: np.ndarray, light: FaceLight) -> np.ndarray:
    """Return (T, S, 3) light on a surface, RGB, 1 = full."""
    towards = np.clip(-normals[..., 2], 0, 1)
    from_above = 1 - 0.16 * normals[..., 1]  # y points down
    aside = np.exp(light.slope * normals[..., 0])
    return ((0.74 + 0.26 * towards) * from_above * aside)[..., None] * light.level


def _draw_cloth(canvas: np.ndarray, grid: np.ndarray, normals: np.ndarray, colours: np.ndarray) -> None:
    """Draw what of a surface faces the camera: points denser than the canvas's pixels, the farthest first.

    Args:
        canvas: (h, w, 4) float32, changed.
        grid: (T, S, 3) in pixels of the canvas, all inside it.
        normals: (T, S, 3).
        colours: (T, S, 3) in levels of 255.
    """
    steps = [np.abs(np.diff(grid[..., :2], axis=axis)).max() for axis in (0, 1)]
    factors = [max(1, int(np.ceil(step / 0.6))) for step in steps]
    dense_wh = (grid.shape[1] * factors[1], grid.shape[0] * factors[0])
    points, facing, shown = (
        cv2.resize(np.ascontiguousarray(part, np.float32), dense_wh, interpolation=cv2.INTER_LINEAR)
        for part in (grid, normals[..., 2], colours)
    )
    seen = facing.ravel() < 0
    points, shown = points.reshape(-1, 3)[seen], shown.reshape(-1, 3)[seen]
    order = np.argsort(-points[:, 2], kind="stable")
    x, y = points[order, :2].astype(int).T
    canvas[y, x, :3], canvas[y, x, 3] = shown[order], 1


def _draw_cords(
    canvas: np.ndarray, cords: list[np.ndarray], fabric: Fabric, light: FaceLight, face_width: float
) -> None:
    """Draw loops or straps; the cloth comes over their ends."""
    colour = np.array(COLOURS[fabric.cord]) * 0.85 * light.level
    for cord in cords:
        line = np.round(cord * 16).astype(np.int32)
        thickness = max(1, round(face_width * 0.018))
        cv2.polylines(canvas, [line], False, (*colour.tolist(), 1.0), thickness, cv2.LINE_8, 4)


def _blended(
    image_rgb: np.ndarray,
    layer: np.ndarray,
    origin: tuple[int, int],
    light: FaceLight,
    face_width: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lay the mask and its soft shadow over the photo."""
    height, width = image_rgb.shape[:2]
    left, top = origin
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + layer.shape[1], width), min(top + layer.shape[0], height)
    blended = image_rgb.copy()
    if x0 >= x1 or y0 >= y1:
        return blended
    part = layer[y0 - top : y1 - top, x0 - left : x1 - left]  # (h, w, 4)
    opacity = part[..., 3:].clip(0, 1)
    colour = part[..., :3] @ np.full((3, 3), 1 / 3, np.float32) if light.is_grey else part[..., :3]
    noise = rng.normal(0, light.noise, (*part.shape[:2], 1))
    shadow = cv2.GaussianBlur(part[..., 3], (0, 0), max(0.5, _SHADOW * face_width))[..., None]
    under = image_rgb[y0:y1, x0:x1] * (1 - 0.3 * shadow)
    mixed = (1 - opacity) * under + colour + opacity * noise
    blended[y0:y1, x0:x1] = np.round(mixed).clip(0, 255).astype(np.uint8)
    return blended
