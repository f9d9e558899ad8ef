"""Stage `split`: group look-alike images and deal the images into folds."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from maskdet.data.composite_origins import originals_of_copies, read_origins
from maskdet.data.duplicates import find_groups, join_series
from maskdet.data.folds import (
    ROLE_COPY,
    ROLE_TEST,
    add_copies,
    class_counts,
    class_shares,
    first_good_folds,
    share_gaps,
)
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/folds.parquet` and `reports/data/folds.json`; after an error neither is new.

    Turned copies are dealt with their originals, and counted in nothing but `num_copies`.

    Args:
        cfg: The whole config; reads `split` and `data.series_wh`, of a composite that of each source.
        workspace: Where inputs lie and outputs go.

    Returns:
        The content of the report.

    Raises:
        ValueError: If a setting is out of range or the split misses what `split` promises.
        FileNotFoundError: If a table or an image is absent.
    """
    split = cfg.split
    _check_train_folds(split)
    images = read_table(workspace.input("build/table/images.parquet"), IMAGES)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    raw_dir = workspace.input("build/raw")
    original_of = originals_of_copies(read_origins(raw_dir))
    originals = images[~images["file_name"].isin(list(original_of))].reset_index(drop=True)
    faces = annotations[annotations["file_name"].isin(originals["file_name"])]
    paths = [raw_dir / "images" / name for name in originals["file_name"]]
    groups = find_groups(paths, split.max_hash_distance, split.min_shared_points)
    groups = _join_all_series(groups, originals, cfg.data)
    dealt, seed = first_good_folds(originals, faces, groups, split)
    folds = add_copies(dealt, images["file_name"], original_of)
    report = _report(dealt, faces, split) | _more_of_several(folds, originals, faces) | {"seed_used": seed}
    write_table(folds, workspace.output("build/folds.parquet"), FOLDS)
    write_json(report, workspace.output("reports/data/folds.json"))
    Console().print(_summary(report), highlight=False, soft_wrap=True)
    return report


def _check_train_folds(split: DictConfig) -> None:
    outside = [fold for fold in split.train_folds if not 0 <= fold < split.num_folds]
    if outside or not split.train_folds:
        raise ValueError(
            f"split.train_folds: expected folds from 0 to {split.num_folds - 1} (split.num_folds - 1), "
            f"got {list(split.train_folds)}"
        )


def _join_all_series(groups: np.ndarray, images: pd.DataFrame, data: DictConfig) -> np.ndarray:
    """Join the series of the set; of a composite that of each source among its images alone."""
    sizes_wh = images[["width", "height"]].to_numpy()  # (N, 2)
    if "sources" not in data:
        return join_series(groups, sizes_wh, data.series_wh)
    for name, settings in sorted(data.sources.items()):
        is_of_source = (images["source"] == name).to_numpy()[:, None]  # (N, 1)
        groups = join_series(groups, np.where(is_of_source, sizes_wh, 0), settings.get("series_wh"))
    return groups


def _report(folds: pd.DataFrame, annotations: pd.DataFrame, split: DictConfig) -> dict:
    sizes = folds["group"].value_counts()
    counts = class_counts(folds, annotations, split.num_folds)
    shares = class_shares(folds, annotations, split.num_folds)
    members = folds.groupby("group", sort=True)["file_name"].apply(list)
    return {
        "strategy": split.strategy,
        "seed": split.seed,
        "num_images": len(folds),
        "num_groups": len(sizes),
        "num_groups_of_several": int((sizes > 1).sum()),
        "num_images_in_groups_of_several": int(sizes[sizes > 1].sum()),
        "group_sizes": {str(size): int(count) for size, count in sizes.value_counts().sort_index().items()},
        "num_groups_across_folds": _num_groups_across(folds[folds["split_role"] != ROLE_TEST]),
        "largest_class_share_gap": round(float(share_gaps(folds, annotations, split.num_folds).to_numpy().max()), 4),
        "folds": [
            {
                "fold": fold,
                "num_images": int((folds["fold"] == fold).sum()),
                "faces_per_class": {name: int(count) for name, count in counts.loc[fold].items()},
                "class_shares": {name: round(float(share), 4) for name, share in shares.loc[fold].items()},
            }
            for fold in range(split.num_folds)
        ],
        "groups_of_several": [files for files in members if len(files) > 1],
    }


def _num_groups_across(rows: pd.DataFrame, parts: str = "fold") -> int:
    return int((rows.groupby("group")[parts].nunique() > 1).sum())


def _more_of_several(folds: pd.DataFrame, originals: pd.DataFrame, annotations: pd.DataFrame) -> dict:
    """Return what there is to say of sources, of images in no fold, and of copies; of a plain set nothing."""
    more = {}
    dealt = folds[folds["split_role"] != ROLE_COPY].merge(originals[["file_name", "source"]], on="file_name")
    if dealt["source"].nunique() > 1:
        in_folds = dealt[dealt["split_role"] != ROLE_TEST]
        more["images_per_source"] = {
            str(fold): _counts(in_folds.loc[in_folds["fold"] == fold, "source"])
            for fold in sorted(set(in_folds["fold"]))
        }
        more["num_groups_across_sources"] = _num_groups_across(dealt, "source")
    in_none = dealt[dealt["split_role"] == ROLE_TEST]
    if len(in_none):
        faces = annotations.loc[annotations["file_name"].isin(in_none["file_name"]), "class_name"]
        more["in_no_fold"] = {
            "num_images": len(in_none),
            "images_per_source": _counts(in_none["source"]),
            "faces_per_class": _counts(faces),
        }
    num_copies = int((folds["split_role"] == ROLE_COPY).sum())
    return more | ({"num_copies": num_copies} if num_copies else {})


def _counts(values: pd.Series) -> Mapping[str, int]:
    return {str(value): int(count) for value, count in values.value_counts().sort_index().items()}


def _summary(report: dict) -> str:
    sizes = ", ".join(str(fold["num_images"]) for fold in report["folds"])
    text = (
        f"split: {report['num_images']} images in {report['num_groups']} groups, {report['num_groups_of_several']} of "
        f"several images ({report['num_groups_across_folds']} of them across folds); folds of {sizes} images; "
        f"class shares at most {report['largest_class_share_gap']:.3f} off"
    )
    if "num_groups_across_sources" in report:
        text += f"; {report['num_groups_across_sources']} groups across sources"
    if "in_no_fold" in report:
        parts = ", ".join(f"{count} of {name}" for name, count in report["in_no_fold"]["images_per_source"].items())
        text += f"; in no fold: {report['in_no_fold']['num_images']} images ({parts})"
    if "num_copies" in report:
        text += f"; {report['num_copies']} turned copies with their originals, to train on alone"
    return text


if __name__ == "__main__":
    stage_main(run)
