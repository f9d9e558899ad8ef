"""Draw one person of the embedded sample: body, head, hair, mask and what may hide a part of the face.

Shapes are written in the face units of `maskdet.data.sample.canvas`.
"""

from dataclasses import dataclass

import numpy as np

from maskdet.data.sample.canvas import (
    CLOTH,
    HAIR,
    MASK,
    SKIN,
    Canvas,
    Colour,
    Pose,
    cover_shape,
    face_outline,
    half_width,
    mirrored,
    oval,
    shade,
    smooth,
)

WEARING = {  # edge, nose, bottom of the mask: see `cover_shape`
    "with_mask": [(0.06, -0.02, 0.54), (0.04, 0.0, 0.53), (0.08, -0.04, 0.55)],
    "mask_weared_incorrect": [(0.235, 0.215, 0.55), (0.23, 0.22, 0.56), (0.375, 0.39, 0.64), (0.365, 0.385, 0.66)],
    "without_mask": [None],
}
HAIRLINES = {  # the lower edge of the hair in front, from the right temple to the left one
    "short": [(0.41, 0.0), (0.35, -0.12), (0.31, -0.34), (0.05, -0.46), (-0.24, -0.37), (-0.35, -0.14), (-0.41, 0.0)],
    "fringe": [(0.42, 0.1), (0.36, -0.1), (0.3, -0.27), (0.0, -0.31), (-0.29, -0.25), (-0.36, -0.1), (-0.42, 0.1)],
    "parted": [(0.44, 0.34), (0.37, 0.05), (0.3, -0.25), (0.06, -0.5), (-0.28, -0.3), (-0.37, 0.05), (-0.44, 0.34)],
    "swept": [(0.42, 0.02), (0.34, -0.16), (0.22, -0.42), (-0.2, -0.45), (-0.34, -0.16), (-0.42, 0.02)],
    "hood": [(0.43, 0.42), (0.33, 0.2), (0.33, -0.22), (0.0, -0.5), (-0.33, -0.22), (-0.33, 0.2), (-0.43, 0.42)],
    "hat": [(0.44, -0.22), (0.3, -0.3), (0.0, -0.33), (-0.3, -0.3), (-0.44, -0.22)],
}
HAIR_STYLES = {  # style: hairline, half width and height of the front, shape behind the head
    "short": ("short", 0.42, 0.52, []),
    "crop": ("swept", 0.405, 0.5, []),
    "fringe": ("fringe", 0.43, 0.54, []),
    "bob": ("parted", 0.45, 0.56, [(0.2, -0.6), (0.5, -0.3), (0.5, 0.2), (0.46, 0.42), (0.2, 0.46)]),
    "long": ("parted", 0.44, 0.56, [(0.2, -0.6), (0.5, -0.3), (0.5, 0.3), (0.58, 0.98), (0.3, 1.08)]),
    "bangs": ("fringe", 0.45, 0.56, [(0.2, -0.6), (0.5, -0.3), (0.5, 0.3), (0.54, 0.8), (0.3, 0.86)]),
    "bun": ("swept", 0.42, 0.53, [(0.1, -0.96), (0.26, -0.86), (0.26, -0.68), (0.1, -0.55)]),
    "afro": ("short", 0.5, 0.66, [(0.3, -0.86), (0.62, -0.55), (0.62, -0.1), (0.45, 0.12), (0.2, 0.1)]),
    "hijab": ("hood", 0.46, 0.58, [(0.2, -0.62), (0.5, -0.3), (0.5, 0.3), (0.66, 0.86), (0.3, 1.25), (0.1, 1.3)]),
    "beanie": ("hat", 0.45, 0.55, []),
    "cap": ("hat", 0.43, 0.52, []),
    "bald": ("short", 0.0, 0.0, []),
}
_OF_CLOTH = ("hijab", "beanie", "cap")


