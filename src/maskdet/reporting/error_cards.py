"""Single errors as cards: the most confident wrong detections and likely label errors, cut out with their context."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from maskdet.evaluation.errors import BACKGROUND, BOTH, CLASSIFICATION, DUPLICATE, LOCALISATION, MISSED
from maskdet.evaluation.label_errors import (
    LABEL_BOX,
    MISPLACED_BOX,
    MISSING_LABEL,
    PREDICTED_BOX,
    SPURIOUS_LABEL,
    WRONG_CLASS,
)
from maskdet.reporting.cards import (
    ERROR,
    BoxFact,
    CardSource,
    GalleryCard,
    class_indices,
    root_areas,
    truth_and_prediction,
)
from maskdet.reporting.overlay import CUT_OUT_FONT_UNITS
from maskdet.reporting.palette import class_style
from maskdet.reporting.picture import JudgedTables
from maskdet.schema import BOX_COLUMNS

CONFIDENT, LABEL = "confident", "label"
"""The groups of error cards."""

_CONTEXT = 3.5  # side of the cut-out in sides of the box
_SMALLEST_CUT_PX = 72
_SAME_BOX_PX = 1.0  # boxes of the two files are rounded
_KIND_OF_LABEL_ERROR = {
    WRONG_CLASS: CLASSIFICATION,
    MISPLACED_BOX: LOCALISATION,
    MISSING_LABEL: BACKGROUND,
    SPURIOUS_LABEL: MISSED,
}
_HEADINGS = {
    CLASSIFICATION: "{predicted} {score:.2f}, labelled {labelled}",
    LOCALISATION: "{predicted} {score:.2f}, badly placed",
    BOTH: "{predicted} {score:.2f}, badly placed and labelled {labelled}",
    DUPLICATE: "{predicted} {score:.2f}, a second time",
    BACKGROUND: "{predicted} {score:.2f} where nothing is labelled",
    MISSED: "{labelled}, nothing predicted",
}


def error_cards(confident: pd.DataFrame, label_errors: pd.DataFrame, source: CardSource) -> list[GalleryCard]:
    """Return a card an error, those of the two tables in turn; an error that both name comes once, with both reasons.

    Args:
        confident: Rows of `most_confident_errors`, read from CSV.
        label_errors: Rows of `likely_label_errors`, read from CSV; rows of unknown images are left out of both.
        source: Verdicts and pixels.
    """
    known = set(source.tables.images["file_name"])
    confident, label_errors = (table[table["file_name"].isin(known)] for table in (confident, label_errors))
    first = [_confident_card(row, source) for row in confident.to_dict("records")]
    second = []
    for row in label_errors.to_dict("records"):
        twin = _twin(row, confident)
        if twin is None:
            second.append(_label_card(row, source))
        else:
            card = first[twin]
            first[twin] = replace(card, groups=(*card.groups, LABEL), lines=(*card.lines, _suspicion(row)))
    longer = max(len(first), len(second))
    return [cards[i] for i in range(longer) for cards in (first, second) if i < len(cards)]


def _twin(row: dict, confident: pd.DataFrame) -> int | None:
    """Return the place of the confident error that is the same detection as a likely label error; None for none."""
    same = (confident["file_name"] == row["file_name"]) & (confident["class_name"] == row["predicted"])
    boxes = confident[BOX_COLUMNS].to_numpy(np.float64)  # (N, 4)
    near = (np.abs(boxes - np.array([row[column] for column in PREDICTED_BOX])) <= _SAME_BOX_PX).all(axis=1)  # (N,)
    places = np.flatnonzero(same & near)
    return int(places[0]) if len(places) else None


def _confident_card(row: dict, source: CardSource) -> GalleryCard:
    boxes = pd.DataFrame([[row[column] for column in BOX_COLUMNS]], columns=BOX_COLUMNS)
    names = (row["true_class"], row["class_name"])
    return _card(row["file_name"], (CONFIDENT,), row["error"], names, row["score"], boxes, (), source)


def _label_card(row: dict, source: CardSource) -> GalleryCard:
    pairs = [[row[column] for column in columns] for columns in (PREDICTED_BOX, LABEL_BOX)]
    boxes = pd.DataFrame(pairs, columns=BOX_COLUMNS).astype(float).dropna()
    kind, names = _KIND_OF_LABEL_ERROR.get(row["kind"], BACKGROUND), (row["label"], row["predicted"])
    return _card(row["file_name"], (LABEL,), kind, names, row["score"], boxes, (_suspicion(row),), source)


def _suspicion(row: dict) -> str:
    return f"Likely label error ({row['kind'].replace('_', ' ')}, suspicion {row['suspicion']:.2f}): {row['reason']}."


def _card(
    name: str,
    groups: tuple[str, ...],
    kind: str,
    names: tuple[str | float, str | float],
    score: float,
    boxes: pd.DataFrame,
    more_lines: Sequence[str],
    source: CardSource,
) -> GalleryCard:
    """Return the card of one error.

    Args:
        name: File name.
        groups: See `GalleryCard`.
        kind: One of `ERROR_KINDS`.
        names: Classes of label and detection; NaN where there is none.
        score: Of the detection.
        boxes: Columns `BOX_COLUMNS`, the boxes concerned, the detection's first; at least one.
        more_lines: Below the heading.
        source: Verdicts and pixels.
    """
    image = source.read(name)
    window = cut_window(boxes.to_numpy(np.float64), (image.shape[1], image.shape[0]))
    left, top, right, bottom = window
    judged = _within(source.judged.of_file(name), window)
    if kind != MISSED:
        concerned = boxes.iloc[[0]].assign(class_name=names[1], score=score, is_tp=False)
        judged = JudgedTables(judged.faces, _with_concerned(judged.detections, concerned, window))
    labelled, predicted = (class_style(n).short_name if isinstance(n, str) else "nothing" for n in names)
    heading = _HEADINGS[kind].format(labelled=labelled, predicted=predicted, score=score)
    captions = ("Truth around it", "Prediction around it")
    cut_wh = (right - left, bottom - top)
    panels = truth_and_prediction(judged, cut_wh, f"{name}: {heading}. ", captions, CUT_OUT_FONT_UNITS)
    size, fold = float(root_areas(boxes)[0]), int(source.fold_of_file.get(name, -1))
    fact = BoxFact(class_indices(*names), kind, source.third(size), None if kind == MISSED else float(score), size)
    lines = (heading, f"{name}, {size:.0f} px", *more_lines)
    photo = np.ascontiguousarray(image[top:bottom, left:right])
    return GalleryCard(ERROR, groups, name, fold, source.f1(name), photo, panels, lines, (fact,))


def cut_window(boxes: np.ndarray, image_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the part of an image to show around boxes.

    Args:
        boxes: (N, 4) float, xyxy in pixels, N > 0; may reach beyond the image.
        image_wh: Width and height of the image in pixels.

    Returns:
        xyxy in whole pixels, inside the image, not empty; square unless the image's border cuts it or is smaller.
    """
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)  # (2,), (2,)
    side = max((high - low).max() * _CONTEXT, _SMALLEST_CUT_PX)
    sides = np.minimum(np.ceil(side), image_wh)  # (2,)
    start = np.clip(np.round((low + high - sides) / 2), 0, np.array(image_wh) - sides).astype(int)  # (2,)
    stop = start + sides.astype(int)
    return int(start[0]), int(start[1]), int(stop[0]), int(stop[1])


