"""Stage `crops`: cut every annotated face from its photo into an indexed store."""

import pandas as pd
from omegaconf import DictConfig
from rich.console import Console

from maskdet.data.crops import cut_faces, face_index, write_crop_store
from maskdet.schema import ANNOTATIONS, CLASS_NAMES, FOLDS, read_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `build/crops/` and `reports/two_phase/crops.json`; after an error neither is new.

    Args:
        cfg: The whole config; reads `crops`.
        workspace: Holds `build/raw/images/`, `build/table/annotations.parquet` and `build/folds.parquet`.

    Returns:
        The content of the report.

    Raises:
        FileNotFoundError: If a table or a photo is missing.
        ValueError: If there is no face, a photo has no fold or cannot be read, or a face lies outside its photo.
    """
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    if annotations.empty:
        raise ValueError("build/table/annotations.parquet: expected faces to cut, got a table without rows")
    index = face_index(annotations, read_table(workspace.input("build/folds.parquet"), FOLDS))
    pixels = cut_faces(index, workspace.input("build/raw/images"), cfg.crops.margin, cfg.crops.size)
    write_crop_store(workspace.output("build/crops"), pixels, index)
    report = _report(cfg.crops, index)
    write_json(report, workspace.output("reports/two_phase/crops.json"))
    classes = ", ".join(f"{count} {name}" for name, count in report["faces_per_class"].items())
    Console().print(
        f"crops: {report['num_crops']} faces of {report['num_photos']} photos at {cfg.crops.size} px: {classes}; "
        f"{report['share_enlarged']:.0%} of them enlarged",
        highlight=False,
        soft_wrap=True,
    )
    return report


def _report(crops: DictConfig, index: pd.DataFrame) -> dict:
    widths, heights = index["x_max"] - index["x_min"], index["y_max"] - index["y_min"]
    longer = widths.combine(heights, max)  # (N,) px
    counts = index["class_name"].value_counts().reindex(list(CLASS_NAMES), fill_value=0)
    return {
        "margin": float(crops.margin),
        "size": int(crops.size),
        "num_crops": len(index),
        "num_photos": int(index["file_name"].nunique()),
        "faces_per_class": {name: int(count) for name, count in counts.items()},
        "median_longer_side_px": float(longer.median()),
        "share_enlarged": round(float((longer * (1 + 2 * crops.margin) < crops.size).mean()), 4),
    }


if __name__ == "__main__":
    stage_main(run)
