"""Boxes as a detector finds them before suppression: many on the same objects."""

import numpy as np


def crowd(num_boxes: int, seed: int) -> np.ndarray:
    """Return (N, 4) float32 boxes, ten around each of some places, clipped to 512 px as decoded ones are."""
    rng = np.random.default_rng(seed)
    num_places = num_boxes // 10 + 1
    place = rng.integers(0, num_places, num_boxes)
    centres = rng.uniform(0, 512, (num_places, 2))[place] + rng.normal(0, 5, (num_boxes, 2))
    sides = np.exp(rng.uniform(2, 5, (num_places, 2)))[place] * np.exp(rng.normal(0, 0.2, (num_boxes, 2)))
    return np.hstack([centres - sides / 2, centres + sides / 2]).clip(0, 512).astype(np.float32)
