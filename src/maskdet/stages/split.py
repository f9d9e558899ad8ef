"""Stage `split`: group look-alike images and deal the images into folds."""

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from maskdet.data.duplicates import find_groups, join_series
from maskdet.data.folds import class_counts, class_shares, first_good_folds, share_gaps
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, read_table, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/folds.parquet` and `reports/data/folds.json`; after an error neither is new.

    Args:
        cfg: The whole config; reads `split` and `data.series_wh`.
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
    paths = [workspace.input("build/raw/images") / name for name in images["file_name"]]
    groups = find_groups(paths, split.max_hash_distance, split.min_shared_points)
    groups = join_series(groups, images[["width", "height"]].to_numpy(), cfg.data.series_wh)
    folds, seed = first_good_folds(images, annotations, groups, split)
    report = _report(folds, annotations, split) | {"seed_used": seed}
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
        "num_groups_across_folds": int((folds.groupby("group")["fold"].nunique() > 1).sum()),
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


def _summary(report: dict) -> str:
    sizes = ", ".join(str(fold["num_images"]) for fold in report["folds"])
    return (
        f"split: {report['num_images']} images in {report['num_groups']} groups, {report['num_groups_of_several']} of "
        f"several images ({report['num_groups_across_folds']} of them across folds); folds of {sizes} images; "
        f"class shares at most {report['largest_class_share_gap']:.3f} off"
    )


if __name__ == "__main__":
    stage_main(run)
