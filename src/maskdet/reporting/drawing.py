"""Draw boxes and their labels on a picture, and set pictures side by side under captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from maskdet.boxes import check_boxes
from maskdet.reporting.palette import class_style, hex_to_rgb, text_rgb

_DASH_PX = 6
_SMALLEST_FONT_PX = 9
_CROWD = 15  # with more boxes a label holds the score alone: the colour says the class
_CAPTION_COLORS = ((255, 255, 255), (32, 33, 36))  # text, background

Rect = tuple[int, int, int, int]
"""xyxy in whole pixels, maximum exclusive."""


@dataclass(frozen=True)
class PlacedLabel:
    """A box's label with its place.

    Attributes:
        row: Of its box.
        text: What it says.
        color: Of its ground, `#rrggbb`, that of the class.
        rect: Its ground, wholly inside the picture.
        origin: Left end of the text's baseline, in pixels.
        font_px: Size of the font.
    """

    row: int
    text: str
    color: str
    rect: Rect
    origin: tuple[int, int]
    font_px: float


def fit_for_display(image: np.ndarray, boxes: np.ndarray, max_side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale a picture and its boxes so that its longer side is `max_side_px`, but never to more than twice its size.

    Args:
        image: (H, W, 3) uint8, RGB.
        boxes: (N, 4) float, xyxy in pixels of `image`.
        max_side_px: Longer side of the result, at most.

    Returns:
        (H', W', 3) uint8 with the same aspect ratio up to a pixel, and (N, 4) float in its pixels.

    Raises:
        ValueError: If the picture is not (H, W, 3) uint8.
    """
    height, width = _check_image(image)
    scale = min(max_side_px / max(height, width), 2.0)
    new_wh = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = np.asarray(Image.fromarray(image).resize(new_wh, Image.Resampling.LANCZOS))  # (H', W', 3)
    factors = np.array([new_wh[0] / width, new_wh[1] / height] * 2)  # (4,)
    return resized, check_boxes(boxes) * factors


def draw_boxes(
    image: np.ndarray,
    boxes_xyxy: np.ndarray,
    class_names: Sequence[str],
    scores: Sequence[float] | None = None,
    is_dashed: Sequence[bool] | None = None,
) -> np.ndarray:
    """Draw boxes in their classes' colours, each with a label that lies wholly inside the picture.

    A label that would hide another one is left out: the box's colour still says the class. In a crowd of more than
    15 boxes the labels hold the scores alone, nothing where there are no scores, and hide no other box either.

    Args:
        image: (H, W, 3) uint8, RGB; not modified. Scale small pictures with `fit_for_display` first.
        boxes_xyxy: (N, 4) float, xyxy in pixels; may be empty and may reach beyond the picture.
        class_names: N names; one that is not in `CLASS_NAMES` is drawn in grey.
        scores: N numbers in [0, 1] for the labels; None for true boxes. The highest is placed first.
        is_dashed: N; True draws a dashed outline. The gallery marks errors so. None: all solid.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: If the picture is not (H, W, 3) uint8 or the lists do not have one length.
    """
    _check_image(image)
    boxes = check_boxes(boxes_xyxy)
    dashes = [False] * len(boxes) if is_dashed is None else is_dashed
    _check_lengths(len(boxes), class_names=class_names, scores=scores, is_dashed=dashes)
    canvas = Image.fromarray(image).copy()
    draw = ImageDraw.Draw(canvas)
    for box, name, dashed in zip(boxes, class_names, dashes, strict=True):
        _draw_outline(draw, box, hex_to_rgb(class_style(name).color), dashed)
    for label in place_labels(boxes, class_names, scores, canvas.size):
        left, top, right, bottom = label.rect
        draw.rectangle((left, top, right - 1, bottom - 1), fill=hex_to_rgb(label.color))
        font = ImageFont.load_default(label.font_px)
        draw.text(label.origin, label.text, fill=text_rgb(label.color), font=font, anchor="ls")
    return np.asarray(canvas)