def _within(judged: JudgedTables, window: tuple[int, int, int, int]) -> JudgedTables:
    """Return the rows whose box reaches into a window, boxes in its pixels."""
    parts = []
    for rows in (judged.faces, judged.detections):
        inside = (rows["x_max"] > window[0]) & (rows["x_min"] < window[2])
        inside &= (rows["y_max"] > window[1]) & (rows["y_min"] < window[3])
        parts.append(_moved(rows[inside], window))
    return JudgedTables(*parts)


def _moved(rows: pd.DataFrame, window: tuple[int, int, int, int]) -> pd.DataFrame:
    boxes = rows[BOX_COLUMNS].to_numpy(np.float64) - np.tile(window[:2], 2)  # (N, 4)
    return rows.assign(**dict(zip(BOX_COLUMNS, boxes.T, strict=True)))


def _with_concerned(shown: pd.DataFrame, concerned: pd.DataFrame, window: tuple[int, int, int, int]) -> pd.DataFrame:
    """Return the shown detections with the one concerned in front, once."""
    columns = ["class_name", "score", *BOX_COLUMNS, "is_tp"]
    moved = _moved(concerned, window)
    gaps = np.abs(shown[BOX_COLUMNS].to_numpy(np.float64) - moved[BOX_COLUMNS].to_numpy(np.float64))  # (N, 4)
    others = shown[(gaps > _SAME_BOX_PX).any(axis=1) | (shown["class_name"] != moved["class_name"].iloc[0])]
    parts = [part[columns] for part in (moved, others) if len(part)]
    return pd.concat(parts, ignore_index=True)