@dataclass(frozen=True)
class Look:
    """Everything about a person that is not place and pose; `mask_at` is an entry of `WEARING`."""

    skin: Colour
    hair: Colour
    hair_style: str
    beard: str
    mouth: str
    glasses: str
    shirt: Colour
    jacket: Colour | None
    has_scarf: bool
    mask_kind: str
    mask_colour: Colour
    mask_at: tuple[float, float, float] | None


def random_look(rng: np.random.Generator, class_name: str) -> Look:
    """Return a person who wears a mask as `class_name` says; the mask's colour is far from the skin's."""
    skin = SKIN[rng.integers(len(SKIN))]
    style = str(rng.choice(list(HAIR_STYLES)))
    shades = CLOTH if style in _OF_CLOTH else HAIR[:4] if sum(skin) < 420 else HAIR
    kinds = ["surgical", "surgical", "cloth", "n95", "dots", "stripes"]
    distinct = [colour for colour in MASK if np.abs(np.subtract(colour, skin)).sum() > 150]
    usual = distinct[:3] + distinct  # the blues of disposable masks are more common
    places = WEARING[class_name]
    can_grow = style in ("short", "crop", "bald", "cap", "beanie")
    return Look(
        skin=skin,
        hair=shades[rng.integers(len(shades))],
        hair_style=style,
        beard=str(rng.choice(["none", "none", "full", "moustache"])) if can_grow else "none",
        mouth=str(rng.choice(["smile", "open", "lips"])),
        glasses=str(rng.choice(["none"] * 7 + ["clear", "clear", "sun"])),
        shirt=CLOTH[rng.integers(len(CLOTH))],
        jacket=CLOTH[rng.integers(len(CLOTH))] if rng.random() < 0.45 else None,
        has_scarf=bool(rng.random() < 0.1) and style != "hijab",
        mask_kind=kinds[rng.integers(len(kinds))],
        mask_colour=usual[rng.integers(len(usual))],
        mask_at=places[rng.integers(len(places))],
    )


def draw_person(canvas: Canvas, pose: Pose, look: Look) -> None:
    """Draw a whole person, back to front, with the canvas's present pen."""
    _draw_body(canvas, pose.upright(), look)
    _draw_back_of_head(canvas, pose, look)
    canvas.fill(pose.place(face_outline()), look.skin)
    _draw_features(canvas, pose, look)
    if look.beard == "full":
        _draw_beard(canvas, pose, look)
    if look.mask_at is None or look.mask_at[0] > 0.3:
        _draw_mouth(canvas, pose, look)
    if look.has_scarf:
        scarf = smooth(mirrored([(0.28, 0.47), (0.46, 0.44), (0.5, 0.72), (0.2, 0.82)]))
        canvas.fill(pose.place(scarf), shade(look.shirt, 1.35))
        canvas.stroke(pose.place([(-0.4, 0.58), (0.0, 0.68), (0.4, 0.58)]), look.shirt, 0.025 * pose.height)
    if look.mask_at is not None:
        _draw_mask(canvas, pose, look, look.mask_at)
    _draw_shading(canvas, pose)
    _draw_front_hair(canvas, pose, look)
    _draw_glasses(canvas, pose, look)


def _draw_body(canvas: Canvas, pose: Pose, look: Look) -> None:
    legs = mirrored([(0.5, 2.6), (0.62, 3.2), (0.55, 6.0), (0.06, 6.0), (0.04, 3.6)])
    canvas.fill(pose.place(legs), shade(look.shirt, 0.45))
    torso = smooth(mirrored([(0.14, 0.56), (0.5, 0.72), (0.86, 0.86), (1.0, 1.5), (0.98, 3.1), (0.4, 3.1)]))
    outer = look.jacket or look.shirt
    canvas.fill(pose.place(torso), outer)
    if look.jacket:
        canvas.fill(pose.place(mirrored([(0.2, 0.62), (0.17, 1.4), (0.24, 3.08)])), look.shirt)
        canvas.fill(pose.place([(0.2, 0.6), (0.42, 0.95), (0.17, 1.5)]), shade(outer, 0.82))
        canvas.fill(pose.place([(-0.2, 0.6), (-0.42, 0.95), (-0.17, 1.5)]), shade(outer, 0.82))
    for side in (-1, 1):
        arm = [(0.62 * side, 1.25), (0.6 * side, 1.8), (0.62 * side, 2.9)]
        canvas.stroke(pose.place(arm), shade(outer, 0.8), 0.03 * pose.height)
    neck = smooth(mirrored([(0.19, 0.2), (0.19, 0.58), (0.24, 0.68), (0.08, 0.84)]))
    canvas.fill(pose.place(neck), shade(look.skin, 0.82))


