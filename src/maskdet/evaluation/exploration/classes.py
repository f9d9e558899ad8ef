"""How many faces of which class there are, how they crowd, and which classes share an image."""

from itertools import combinations
from math import ceil

import numpy as np
import pandas as pd

from maskdet.evaluation.exploration.topic import Topic, occurring_classes
from maskdet.schema import CLASS_NAMES

NO_FACE = "no face"
"""The class mix of an image without faces."""

MIX_JOINT = "+"
"""Stands between the classes of a mix."""

CROWDED_SHARE = 0.05
"""Of the images, those with the most faces: the crowd whose weight the caption tells."""

_CROWD_EDGES = (0, 1, 2, 3, 4, 5, 6, 11, 21, 51, 101)


def faces_by_image(images: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Count the faces of each class in each image.

    Args:
        images: Columns `file_name`, …; N rows.
        annotations: True boxes of these images.

    Returns:
        (N, K) int, indexed by file name in the order of the images, a column a class that occurs; zeros for an image
        without faces.
    """
    counts = pd.crosstab(annotations["file_name"], annotations["class_name"])
    return counts.reindex(images["file_name"], columns=occurring_classes(annotations), fill_value=0).astype(int)


def class_distribution(images: pd.DataFrame, annotations: pd.DataFrame) -> Topic:
    """Say how many faces each class has and in how many images they are.

    Returns:
        Table: `class_name, num_faces, face_share, num_images, image_share`, a row a class that occurs. Numbers: totals,
        `most_common` and `rarest` class (absent without faces), `imbalance` (faces of the one for each of the other),
        `classes_without_faces` (known ones that do not occur).
    """
    counts = faces_by_image(images, annotations)  # (N, K)
    num_faces, num_images = counts.sum(), (counts > 0).sum()
    table = pd.DataFrame(
        {
            "class_name": counts.columns.astype(str),
            "num_faces": num_faces.to_numpy(),
            "face_share": (num_faces / max(len(annotations), 1)).to_numpy(),
            "num_images": num_images.to_numpy(),
            "image_share": (num_images / len(images)).to_numpy(),
        }
    )
    numbers = {
        "num_images": len(images),
        "num_faces": len(annotations),
        "num_images_without_faces": int((counts.sum(axis=1) == 0).sum()),
        "classes_without_faces": [name for name in CLASS_NAMES if name not in set(table["class_name"])],
    }
    if table.empty:
        return Topic(table, numbers)
    most, rarest = (table.loc[row] for row in (table["num_faces"].idxmax(), table["num_faces"].idxmin()))
    imbalance = float(most["num_faces"] / rarest["num_faces"])
    return Topic(table, numbers | {"most_common": _plain(most), "rarest": _plain(rarest), "imbalance": imbalance})


def _plain(row: pd.Series) -> dict:
    return {name: getattr(value, "item", lambda value=value: value)() for name, value in row.items()}


def crowding(images: pd.DataFrame, annotations: pd.DataFrame) -> Topic:
    """Say how many faces images have, and how much of the set the most crowded images are.

    Returns:
        Table: `faces_from, faces_to` (inclusive; the last is the largest number that occurs), `num_images,
        image_share, num_faces, face_share`; bins above the largest image are absent. Numbers: `mean, median` faces in
        an image, `num_images_with_one_face`, `largest` (file and faces), `crowded` (the `CROWDED_SHARE` of the images
        with the most faces: how many, from how many faces on, their share of all faces).
    """
    counts = faces_by_image(images, annotations).sum(axis=1)  # (N,)
    largest = int(counts.max())
    edges = [edge for edge in _CROWD_EDGES if edge <= largest]
    bins = np.searchsorted(edges, counts, side="right") - 1  # (N,)
    table = pd.DataFrame({"faces_from": edges, "faces_to": [*(edge - 1 for edge in edges[1:]), largest]})
    table["num_images"] = np.bincount(bins, minlength=len(edges))
    table["image_share"] = table["num_images"] / len(counts)
    table["num_faces"] = np.bincount(bins, weights=counts, minlength=len(edges)).astype(int)
    table["face_share"] = table["num_faces"] / max(counts.sum(), 1)
    crowd = counts.sort_values(ascending=False, kind="stable").head(ceil(CROWDED_SHARE * len(counts)))
    numbers = {
        "mean": float(counts.mean()),
        "median": float(counts.median()),
        "num_images": len(counts),
        "num_images_with_one_face": int((counts == 1).sum()),
        "largest": {"file_name": str(counts.idxmax()), "num_faces": largest},
        "crowded": {
            "num_images": len(crowd),
            "min_faces": int(crowd.min()),
            "face_share": float(crowd.sum() / max(counts.sum(), 1)),
        },
    }
    return Topic(table, numbers)


def co_occurrence(images: pd.DataFrame, annotations: pd.DataFrame) -> Topic | None:
    """Say which classes are found in one image.

    Returns:
        Table: `class_a, class_b, num_images` (with both; of one class with itself: with that class), `share_of_a` (of
        the images with class a), `num_expected` (if the classes were dealt to the images with faces at random).
        Numbers: `num_images_with_faces, num_several` (images with more than one class), `most_common_pair`, and of the
        rarest class `rarest` the share of its images that hold another one too. None with fewer than two classes.
    """
    holds = faces_by_image(images, annotations) > 0  # (N, K)
    names = list(holds.columns)
    if len(names) < 2:
        return None
    num_with_faces = int(holds.any(axis=1).sum())
    together = holds.astype(int).T @ holds.astype(int)  # (K, K)
    rows = [
        (a, b, together.loc[a, b], together.loc[a, b] / together.loc[a, a])
        + (together.loc[a, a] * (1 if a == b else together.loc[b, b] / num_with_faces),)
        for a in names
        for b in names
    ]
    table = pd.DataFrame(rows, columns=["class_a", "class_b", "num_images", "share_of_a", "num_expected"])
    a, b = max(combinations(names, 2), key=lambda pair: together.loc[pair])
    rarest = str(annotations["class_name"].value_counts().reindex(names).idxmin())
    numbers = {
        "num_images_with_faces": num_with_faces,
        "num_several": int((holds.sum(axis=1) > 1).sum()),
        "most_common_pair": {
            "classes": [a, b],
            "num_images": int(together.loc[a, b]),
            "num_expected": float(together.loc[a, a] * together.loc[b, b] / num_with_faces),
        },
        "rarest": rarest,
        "num_images_with_rarest": int(holds[rarest].sum()),
        "num_rarest_with_others": int((holds[rarest] & (holds.sum(axis=1) > 1)).sum()),
    }
    return Topic(table, numbers)


def class_mixes(images: pd.DataFrame, annotations: pd.DataFrame) -> pd.Series:
    """Name the classes that each image holds.

    Returns:
        (N,) str, indexed by file name in the order of the images: class names with `MIX_JOINT` between, in the order of
        `occurring_classes`, or `NO_FACE`.
    """
    holds = faces_by_image(images, annotations) > 0  # (N, K)
    mixes = [MIX_JOINT.join(holds.columns[row]) or NO_FACE for row in holds.to_numpy(bool)]
    return pd.Series(mixes, index=holds.index, dtype=str)
