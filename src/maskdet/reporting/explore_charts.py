"""Figures that answer when pointed at: places on them carry a text, or a grid of values, for the page's script."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import escape
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from maskdet.reporting.figure_files import figure_svg

_PLACE = "place-"  # starts the ids of places


@dataclass
class Chart:
    """A figure with the places on it that tell something.

    Attributes:
        figure: As `figure_files.styled_figure` makes it.
        attributes: Of each place, what its element gets: (name, value) of an HTML attribute.
    """

    figure: Figure
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, artist: Artist, text: str) -> None:
        """Say a text where this artist is pointed at; it becomes an element of its own."""
        self._mark(artist, "data-tip", text)

    def tell_columns(self, axes: Axes, low: Sequence[float], high: Sequence[float], texts: Sequence[str]) -> None:
        """Say a text over the whole height of each column from `low` to `high`, in units of the horizontal axis."""
        for start, end, text in zip(low, high, texts, strict=True):
            self.tell(axes.axvspan(start, end, alpha=0, linewidth=0), text)

    def tell_grid(self, axes: Axes, texts: Sequence[Sequence[str]]) -> None:
        """Say a text over each cell of a grid that fills the axes, the first row on top."""
        area = Rectangle((0, 0), 1, 1, transform=axes.transAxes, alpha=0, linewidth=0)
        self._mark(axes.add_patch(area), "data-grid", json.dumps(texts, ensure_ascii=False, separators=(",", ":")))

    def _mark(self, artist: Artist, attribute: str, value: str) -> None:
        artist.set_gid(f"{_PLACE}{len(self.attributes)}")
        self.attributes.append((attribute, value))

    def svg(self, name: str, alt: str) -> str:
        """Return the figure as an `<svg>` element whose places have their attributes.

        Args:
            name: A word that no other figure of the page has.
            alt: What a reader who does not see it is told.
        """
        text = figure_svg(self.figure, name, alt)
        for number, (attribute, value) in enumerate(self.attributes):
            text = text.replace(f'id="{name}-{_PLACE}{number}"', f'{attribute}="{escape(value)}"', 1)
        return text
