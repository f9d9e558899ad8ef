"""The galleries of the two-phase study's page: chosen, encoded below a size, with what the filters offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from maskdet.data.crops import CropStore
from maskdet.reporting.crop_cards import (
    CropCard,
    OverlayGroup,
    OverlayPair,
    error_cards,
    error_kind,
    overlay_groups,
    size_bounds,
)
from maskdet.reporting.embedding import fit_photos
from maskdet.reporting.two_phase_files import PHOTOS
from maskdet.schema import CLASS_NAMES

MAX_PICTURE_BYTES = 6_000_000
"""Of all embedded crops as base64 text; overlays come first, of errors those at the end of the list are left out."""


@dataclass(frozen=True)
class PictureSettings:
    """How many pictures the page shows.

    Attributes:
        num_errors: Of each classifier, at most.
        num_overlays: Of each way to wear a mask, at most.
        seed: Of the choice of overlays.
    """

    num_errors: int
    num_overlays: int
    seed: int


@dataclass(frozen=True)
class Stores:
    """The crops that are at hand.

    Attributes:
        crops: Set of crops (`photos`, `folders`) → its store; one that is absent has no key.
        overlays: The store of drawn masks, or None.
    """

    crops: Mapping[str, CropStore] = field(default_factory=dict)
    overlays: CropStore | None = None


@dataclass(frozen=True)
class Pictures:
    """The galleries.

    Attributes:
        absent: Why pictures are left out, a sentence each; may be empty.
        cards: (card, data URI), the surest errors first; may be empty.
        errors_text: How they were chosen.
        groups: `<data>/<classifier>` → (name, how its cards were chosen), in the order of the filter.
        kinds: Mistakes that occur, in the order of the classes.
        thirds: Names of the thirds of the faces by size, smallest first; may be empty.
        folds: Folds that occur.
        overlays: (group, (pair, data URI of the bare face, of the masked one)); may be empty.
        overlays_text: What was drawn.
    """

    absent: list[str] = field(default_factory=list)
    cards: list[tuple[CropCard, str]] = field(default_factory=list)
    errors_text: str = ""
    groups: dict[str, tuple[str, str]] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)
    thirds: list[str] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    overlays: list[tuple[OverlayGroup, list[tuple[OverlayPair, str, str]]]] = field(default_factory=list)
    overlays_text: str = ""


def build_pictures(
    errors: pd.DataFrame,
    overlays: Mapping,
    stores: Stores,
    settings: PictureSettings,
    max_bytes: int = MAX_PICTURE_BYTES,
) -> Pictures:
    """Return the galleries of the stores that are at hand.

    Args:
        errors: `classifier_errors.csv`.
        overlays: `overlays.json`.
        stores: Crops.
        settings: How many.
        max_bytes: Of all pictures as base64 text.

    Raises:
        ValueError: If a store lacks a face that is to be shown.
    """
    groups = _overlay_groups(stores, settings)
    pairs = [(group, pair) for group in groups for pair in group.pairs]
    uris, _ = fit_photos([picture for _, pair in pairs for picture in (pair.bare, pair.masked)], max_bytes)
    encoded = list(zip(pairs, uris[::2], uris[1::2], strict=False))
    cards, thirds = _error_cards(errors, stores, settings)
    left = max_bytes - sum(map(len, uris))
    card_uris, _ = fit_photos([card.crop for card in cards], left)
    names = {group: tuple(group.split("/")) for card in cards for group in card.groups}
    return Pictures(
        absent=_absent(errors, stores),
        cards=list(zip(cards, card_uris, strict=False)),
        errors_text=_errors_text(cards, settings.num_errors, len(card_uris)),
        groups={group: _group_words(*names[group], settings.num_errors) for group in sorted(names)},
        kinds=_kinds(cards),
        thirds=thirds,
        folds=sorted({card.fold for card in cards}),
        overlays=[(g, [(pair, *two) for (of, pair), *two in encoded if of is g]) for g in groups],
        overlays_text=_overlays_text(overlays),
    )


def _overlay_groups(stores: Stores, settings: PictureSettings) -> list[OverlayGroup]:
    if stores.overlays is None or PHOTOS not in stores.crops:
        return []
    return overlay_groups(stores.crops[PHOTOS], stores.overlays, settings.num_overlays, settings.seed)


def _error_cards(errors: pd.DataFrame, stores: Stores, settings: PictureSettings) -> tuple[list[CropCard], list[str]]:
    """Return the cards of all sets, the surest first, and the names of the thirds by size."""
    cards, thirds = [], []
    for data, rows in errors.groupby("data", sort=False):
        if data in stores.crops:
            bounds = size_bounds(stores.crops[data]) if data == PHOTOS else None  # only boxes in photos tell a size
            cards += error_cards(rows, stores.crops[data], settings.num_errors, bounds)
            thirds = thirds if bounds is None else _third_names(*bounds)
    return sorted(cards, key=lambda card: -card.calls[0].probability), thirds


def _third_names(lower: float, upper: float) -> list[str]:
    return [
        f"smallest third, up to {lower:.3g} px",
        f"middle third, {lower:.3g} to {upper:.3g} px",
        f"largest third, over {upper:.3g} px",
    ]


def _absent(errors: pd.DataFrame, stores: Stores) -> list[str]:
    """Say which stores are not there; the page is made without photos in a clone that has none."""
    lost = [data for data in dict.fromkeys(errors["data"]) if data not in stores.crops]
    notes = [f"Left out: the surest errors on crops of {data}. Their store is not at hand." for data in lost]
    if stores.overlays is None or PHOTOS not in stores.crops:
        notes.append("Left out: examples of drawn masks. The stores of crops and overlays are not both at hand.")
    return notes


def _errors_text(cards: Sequence[CropCard], num_errors: int, num_shown: int) -> str:
    several = sum(len(card.calls) > 1 for card in cards)
    left_out = "" if num_shown == len(cards) else f" To keep the page small, the surest {num_shown} are shown."
    return (
        f"The up to {num_errors} wrong answers of each classifier that had the highest probability, by networks that "
        f"had not seen the face: {len(cards)} faces, {several} of them called wrongly by several. A face that all get "
        f"wrong with a high probability may carry a wrong label. Press a crop to enlarge it.{left_out}"
    )


def _group_words(data: str, classifier: str, num_errors: int) -> tuple[str, str]:
    name = classifier if data == PHOTOS else f"{classifier}, crops of {data}"
    return name, f"its up to {num_errors} wrong answers of the highest probability"


def _kinds(cards: Sequence[CropCard]) -> list[str]:
    used = {fact.kind for card in cards for fact in card.facts}
    return [kind for a in CLASS_NAMES for b in CLASS_NAMES if (kind := error_kind(a, b)) in used]


def _overlays_text(overlays: Mapping) -> str:
    """Say from `overlays.json` how many masks were drawn, on which faces, and why not on others."""
    skipped = ", ".join(
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in overlays["num_skipped"].items() if count
    )
    return (
        f"{overlays['num_overlays']:,} masks on {overlays['num_faces_masked']:,} of {overlays['num_bare_faces']:,} "
        f"bare faces; the others: {skipped or 'none'}. Left the face as it is, right with a mask placed by its "
        "landmarks. A drawn face keeps the fold and the group of its photo, so that no pair is on two sides of a split."
    )
