"""Crops on the page of the two-phase study: what classifiers are surely wrong about, and masks drawn on bare faces."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from maskdet.data.crops import CropStore
from maskdet.evaluation.sizes import size_tertiles
from maskdet.reporting.cards import BoxFact, class_indices, root_areas
from maskdet.reporting.palette import class_style

_FACE = ["file_name", "face"]


@dataclass(frozen=True)
class Call:
    """What one classifier says of a face.

    Attributes:
        classifier: Its name.
        called: Short name of the class it named.
        probability: Of that class.
        probability_true: Of the labelled class.
    """

    classifier: str
    called: str
    probability: float
    probability_true: float


@dataclass(frozen=True)
class CropCard:
    """A face that one classifier or several got wrong.

    Attributes:
        groups: `<data>/<classifier>` of each of them; the first filter's values.
        file_name: Of the photo.
        face: Its place among the faces of the photo.
        fold: The fold that held it out; −1 for none.
        crop: (S, S, 3) uint8, RGB.
        labelled: Short name of the labelled class.
        size_px: Root of the box's area in the photo; None for a picture that is all face.
        calls: The wrong ones, surest first.
        facts: What the filters look at, one a call.
    """

    groups: tuple[str, ...]
    file_name: str
    face: int
    fold: int
    crop: np.ndarray = field(repr=False)
    labelled: str
    size_px: float | None
    calls: tuple[Call, ...]
    facts: tuple[BoxFact, ...]

    @property
    def heading(self) -> str:
        """Return label and calls in words."""
        return f"{self.labelled}, called {' and '.join(dict.fromkeys(call.called for call in self.calls))}"

    @property
    def facts_json(self) -> str:
        """Return the facts as the page's script reads them: `[[classes, kind, third, score, size], …]`."""
        rows = [[f.class_indices, f.kind, f.third, round(f.score, 3), round(f.size_px, 1)] for f in self.facts]
        return json.dumps(rows, separators=(",", ":"))


@dataclass(frozen=True)
class OverlayPair:
    """A bare face and the same face with a drawn mask.

    Attributes:
        bare: (S, S, 3) uint8, RGB.
        masked: The same with the mask.
        text: Shape and colour.
    """

    bare: np.ndarray = field(repr=False)
    masked: np.ndarray = field(repr=False)
    text: str


@dataclass(frozen=True)
class OverlayGroup:
    """Overlays of one way to wear a mask.

    Attributes:
        title: The way.
        class_name: What such a face counts as.
        text: How many there are.
        pairs: Some of them, drawn at random: shapes in turn, groups of look-alikes as different as may be.
    """

    title: str
    class_name: str
    text: str
    pairs: tuple[OverlayPair, ...]


def size_bounds(store: CropStore) -> tuple[float, float]:
    """Return the sizes between the thirds of the faces, in pixels of the photos."""
    lower, upper = size_tertiles(store.index)
    return float(lower), float(upper)


def error_cards(
    errors: pd.DataFrame, store: CropStore, num_errors: int, bounds_px: tuple[float, float] | None
) -> list[CropCard]:
    """Return a card a face that is among the surest errors of a classifier, the surest first.

    Args:
        errors: Rows of `classifier_errors.csv` of one set of crops.
        store: The crops of this set.
        num_errors: Of each classifier, at most.
        bounds_px: See `size_bounds`; None where the pictures have no size of their own.

    Raises:
        ValueError: If a face is not in the store.
    """
    chosen = errors.groupby("classifier", sort=False).head(num_errors)
    chosen = chosen.sort_values(["probability", *_FACE], ascending=[False, True, True])
    keys = pd.MultiIndex.from_frame(chosen[_FACE])
    chosen = chosen.assign(row=pd.MultiIndex.from_frame(store.index[_FACE]).get_indexer(keys))
    if (chosen["row"] < 0).any():
        lost = chosen[chosen["row"] < 0].iloc[0]
        raise ValueError(
            f"expected a crop of every judged face, got none of face {lost['face']} of {lost['file_name']!r}"
        )
    sizes = root_areas(store.index)  # (N,)
    return [
        _error_card(calls, store.pixels[row], None if bounds_px is None else float(sizes[row]), bounds_px)
        for row, calls in chosen.groupby("row", sort=False)
    ]


