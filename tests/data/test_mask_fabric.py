"""Cloth before light falls on it."""

import numpy as np
import pytest

from maskdet.data.mask_fabric import COLOUR_SHARES, COLOURS, PRINT_SHARES, Fabric, random_fabric, weave
from maskdet.data.mask_shapes import NUM_COLUMNS, NUM_ROWS, SHAPES

NUM_DRAWN = 1500


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_cloth_has_about_its_colour(shape, colour):
    cloth = weave(shape, Fabric(colour, crease=0.3), rng())
    assert cloth.shape == (NUM_ROWS, NUM_COLUMNS, 3)
    assert cloth.dtype == np.float32
    assert cloth.min() >= 0
    assert cloth.max() <= 255
    expected = np.array(COLOURS[colour])
    assert np.abs(np.median(cloth, axis=(0, 1)) - expected).max() <= 0.16 * expected.max()


def test_equal_generators_weave_equal_cloth_and_others_do_not():
    first, second, other = (weave("cloth", Fabric("red", "flowers"), rng(seed)) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != other).any()


@pytest.mark.parametrize("print_name", sorted(set(PRINT_SHARES) - {"plain"}))
def test_a_print_is_seen(print_name):
    plain, printed = (weave("cloth", Fabric("white", name, crease=0.0), rng(3)) for name in ("plain", print_name))
    share = (np.abs(plain - printed).max(axis=2) > 10).mean()
    assert 0.1 < share < 0.95


def test_pleats_seams_valves_and_creases_leave_their_marks():
    surgical, cloth, cup = (
        weave(name, Fabric("white", crease=0.0), rng()) for name in ("surgical", "cloth", "cup_respirator")
    )
    assert surgical[:, NUM_COLUMNS // 2, 0].std() > 2 * surgical[NUM_ROWS // 2 + 8, 5:-5, 0].std()  # across the pleats
    assert cloth[NUM_ROWS // 2, NUM_COLUMNS // 2].mean() < 0.95 * cloth[NUM_ROWS // 2, 20].mean()  # the seam
    valve = weave("cup_respirator", Fabric("white", has_valve=True, crease=0.0), rng())
    changed = (np.abs(valve - cup).max(axis=2) > 5).mean()
    assert 0.02 < changed < 0.3
    smooth, creased = (weave("surgical", Fabric("white", crease=crease), rng(5)) for crease in (0.0, 0.9))
    assert creased.std() > 1.5 * smooth.std()


@pytest.mark.parametrize("shape", SHAPES)
def test_fabrics_are_drawn_with_their_shares(shape):
    generator = rng(7)
    drawn = [random_fabric(shape, 0.3, generator) for _ in range(NUM_DRAWN)]
    shares = COLOUR_SHARES[shape]
    for colour, share in shares.items():
        share = share / sum(shares.values())
        found = np.mean([fabric.colour == colour for fabric in drawn])
        assert found == pytest.approx(share, abs=4.5 * np.sqrt(share * (1 - share) / NUM_DRAWN))
    assert {fabric.colour for fabric in drawn} <= set(shares)
    assert any(fabric.has_valve for fabric in drawn) == (shape == "cup_respirator")
    assert {fabric.print_name for fabric in drawn} == (set(PRINT_SHARES) if shape == "cloth" else {"plain"})


def test_a_fabric_is_named_by_colour_and_print():
    assert Fabric("navy").name == "navy"
    assert Fabric("navy", "dots").name == "navy_dots"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"colour": "mauve"}, r"expected one of \['beige', .*\], got 'mauve'"),
        ({"colour": "red", "print_name": "tartan"}, r"expected one of \['checks', .*\], got 'tartan'"),
        ({"colour": "red", "cord": "gold"}, r"got 'gold'"),
    ],
)
def test_unknown_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Fabric(**arguments)
