"""Blur, darkness, brightness, information and size of pictures that are decoded already.

All but blur are cleanvision's measures. Its `Imagelab` opens every file itself and keeps a pool of processes and a
table of its own; its measures are classes of their own that take a picture: called so, nothing is decoded twice. Scores
and thresholds are the library's. Its measure of blur is not used: it looks for edges at 64 pixels, where the frame that
Pillow's edge filter leaves counts as one, so that a photo blurred by 32 pixels scores 0.33 and passes its threshold of
0.29. `blur_effect` stands in for it.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import cv2
import numpy as np
import pandas as pd
from cleanvision.issue_managers import IssueType
from cleanvision.issue_managers.image_property import ImageProperty
from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager
from PIL import Image

from maskdet.data.image_traits import shrunk

MAX_BLUR = 0.65
"""Photos of two data sets reach 0.53; blurred by 2 pixels at 400 they have 0.55 to 0.77, by 3 pixels 0.66 and more."""

_BLUR_SIDE_PX = 400  # a photo that is soft only when looked at larger serves a detector well
_BLUR_WINDOW_PX = 9
_SAMPLED_SIDE_PX = 256
_ISSUE_OF_RULE = {
    "image-dark": IssueType.DARK,
    "image-bright": IssueType.LIGHT,
    "image-low-information": IssueType.LOW_INFORMATION,
    "image-odd-size": IssueType.ODD_SIZE,
    "image-odd-ratio": IssueType.ODD_ASPECT_RATIO,
}
_SAMPLED = (IssueType.DARK, IssueType.LIGHT)  # percentiles over pixels, in eight bytes each


def blur_effect(image: np.ndarray) -> float:
    """Return how blurred a picture is: how little of its contrast between neighbours a further blur takes away.

    Args:
        image: (H, W, 3) uint8, RGB; compared at a longer side of 400 pixels or its own.

    Returns:
        0 (sharp) to 1, the larger of both directions, so that a shake counts; 0 for an even colour.

    Reference:
        Crété-Roffet et al. (2007), The Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur
        Metric, section 3, https://doi.org/10.1117/12.702790.
    """
    grey = cv2.cvtColor(shrunk(image, _BLUR_SIDE_PX), cv2.COLOR_RGB2GRAY).astype(np.float32)  # (H, W)
    effects = []
    for axis, window in enumerate(((1, _BLUR_WINDOW_PX), (_BLUR_WINDOW_PX, 1))):  # cv2 wants width, height
        steps = np.abs(np.diff(grey, axis=axis))
        softer = np.abs(np.diff(cv2.blur(grey, window, borderType=cv2.BORDER_REPLICATE), axis=axis))
        total = float(steps.sum())
        effects.append(1 - float((steps - softer).clip(0).sum()) / total if total else 0.0)
    return max(effects)


def picture_traits(image: np.ndarray) -> dict[str, float]:
    """Return cleanvision's raw measures of a picture, by its names, and `blur`.

    Percentiles of brightness are taken over every k-th row and column of a large picture: the library turns each pixel
    into eight bytes and more, which is a gigabyte for a photo of 40 megapixels.

    Args:
        image: (H, W, 3) uint8, RGB.
    """
    step = -(-max(image.shape[:2]) // _SAMPLED_SIDE_PX)
    whole, sampled = Image.fromarray(image), Image.fromarray(np.ascontiguousarray(image[::step, ::step]))
    traits: dict[str, float] = {"blur": blur_effect(image)}
    for issue, measure in _measures().items():
        if not set(measure.score_columns) <= traits.keys():
            traits |= measure.calculate(sampled if issue in _SAMPLED else whole)
    return {name: float(value) for name, value in traits.items()}


@cache
def _measures() -> dict[IssueType, ImageProperty]:
    manager = ImagePropertyIssueManager()
    return {issue: manager.image_properties[issue.value] for issue in _ISSUE_OF_RULE.values()}


def odd_pictures(traits: Sequence[Mapping[str, float]]) -> dict[str, list[tuple[int, float, float]]]:
    """Say which pictures of a set are blurred, dark, bright, nearly empty, or of an odd size or ratio.

    Args:
        traits: What `picture_traits` returned, of each.

    Returns:
        Rule → (position in `traits`, score, threshold), in order. Scores lie in [0, 1]; below the threshold a picture
        is odd. Sizes are compared with the other pictures', everything else counts by itself.
    """
    if not traits:
        return {rule: [] for rule in ("image-blurred", *_ISSUE_OF_RULE)}
    sharpness = [1 - of_picture["blur"] for of_picture in traits]
    blurred = [(row, score, 1 - MAX_BLUR) for row, score in enumerate(sharpness) if score < 1 - MAX_BLUR]
    table, parameters = pd.DataFrame(list(traits)), ImagePropertyIssueManager().get_default_params()
    odd = {rule: _odd(table, issue.value, parameters[issue.value]) for rule, issue in _ISSUE_OF_RULE.items()}
    return {"image-blurred": blurred} | odd


def _odd(table: pd.DataFrame, issue: str, parameters: dict[str, float]) -> list[tuple[int, float, float]]:
    measure = ImagePropertyIssueManager().image_properties[issue]  # a fresh one: that of sizes keeps a threshold
    scores = measure.get_scores(raw_scores=table[measure.score_columns], issue_type=issue, **parameters)
    threshold = parameters.get("threshold")
    is_odd = measure.mark_issue(scores, issue, threshold).to_numpy()[:, 0]  # (N,)
    limit = measure.threshold if threshold is None else threshold
    return [(int(row), float(scores.iloc[row, 0]), float(limit)) for row in np.flatnonzero(is_odd)]
