"""Copies of pictures within a set and between sets: equal, near, mirrored."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskdet.data.audit.candidates import find_candidates
from maskdet.data.audit.looks import Look
from maskdet.data.audit.placing import Likeness, compare_looks
from maskdet.data.formats.progress import tracked

EXACT, NEAR, MIRRORED = "exact", "near", "mirrored"
"""Kinds of copies."""


@dataclass(frozen=True)
class Copy:
    """A picture that is a copy of another.

    Attributes:
        kind: `EXACT`, `NEAR` or `MIRRORED`.
        picture: Its position; of two in one set the later one, of equal ones that which would go.
        other: Position of the picture that it is most like.
        evidence: How it was shown.
        more: Positions of further pictures that it is a copy of in the same way.
    """

    kind: str
    picture: int
    other: int
    evidence: str
    more: tuple[int, ...] = ()

    @property
    def num_more(self) -> int:
        """Return how many further pictures it is a copy of in the same way."""
        return len(self.more)

    @property
    def partners(self) -> tuple[int, ...]:
        """Return the positions of all pictures that it is a copy of in this way."""
        return self.other, *self.more


def find_copies(looks: Sequence[Look], num_audited: int, ranks: Sequence[object]) -> list[Copy]:
    """Find the copies among audited pictures, and of audited pictures in other sets.

    Of equal pictures one stands for all in the search for near ones, so that a pair is told once.

    Args:
        looks: Of all pictures, the audited ones first.
        num_audited: How many of them are audited.
        ranks: Of each audited picture; of equal pictures that of the lowest rank is kept.

    Returns:
        By position; a picture has at most one copy of each kind within the set, and one of each kind outside: that
        which it is most like, with the others as `more`.
    """
    own, foreign = _by_pixels(looks[:num_audited], 0), _by_pixels(looks[num_audited:], num_audited)
    kept_of = {sha256: min(positions, key=lambda position: ranks[position]) for sha256, positions in own.items()}
    copies = [
        Copy(EXACT, position, kept_of[sha256], "equal pixels")
        for sha256, positions in own.items()
        for position in positions
        if position != kept_of[sha256]
    ]
    copies += [
        Copy(EXACT, kept_of[sha256], foreign[sha256][0], "equal pixels", tuple(foreign[sha256][1:]))
        for sha256 in own.keys() & foreign.keys()
    ]
    kept = sorted(kept_of.values())
    shown = [*kept, *(positions[0] for positions in foreign.values())]
    copies += _near_copies(looks, shown, len(kept))
    return sorted(copies, key=lambda copy: (copy.picture, copy.kind, copy.other))


def _by_pixels(looks: Sequence[Look], first_position: int) -> dict[str, list[int]]:
    positions = defaultdict(list)
    for position, look in enumerate(looks, start=first_position):
        positions[look.sha256].append(position)
    return dict(positions)


def _near_copies(looks: Sequence[Look], shown: Sequence[int], num_audited: int) -> list[Copy]:
    """Return near and mirrored copies among different pictures.

    Args:
        looks: Of all pictures.
        shown: Positions of the different ones, the audited ones first.
        num_audited: How many of `shown` are audited.
    """
    likeness_of = _compare_all([looks[position] for position in shown], num_audited)
    partners: Mapping[tuple[str, int, bool], list[tuple[int, Likeness]]] = defaultdict(list)
    for (first, second), (kind, likeness) in likeness_of.items():
        is_across = second >= num_audited
        picture, other = (first, second) if is_across else (second, first)
        partners[kind, picture, is_across].append((other, likeness))
    copies = []
    for (kind, picture, _), found in partners.items():
        other, likeness = max(found, key=lambda partner: (partner[1].num_points, -partner[0]))
        more = tuple(shown[partner] for partner, _ in found if partner != other)
        copies.append(Copy(kind, shown[picture], shown[other], likeness.words, more))
    return copies


def _compare_all(looks: Sequence[Look], num_audited: int) -> dict[tuple[int, int], tuple[str, Likeness]]:
    """Return the pairs that are copies with their kind: of the plain and the mirrored view the one that shares more."""
    found: dict[tuple[int, int], tuple[str, Likeness]] = {}
    for candidate in tracked(find_candidates(looks, num_audited), "compare pictures"):
        pair, kind = (candidate.first, candidate.second), MIRRORED if candidate.is_mirrored else NEAR
        if looks[candidate.first].sha256 == looks[candidate.second].sha256:
            continue
        likeness = compare_looks(looks[candidate.first], looks[candidate.second], candidate)
        if likeness is None or not likeness.is_copy:
            continue
        if pair not in found or likeness.num_points > found[pair][1].num_points:
            found[pair] = (kind, likeness)
    return found
