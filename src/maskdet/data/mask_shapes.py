"""Where the cloth of a mask lies on a face: a curved surface in three dimensions, from the face's 468 points.

All lengths are in face widths (ear to ear, some 14 cm) and along the face's own axes: x to its left, y down, z out of
it. A surface is a grid of points: rows run from the upper edge to the lower one, columns from ear to ear.

Reference:
    The numbering of the points is that of Kartynnik et al. (2019), see `maskdet.models.landmarks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskdet.schema import CLASS_NAMES

WORN_RIGHT, WORN_WRONG = CLASS_NAMES[0], CLASS_NAMES[2]
NUM_POINTS = 468
NUM_ROWS, NUM_COLUMNS = 72, 97  # an odd number of columns: one lies on the middle

RIGHT_EAR, LEFT_EAR, FOREHEAD, CHIN = 234, 454, 10, 152
MIDLINE = (168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 14, 17, 18, 200, 199, 175, 152)
"""From between the eyes down to the chin; a level 2.5 lies halfway between the third point and the fourth."""

_CHEEK = ((116, 123, 147, 192, 135, 150), (345, 352, 376, 416, 364, 379))  # where a mask's side lies, right and left
_OUTLINE = ((234, 93, 132, 58, 172, 136), (454, 323, 361, 288, 397, 365))  # the same levels at the face's outline
_TEMPLES = (127, 356)
_HIDDEN_FROM = 0.2  # sine of the turn from which the head hides what holds the mask on its far side
_NECK = np.array([[0, 0.045, -0.08], [0, 0.13, -0.22], [0, 0.4, -0.3]])  # from the chin
_NECK_SIDE = np.array([[-0.03, 0.11, -0.12], [-0.04, 0.25, -0.22], [-0.04, 0.5, -0.27]])  # from the jaw; x outwards


@dataclass(frozen=True)
class MaskShape:
    """The cut of a mask.

    Attributes:
        top: Level on `MIDLINE` of the upper edge when it is worn right.
        overhang: Length of cloth below the chin.
        side_levels: Of the upper and the lower corner, counted down the cheek; what lies between is the side's height.
        reach: How near the sides come to the ears: 0 on the cheek, 1 at the face's outline.
        edge: Share of the way to the sides that the cloth covers at its widest row.
        taper: Share lost at the upper and the lower edge; 0 is a rectangle, 0.5 an egg.
        roundness: Of a row: 1 folds at the middle like a roof, 2 is a parabola.
        bulge: How far the middle stands off a taut cloth.
    """

    top: float
    overhang: float
    side_levels: tuple[float, float]
    reach: float
    edge: float = 1.0
    taper: float = 0.0
    roundness: float = 1.7
    bulge: float = 0.0


SHAPES: Mapping[str, MaskShape] = {
    "surgical": MaskShape(2.6, 0.06, (0.5, 4.3), reach=0.15, roundness=1.8, bulge=0.03),
    "folded_respirator": MaskShape(2.2, 0.03, (0.9, 3.7), reach=0.0, edge=0.96, taper=0.12, roundness=1.2, bulge=0.07),
    "cup_respirator": MaskShape(2.2, 0.02, (0.8, 4.0), reach=0.0, edge=0.86, taper=0.62, roundness=1.9, bulge=0.1),
    "cloth": MaskShape(2.8, 0.04, (0.6, 3.2), reach=0.75, roundness=1.35, bulge=0.03),
}


@dataclass(frozen=True)
class Wearing:
    """A way to wear a mask; every range is (lowest, highest).

    Attributes:
        class_name: What the face then shows.
        top: Levels on `MIDLINE` of the upper edge; added to the shape's own where the mask is worn right.
        side_shift: Levels that the corners have slid down the cheeks.
        slack: Share of the cloth's height that remains where it is bunched up.
        crease: Strength of the creases in [0, 1].
        hangs: Whether the mask hangs from one ear, beside the face; the ranges are then not used.
    """

    class_name: str
    top: tuple[float, float] = (0.0, 0.0)
    side_shift: tuple[float, float] = (0.0, 0.0)
    slack: tuple[float, float] = (1.0, 1.0)
    crease: float = 0.3
    hangs: bool = False


WEARINGS: Mapping[str, Wearing] = {
    "over_nose": Wearing(WORN_RIGHT, (-1.0, 1.0), (-0.3, 0.3)),
    "below_nose": Wearing(WORN_WRONG, (6.8, 8.6), (0.5, 1.4), (0.65, 0.95), crease=0.4),
    "below_mouth": Wearing(WORN_WRONG, (11.0, 12.6), (1.8, 2.7), (0.4, 0.65), crease=0.6),
    "under_chin": Wearing(WORN_WRONG, (14.0, 15.6), (2.6, 3.4), (0.3, 0.5), crease=0.9),
    "from_one_ear": Wearing(WORN_WRONG, hangs=True),
}


@dataclass(frozen=True)
class FaceFrame:
    """The axes of one face in its picture.

    Attributes:
        points: (468, 3) float64, the face's points in face widths along its axes, from the middle between the ears.
        origin: (3,) float64, that middle in pixels of the image; z grows away from the camera.
        axes: (3, 3) float64, unit vectors in the image as rows: to the face's left, down, out of the face.
        width_px: Ear to ear in three dimensions, in pixels.
    """

    points: np.ndarray
    origin: np.ndarray
    axes: np.ndarray
    width_px: float

    @classmethod
    def from_points(cls, points_px: np.ndarray) -> "FaceFrame":
        """Find the axes of a face.

        Args:
            points_px: (468, 3) float; x and y in pixels of the image, z in the same unit, away from the camera.

        Raises:
            ValueError: If there are not 468, or they span no face: the ears or forehead and chin coincide.
        """
        points = np.asarray(points_px, np.float64)
        if points.shape != (NUM_POINTS, 3):
            raise ValueError(f"expected points of shape ({NUM_POINTS}, 3), got {points.shape}")
        across, down = points[LEFT_EAR] - points[RIGHT_EAR], points[CHIN] - points[FOREHEAD]
        width = float(np.linalg.norm(across))
        across = across / max(width, 1e-9)
        down = down - across * (down @ across)
        height = float(np.linalg.norm(down))
        if min(width, height) < 1e-6:
            raise ValueError(f"expected the points of a face, got one {width:g} px wide and {height:g} px high")
        axes = np.stack([across, down / height, np.cross(down / height, across)])
        origin = (points[RIGHT_EAR] + points[LEFT_EAR]) / 2
        return cls((points - origin) @ axes.T / width, origin, axes, width)

    @property
    def yaw_degrees(self) -> float:
        """How far the face is turned aside: 0 looks into the camera, 90 is a profile; positive: its left is far."""
        return float(np.degrees(np.arctan2(self.axes[0, 2], np.hypot(*self.axes[0, :2]))))

    def to_image(self, local: np.ndarray) -> np.ndarray:
        """Return (…, 3) points of the face's frame in pixels of the image, z away from the camera."""
        return self.origin + self.width_px * (local @ self.axes)


