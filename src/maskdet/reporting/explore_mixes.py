"""How images look on the map of look-alikes, by the classes that they hold: a colour and a shape each."""

from dataclasses import dataclass

import pandas as pd

from maskdet.evaluation.exploration.classes import MIX_JOINT, NO_FACE
from maskdet.reporting.palette import class_style
from maskdet.schema import CLASS_NAMES


@dataclass(frozen=True)
class MixStyle:
    """How images with these classes look.

    Attributes:
        label: For a legend: short names with + between.
        color: `#rrggbb`.
        shape: `circle` (one class), `square` (several), `cross` (no face).
    """

    label: str
    color: str
    shape: str


_MIXED_COLORS = ("#009e73", "#56b4e9", "#e69f00")  # Okabe and Ito's that no class has
_OTHER_MIXES = MixStyle("other mixes", "#6b6b6b", "square")
_NO_FACE_STYLE = MixStyle(NO_FACE, "#8a8f94", "cross")


def mix_styles(class_mixes: pd.Series) -> dict[str, MixStyle]:
    """Return class mix → style: single classes, mixes from the most common on, no face; rare mixes share a style.

    Args:
        class_mixes: (N,) str as `classes.class_mixes` gives them.

    Returns:
        A style for each mix that occurs, in the order of a legend.
    """
    counts = class_mixes.value_counts()
    mixed = sorted((mix for mix in counts.index if MIX_JOINT in mix), key=lambda mix: (-counts[mix], mix))
    pure = [mix for mix in counts.index if MIX_JOINT not in mix and mix != NO_FACE]
    pure.sort(key=lambda mix: (CLASS_NAMES.index(mix) if mix in CLASS_NAMES else len(CLASS_NAMES), mix))
    styles = {mix: MixStyle(class_style(mix).short_name, class_style(mix).color, "circle") for mix in pure}
    for place, mix in enumerate(mixed):
        label = " + ".join(class_style(name).short_name for name in mix.split(MIX_JOINT))
        is_common = place < len(_MIXED_COLORS)
        styles[mix] = MixStyle(label, _MIXED_COLORS[place], "square") if is_common else _OTHER_MIXES
    if NO_FACE in counts:
        styles[NO_FACE] = _NO_FACE_STYLE
    return styles