def _draw_back_of_head(canvas: Canvas, pose: Pose, look: Look) -> None:
    behind = HAIR_STYLES[look.hair_style][3]
    if behind:
        canvas.fill(pose.place(smooth(mirrored(behind))), shade(look.hair, 0.8))
    for side in (-1, 1):
        if side * pose.yaw < 0.5:  # the ear on the far side is hidden
            canvas.fill(pose.place(oval(0.395 * side, 0.02, 0.06, 0.1)), shade(look.skin, 0.93))
            canvas.fill(pose.place(oval(0.4 * side, 0.02, 0.03, 0.06)), shade(look.skin, 0.8))


def _draw_features(canvas: Canvas, pose: Pose, look: Look) -> None:
    """Draw eyes, brows, cheeks and nose."""
    unit, ink = pose.height, (35, 28, 30)
    for side in (-1, 1):
        x = 0.165 * side
        canvas.fill(pose.place(oval(0.23 * side, 0.16, 0.09, 0.06)), (225, 90, 90), alpha=0.16)
        canvas.fill(pose.place(oval(x, -0.07, 0.078, 0.048)), (252, 250, 246))
        canvas.fill(pose.place(oval(x + 0.02 * pose.yaw, -0.068, 0.04, 0.045)), ink)
        canvas.fill(pose.place(oval(x + 0.02 * pose.yaw + 0.014, -0.085, 0.012, 0.012)), (255, 255, 255))
        canvas.stroke(pose.place(oval(x, -0.066, 0.085, 0.058, 190, 350)), ink, 0.018 * unit)
        brow = shade(look.hair, 0.85) if look.hair_style not in _OF_CLOTH else shade(look.skin, 0.35)
        canvas.stroke(pose.place(oval(x, -0.1, 0.105, 0.085, 205, 335)), brow, 0.03 * unit)
    lean = 0.03 * pose.yaw
    nose = smooth([(lean, -0.06), (0.06 + lean, 0.12), (0.085 + lean, 0.17), (lean, 0.21), (lean - 0.085, 0.17)])
    canvas.fill(pose.place(nose), shade(look.skin, 0.84))
    canvas.fill(pose.place(oval(lean, 0.13, 0.03, 0.03)), shade(look.skin, 1.25))
    for side in (-1, 1):
        canvas.fill(pose.place(oval(0.035 * side + lean, 0.178, 0.022, 0.013)), shade(look.skin, 0.5))


def _draw_beard(canvas: Canvas, pose: Pose, look: Look) -> None:
    colour = HAIR[0] if look.hair_style in _OF_CLOTH else shade(look.hair, 0.92)
    beard = cover_shape(0.1, 0.25, 0.54)
    canvas.fill(pose.place(beard), colour)
    canvas.fill(pose.place(oval(0, 0.31, 0.17, 0.07)), shade(look.skin, 0.9))


