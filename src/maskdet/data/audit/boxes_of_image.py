"""Rules on the boxes of one image, and the boxes as a repair leaves them: one walk decides on both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from maskdet.boxes import box_iou
from maskdet.data.audit.options import AuditOptions
from maskdet.data.labelled_set import ROUNDING_PX, LabelledBox

_EDGE_PX = 1.0  # how far 1-based counting reaches out of the image
_SAME_CORNER_PX = 0.5  # formats in whole pixels move a corner by no more

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class BoxProblem:
    """A rule that one or two boxes break.

    Attributes:
        rule: Its name.
        boxes: Positions of the boxes; the first is the one that is wrong.
        detail: What was expected and what was found.
    """

    rule: str
    boxes: tuple[int, ...]
    detail: str


@dataclass(frozen=True)
class CheckedBoxes:
    """The boxes of one image after the check.

    Attributes:
        problems: By position of the box, those of pairs last.
        repaired: For each box what a repair makes of it; None: it is left out.
    """

    problems: tuple[BoxProblem, ...]
    repaired: tuple[Box | None, ...]


def check_boxes_of_image(
    boxes: Sequence[LabelledBox], image_wh: tuple[int, int] | None, options: AuditOptions
) -> CheckedBoxes:
    """Check the boxes of an image, each after the repair of what was wrong before: put in order, then clipped.

    So an inverted box that also reaches out of the image has two problems and one repair, and two boxes are compared
    as they will be.

    Args:
        boxes: As written.
        image_wh: Size of the picture that they were drawn on; None: unknown, nothing is clipped.
        options: Reads `tiny_box_px`, `doubled_iou`, `conflict_iou`.
    """
    problems, repaired = [], []
    for position, box in enumerate(boxes):
        rules, mended = _check_box(box.box_xyxy, image_wh, options.tiny_box_px)
        problems += [BoxProblem(rule, (position,), f"{_named(box)}: {text}") for rule, text in rules]
        repaired.append(mended)
    pairs = list(_check_pairs(boxes, repaired, options))
    repeated = {problem.boxes[0] for problem in pairs if problem.rule == "box-repeated"}
    kept = tuple(None if position in repeated else mended for position, mended in enumerate(repaired))
    return CheckedBoxes((*problems, *pairs), kept)


def box_text(box: Box) -> str:
    """Return a box as findings and logs write it.

    >>> box_text((1.0, 2.5, 401.0, 30.0))
    '(1, 2.5, 401, 30)'
    """
    return f"({', '.join(f'{value:.10g}' for value in box)})"


def _named(box: LabelledBox) -> str:
    return f"{box.place} ({box.class_name})" if box.place else box.class_name


def _check_box(box: Box, image_wh: tuple[int, int] | None, tiny_px: float) -> tuple[list[tuple[str, str]], Box | None]:
    """Return (rule, detail) of what is wrong with a box, and the box repaired, or None."""
    problems, written = [], box_text(box)
    ordered = (min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3]))
    if ordered != tuple(box):
        problems.append(("box-inverted", f"expected minima below maxima, got {written}"))
    if not _has_area(ordered):
        return [*problems, ("box-zero", f"expected a width and a height, got {written}")], None
    clipped = ordered if image_wh is None else _clipped(ordered, image_wh)
    overshoot = max(abs(value - inside) for value, inside in zip(ordered, clipped, strict=True))
    if not _has_area(clipped):
        detail = f"expected a box on the image of {_size(image_wh)}, got {written}"
        return [*problems, ("box-beyond", detail)], None
    if overshoot > ROUNDING_PX:
        rule = "box-outside" if overshoot > _EDGE_PX + ROUNDING_PX else "box-edge-off-by-one"
        problems.append((rule, f"expected a box inside {_size(image_wh)}, got {written}"))
    sides = (clipped[2] - clipped[0], clipped[3] - clipped[1])
    if min(sides) <= tiny_px:
        problems.append(("box-tiny", f"expected sides above {tiny_px:g} px, got {sides[0]:g} x {sides[1]:g}"))
    return problems, clipped if overshoot > ROUNDING_PX else ordered


def _has_area(box: Box) -> bool:
    return box[2] > box[0] and box[3] > box[1]


def _clipped(box: Box, image_wh: tuple[int, int]) -> Box:
    x_min, y_min, x_max, y_max = (
        float(min(max(value, 0), limit)) for value, limit in zip(box, (*image_wh, *image_wh), strict=True)
    )
    return x_min, y_min, x_max, y_max


def _size(image_wh: tuple[int, int] | None) -> str:
    return "unknown size" if image_wh is None else f"{image_wh[0]} x {image_wh[1]} px"


def _check_pairs(
    boxes: Sequence[LabelledBox], repaired: Sequence[Box | None], options: AuditOptions
) -> Iterator[BoxProblem]:
    """Yield what is wrong between two boxes; a box that repeats an earlier one is compared with no further one."""
    present = [position for position, box in enumerate(repaired) if box is not None]
    corners = np.array([repaired[position] for position in present], np.float64).reshape(-1, 4)  # (M, 4)
    is_repeated = np.zeros(len(present), bool)
    for row, position in enumerate(present):
        if is_repeated[row]:
            continue
        iou = box_iou(corners[row : row + 1], corners[row + 1 :])[0]  # (M - row - 1,)
        is_same_place = np.abs(corners[row + 1 :] - corners[row]).max(axis=1) <= _SAME_CORNER_PX  # (M - row - 1,)
        is_near = is_same_place | (iou >= min(options.doubled_iou, options.conflict_iou))
        for gap in np.flatnonzero(is_near & ~is_repeated[row + 1 :]):
            other = present[row + 1 + gap]
            is_same_class = boxes[position].class_name == boxes[other].class_name
            is_repeated[row + 1 + gap] = is_same_class and is_same_place[gap]
            limit = options.doubled_iou if is_same_class else options.conflict_iou
            if is_repeated[row + 1 + gap] or iou[gap] >= limit:
                rule = "box-doubled" if is_same_class else "class-conflict"
                rule = "box-repeated" if is_repeated[row + 1 + gap] else rule
                twins = f"{_named(boxes[other])} and {_named(boxes[position])}"
                overlap = f"IoU {iou[gap]:.2f}, {box_text(repaired[other])}, {box_text(repaired[position])}"
                yield BoxProblem(rule, (other, position), f"{twins}: expected two faces, got {overlap}")
