"""Stage `train`: fit a detector on all folds but one."""

from omegaconf import DictConfig

from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.fold_tables import read_tables
from maskdet.training.fit import GROUPS, SPEED_SETTINGS, FitPaths, fit_fold
from maskdet.training.resume import run_key

TABLES = ("build/table/images.parquet", "build/table/annotations.parquet", "build/folds.parquet")


def run(cfg: DictConfig, workspace: Workspace) -> float:
    """Train fold `cfg.fold`; return the last validation's mAP, for sweeps; NaN if there was none."""
    tables = read_tables(workspace, cfg.data.name)
    key = run_key(cfg, GROUPS, SPEED_SETTINGS, [workspace.input(path) for path in TABLES])
    paths = FitPaths(
        weights_dir=workspace.output(f"build/train/{cfg.fold}"),
        history_path=workspace.output(f"reports/history/{cfg.fold}.csv"),
        resume_dir=workspace.output(f"build/resume/{key}/{cfg.fold}"),
        lock_dir=workspace.output(f"build/locks/{cfg.fold}"),
        tracking_dir=workspace.output("build/tracking"),
    )
    return fit_fold(cfg, tables, paths).get("val/map", float("nan"))


if __name__ == "__main__":
    stage_main(run)