def _draw_mouth(canvas: Canvas, pose: Pose, look: Look) -> None:
    """Draw the mouth large and in lip colours: with the nose it is what tells the classes apart."""
    red = (186, 52, 66) if sum(look.skin) > 330 else (255, 104, 112)  # lighter than dark skin
    lips = tuple(int(0.3 * channel + 0.7 * of_lips) for channel, of_lips in zip(look.skin, red, strict=True))
    if look.mouth == "open":
        canvas.fill(pose.place(oval(0, 0.27, 0.15, 0.1, 0, 180)), (120, 24, 36))
        canvas.fill(pose.place(oval(0, 0.27, 0.13, 0.045, 0, 180)), (255, 252, 248))
        canvas.stroke(pose.place(oval(0, 0.27, 0.15, 0.1, 0, 180)), lips, 0.02 * pose.height)
    elif look.mouth == "smile":
        canvas.stroke(pose.place(oval(0, 0.22, 0.16, 0.115, 20, 160)), lips, 0.05 * pose.height)
    else:
        canvas.fill(pose.place(smooth([(-0.15, 0.305), (0, 0.24), (0.15, 0.305), (0, 0.38)])), lips)
        canvas.stroke(pose.place([(-0.11, 0.305), (0.0, 0.312), (0.11, 0.305)]), shade(lips, 0.55), 0.018 * pose.height)
    if look.beard == "moustache":
        hairs = smooth([(0, 0.2), (0.1, 0.21), (0.2, 0.29), (0, 0.25), (-0.2, 0.29), (-0.1, 0.21)])
        canvas.fill(pose.place(hairs), HAIR[1] if look.hair_style in _OF_CLOTH else shade(look.hair, 0.9))


def _draw_mask(canvas: Canvas, pose: Pose, look: Look, mask_at: tuple[float, float, float]) -> None:
    edge, nose, bottom = mask_at
    unit, colour = pose.height, look.mask_colour
    shape = pose.place(cover_shape(edge, nose, bottom))
    dark = shade(colour, 0.8) if sum(colour) > 200 else shade(colour, 1.3)
    ear_heights = ((edge, -0.05), (min(edge + 0.25, 0.44), 0.1))
    for side in (-1, 1):
        for start, ear in ear_heights:
            loop = [(side * float(half_width(start)), start), (side * 0.4, ear)]
            canvas.stroke(pose.place(loop), shade(dark, 1.5), 0.022 * unit)
    canvas.fill(shape, colour)
    _PATTERNS[look.mask_kind](canvas, pose, mask_at, shape, dark)
    canvas.stroke(np.concatenate([shape, shape[:1]]), dark, 0.014 * unit)


def _pleats(canvas: Canvas, pose: Pose, mask_at: tuple, shape: np.ndarray, dark: Colour) -> None:
    """Draw the three folds and the nose wire of a surgical mask."""
    edge, nose, bottom = mask_at
    for share in (0.3, 0.52, 0.74):
        y = edge + share * (bottom - edge)
        reach = 0.9 * float(half_width(edge + share * (0.5 - edge)))
        fold = [(-reach, y - 0.015), (-reach / 2, y + 0.012), (0, y + 0.02), (reach / 2, y + 0.012), (reach, y - 0.015)]
        canvas.stroke(pose.place(fold), dark, 0.018 * pose.height)
    canvas.stroke(pose.place([(-0.1, nose + 0.045), (0, nose + 0.035), (0.1, nose + 0.045)]), dark, 0.03 * pose.height)


def _seam(canvas: Canvas, pose: Pose, mask_at: tuple, shape: np.ndarray, dark: Colour) -> None:
    """Draw the middle seam of a cloth mask and a lighter half."""
    _, nose, bottom = mask_at
    half = [(0, nose - 0.1), (0.03, (nose + bottom) / 2), (0, bottom + 0.1), (-0.6, bottom + 0.1), (-0.6, nose - 0.1)]
    canvas.fill(pose.place(half), (255, 255, 255), alpha=0.18, inside=shape)
    canvas.stroke(pose.place([(0, nose), (0.03, (nose + bottom) / 2), (0, bottom)]), dark, 0.016 * pose.height)


def _cup(canvas: Canvas, pose: Pose, mask_at: tuple, shape: np.ndarray, dark: Colour) -> None:
    """Draw the ridge and the valve of an N95 cup."""
    _, nose, bottom = mask_at
    middle, reach = (nose + bottom) / 2, 0.6 * (bottom - nose)
    canvas.stroke(pose.place(oval(0, middle + 0.14, 0.3, reach, 205, 335)), dark, 0.022 * pose.height)
    canvas.fill(pose.place(oval(0.15, middle + 0.08, 0.07, 0.055)), dark, inside=shape)
    canvas.fill(pose.place(oval(0.15, middle + 0.075, 0.04, 0.03)), shade(dark, 1.6), inside=shape)


