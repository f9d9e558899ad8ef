"""Pictures to try: drawn scenes of the embedded sample, made when the app starts. Nobody's photo ships."""

from pathlib import Path

import cv2

from maskdet.atomic import atomic_file
from maskdet.data.sample.scenes import draw_scene

_SCENES = ((0, 3), (0, 7), (0, 11), (0, 19))
"""Seed and index of each scene."""


def write_examples(folder: Path) -> list[tuple[Path, str]]:
    """Draw the examples into a folder.

    Args:
        folder: Made where it does not exist.

    Returns:
        For each its path, and what people call it; no two alike.
    """
    examples = []
    for number, (seed, index) in enumerate(_SCENES, start=1):
        scene = draw_scene(seed, index)
        path = folder / f"drawn_scene_{number}.png"
        encoded = cv2.imencode(".png", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR))[1]
        with atomic_file(path) as temporary:
            temporary.write_bytes(encoded.tobytes())
        num = len(scene.class_names)
        examples.append((path, f"Scene {number}: {num} {'person' if num == 1 else 'people'}"))
    return examples