def _error_card(
    rows: pd.DataFrame, crop: np.ndarray, size_px: float | None, bounds_px: tuple[float, float] | None
) -> CropCard:
    first = rows.iloc[0]
    third = 0 if bounds_px is None else int(np.searchsorted(bounds_px, size_px)) + 1
    calls = tuple(
        Call(row.classifier, class_style(row.predicted).short_name, row.probability, row.probability_true)
        for row in rows.itertuples()
    )
    facts = tuple(
        BoxFact(
            class_indices(row.class_name, row.predicted),
            error_kind(row.class_name, row.predicted),
            third,
            row.probability,
            size_px or 0.0,
        )
        for row in rows.itertuples()
    )
    return CropCard(
        groups=tuple(f"{row.data}/{row.classifier}" for row in rows.itertuples()),
        file_name=first["file_name"],
        face=int(first["face"]),
        fold=int(first["fold"]),
        crop=np.asarray(crop),
        labelled=class_style(first["class_name"]).short_name,
        size_px=size_px,
        calls=calls,
        facts=facts,
    )


def error_kind(labelled: str, called: str) -> str:
    """Return what was taken for what.

    >>> error_kind("with_mask", "without_mask")
    'mask called no mask'
    """
    return f"{class_style(labelled).short_name} called {class_style(called).short_name}"


def overlay_groups(crops: CropStore, overlays: CropStore, num_pairs: int, seed: int) -> list[OverlayGroup]:
    """Return examples of every way to wear a mask, drawn at random, beside the faces that they were drawn on.

    Args:
        crops: The faces as they are.
        overlays: The faces with masks; each is a face of `crops`.
        num_pairs: Of each way, at most.
        seed: Of the choice.

    Raises:
        ValueError: If a masked face is not among the crops.
    """
    rng, index = np.random.default_rng(seed), overlays.index
    keys = pd.MultiIndex.from_frame(index[_FACE])
    bare = pd.MultiIndex.from_frame(crops.index[_FACE]).get_indexer(keys)  # (N,)
    if (bare < 0).any():
        lost = index[bare < 0].iloc[0]
        raise ValueError(
            f"expected the bare crop of every overlay, got none of face {lost['face']} of {lost['file_name']!r}"
        )
    groups = []
    for (class_name, worn), rows in index.groupby(["class_name", "worn"], sort=True):
        pairs = tuple(
            OverlayPair(
                np.asarray(crops.pixels[bare[row]]), np.asarray(overlays.pixels[row]), _mask_text(index.loc[row])
            )
            for row in _drawn(rows, num_pairs, rng)
        )
        num_faces = len(rows.drop_duplicates(_FACE))
        text = f"{len(pairs)} of {len(rows):,} pictures of {num_faces:,} faces, drawn at random"
        groups.append(OverlayGroup(worn.replace("_", " "), class_name, text, pairs))
    return groups


def _drawn(rows: pd.DataFrame, num: int, rng: np.random.Generator) -> Sequence[int]:
    """Return up to `num` labels of rows in random order: shapes in turn, other people before more of the same."""
    shuffled = rows.iloc[rng.permutation(len(rows))][["mask_shape", "group"]]
    shuffled = shuffled.assign(again=shuffled.groupby("group").cumcount()).sort_values("again", kind="stable")
    turn = shuffled.groupby("mask_shape").cumcount()  # (n,) 0 for the first of each shape
    return list(shuffled.assign(turn=turn).sort_values(["turn", "mask_shape"]).index[:num])


def _mask_text(row: Mapping) -> str:
    return f"{row['mask_shape']}, {row['mask_colour']}".replace("_", " ")