def _dots(canvas: Canvas, pose: Pose, mask_at: tuple, shape: np.ndarray, dark: Colour) -> None:
    for row, y in enumerate(np.arange(mask_at[1] + 0.05, mask_at[2], 0.115)):
        for x in np.arange(-0.4, 0.41, 0.16) + 0.08 * (row % 2):
            canvas.fill(pose.place(oval(x, y, 0.034, 0.034)), shade(dark, 1.75), inside=shape)


def _stripes(canvas: Canvas, pose: Pose, mask_at: tuple, shape: np.ndarray, dark: Colour) -> None:
    for y in np.arange(mask_at[1] + 0.04, mask_at[2], 0.12):
        band = [(-0.5, y), (0, y + 0.03), (0.5, y), (0.5, y + 0.05), (0, y + 0.08), (-0.5, y + 0.05)]
        canvas.fill(pose.place(band), shade(dark, 1.65), inside=shape)


_PATTERNS = {"surgical": _pleats, "cloth": _seam, "n95": _cup, "dots": _dots, "stripes": _stripes}


def _draw_shading(canvas: Canvas, pose: Pose) -> None:
    """Darken the right side of the head and the neck's shadow a little: light falls from the left."""
    y = np.linspace(-0.5, 0.52, 30)  # (30,)
    rim, inner = half_width(y) * 1.04, half_width(y) * 1.04 - 0.1 * np.sin(np.linspace(0.2, np.pi, 30))
    crescent = np.concatenate([np.stack([rim, y], 1), np.stack([inner, y], 1)[::-1]])  # (60, 2)
    canvas.fill(pose.place(crescent), (30, 10, 40), alpha=0.16)


def _draw_front_hair(canvas: Canvas, pose: Pose, look: Look) -> None:
    hairline, radius_x, radius_y, _ = HAIR_STYLES[look.hair_style]
    if look.hair_style == "bald":
        canvas.fill(pose.place(oval(-0.12, -0.45, 0.1, 0.05)), (255, 255, 255), alpha=0.25)
        return
    crown = oval(0, -0.15, radius_x, radius_y, 180, 360)  # (25, 2)
    front = np.concatenate([crown, HAIRLINES[hairline]])
    canvas.fill(pose.place(smooth(front)), look.hair)
    shine = oval(-0.02, -0.18, radius_x * 0.8, radius_y * 0.82, 215, 275)
    canvas.stroke(pose.place(shine), shade(look.hair, 1.22), 0.03 * pose.height)
    if look.hair_style == "cap":
        brim = smooth([(-0.36, -0.27), (0, -0.36), (0.36, -0.27), (0.42, -0.2), (0, -0.27), (-0.42, -0.2)])
        canvas.fill(pose.place(brim), shade(look.hair, 0.7))
    if look.hair_style == "beanie":
        cuff = mirrored([(0.2, -0.46), (0.42, -0.38), (0.44, -0.22), (0.2, -0.29)])
        canvas.fill(pose.place(cuff), shade(look.hair, 0.8))


def _draw_glasses(canvas: Canvas, pose: Pose, look: Look) -> None:
    if look.glasses == "none":
        return
    frame = (28, 28, 34)
    for side in (-1, 1):
        lens = pose.place(oval(0.17 * side, -0.06, 0.125, 0.095))
        if look.glasses == "sun":
            canvas.fill(lens, frame)
            canvas.fill(pose.place(oval(0.17 * side - 0.04, -0.09, 0.03, 0.02)), (120, 125, 140))
        canvas.stroke(lens, frame, 0.022 * pose.height)
        canvas.stroke(pose.place([(0.29 * side, -0.07), (0.4 * side, -0.05)]), frame, 0.022 * pose.height)
    canvas.stroke(pose.place([(-0.05, -0.07), (0.05, -0.07)]), frame, 0.024 * pose.height)
