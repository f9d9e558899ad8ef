"""Give the classes of a foreign set this project's names, or drop them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from maskdet.data.labelled_set import LabelledImage, LabelledSet
from maskdet.schema import CLASS_NAMES


@dataclass(frozen=True)
class Recoded:
    """A set in this project's classes, and what that cost.

    Attributes:
        images: Those that are taken, with the boxes of mapped classes under their new names.
        num_boxes: Class as written → how many boxes the whole set has of it; sorted by name.
        excluded: Files left out because they hold a box of a dropped class; sorted.
        num_dropped: Boxes of dropped classes in images that are taken all the same.
        unused: Classes of the map that no box has; sorted.
    """

    images: tuple[LabelledImage, ...]
    num_boxes: Mapping[str, int]
    excluded: tuple[str, ...]
    num_dropped: int
    unused: tuple[str, ...]


def recode(
    labelled: LabelledSet, class_map: Mapping[str, str | None], exclude_images_with_dropped: bool, origin: str
) -> Recoded:
    """Rename the classes of a set, and drop those that the map sends to nothing.

    An image with a box of a dropped class still shows that face. Kept without the box, it teaches the detector that
    there is no face, and calls finding it an error; so such an image is better left out as a whole.

    Args:
        labelled: The set; only its images are read.
        class_map: From each class as written to one of `CLASS_NAMES`, or to None to drop it. May name classes that
            the set does not hold.
        exclude_images_with_dropped: True leaves out every image with a box of a dropped class; False only its boxes.
        origin: What messages call the setting that holds the map, `data.sources.NAME`.

    Returns:
        The images in their order; each keeps what else it has.

    Raises:
        ValueError: If the map has an unknown target or misses a class that occurs (the message shows all that occur,
            with their numbers of boxes), or if no image is left.
    """
    _check_targets(class_map, origin)
    num_boxes = Counter(box.class_name for image in labelled.images for box in image.boxes)
    missed = sorted(num_boxes.keys() - class_map.keys())
    if missed:
        present = ", ".join(f"{name!r} ({count} boxes)" for name, count in sorted(num_boxes.items()))
        raise ValueError(
            f"{origin}.class_map: expected a target for every class, got none for {', '.join(map(repr, missed))}; "
            f"the set holds {present}; map each to one of {', '.join(CLASS_NAMES)}, or to null to drop it"
        )
    refused = [image for image in labelled.images if exclude_images_with_dropped and _drops(image, class_map)]
    excluded = {image.file_name for image in refused}
    taken = [image for image in labelled.images if image.file_name not in excluded]
    if not taken:
        raise ValueError(f"{origin}: expected images, got none: {len(excluded)} are left out for a dropped class")
    return Recoded(
        images=tuple(_recoded(image, class_map) for image in taken),
        num_boxes=dict(sorted(num_boxes.items())),
        excluded=tuple(sorted(excluded)),
        num_dropped=sum(class_map[box.class_name] is None for image in taken for box in image.boxes),
        unused=tuple(sorted(class_map.keys() - num_boxes.keys())),
    )


def _check_targets(class_map: Mapping[str, str | None], origin: str) -> None:
    for name, target in class_map.items():
        if target is not None and target not in CLASS_NAMES:
            raise ValueError(
                f"{origin}.class_map.{name}: expected null or one of {', '.join(CLASS_NAMES)}, got {target!r}"
            )


def _drops(image: LabelledImage, class_map: Mapping[str, str | None]) -> bool:
    return any(class_map[box.class_name] is None for box in image.boxes)


def _recoded(image: LabelledImage, class_map: Mapping[str, str | None]) -> LabelledImage:
    kept = (box for box in image.boxes if class_map[box.class_name] is not None)
    return replace(image, boxes=tuple(replace(box, class_name=class_map[box.class_name]) for box in kept))
