"""Draw flat-style people on a supersampled canvas: what the scenes of the embedded sample are made of.

Face units: every shape of a head is written with the face's height as 1, the origin midway between hairline and chin,
x to the right and y down. `Pose` turns face units into pixels. Colours are (red, green, blue) in 0–255.
"""

from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[int, int, int]
SUPERSAMPLE = 3  # canvas pixels per image pixel along each axis
_SHIFT = 4  # fractional bits of the coordinates that OpenCV is given


def palette(text: str) -> list[Colour]:
    """Return the colours that a line of hexadecimal words names: `"ff0000 00ff00"`."""
    return [tuple(bytes.fromhex(word)) for word in text.split()]


SKIN = palette("fbdcc4 f6cfae eebd94 dba477 c08457 9c6441 7a4a31 5a3726")
HAIR = palette("1f1b1c 33251f 4f3426 7a4f2f b98a4c d8c08f 8f8f95 c9c9cc 8c3b24")
CLOTH = palette("2f4858 33658a 86bbd8 f6ae2d f26419 e4572e 76b041 4b3f72 c44569 3d405b e07a5f 81b29a f4f1de 6d6875")
MASK = palette("8ecdf0 74b9e6 a9dcf5 fbfcfd eef2f4 23252b 22406f f19bbb 35a79c 63b357 c8323f 7d54ad f2c230")


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour darkened (`factor` < 1) or moved towards white (`factor` > 1; 2 is white)."""
    if factor <= 1:
        return tuple(int(channel * factor) for channel in colour)
    return tuple(int(channel + (255 - channel) * (factor - 1)) for channel in colour)


def oval(x: float, y: float, radius_x: float, radius_y: float, start: float = 0, stop: float = 360) -> np.ndarray:
    """Return (25, 2) points of an elliptic arc; angles in degrees, clockwise on the screen from the right."""
    angle = np.radians(np.linspace(start, stop, 25))  # (25,)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)  # (25, 2)


def smooth(points: object) -> np.ndarray:
    """Round the corners of a closed polygon by cutting them three times (Chaikin); (N, 2) becomes (8 N, 2)."""
    points = np.asarray(points, float)  # (N, 2)
    for _ in range(3):
        after = np.roll(points, -1, axis=0)  # (N, 2)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def mirrored(right_side: object) -> np.ndarray:
    """Complete a right side, listed from top to bottom, to a closed shape symmetric about x = 0; (2 N, 2)."""
    right = np.asarray(right_side, float)  # (N, 2)
    return np.concatenate([right, right[::-1] * [-1, 1]])  # (2 N, 2)


class Canvas:
    """A drawing surface that knows for every pixel which `pen` touched it last."""

    def __init__(self, image_wh: tuple[int, int], colour: Colour = (255, 255, 255)) -> None:
        """Start with one colour and owner 0 everywhere.

        Args:
            image_wh: Width and height of the image to come, in image pixels.
            colour: The first colour of every pixel.
        """
        width, height = (SUPERSAMPLE * side for side in image_wh)
        self.image_wh = image_wh
        self.pixels = np.full((height, width, 3), colour, np.uint8)  # (H, W, 3)
        self.owner = np.zeros((height, width), np.uint8)  # (H, W)
        self.pen = 0

    def fill(self, points: np.ndarray, colour: Colour, alpha: float = 1.0, inside: np.ndarray | None = None) -> None:
        """Fill a polygon; a translucent or clipped one changes colours, not owners.

        Args:
            points: (N, 2) float, image pixels; may lie outside the image.
            colour: What the pixels become.
            alpha: 1 covers, 0 leaves everything as it was.
            inside: (M, 2) float, image pixels: a second polygon that limits the first.
        """
        if alpha == 1.0 and inside is None:
            cv2.fillPoly(self.pixels, [_fixed(points)], colour, shift=_SHIFT)
            cv2.fillPoly(self.owner, [_fixed(points)], self.pen, shift=_SHIFT)
            return
        rows, cols, stencil = self._stencil(points)
        if inside is not None:
            stencil &= self._stencil(inside, (rows, cols))[2]
        region = self.pixels[rows, cols][stencil]  # (P, 3)
        self.pixels[rows, cols][stencil] = np.rint(region * (1 - alpha) + np.array(colour) * alpha).astype(np.uint8)

    def stroke(self, points: np.ndarray, colour: Colour, width: float) -> None:
        """Draw an open line through (N, 2) points, `width` image pixels thick."""
        thickness = max(1, round(width * SUPERSAMPLE))
        cv2.polylines(self.pixels, [_fixed(points)], False, colour, thickness, shift=_SHIFT)
        cv2.polylines(self.owner, [_fixed(points)], False, self.pen, thickness, shift=_SHIFT)

    def gradient(self, top: Colour, bottom: Colour) -> None:
        """Paint the whole canvas with a vertical gradient."""
        share = np.linspace(0, 1, self.image_wh[1])[:, None]  # (height, 1)
        rows = np.rint((1 - share) * np.array(top) + share * np.array(bottom)).astype(np.uint8)  # (height, 3)
        self.pixels[:] = np.repeat(rows, SUPERSAMPLE, axis=0)[:, None]

    def visible_fraction(self, points: np.ndarray, owner: int) -> float:
        """Return which part of a polygon's area is inside the image and still belongs to `owner`; in [0, 1]."""
        rows, cols, stencil = self._stencil(points)
        area = cv2.contourArea(np.float32(points * SUPERSAMPLE))
        return min(1.0, float((self.owner[rows, cols][stencil] == owner).sum()) / area)

    def image(self) -> np.ndarray:
        """Return the picture, (height, width, 3) uint8 RGB, averaged down to image pixels."""
        return cv2.resize(self.pixels, self.image_wh, interpolation=cv2.INTER_AREA)

    def _stencil(self, points: np.ndarray, window: tuple[slice, slice] | None = None) -> tuple:
        """Return the polygon's window (rows, columns) on the canvas and the (h, w) bool pixels that it covers there."""
        if window is None:
            limits = self.pixels.shape[1::-1]
            low = (np.floor(points.min(axis=0) * SUPERSAMPLE)).clip(0, limits).astype(int)
            high = (np.ceil(points.max(axis=0) * SUPERSAMPLE) + 1).clip(0, limits).astype(int)
            window = slice(low[1], high[1]), slice(low[0], high[0])
        rows, cols = window
        stencil = np.zeros((rows.stop - rows.start, cols.stop - cols.start), np.uint8)  # (h, w)
        origin = np.array([cols.start, rows.start]) / SUPERSAMPLE
        if stencil.size:
            cv2.fillPoly(stencil, [_fixed(points - origin)], 1, shift=_SHIFT)
        return rows, cols, stencil.astype(bool)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(points) * (SUPERSAMPLE << _SHIFT)).astype(np.int32)


