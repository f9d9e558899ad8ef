"""Stage `folder_crops`: turn a folder-per-class set into a store of crops whose copies share a fold."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from maskdet.data.class_folders import (
    ClassFiles,
    Pictures,
    find_class_folders,
    folder_index,
    read_class_folders,
    read_pictures,
)
from maskdet.data.copies import look_alike_pairs
from maskdet.data.crops import cut_faces, write_crop_store
from maskdet.data.duplicates import connected_groups
from maskdet.data.folds import assign_folds, first_good_folds
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/folder_crops/` and `reports/two_phase/folder_crops.json`; after an error neither is new.

    Args:
        cfg: The whole config; reads `folder_crops`.
        workspace: Where a relative `folder_crops.source` lies and where outputs go.

    Returns:
        The content of the report.

    Raises:
        ValueError: If the set is not found, its folders are not those of the class map, a class is empty, files cannot
            be read and `folder_crops.unreadable` is `stop`, or no split keeps the promises of `folder_crops.split`.
    """
    settings = cfg.folder_crops
    source = find_class_folders(settings.source, settings.archive, workspace.root)
    classes = OmegaConf.to_container(settings.classes)
    with TemporaryDirectory() as scratch:
        files = read_class_folders(source, Path(scratch), classes, settings.max_unpacked_mb)
        pictures = read_pictures(files, settings.unreadable)
        index, report = _dealt(settings, files, pictures)
        write_crop_store(
            workspace.output("build/folder_crops"), cut_faces(index, files.root, 0.0, settings.size), index
        )
    report = {"source": source.name, "size": settings.size} | report
    write_json(report, workspace.output("reports/two_phase/folder_crops.json"))
    Console().print(_summary(report), highlight=False, soft_wrap=True)
    return report


def _dealt(settings: DictConfig, files: ClassFiles, pictures: Pictures) -> tuple[pd.DataFrame, dict]:
    """Return the index of the store and the report on what was found."""
    split, table = settings.split, pictures.table
    pairs = look_alike_pairs(
        table,
        files.root,
        split.max_hash_distance,
        split.min_shared_points,
        settings.max_turn_degrees,
        list(settings.twin_marks),
    )
    groups = connected_groups(len(table), [pair for found in pairs.values() for pair in found])
    folds, seed = first_good_folds(table, table, groups, split)
    by_file = assign_folds(table, table, groups, "kfold", split.num_folds, split.seed)
    report = {
        "num_pictures": len(table),
        "pictures_per_class": _counts(table["class_name"]),
        "left_out": list(files.left_out),
        "unreadable": dict(pictures.unreadable),
        "num_equal_to_an_earlier_one": len(pairs["equal_pixels"]),
        **_group_counts(groups),
        "pairs": _pair_counts(len(table), pairs),
        "share_with_a_copy_in_training": {"grouped": _leak(folds), "by_file": _leak(by_file)},
        "seed_used": seed,
        "folds": [_counts(table["class_name"][(folds["fold"] == fold).to_numpy()]) for fold in range(split.num_folds)],
    }
    return folder_index(table, folds), report


def _counts(class_names: pd.Series) -> dict[str, int]:
    return {name: int(count) for name, count in class_names.value_counts().sort_index().items()}


def _group_counts(groups: np.ndarray) -> dict:
    sizes = pd.Series(np.bincount(groups))
    return {
        "num_groups": len(sizes),
        "num_groups_of_several": int((sizes > 1).sum()),
        "num_pictures_in_groups_of_several": int(sizes[sizes > 1].sum()),
        "group_sizes": {str(size): int(count) for size, count in sizes.value_counts().sort_index().items()},
    }


def _pair_counts(num_pictures: int, pairs: Mapping[str, list[tuple[int, int]]]) -> dict:
    """Return how many pairs each sign found, and how many twins by name the pictures confirm."""
    seen = connected_groups(num_pictures, [pair for sign in pairs if sign != "twin_name" for pair in pairs[sign]])
    confirmed = sum(int(seen[copy] == seen[original]) for copy, original in pairs["twin_name"])
    return {sign: len(found) for sign, found in pairs.items()} | {"twin_name_confirmed": confirmed}


def _leak(folds: pd.DataFrame) -> float:
    """Return the share of pictures that have one of their group in another fold, and so in training."""
    crosses = folds.groupby("group")["fold"].transform("nunique") > 1
    return round(float(crosses.mean()), 4)


def _summary(report: dict) -> str:
    classes = ", ".join(f"{count} {name}" for name, count in report["pictures_per_class"].items())
    leak = report["share_with_a_copy_in_training"]
    text = (
        f"folder_crops: {report['num_pictures']} pictures from {report['source']} ({classes}) in "
        f"{report['num_groups']} groups; {report['num_pictures_in_groups_of_several']} have a copy in the set, which "
        f"a split by file would show in training for {leak['by_file']:.0%} of all, this one for {leak['grouped']:.0%}"
    )
    left_out = [f"{len(report[key])} {key}" for key in ("left_out", "unreadable") if report[key]]
    return text + (f"; {', '.join(left_out)}" if left_out else "")


if __name__ == "__main__":
    stage_main(run)
