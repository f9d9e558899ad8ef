"""Every class has a style, although the palette does not import the list of classes."""

from maskdet.reporting.palette import CLASS_STYLES
from maskdet.schema import CLASS_NAMES


def test_the_styles_are_those_of_the_classes_in_their_order():
    assert tuple(CLASS_STYLES) == CLASS_NAMES


def test_no_two_classes_look_alike():
    for field in ("color", "short_name", "line_style"):
        assert len({getattr(style, field) for style in CLASS_STYLES.values()}) == len(CLASS_STYLES)
