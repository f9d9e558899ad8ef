"""Draw what stands behind and in front of the people of the embedded sample.

Backdrops are flat or gently graded, so that they compress well. Distractors are round, oval or skin-coloured on
purpose: a detector must learn that they are no faces.
"""

from collections.abc import Callable

import numpy as np

from maskdet.data.sample.canvas import CLOTH, SKIN, Canvas, Colour, Pose, mirrored, oval, palette, shade, smooth

WALL = palette("e8dcc8 d8e2dc cfd8e3 f2e3d5 dde5b6 e5d4ed c9d6cf b8c4d6")
FLOOR = palette("b08968 8d7b68 9a8c98 7f8c8d a98467 6b705c")
SKY = palette("bfe3f7 cdeaf5 f9dcc4 ffe5d9 d6e4f0 a9c9e8")
LEAF = palette("6a994e 7fb069 52796f 84a98c a7c957 3f7d58")
HOUSE = palette("b5838d 8d99ae cb997e a5a58d 9d8189 c8b6a6 7d8597 d4a373")


def _pick(rng: np.random.Generator, colours: list[Colour]) -> Colour:
    return colours[rng.integers(len(colours))]


def _rectangle(x_min: float, y_min: float, x_max: float, y_max: float) -> np.ndarray:
    return np.array([[x_min, y_min], [x_max, y_min], [x_max, y_max], [x_min, y_max]], float)  # (4, 2)


