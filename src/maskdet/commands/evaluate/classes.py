"""How the classes of a foreign set and those of a model are brought together, and what then is counted."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from maskdet.commands.convert import parse_renames
from maskdet.data.labelled_set import LabelledSet
from maskdet.inference.suppression import SAME_FACE_IOU
from maskdet.nms import suppress
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES


@dataclass(frozen=True)
class ClassPlan:
    """Which labels and which detections are counted as what.

    Attributes:
        class_map: Class as the set writes it → class of the model, or None: images that hold it are left out.
        known: Classes of the model that the set's labels can say, in the model's order.
        merged: Class of the model that the set does not label → class that its detections count as.
        left_out: Classes of the model that the set does not label and that are not merged: not counted.
    """

    class_map: Mapping[str, str | None]
    known: tuple[str, ...]
    merged: Mapping[str, str]
    left_out: tuple[str, ...]

    def count(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return the detections that are counted, those of merged classes under the class that they count as.

        A face may have been found as both: of overlapping ones that become one class the best stays.

        Args:
            predictions: Columns as `schema.PREDICTIONS`; not modified.
        """
        kept = self.merge(predictions)
        return kept[~kept["class_name"].isin(self.left_out)].reset_index(drop=True)

    def merge(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return all detections, those of merged classes under the class that they count as; see `count`."""
        if not self.merged or predictions.empty:
            return predictions
        renamed = predictions.assign(class_name=predictions["class_name"].replace(dict(self.merged)))
        is_joined = renamed["class_name"].isin(self.merged.values())
        kept = best_on_each_face(renamed[is_joined], ["file_name", "class_name"])
        return pd.concat([renamed[~is_joined], kept]).sort_index().reset_index(drop=True)


def best_on_each_face(predictions: pd.DataFrame, keys: Sequence[str] = ("file_name",)) -> pd.DataFrame:
    """Return the detections without those that a better one overlaps, as `one_class_per_face` does in one image.

    Args:
        predictions: Columns as `schema.PREDICTIONS`.
        keys: Detections are held against those with equal values of these columns.

    Returns:
        Some of the rows, in their order and with their index.
    """
    boxes, scores = predictions[BOX_COLUMNS].to_numpy(np.float32), predictions["score"].to_numpy()  # (N, 4), (N,)
    kept = [np.empty(0, np.int64)]
    for rows in predictions.groupby(list(keys), sort=False).indices.values():
        best_first = rows[np.argsort(-scores[rows], kind="stable")]  # (n,)
        kept.append(best_first[suppress(boxes[best_first], SAME_FACE_IOU, len(rows))])
    return predictions.iloc[np.sort(np.concatenate(kept))]


def check_model_classes(class_names: Sequence[str]) -> None:
    """Refuse a model whose classes the tables do not know.

    Raises:
        ValueError: Names the classes.
    """
    unknown = [name for name in class_names if name not in CLASS_NAMES]
    if unknown:
        raise ValueError(f"expected a model of the classes {', '.join(CLASS_NAMES)}, got {', '.join(unknown)}")


def plan_classes(
    labelled: LabelledSet,
    model_classes: Sequence[str],
    renames: Sequence[str] = (),
    drops: Sequence[str] = (),
    merges: Sequence[str] = (),
) -> ClassPlan:
    """Return how the classes of a set and of a model go together.

    A class of the set that is called as one of the model's needs no word. A class of the model belongs to the set if
    one of the set's classes, declared or seen, becomes it; `--class NAME=NAME` says so of one that happens to occur
    in no label.

    Args:
        labelled: The set.
        model_classes: In the model's order.
        renames: `OLD=NEW`, from a class as the set writes it to one of the model's.
        drops: Classes of the set; images that show one are left out.
        merges: `OLD=NEW`: detections of a class of the model that the set does not label count as another.

    Raises:
        ValueError: If a class that occurs has no target, or a word is wrong; the message shows the classes of the set
            with their numbers of boxes, and those of the model.
    """
    num_boxes = Counter(box.class_name for image in labelled.images for box in image.boxes)
    present = dict.fromkeys([*labelled.class_names, *num_boxes])
    wanted = parse_renames(renames)
    shown = f"the set holds {_listed(present, num_boxes)}; the model knows {', '.join(model_classes)}"
    for old, new in wanted.items():
        if new not in model_classes:
            raise ValueError(f"--class {old}={new}: expected a class of the model, got {new!r}; {shown}")
        if old not in present and old not in model_classes:
            raise ValueError(f"--class {old}={new}: expected a class of the set, got {old!r}; {shown}")
    for name in drops:
        if name not in present or name in wanted:
            found = "one that --class maps" if name in wanted else "none of it"
            raise ValueError(f"--drop {name}: expected a class of the set, got {found}; {shown}")
    class_map = {name: name for name in present if name in model_classes} | wanted | dict.fromkeys(drops)
    missed = sorted(num_boxes.keys() - class_map.keys())
    if missed:
        raise ValueError(
            f"--class: expected a target for every class of the set, got none for {', '.join(map(repr, missed))}; "
            f"{shown}; map each by --class OLD=NEW, or leave out its images by --drop OLD"
        )
    targets = set(class_map.values())
    known = tuple(name for name in model_classes if name in targets)
    merged = _parsed_merges(merges, known, model_classes)
    left_out = tuple(name for name in model_classes if name not in known and name not in merged)
    return ClassPlan(class_map, known, merged, left_out)


def _listed(present: Mapping[str, None], num_boxes: Mapping[str, int]) -> str:
    return ", ".join(f"{name!r} ({num_boxes.get(name, 0)} boxes)" for name in present) or "no class"


def _parsed_merges(merges: Sequence[str], known: Sequence[str], model_classes: Sequence[str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for text in merges:
        old, _, new = (part.strip() for part in text.partition("="))
        if old not in model_classes or old in known or old in merged:
            unlabelled = ", ".join(name for name in model_classes if name not in known) or "none"
            raise ValueError(
                f"--merge {text}: expected OLD=NEW with a class of the model that the set does not label "
                f"({unlabelled}), each once, got {old!r}"
            )
        if new not in known:
            raise ValueError(f"--merge {text}: expected a class of the set ({', '.join(known)}), got {new!r}")
        merged[old] = new
    return merged