def side_by_side(images: Sequence[np.ndarray], captions: Sequence[str], gap_px: int = 6) -> np.ndarray:
    """Set pictures next to each other, each under its caption, for instance truth and prediction.

    Args:
        images: Pictures, (H, W_i, 3) uint8, RGB, of one height.
        captions: One line each; cut with an ellipsis where the picture is narrower.
        gap_px: Space between two pictures.

    Returns:
        (H + caption, sum of W_i + gaps, 3) uint8, RGB.

    Raises:
        ValueError: If there is no picture, the heights differ or the lists do not have one length.
    """
    heights = {_check_image(image)[0] for image in images}
    if len(heights) != 1 or len(images) != len(captions):
        raise ValueError(
            f"expected pictures of one height with a caption each, got heights {sorted(heights)} "
            f"of {len(images)} pictures and {len(captions)} captions"
        )
    height = heights.pop()
    font = ImageFont.load_default(float(np.clip(height // 26, 12, 18)))
    strip_px = round(font.size * 1.8)
    width = sum(image.shape[1] for image in images) + gap_px * (len(images) - 1)
    canvas = Image.new("RGB", (width, height + strip_px), _CAPTION_COLORS[1])
    draw = ImageDraw.Draw(canvas)
    left = 0
    for image, caption in zip(images, captions, strict=True):
        text = _shorten(caption, font, image.shape[1] - 8)
        draw.text((left + 4, strip_px // 2), text, fill=_CAPTION_COLORS[0], font=font, anchor="lm")
        canvas.paste(Image.fromarray(image), (left, strip_px))
        left += image.shape[1] + gap_px
    return np.asarray(canvas)


def place_labels(
    boxes_xyxy: np.ndarray,
    class_names: Sequence[str],
    scores: Sequence[float] | None,
    image_wh: tuple[int, int],
    font_px: float | None = None,
) -> list[PlacedLabel]:
    """Find places for the labels of boxes; what hides another label, or in a crowd another box, is left out.

    Args:
        boxes_xyxy: (N, 4) float, xyxy in pixels.
        class_names: N names.
        scores: N numbers in [0, 1], the highest is placed first; None for true boxes.
        image_wh: Width and height of the picture in pixels.
        font_px: Size of the font; None: what suits a picture of this size. A crowd's is smaller.

    Returns:
        At most N labels that do not overlap each other, in the order of placing.
    """
    is_crowd, texts = len(boxes_xyxy) > _CROWD, _label_texts(class_names, scores)
    usual_px = float(np.clip(round(max(image_wh) / (54 if is_crowd else 42)), _SMALLEST_FONT_PX, 22))
    font = ImageFont.load_default(usual_px if font_px is None else font_px * (7 / 9 if is_crowd else 1))
    box_rects: list[Rect] = [tuple(int(value) for value in box.round()) for box in boxes_xyxy]
    order = range(len(box_rects)) if scores is None else np.argsort(-np.asarray(scores), kind="stable")
    placed: list[PlacedLabel] = []
    padding = max(int(font.size) // 5, 1)
    for row in (row for row in order if texts[row]):
        left, top, right, bottom = font.getbbox(texts[row], anchor="ls")
        text_wh = (int(np.ceil(right - left)) + 2 * padding, int(np.ceil(bottom - top)) + 2 * padding)
        taken = [label.rect for label in placed]
        rect = label_rect(boxes_xyxy[row], text_wh, image_wh, taken + box_rects[:row] + box_rects[row + 1 :])
        if rect is None and not is_crowd:
            rect = label_rect(boxes_xyxy[row], text_wh, image_wh, taken)
        if rect is not None:
            origin = (rect[0] + padding - left, rect[1] + padding - top)
            color = class_style(class_names[row]).color
            placed.append(PlacedLabel(int(row), texts[row], color, rect, origin, font.size))
    return placed


def label_rect(box: np.ndarray, text_wh: tuple[int, int], image_wh: tuple[int, int], taken: list[Rect]) -> Rect | None:
    """Find a place for a label: above its box, below it, or inside at its top; first left, then right aligned.

    Args:
        box: (4,) float, xyxy in pixels.
        text_wh: Width and height of the label in pixels.
        image_wh: Width and height of the picture in pixels.
        taken: Places that must stay free: labels that are there already, other boxes.

    Returns:
        A place wholly inside the picture that overlaps none of `taken`; None where there is none.
    """
    (width, height), (image_width, image_height) = text_wh, image_wh
    if width > image_width or height > image_height:
        return None
    lefts = (box[0], box[2] - width)
    for top in (box[1] - height, box[3], box[1]):
        if not 0 <= round(top) <= image_height - height:
            continue
        for left in lefts:
            x = int(np.clip(round(left), 0, image_width - width))
            rect = (x, round(top), x + width, round(top) + height)
            if not any(_overlap(rect, other) for other in taken):
                return rect
    return None


def _check_image(image: np.ndarray) -> tuple[int, int]:
    """Return height and width of a picture, or refuse it."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected a picture of shape (H, W, 3) and type uint8, got {image.shape} {image.dtype}")
    return image.shape[0], image.shape[1]


def _check_lengths(expected: int, **lists: Sequence | None) -> None:
    for name, values in lists.items():
        if values is not None and len(values) != expected:
            raise ValueError(f"expected {expected} {name}, one per box, got {len(values)}")


def _label_texts(class_names: Sequence[str], scores: Sequence[float] | None) -> list[str]:
    """Return what each box's label says; empty where it says nothing."""
    is_crowd = len(class_names) > _CROWD
    names = ["" if is_crowd else class_style(name).short_name for name in class_names]
    numbers = [""] * len(names) if scores is None else [f"{score:.2f}" for score in scores]
    return [f"{name} {number}".strip() for name, number in zip(names, numbers, strict=True)]


def _draw_outline(draw: ImageDraw.ImageDraw, box: np.ndarray, color: tuple[int, int, int], dashed: bool) -> None:
    """Draw a rectangle whose outer edge is the box; thin on small boxes, so that a face of ten pixels stays visible."""
    x_min, y_min, x_max, y_max = (round(value) for value in box)
    x_max, y_max = max(x_max - 1, x_min), max(y_max - 1, y_min)  # the last pixel inside
    width = int(np.clip(min(x_max - x_min, y_max - y_min) // 16, 1, 3)) + (max(draw.im.size) > 400)
    if not dashed:
        draw.rectangle((x_min, y_min, x_max, y_max), outline=color, width=width)
        return
    for x in range(x_min, x_max + 1, 2 * _DASH_PX):
        end = min(x + _DASH_PX, x_max)
        draw.rectangle((x, y_min, end, min(y_min + width - 1, y_max)), fill=color)
        draw.rectangle((x, max(y_max - width + 1, y_min), end, y_max), fill=color)
    for y in range(y_min, y_max + 1, 2 * _DASH_PX):
        end = min(y + _DASH_PX, y_max)
        draw.rectangle((x_min, y, min(x_min + width - 1, x_max), end), fill=color)
        draw.rectangle((max(x_max - width + 1, x_min), y, x_max, end), fill=color)


def _shorten(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> str:
    """Cut a text, with an ellipsis, to a width."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(f"{text}…") > width_px:
        text = text[:-1]
    return f"{text}…"


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