@dataclass(frozen=True)
class Pose:
    """Where a face is and how it is turned.

    Attributes:
        x: Face centre in image pixels.
        y: Face centre in image pixels.
        height: Hairline to chin in image pixels.
        tilt: In-plane rotation in radians, clockwise on the screen.
        yaw: -1 (turned to the left edge) to 1; moves features sideways as on a ball.
    """

    x: float
    y: float
    height: float
    tilt: float = 0.0
    yaw: float = 0.0

    def place(self, points: np.ndarray) -> np.ndarray:
        """Turn (N, 2) face units into (N, 2) image pixels."""
        x, y = np.asarray(points, float).T  # (N,), (N,)
        x = x + 0.14 * self.yaw * np.clip(1 - (x / 0.42) ** 2, 0, None)
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        turned = np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)  # (N, 2)
        return turned * self.height + [self.x, self.y]

    def upright(self) -> "Pose":
        """Return the pose of the body under the head: same place, neither tilted nor turned."""
        return Pose(self.x, self.y, self.height)


def half_width(y: np.ndarray | float) -> np.ndarray:
    """Return how far the head reaches to either side at height `y`, in face units; 0 outside [-0.62, 0.5]."""
    t = np.asarray(y, float) + 0.05
    skull = np.sqrt(np.clip(1 - (t / 0.57) ** 2, 0, None))
    jaw = np.clip(1 - np.clip(t / 0.55, 0, None) ** 2.4, 0, None) ** 0.53
    return 0.39 * np.where(t < 0, skull, jaw)


def face_outline(top: float = -0.62) -> np.ndarray:
    """Return the closed (64, 2) outline of the head from `top` to the chin, in face units."""
    y = top + (0.5 - top) * (1 - np.cos(np.linspace(0, np.pi, 32))) / 2  # (32,), denser at both ends
    return mirrored(np.stack([half_width(y), y], axis=1))


def cover_shape(edge: float, nose: float, bottom: float) -> np.ndarray:
    """Return the (64, 2) outline of what lies on the lower face: a mask, a beard.

    Args:
        edge: Height of the upper edge at the cheeks, in face units.
        nose: Height of the upper edge in the middle.
        bottom: Height of the lowest point; the chin is at 0.5.
    """
    y = edge + (0.5 - edge) * np.sin(np.linspace(0, np.pi / 2, 20))  # (20,)
    stretched = edge + (y - edge) * (bottom - edge) / (0.5 - edge)
    jaw = mirrored(np.stack([half_width(y) * 1.03, stretched], axis=1))  # (40, 2)
    x = np.linspace(-1, 1, 24)  # (24,)
    upper = np.stack([x * jaw[0, 0], edge + (nose - edge) * (1 - np.abs(x) ** 1.7)], axis=1)  # (24, 2)
    return np.concatenate([jaw, upper])


def face_points(pose: Pose) -> np.ndarray:
    """Return the (M, 2) outline that a face's box is drawn around: hairline to chin, ear to ear, in image pixels."""
    ears = [oval(0.395 * side, 0.02, 0.06, 0.1) for side in (-1, 1) if side * pose.yaw < 0.5]
    return pose.place(np.concatenate([face_outline(top=-0.46), *ears]))
