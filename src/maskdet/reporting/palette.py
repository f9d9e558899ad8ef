"""One colour and one short name per class, for every picture, plot and page.

The colours are Okabe and Ito's: they stay apart for people with any common colour blindness. No picture relies on
colour alone: labels, line styles or dashes say the same a second time.

Reference:
    Okabe and Ito (2008), Color Universal Design, https://jfly.uni-koeln.de/color/.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassStyle:
    """How a class looks.

    Attributes:
        color: Hexadecimal sRGB, `#rrggbb`.
        short_name: What fits on a box of 30 pixels.
        line_style: Matplotlib's name of a dash pattern, so that curves differ without colour.
    """

    color: str
    short_name: str
    line_style: str


CLASS_STYLES = {
    "with_mask": ClassStyle("#0072b2", "mask", "-"),
    "without_mask": ClassStyle("#d55e00", "no mask", "--"),
    "mask_weared_incorrect": ClassStyle("#cc79a7", "incorrect", "-."),
}
"""The style of every class of `maskdet.schema.CLASS_NAMES`, in its order; not imported, as the schema loads pandas."""

FOLD_COLORS = ("#56b4e9", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#0072b2", "#999999")
"""One colour a fold in the plots; a longer list of folds starts again."""


def class_style(class_name: str) -> ClassStyle:
    """Return the style of a class; a class that is not ours is grey and keeps its name.

    >>> class_style("without_mask").short_name
    'no mask'
    >>> class_style("face").color
    '#767676'
    """
    return CLASS_STYLES.get(class_name) or ClassStyle("#767676", class_name.replace("_", " "), ":")


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    """Return red, green and blue in 0…255.

    >>> hex_to_rgb("#d55e00")
    (213, 94, 0)
    """
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def text_rgb(background: str) -> tuple[int, int, int]:
    """Return black or white, whichever has the higher contrast on a colour (WCAG 2 relative luminance).

    >>> text_rgb("#0072b2"), text_rgb("#cc79a7")
    ((255, 255, 255), (0, 0, 0))
    """
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in hex_to_rgb(background)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (255, 255, 255) if luminance < 0.179 else (0, 0, 0)