@dataclass(frozen=True)
class WornMask:
    """A mask on a face, in the face's frame.

    Attributes:
        surface: (T, S, 3) float64, the cloth: rows from the upper edge down, columns from the right ear to the left.
        cords: Lines (K, 3) float64 of what holds the mask, from its edge to where it leaves the picture of the face.
    """

    surface: np.ndarray
    cords: tuple[np.ndarray, ...]


def fit_mask(frame: FaceFrame, shape: MaskShape, wearing: Wearing, rng: np.random.Generator) -> WornMask:
    """Lay a mask on a face.

    Args:
        frame: The face.
        shape: One of `SHAPES`.
        wearing: One of `WEARINGS`.
        rng: Draws where in the wearing's ranges the mask sits.

    Returns:
        The surface and its cords. Over hollows the cloth is taut; its height is that of the mask that fits this face,
        however far it has slid.
    """
    if wearing.hangs:
        return _hung(frame, shape, rng)
    is_right = wearing.class_name == WORN_RIGHT
    top = rng.uniform(*wearing.top) + (shape.top if is_right else 0.0)
    height = _length(_taut(_midline_from(frame, shape.top, neck=False))) + shape.overhang
    slack = rng.uniform(*wearing.slack)
    middle = _along(_taut(_midline_from(frame, top)), height * slack)  # (T, 3)
    rows = np.linspace(0, 1, NUM_ROWS)
    middle[:, 2] += shape.bulge * 4 * rows * (1 - rows)
    upper, lower = shape.side_levels
    corner = upper + rng.uniform(*wearing.side_shift)
    levels = np.linspace(corner, corner + slack * (lower - upper), NUM_ROWS)
    sides = [_side(frame, index, shape.reach, levels) for index in (0, 1)]  # (T, 3) each
    surface = _span(middle, *sides, shape, 1.25 if is_right else 1.8)
    return WornMask(surface, _cords(frame, surface, shape))


def _midline_from(frame: FaceFrame, level: float, neck: bool = True) -> np.ndarray:
    """Return the profile below a level, (K, 3), its first point on the level, its last ones on the neck."""
    profile = frame.points[list(MIDLINE)]
    level = float(np.clip(level, 0, len(MIDLINE) - 1))
    start = _at(profile, np.array([level]))
    below = profile[int(np.floor(level)) + 1 :]
    parts = [start, below, frame.points[CHIN] + _NECK] if neck else [start, below]
    return np.concatenate(parts)


