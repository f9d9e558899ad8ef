"""Which images of a set a model has seen, or may have seen, while it was trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maskdet.data.audit.looks import Look
from maskdet.data.known_images import find_likenesses, listed_pictures

_SEVERAL = "composite"  # what the names of several sets as one begin with


@dataclass(frozen=True)
class Known:
    """What is known of the images of a set before they are predicted.

    Attributes:
        trained_on: File name → which training image it equals or copies.
        elsewhere: File name → which listed image it equals that the model was not trained on, by its own word.
        groups: File name → number of its group of look-alikes.
    """

    trained_on: dict[str, str] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)

    def counted(self, file_names: Sequence[str], keeps_known: bool) -> list[str]:
        """Return the images that figures are made of: without those that the model was trained on, unless kept.

        Raises:
            ValueError: If the model was trained on every one of them and they are not kept.
        """
        left = [name for name in file_names if keeps_known or name not in self.trained_on]
        if file_names and not left:
            name = file_names[0]
            raise ValueError(
                f"expected images that the model was not trained on, got {len(file_names)} that it was, such as "
                f"{name}: {self.trained_on[name]}; a figure on them says nothing of other images. If they were held "
                "out from its training, --keep-known counts them"
            )
        return left


def find_known(looks: Mapping[str, Look], against: Mapping[str, Mapping[str, Look]], details: Mapping) -> Known:
    """Compare images with all that is known of what a model was trained on.

    Args:
        looks: Of the set, by file name.
        against: Name of a set that the user says it was trained on → its looks.
        details: What the model says of itself; reads `data.name`.
    """
    likenesses = find_likenesses(looks, against)
    trained_on, elsewhere = dict(likenesses.copies), {}
    for name, (listed_in, listed_name) in listed_pictures(looks).items():
        is_seen, why = _may_have_seen(listed_in, details)
        words = f"equal pixels to {listed_name} of the set {listed_in}, {why}"
        (trained_on if is_seen else elsewhere).setdefault(name, words)
    return Known(trained_on, elsewhere, likenesses.groups)


def _may_have_seen(listed_in: str, details: Mapping) -> tuple[bool, str]:
    """Say whether a model may have been trained on a listed set, and on what ground.

    >>> _may_have_seen("kaggle", {"data": {"name": "sample"}})
    (False, 'which the model was not trained on')
    """
    data = details.get("data")
    stated = data.get("name") if isinstance(data, Mapping) else None
    if not isinstance(stated, str):
        return True, "which the model may have been trained on, as it does not say on what it was"
    names = stated.split(", ")
    if listed_in in names:
        return True, "which the model was trained on"
    if any(name.startswith(_SEVERAL) for name in names):
        return True, f"which may be part of {stated}, which the model was trained on"
    return False, "which the model was not trained on"
