"""The gallery of an evaluated set: truth beside prediction where there are labels, else what was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from maskdet.inference.images_in import read_picture
from maskdet.reporting import page_content
from maskdet.reporting.cards import (
    IMAGE,
    BoxFact,
    CardSource,
    GalleryCard,
    class_indices,
    image_cards,
    root_areas,
    truth_and_prediction,
)
from maskdet.reporting.drawing import fit_for_display
from maskdet.reporting.gallery import select_images
from maskdet.reporting.overlay import VIEW_SIDE
from maskdet.reporting.palette import class_style
from maskdet.reporting.picture import JudgedTables
from maskdet.schema import ANNOTATIONS

GROUPS = {name: page_content.GROUPS[name] for name in ("worst", "best", "random")} | {
    "rare": ("Rarest class", "drawn from the images that hold a face of the class with the fewest faces"),
    "doubtful": ("Least confident", "lowest score of a shown face"),
    "crowded": ("Most faces", "largest number of shown faces"),
    "empty": ("No face", "drawn from the images in which nothing is shown"),
}
"""Group of cards → its name and how they were chosen; the last three are of sets without labels."""

FOUND = "detected"
"""Kind of every detection where no label says whether it is right."""

_SEED = 0


@dataclass(frozen=True)
class SetCardSource(CardSource):
    """Verdicts and pictures of a set of any image format.

    Attributes:
        apply_exif: Whether boxes are in pixels of the picture as its EXIF orientation turns it.
    """

    apply_exif: bool = False

    def read(self, file_name: str) -> np.ndarray:
        """Return the pixels of an image, (H, W, 3) uint8, RGB."""
        return read_picture(self.image_dir / file_name, self.apply_exif).pixels


def labelled_cards(source: SetCardSource, num_images: int) -> list[GalleryCard]:
    """Return the worst, best, some random images and some with the rarest class, one card each.

    Args:
        source: Verdicts and pictures; an image is decoded at a time.
        num_images: Of each choice, at most.
    """
    chosen = select_images(source.tables.images["file_name"], source.judged, num_images, _SEED)
    sections = _sections_of_names({name: chosen[name] for name in GROUPS if name in chosen})
    return [
        _small(card)
        for name, of_name in sections.items()
        for card in image_cards({section: [name] for section in of_name}, source)
    ]


def unlabelled_cards(
    file_names: Sequence[str], shown: pd.DataFrame, source: SetCardSource, num_images: int
) -> list[GalleryCard]:
    """Return the images of the lowest scores, of the most faces, of no face, and random ones, one card each.

    Args:
        file_names: Of all predicted images.
        shown: Detections that are shown, columns as `schema.PREDICTIONS`.
        source: Pictures; its verdicts are not read.
        num_images: Of each choice, at most.
    """
    chosen = select_unlabelled(file_names, shown, num_images)
    no_faces = pd.DataFrame(columns=list(ANNOTATIONS.columns)).assign(is_found=pd.Series(dtype=bool))
    judged = JudgedTables(no_faces, shown.assign(is_tp=True))
    return [
        _small(_unlabelled_card(name, tuple(sections), judged.of_file(name), source.read(name)))
        for name, sections in _sections_of_names(chosen).items()
    ]


def select_unlabelled(file_names: Sequence[str], shown: pd.DataFrame, num_images: int) -> dict[str, list[str]]:
    """Choose the images of each group.

    Args:
        file_names: Of all predicted images.
        shown: Detections that are shown, columns as `schema.PREDICTIONS`.
        num_images: Of each group, at most.

    Returns:
        `doubtful`, `crowded`, `random`, `empty` → file names; of equal ones by name.
    """
    by_image = shown.groupby("file_name")["score"].agg(["min", "size"]).reset_index()
    doubtful = by_image.sort_values(["min", "file_name"])
    crowded = by_image.sort_values(["size", "file_name"], ascending=[False, True])
    empty = sorted(set(file_names) - set(by_image["file_name"]))
    draw = np.random.default_rng(_SEED)
    return {
        "doubtful": doubtful["file_name"].head(num_images).tolist(),
        "crowded": crowded["file_name"].head(num_images).tolist(),
        "random": [file_names[i] for i in draw.permutation(len(file_names))[:num_images]],
        "empty": [empty[i] for i in draw.permutation(len(empty))[:num_images]],
    }


def _sections_of_names(chosen: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return file name → the groups that chose it; each image once, where it came first."""
    sections: dict[str, list[str]] = {}
    for section, names in chosen.items():
        for name in names:
            sections.setdefault(name, []).append(section)
    return sections


def _unlabelled_card(name: str, groups: tuple[str, ...], judged: JudgedTables, photo: np.ndarray) -> GalleryCard:
    found = judged.detections
    counts = found["class_name"].value_counts()
    faces = ", ".join(f"{class_style(of).short_name} {count}" for of, count in counts.items()) or "no face"
    panels = truth_and_prediction(judged, (photo.shape[1], photo.shape[0]), f"{name}. ", ("", f"Shown: {faces}"))
    lines = (name, f"Shown: {faces}", *([f"scores from {found['score'].min():.2f} on"] if len(found) else []))
    numbers = zip(found["class_name"], found["score"], root_areas(found), strict=True)
    boxes = tuple(BoxFact(class_indices(of), FOUND, 0, float(score), float(size)) for of, score, size in numbers)
    return GalleryCard(IMAGE, groups, name, -1, None, photo, panels, lines, boxes)


def _small(card: GalleryCard) -> GalleryCard:
    """Return a card whose photo is no larger than the page shows it: many large photos would fill the memory."""
    side = min(VIEW_SIDE, max(card.photo.shape[:2]))
    return replace(card, photo=fit_for_display(card.photo, np.empty((0, 4)), side)[0])