def _at(line: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return (L, 3) points at fractional positions of a line (K, 3)."""
    positions = np.arange(len(line))
    return np.stack([np.interp(levels, positions, line[:, axis]) for axis in range(3)], axis=1)


def _taut(profile: np.ndarray) -> np.ndarray:
    """Return the points of a profile (K, 3) that a cloth spanned over it touches: its hull seen from the front."""
    hull: list[np.ndarray] = []
    for point in [profile[0], *sorted(profile[1:], key=lambda point: point[1])]:
        if hull and point[1] <= hull[0][1]:
            continue  # above the edge of the cloth
        while len(hull) > 1 and _is_behind(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    return np.array(hull)


def _is_behind(above: np.ndarray, middle: np.ndarray, below: np.ndarray) -> bool:
    """Say whether the middle point lies behind the straight line from the one above to the one below."""
    return (middle[2] - above[2]) * (below[1] - above[1]) <= (below[2] - above[2]) * (middle[1] - above[1])


def _length(line: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


def _along(line: np.ndarray, length: float) -> np.ndarray:
    """Return `NUM_ROWS` points at equal steps along the first `length` of a line (K, 3)."""
    distance = np.concatenate([[0.0], np.linalg.norm(np.diff(line, axis=0), axis=1).cumsum()])
    steps = np.linspace(0, min(length, distance[-1]), NUM_ROWS)
    return np.stack([np.interp(steps, distance, line[:, axis]) for axis in range(3)], axis=1)


def _side(frame: FaceFrame, index: int, reach: float, levels: np.ndarray) -> np.ndarray:
    """Return (T, 3) points down one cheek, 0 the right one, and on down the neck."""
    cheek, outline = frame.points[list(_CHEEK[index])], frame.points[list(_OUTLINE[index])]
    line = cheek + reach * (outline - cheek)
    outwards = np.array([-1.0 if index == 0 else 1.0, 1, 1])
    return _at(np.concatenate([line, line[-1] + _NECK_SIDE * outwards]), levels)


def _span(middle: np.ndarray, right: np.ndarray, left: np.ndarray, shape: MaskShape, droop: float) -> np.ndarray:
    """Return the surface between the middle and the sides, (T, S, 3)."""
    rows = np.linspace(-1, 1, NUM_ROWS)[:, None]
    reached = shape.edge * (1 - shape.taper * np.abs(rows) ** 2.5)  # (T, 1)
    across = np.linspace(-1, 1, NUM_COLUMNS)[None] * reached  # (T, S)
    side = np.where(across[..., None] < 0, right[:, None], left[:, None])  # (T, S, 3)
    droops = np.linspace(droop, 2.25, NUM_ROWS)[:, None]  # (T, 1): the lower edge hugs the jaw
    exponents = np.stack(np.broadcast_arrays(1.0, droops, shape.roundness), axis=-1)  # (T, 1, 3), of x, y and z
    return middle[:, None] + (side - middle[:, None]) * np.abs(across)[..., None] ** exponents


def _cords(frame: FaceFrame, surface: np.ndarray, shape: MaskShape) -> tuple[np.ndarray, ...]:
    """Return loops from the corners to the ears or, of a tapered mask, straps from its sides around the head."""
    cords = []
    for index, column in ((0, 0), (1, -1)):
        if frame.axes[0, 2] * (-1, 1)[index] > _HIDDEN_FROM:
            continue
        ear = frame.points[_OUTLINE[index][0]]
        temple, jaw = frame.points[_TEMPLES[index]], frame.points[_OUTLINE[index][2]]
        is_strapped = shape.taper > 0.3
        ends = (temple, jaw) if is_strapped else (ear - [0, 0.05, 0.02], ear + [0, 0.1, -0.02])
        rows = (round(0.35 * NUM_ROWS), round(0.6 * NUM_ROWS)) if is_strapped else (2, NUM_ROWS - 3)
        for row, end in zip(rows, ends, strict=True):
            cords.append(_bent(surface[row, column], end))
    return tuple(cords)


def _bent(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return a line (9, 3) that stands off the cheek a little on its way."""
    along = np.linspace(0, 1, 9)[:, None]
    outwards = np.array([np.sign(end[0]), 0.0, 0.0])
    return start + (end - start) * along + 0.03 * 4 * along * (1 - along) * outwards


def _hung(frame: FaceFrame, shape: MaskShape, rng: np.random.Generator) -> WornMask:
    """Return a mask that hangs beside the jaw from the ear nearer to the camera."""
    index = int(frame.yaw_degrees < 0) if abs(frame.yaw_degrees) > 8 else int(rng.integers(2))
    outwards = -1.0 if index == 0 else 1.0
    ear = frame.points[_OUTLINE[index][0]]
    width, height = rng.uniform(0.2, 0.3), rng.uniform(0.5, 0.65)
    # Its side is up: what are rows when it is worn right run down, the upper edge on the right of the picture.
    across, down = np.meshgrid(np.linspace(1, -1, NUM_ROWS), np.linspace(0, 1, NUM_COLUMNS), indexing="ij")
    swing = rng.uniform(-0.08, 0.08)
    surface = ear + np.stack(
        [
            outwards * 0.02 + across * width / 2 * (1 - shape.taper * 0.5 * np.abs(2 * down - 1)) + swing * down,
            0.16 + height * down,
            0.12 + 0.08 * (1 - across**2),
        ],
        axis=-1,
    )  # (T, S, 3)
    corners = (surface[2, 1], surface[-3, 1])
    return WornMask(surface, tuple(_bent(corner, ear - [0, 0.05, 0]) for corner in corners))
