"""The light on a face in a photo, and the photo's blur and noise: what a mask drawn on it must share."""

from dataclasses import dataclass

import cv2
import numpy as np

from maskdet.data.mask_shapes import FaceFrame

_CHEEKS = ((50, 205, 187, 36, 117, 118), (280, 425, 411, 266, 346, 347))  # bare skin, right and left
_SKIN = np.array([1.22, 0.93, 0.82])  # of its own luminance, in white light, whatever its darkness


@dataclass(frozen=True)
class FaceLight:
    """The light on a face, and what the camera made of it.

    Attributes:
        level: (3,) float64, what a white cloth facing the camera would show, RGB, 1 = full.
        slope: How much brighter what faces the right of the picture is, as a logarithm over the whole turn.
        blur_px: Standard deviation of the photo's blur, in its pixels.
        noise: Standard deviation of the photo's noise, in levels of 255.
        is_grey: Whether the photo has no colour.
    """

    level: np.ndarray
    slope: float
    blur_px: float
    noise: float
    is_grey: bool


def measure_light(image_rgb: np.ndarray, frame: FaceFrame) -> FaceLight:
    """Estimate the light on a face, and the photo's blur and noise there.

    Brightness and colour come from the cheeks and the brightest parts around, their left and right from the direction
    of the light. A dark skin and a dim light cannot be told apart from the face alone; the surroundings decide half.
    """
    around = _around(image_rgb, frame, 0.8).astype(np.float64)  # (h, w, 3)
    face = _around(image_rgb, frame, 0.45).astype(np.float64)  # (h', w', 3)
    right, left = (_skin_colour(image_rgb, frame, points) for points in _CHEEKS)
    skin = (right + left) / 2
    luminance = float(np.clip(_luminance(skin), 8, 255))
    brightest = float(np.percentile(_luminance(around), 97)) / 255
    level = np.sqrt(np.clip(luminance / 165, 0.2, 1.15) * np.clip(brightest, 0.3, 1))
    is_grey = float(np.ptp(around, axis=2).mean()) < 6
    tint = np.ones(3) if is_grey else np.clip(skin / luminance / _SKIN, 0.8, 1.25) ** 0.35
    slope = float(np.clip(np.log((_luminance(left) + 15) / (_luminance(right) + 15)), -0.7, 0.7))
    return FaceLight(level * tint / tint.mean(), slope, estimate_blur(face), estimate_noise(face), is_grey)


def _luminance(colours: np.ndarray) -> np.ndarray:
    return colours @ np.array([0.299, 0.587, 0.114])


def _around(image_rgb: np.ndarray, frame: FaceFrame, face_widths: float) -> np.ndarray:
    """Return the photo that far around a face's centre; the whole photo where the face lies beyond it."""
    centre, reach = frame.to_image(frame.points.mean(axis=0))[:2], face_widths * frame.width_px
    low, high = np.floor(centre - reach).astype(int), np.ceil(centre + reach).astype(int)
    part = image_rgb[max(low[1], 0) : max(high[1], 0), max(low[0], 0) : max(high[0], 0)]
    return part if min(part.shape[:2]) >= 3 else image_rgb


def _skin_colour(image_rgb: np.ndarray, frame: FaceFrame, points: tuple[int, ...]) -> np.ndarray:
    """Return the median colour at some points of a face, (3,) float64."""
    height, width = image_rgb.shape[:2]
    x, y = np.round(frame.to_image(frame.points[list(points)])[:, :2]).astype(int).T
    return np.median(image_rgb[y.clip(0, height - 1), x.clip(0, width - 1)].astype(np.float64), axis=0)


def estimate_blur(pixels: np.ndarray) -> float:
    """Estimate the blur of a picture from its sharpest edges.

    An edge of height A that a Gaussian of deviation s has blurred has a steepest slope of A / (s sqrt(2 pi)). One more
    blur of a known deviation, taken off at the end, keeps noise from passing for edges.

    Args:
        pixels: (H, W, 3) float, RGB in levels of 255, at least 3 px a side.

    Returns:
        Standard deviation in pixels, in [0.4, 3].
    """
    grey = cv2.GaussianBlur(_luminance(pixels), (0, 0), 1.0)
    deviations = []
    for picture in (grey, grey.T):
        slopes = np.abs(np.diff(picture, axis=1))
        window = np.ones((1, 11), np.uint8)
        heights = (cv2.dilate(picture, window) - cv2.erode(picture, window))[:, 1:]
        steep = slopes >= max(np.percentile(slopes, 99), 1.0)  # an even picture has no edge to judge by
        deviations.append(heights[steep] / slopes[steep] / np.sqrt(2 * np.pi))
    found = np.concatenate(deviations)
    if not len(found):
        return 0.6
    added = 1.0 + 1 / 12  # variance of the blur above and of a difference over one pixel
    return float(np.clip(np.sqrt(max(np.percentile(found, 20) ** 2 - added, 0)), 0.4, 3))


def estimate_noise(pixels: np.ndarray) -> float:
    """Estimate the noise of a picture, robust against edges.

    Args:
        pixels: (H, W, 3) float, RGB in levels of 255.

    Returns:
        Standard deviation of the luminance in levels of 255, in [0, 8].

    Reference:
        Immerkær (1996), Fast noise variance estimation, with the lowest quarter in place of the mean.
    """
    kernel = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])  # a deviation of 6 times that of white noise
    response = np.abs(cv2.filter2D(_luminance(pixels), cv2.CV_64F, kernel)[1:-1, 1:-1])
    # A quarter of normal deviates are smaller than 0.3186: skin and sky, not hair and edges.
    return float(np.clip(np.percentile(response, 25) / (6 * 0.3186), 0, 8)) if response.size else 0.0