def _room(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a wall, a floor, a skirting board, a window and a curtain."""
    width, height = canvas.image_wh
    wall, floor = _pick(rng, WALL), rng.uniform(0.72, 0.88) * height
    canvas.gradient(shade(wall, 1.15), shade(wall, 0.9))
    canvas.fill(_rectangle(0, floor, width, height), _pick(rng, FLOOR))
    canvas.fill(_rectangle(0, floor - 5, width, floor), shade(wall, 1.5))
    left, top = rng.uniform(0.05, 0.6) * width, rng.uniform(0.06, 0.14) * height
    right, bottom = left + rng.uniform(70, 120), top + rng.uniform(80, 120)
    canvas.fill(_rectangle(left - 4, top - 4, right + 4, bottom + 4), shade(wall, 1.7))
    canvas.fill(_rectangle(left, top, right, bottom), _pick(rng, SKY))
    canvas.fill(oval((left + right) / 2, bottom, (right - left) / 2, 26, 180, 360), _pick(rng, LEAF))
    middle = (left + right) / 2
    canvas.fill(_rectangle(middle - 2, top, middle + 2, bottom), shade(wall, 1.7))
    curtain = _pick(rng, CLOTH)
    for x in (left - 14, right - 4):
        canvas.fill(_rectangle(x, top - 8, x + 18, bottom + 16), curtain)
        canvas.fill(_rectangle(x + 8, top - 8, x + 11, bottom + 16), shade(curtain, 0.85))


def _street(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw houses with windows under a sky, a pavement and a road."""
    width, height = canvas.image_wh
    sky, ground = _pick(rng, SKY), rng.uniform(0.66, 0.8) * height
    canvas.gradient(sky, shade(sky, 1.5))
    x = -rng.uniform(0, 40)
    while x < width:
        house, wide, roof = _pick(rng, HOUSE), rng.uniform(55, 100), rng.uniform(0.08, 0.4) * height
        canvas.fill(_rectangle(x, roof, x + wide, ground), house)
        canvas.fill(_rectangle(x - 2, roof - 5, x + wide + 2, roof), shade(house, 0.7))
        glass = shade(house, 0.6) if rng.random() < 0.6 else (250, 226, 150)
        for top in np.arange(roof + 12, ground - 26, 30):
            for left in np.arange(x + 9, x + wide - 16, 23):
                canvas.fill(_rectangle(left, top, left + 13, top + 18), glass)
        x += wide
    canvas.fill(_rectangle(0, ground, width, height), (176, 174, 170))
    canvas.fill(_rectangle(0, ground + 0.45 * (height - ground), width, height), (104, 106, 112))


def _park(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw a sky with sun and clouds above hills and round trees."""
    width, height = canvas.image_wh
    sky, leaf = _pick(rng, SKY), _pick(rng, LEAF)
    canvas.gradient(shade(sky, 0.95), shade(sky, 1.4))
    sun = oval(rng.uniform(0.1, 0.9) * width, rng.uniform(0.08, 0.2) * height, 17, 17)
    canvas.fill(sun, (255, 236, 150))
    for _ in range(3):
        x, y = rng.uniform(0, width), rng.uniform(0.06, 0.3) * height
        for step in (-16, 0, 16):
            canvas.fill(oval(x + step, y - 4 * (step == 0), 18, 9), shade(sky, 1.75))
    for share, factor in ((0.55, 1.25), (0.68, 1.0)):
        x = rng.uniform(0, width)
        canvas.fill(oval(x, (share + 0.6) * height, 1.3 * width, 0.6 * height), shade(leaf, factor))
    for _ in range(rng.integers(2, 6)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0.4, 0.6) * height, rng.uniform(16, 34)
        canvas.fill(_rectangle(x - 4, y, x + 4, y + 2.1 * radius), (110, 82, 60))
        canvas.fill(oval(x, y, radius, 1.15 * radius), shade(_pick(rng, LEAF), 0.85))
        canvas.fill(oval(x - 0.25 * radius, y - 0.3 * radius, 0.5 * radius, 0.5 * radius), (255, 255, 220), alpha=0.15)


def _shelves(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw rows of boxes and bottles, as in a shop."""
    width, height = canvas.image_wh
    wood = _pick(rng, FLOOR)
    canvas.gradient(shade(wood, 0.72), shade(wood, 0.6))
    pitch = rng.uniform(52, 72)
    for board in np.arange(rng.uniform(30, 55), height + pitch, pitch):
        x = rng.uniform(0, 12)
        while x < width:
            wide, tall, colour = rng.uniform(9, 24), rng.uniform(0.4, 0.8) * pitch, _pick(rng, CLOTH)
            if rng.random() < 0.35:
                canvas.fill(
                    _rectangle(x + 0.35 * wide, board - tall - 7, x + 0.65 * wide, board - tall), (240, 240, 235)
                )
            canvas.fill(_rectangle(x, board - tall, x + wide, board), shade(colour, 0.9))
            canvas.fill(_rectangle(x, board - 0.6 * tall, x + wide, board - 0.3 * tall), shade(colour, 1.45))
            x += wide + rng.choice([1, 2, 14])
        canvas.fill(_rectangle(0, board, width, board + 6), shade(wood, 1.15))


def _bokeh(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draw translucent discs of light over a dark gradient."""
    width, height = canvas.image_wh
    base = _pick(rng, CLOTH)
    canvas.gradient(shade(base, 0.45), shade(base, 0.8))
    for _ in range(rng.integers(14, 26)):
        radius = rng.uniform(8, 38)
        disc = oval(rng.uniform(0, width), rng.uniform(0, height), radius, radius)
        canvas.fill(disc, shade(_pick(rng, CLOTH), 1.3), alpha=rng.uniform(0.15, 0.4))


def _ball(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    colour = _pick(rng, SKIN[1:5] + palette("e8772e f4f1de c8323f"))
    canvas.fill(oval(x, y, size, size), colour)
    canvas.stroke(oval(x - 0.9 * size, y, size, size, -55, 55), shade(colour, 0.55), 1)
    canvas.stroke(oval(x + 0.9 * size, y, size, size, 125, 235), shade(colour, 0.55), 1)
    canvas.fill(oval(x - 0.35 * size, y - 0.4 * size, 0.25 * size, 0.2 * size), (255, 255, 255), alpha=0.4)


def _poster(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    paper = _pick(rng, WALL)
    canvas.fill(_rectangle(x - size, y - 1.3 * size, x + size, y + 1.3 * size), shade(paper, 0.5))
    canvas.fill(_rectangle(x - 0.88 * size, y - 1.18 * size, x + 0.88 * size, y + 1.18 * size), paper)
    canvas.fill(oval(x, y - 0.3 * size, 0.5 * size, 0.6 * size), _pick(rng, SKIN + CLOTH))
    for step in (0.6, 0.85):
        canvas.fill(_rectangle(x - 0.6 * size, y + step * size, x + 0.6 * size, y + (step + 0.1) * size), (90, 90, 96))


def _plate(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    colour = _pick(rng, palette("f4f6f7 dceaf0 f3e3cf e9c7b0"))
    canvas.fill(oval(x, y, size, size), shade(colour, 0.85))
    canvas.fill(oval(x, y, 0.9 * size, 0.9 * size), colour)
    canvas.stroke(oval(x, y, 0.6 * size, 0.6 * size), shade(colour, 0.8), 1)
    if rng.random() < 0.5:  # the plate is a clock
        canvas.stroke(np.array([[x, y - 0.55 * size], [x, y], [x + 0.4 * size, y + 0.2 * size]]), (40, 40, 48), 1.5)


def _lamp(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    canvas.stroke(np.array([[x, 0], [x, y]]), (70, 66, 66), 1.2)
    canvas.fill(oval(x, y, 1.7 * size, 1.7 * size), (255, 240, 190), alpha=0.18)
    canvas.fill(oval(x, y, size, 0.9 * size), (255, 236, 178))
    canvas.fill(oval(x, y, size, 0.9 * size, 180, 360), _pick(rng, CLOTH))


def _balloon(canvas: Canvas, rng: np.random.Generator, x: float, y: float, size: float) -> None:
    colour = _pick(rng, CLOTH + SKIN[:4])
    canvas.stroke(np.array([[x, y], [x + 3, y + 1.8 * size], [x - 2, y + 3 * size]]), (120, 118, 118), 0.7)
    canvas.fill(smooth(mirrored([(0.5, -1.15), (1, -0.5), (0.75, 0.6), (0.1, 1.15)])) * size + [x, y], colour)
    canvas.fill(oval(x - 0.35 * size, y - 0.45 * size, 0.15 * size, 0.28 * size), (255, 255, 255), alpha=0.45)


BACKDROPS: dict[str, tuple[Callable, tuple[Callable, ...]]] = {  # what draws it, and the things that may be on it
    "room": (_room, (_poster, _plate, _lamp, _balloon, _ball)),
    "street": (_street, (_poster, _balloon, _ball)),
    "park": (_park, (_balloon, _ball)),
    "shelves": (_shelves, (_poster, _plate, _lamp, _balloon, _ball)),
    "bokeh": (_bokeh, (_poster, _plate, _lamp, _balloon)),
}


def draw_scenery(canvas: Canvas, rng: np.random.Generator, num_distractors: int) -> None:
    """Draw a random backdrop and some things on it that are no faces."""
    draw_backdrop, distractors = BACKDROPS[str(rng.choice(list(BACKDROPS)))]
    draw_backdrop(canvas, rng)
    width, height = canvas.image_wh
    for _ in range(num_distractors):
        draw = distractors[rng.integers(len(distractors))]
        draw(canvas, rng, rng.uniform(0.05, 0.95) * width, rng.uniform(0.1, 0.6) * height, rng.uniform(8, 26))


def draw_occluder(canvas: Canvas, rng: np.random.Generator, pose: Pose, skin: Colour) -> None:
    """Draw a raised hand, a sign or leaves before one side of a face; less than a third of it is hidden."""
    side = float(rng.choice([-1, 1]))
    draw = (_hand, _sign, _leaves)[rng.integers(3)]
    pen, canvas.pen = canvas.pen, 0
    draw(canvas, rng, pose.upright(), side, skin)
    canvas.pen = pen


def _hand(canvas: Canvas, rng: np.random.Generator, pose: Pose, side: float, skin: Colour) -> None:
    x, y = 0.47 * side, rng.uniform(0.1, 0.4)
    colour, line = shade(skin, 0.95), shade(skin, 0.72)
    canvas.fill(pose.place([(x - 0.1, y), (x + 0.1, y), (x + 0.34 * side, 2.6), (x + 0.1 * side, 2.6)]), colour)
    for finger, reach in enumerate((0.3, 0.38, 0.36, 0.27)):
        at = x + (finger - 1.5) * 0.085
        canvas.fill(pose.place(oval(at, y - 0.12, 0.047, reach)), colour)
        canvas.stroke(pose.place(oval(at, y - 0.12, 0.047, reach, 180, 360)), line, 0.012 * pose.height)
    canvas.fill(pose.place(oval(x, y + 0.04, 0.19, 0.2)), colour)
    canvas.fill(
        pose.place(smooth([(x - 0.16, y), (x - 0.3, y - 0.1), (x - 0.28, y - 0.2), (x - 0.1, y + 0.1)])), colour
    )


def _sign(canvas: Canvas, rng: np.random.Generator, pose: Pose, side: float, skin: Colour) -> None:
    x, y = 0.72 * side, rng.uniform(-0.1, 0.3)
    board = np.array([(-0.55, -0.4), (0.55, -0.4), (0.55, 0.4), (-0.55, 0.4)])  # (4, 2)
    colour = _pick(rng, palette("fdfcf7 ffe8a3 f7c8c8 d5ecd4"))
    canvas.fill(pose.place(_rectangle(x - 0.04, y, x + 0.04, 2.8)), (150, 112, 78))
    canvas.fill(pose.place(board + [x, y]), shade(colour, 0.7))
    canvas.fill(pose.place(board * 0.94 + [x, y]), colour)
    for row, reach in ((-0.2, 0.42), (0.0, 0.3), (0.2, 0.38)):
        canvas.fill(pose.place(_rectangle(x - reach, y + row - 0.045, x + reach, y + row + 0.045)), (60, 58, 72))
    canvas.fill(pose.place(oval(x, 1.5, 0.16, 0.14)), skin)


def _leaves(canvas: Canvas, rng: np.random.Generator, pose: Pose, side: float, skin: Colour) -> None:
    colour = _pick(rng, LEAF)
    for angle in np.radians([-150, -115, -80, -45, -20]):
        tip = np.array([0.75 * side + 0.62 * np.cos(angle), 0.95 + 0.95 * np.sin(angle)])
        root = np.array([0.7 * side, 1.3])
        across = (tip - root)[::-1] * [-0.16, 0.16]
        canvas.fill(pose.place(smooth([root, (root + tip) / 2 + across, tip, (root + tip) / 2 - across])), colour)
        canvas.stroke(pose.place([root, 0.2 * root + 0.8 * tip]), shade(colour, 0.75), 0.015 * pose.height)
