"""Stage `train`: fit a detector on all folds but one, or, with `fold=null`, the one to ship on all of them."""

from omegaconf import DictConfig

from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.fold_tables import read_tables
from maskdet.stages.memory import keep_freed_memory
from maskdet.training.fit import GROUPS, SPEED_SETTINGS, FitPaths, fit_fold
from maskdet.training.resume import run_key

CODE = (
    "boxes.py",
    "nms.py",
    "schema.py",
    "data/augment.py",
    "data/datamodule.py",
    "data/dataset.py",
    "data/framing.py",
    "data/image.py",
    "data/mixing.py",
    "data/sampling.py",
    "models/assignment.py",
    "models/efficientdet.py",
    "models/imagenet.py",
    "models/losses.py",
    "models/weights.py",
    "training/callbacks.py",
    "training/fit.py",
    "training/module.py",
    "training/optimization.py",
    "training/prediction.py",
)
"""What decides the weights: after an edit there an interrupted training starts anew."""

TABLES = ("build/table/images.parquet", "build/table/annotations.parquet", "build/folds.parquet")


def run(cfg: DictConfig, workspace: Workspace) -> float:
    """Train fold `cfg.fold`; return the last validation's mAP, for sweeps; NaN if there was none."""
    keep_freed_memory()
    shipped = cfg.fold is None
    name = "all" if shipped else str(cfg.fold)
    tables = read_tables(workspace, cfg.data.name)
    key = run_key(cfg, GROUPS, SPEED_SETTINGS, [workspace.input(path) for path in TABLES], CODE)
    paths = FitPaths(
        weights_dir=workspace.output("build/release/train" if shipped else f"build/train/{name}"),
        history_path=workspace.output("build/release/history.csv" if shipped else f"reports/history/{name}.csv"),
        resume_dir=workspace.output(f"build/resume/{key}/{name}"),
        lock_dir=workspace.output(f"build/locks/{name}"),
        tracking_dir=workspace.output("build/tracking"),
    )
    return fit_fold(cfg, tables, paths).get("val/map", float("nan"))


if __name__ == "__main__":
    stage_main(run)
