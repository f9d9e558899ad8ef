"""What the cloth of a mask looks like before light falls on it: colours, prints, pleats, seams, creases."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from maskdet.data.mask_shapes import NUM_COLUMNS, NUM_ROWS

COLOURS: Mapping[str, tuple[int, int, int]] = {  # RGB in white light
    "white": (236, 238, 240),
    "light_blue": (150, 194, 222),
    "green": (136, 204, 186),
    "pink": (228, 176, 182),
    "grey": (128, 130, 134),
    "black": (38, 39, 43),
    "navy": (46, 58, 92),
    "beige": (208, 190, 164),
    "red": (168, 48, 52),
}
COLOUR_SHARES: Mapping[str, Mapping[str, float]] = {  # of each shape, as they are seen in the street
    "surgical": {"light_blue": 0.38, "white": 0.3, "green": 0.14, "black": 0.09, "pink": 0.05, "grey": 0.04},
    "folded_respirator": {"white": 0.7, "black": 0.15, "grey": 0.1, "light_blue": 0.05},
    "cup_respirator": {"white": 0.88, "grey": 0.12},
    "cloth": {"black": 0.4, "grey": 0.14, "white": 0.14, "navy": 0.1, "beige": 0.1, "pink": 0.06, "red": 0.06},
}
PRINT_SHARES: Mapping[str, float] = {"plain": 0.7, "checks": 0.1, "dots": 0.08, "stripes": 0.06, "flowers": 0.06}
"""Of cloth masks; the others are plain."""


@dataclass(frozen=True)
class Fabric:
    """What a mask is made of.

    Attributes:
        colour: A key of `COLOURS`.
        print_name: A key of `PRINT_SHARES`.
        has_valve: A disc for breathing out, left of the middle.
        crease: Strength of the folds in [0, 1]; bunched cloth has many.
        cord: A key of `COLOURS`, of what holds it.

    Raises:
        ValueError: If a name is unknown.
    """

    colour: str
    print_name: str = "plain"
    has_valve: bool = False
    crease: float = 0.3
    cord: str = "white"

    def __post_init__(self) -> None:
        for value, known in ((self.colour, COLOURS), (self.cord, COLOURS), (self.print_name, PRINT_SHARES)):
            if value not in known:
                raise ValueError(f"expected one of {sorted(known)}, got {value!r}")

    @property
    def name(self) -> str:
        """The colour, with the print where there is one: `black`, `navy_dots`."""
        return self.colour if self.print_name == "plain" else f"{self.colour}_{self.print_name}"


def random_fabric(shape_name: str, crease: float, rng: np.random.Generator) -> Fabric:
    """Draw a fabric that masks of a shape are made of.

    Args:
        shape_name: A key of `maskdet.data.mask_shapes.SHAPES`.
        crease: See `Fabric`.
        rng: Source of all randomness.
    """
    colour = _draw(COLOUR_SHARES[shape_name], rng)
    print_name = _draw(PRINT_SHARES, rng)
    is_cloth = shape_name == "cloth"
    has_valve = bool(rng.random() < 0.5)
    return Fabric(
        colour=colour,
        print_name=print_name if is_cloth else "plain",
        has_valve=has_valve and shape_name == "cup_respirator",
        crease=crease,
        cord=colour if is_cloth else "white",
    )


def _draw(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    weights = np.array(list(shares.values()), np.float64)
    return list(shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]


def weave(shape_name: str, fabric: Fabric, rng: np.random.Generator) -> np.ndarray:
    """Return the reflectance of a mask's surface.

    Args:
        shape_name: A key of `maskdet.data.mask_shapes.SHAPES`: pleats and seams belong to the cut.
        fabric: Colour, print and creases.
        rng: Source of all randomness.

    Returns:
        (T, S, 3) float32 in [0, 255], RGB, on the grid of `mask_shapes`.
    """
    down, across = np.meshgrid(np.linspace(0, 1, NUM_ROWS), np.linspace(-1, 1, NUM_COLUMNS), indexing="ij")  # (T, S)
    shade = rng.uniform(0.97, 1.03, 3) * rng.uniform(0.9, 1.06)
    cloth = np.broadcast_to(np.array(COLOURS[fabric.colour]) * shade, (NUM_ROWS, NUM_COLUMNS, 3))
    cloth = _printed(cloth, fabric.print_name, down, across, rng)
    relief = _RELIEF[shape_name](down, across)  # (T, S), 1 is flat
    relief = relief * (1 + 0.2 * fabric.crease * _folds(rng))
    cloth = cloth * relief[..., None]
    if fabric.has_valve:
        cloth = _with_valve(cloth, down, across)
    return cloth.clip(0, 255).astype(np.float32)


def _printed(
    cloth: np.ndarray, name: str, down: np.ndarray, across: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    if name == "plain":
        return cloth
    pitch = rng.uniform(0.12, 0.22)
    # The surface is about as high as half of it is wide: both run through as many repeats.
    strength = _PRINTS[name](across / pitch, down / pitch, rng)  # (T, S), 0 to 1
    ink = rng.uniform(20, 235, 3)
    return cloth + 0.8 * strength[..., None] * (ink - cloth)


def _checks(x: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return 0.5 * ((x % 1 < 0.5).astype(float) + (y % 1 < 0.5))


def _dots(x: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return (np.hypot(x % 1 - 0.5, y % 1 - 0.5) < 0.3).astype(float)


def _stripes(x: np.ndarray, y: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return ((y + 0.3 * x) % 1 < 0.4).astype(float)


def _flowers(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (_smooth_noise(rng, 14) > 0.6).astype(float)


_PRINTS = {"checks": _checks, "dots": _dots, "stripes": _stripes, "flowers": _flowers}


def _lines(position: np.ndarray, at: tuple[float, ...], width: float, depth: float) -> np.ndarray:
    """Return a relief with dark lines whose upper rim is lit."""
    relief = np.ones_like(position)
    for place in at:
        offset = (position - place) / width
        relief = relief - depth * np.exp(-(offset**2)) + 0.4 * depth * np.exp(-((offset + 1.6) ** 2))
    return relief


def _surgical_relief(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    pleats = _lines(down, (0.3, 0.5, 0.7), 0.022, 0.22)
    hems = _lines(down, (0.07, 0.93), 0.012, 0.08) * _lines(np.abs(across), (0.95,), 0.012, 0.08)
    return pleats * hems


def _folded_relief(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    seam = _lines(np.abs(across), (0.0,), 0.018, 0.12)
    return seam * _lines(down + 0.25 * np.abs(across), (0.14,), 0.012, 0.06) * _lines(down, (0.95,), 0.015, 0.06)


def _cup_relief(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    rim = _lines(np.hypot(across, 2 * down - 1), (0.93,), 0.03, 0.12)
    return rim * (1 + 0.05 * (0.5 - np.hypot(across, 1.6 * down - 0.8)))


def _cloth_relief(down: np.ndarray, across: np.ndarray) -> np.ndarray:
    return _lines(np.abs(across), (0.0,), 0.02, 0.14) * _lines(down, (0.05, 0.95), 0.012, 0.08)


_RELIEF = {
    "surgical": _surgical_relief,
    "folded_respirator": _folded_relief,
    "cup_respirator": _cup_relief,
    "cloth": _cloth_relief,
}


def _smooth_noise(rng: np.random.Generator, cells: int, stretch: float = 1.0) -> np.ndarray:
    """Return (T, S) noise of standard deviation 1 with about `cells` bumps across and fewer or more down."""
    coarse = rng.standard_normal((max(2, round(cells * stretch)), max(2, cells))).astype(np.float32)
    fine = cv2.resize(coarse, (NUM_COLUMNS, NUM_ROWS), interpolation=cv2.INTER_CUBIC)
    return (fine - fine.mean()) / max(float(fine.std()), 1e-6)


def _folds(rng: np.random.Generator) -> np.ndarray:
    """Return (T, S) light and dark of creases, which run across the mask more than down."""
    return 0.75 * _smooth_noise(rng, 3, 3.5) + 0.25 * _smooth_noise(rng, 6)


def _with_valve(cloth: np.ndarray, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    radius = np.hypot((across - 0.25) / 0.2, (down - 0.62) / 0.13)  # (T, S)
    disc, rim = radius < 1, np.exp(-(((radius - 1) / 0.12) ** 2))
    valve = np.where(disc[..., None], 0.25 * cloth + 0.75 * 200, cloth)
    return valve * (1 - 0.35 * rim)[..., None]
