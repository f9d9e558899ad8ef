"""What tables a model was trained on: told beside its weights, compared before it is scored on such tables."""

import hashlib
from collections.abc import Mapping

import pandas as pd


def data_facts(images: pd.DataFrame, annotations: pd.DataFrame) -> dict[str, str | int]:
    """Return a data set's name, its counts, and 16 hexadecimal digits that change with any pixel or label.

    Args:
        images: Table `images`; neither the order of its rows nor that of the annotations matters.
        annotations: Table `annotations`.
    """
    lines = sorted(images["file_name"] + " " + images["sha256"])
    return {
        "name": ", ".join(sorted(images["source"].unique())),
        "num_images": len(images),
        "num_faces": len(annotations),
        "fingerprint": _digest("".join(lines), _sorted_rows(annotations)),
    }


def training_facts(images: pd.DataFrame, annotations: pd.DataFrame, folds: pd.DataFrame) -> dict[str, str | int]:
    """Return `data_facts` and, as `folds`, digits that change with the fold or the role of any image."""
    dealt = folds[["file_name", "fold", "split_role"]]
    return data_facts(images, annotations) | {"folds": _digest(_sorted_rows(dealt))}


def check_trained_on(stated: Mapping | None, facts: Mapping, model: object) -> None:
    """Refuse a model of other tables: their folds say nothing of which images it has seen.

    Args:
        stated: What the model says that it was trained on, as `training_facts`; None, of an older one, passes.
        facts: Of the tables at hand.
        model: What an error names it by.

    Raises:
        ValueError: If data or folds differ.
    """
    for key, what in (("fingerprint", "data"), ("folds", "folds")):
        if stated is not None and stated.get(key) != facts[key]:
            raise ValueError(
                f"{model}: expected a model trained on the {what} of build/ ({facts['name']}, {what} {facts[key]}), "
                f"got one trained on others ({stated.get('name')}, {what} {stated.get(key)}); train it again"
            )


def _sorted_rows(table: pd.DataFrame) -> str:
    return table.sort_values(list(table.columns)).to_csv(index=False, lineterminator="\n")


def _digest(*texts: str) -> str:
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
