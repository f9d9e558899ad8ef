"""Boxes and labels as SVG over a photo: the photo is embedded once and shown as truth and as prediction."""

from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from maskdet.boxes import check_boxes
from maskdet.reporting.drawing import place_labels
from maskdet.schema import CLASS_NAMES

VIEW_SIDE = 640
"""Longer side of a view, in units of its SVG; photos of any size are shown at it."""

FONT_UNITS, CUT_OUT_FONT_UNITS = 21.0, 34.0
"""Of labels, in units of the view: readable where two panels share a card; cut-outs are shown smaller."""


def view_wh(image_wh: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the view of a photo of this size; the longer side is `VIEW_SIDE`.

    >>> view_wh((400, 200))
    (640, 320)
    """
    scale = VIEW_SIDE / max(image_wh)
    return max(round(image_wh[0] * scale), 1), max(round(image_wh[1] * scale), 1)


def overlay_svg(
    boxes_xyxy: np.ndarray,
    class_names: Sequence[str],
    scores: Sequence[float] | None,
    is_dashed: Sequence[bool],
    image_wh: tuple[int, int],
    font_units: float = FONT_UNITS,
) -> str:
    """Return the boxes of a photo as elements of its view, labels after the boxes.

    The page's style sheet gives `box c0 … c2` the colours of the classes, `cx` that of an unknown one, and `d` dashes.

    Args:
        boxes_xyxy: (N, 4) float, xyxy in pixels of the photo; may reach beyond it.
        class_names: N names.
        scores: N numbers in [0, 1] for the labels; None for true boxes.
        is_dashed: N; True marks an error.
        image_wh: Width and height of the photo in pixels.
        font_units: Size of the labels in units of the view.

    Returns:
        SVG elements, names escaped; "" without boxes.
    """
    wh = view_wh(image_wh)
    boxes = check_boxes(boxes_xyxy) * np.tile(np.array(wh) / np.array(image_wh), 2)  # (N, 4) in the view
    parts = [
        f'<rect class="box {_color_class(name)}{" d" * bool(dashed)}" x="{x0:.0f}" y="{y0:.0f}" '
        f'width="{max(x1 - x0, 1):.0f}" height="{max(y1 - y0, 1):.0f}"/>'
        for (x0, y0, x1, y1), name, dashed in zip(boxes, class_names, is_dashed, strict=True)
    ]
    return "".join([*parts, *_labels(boxes, class_names, scores, wh, font_units)])


def _labels(
    boxes: np.ndarray,
    class_names: Sequence[str],
    scores: Sequence[float] | None,
    wh: tuple[int, int],
    font_units: float,
) -> list[str]:
    """Return a ground and a text a label; the text is squeezed to its ground, whatever font the reader has."""
    markup = []
    for label in place_labels(boxes, class_names, scores, wh, font_units):
        left, top, right, bottom = label.rect
        x, y = label.origin
        color = _color_class(class_names[label.row])
        markup.append(
            f'<rect class="ground {color}" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>'
            f'<text class="{color}" x="{x:.0f}" y="{y:.0f}" font-size="{label.font_px:.0f}" '
            f'textLength="{right - left - 2 * (x - left):.0f}" lengthAdjust="spacingAndGlyphs">'
            f"{escape(label.text)}</text>"
        )
    return markup


def _color_class(class_name: str) -> str:
    """Return the style class of a class name.

    >>> _color_class("without_mask"), _color_class("face")
    ('c1', 'cx')
    """
    return f"c{CLASS_NAMES.index(class_name)}" if class_name in CLASS_NAMES else "cx"
