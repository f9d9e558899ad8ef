"""Stage `classify`: train a classifier of face crops once a part and judge each face by the one that held it out."""

from pathlib import Path, PurePosixPath

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from maskdet.data.crops import INDEX_FILE, PIXELS_FILE, CropStore
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.memory import keep_freed_memory
from maskdet.training.crop_data import FaceCrops
from maskdet.training.cross_fit import SPEED_SETTINGS, CrossFitPaths, cross_fit, summarize
from maskdet.training.resume import run_key

CODE = (
    "boxes.py",
    "schema.py",
    "data/crops.py",
    "data/image.py",
    "data/sampling.py",
    "models/classifiers.py",
    "models/face_detectors/weight_files.py",
    "models/imagenet.py",
    "models/mobilenet_weights.py",
    "training/callbacks.py",
    "training/classification.py",
    "training/crop_augment.py",
    "training/crop_data.py",
    "training/cross_fit.py",
    "training/optimization.py",
)
"""What decides the weights: after an edit there an interrupted run starts anew."""

OUTPUT_ROOT, HISTORY_DIR = PurePosixPath("build/classify"), "reports/two_phase/history"


def run(cfg: DictConfig, workspace: Workspace) -> float:
    """Train and judge.

    Writes `<output>/predictions.parquet`, the weights in `build/classifiers/<name>/` and the history
    `reports/two_phase/history/<name>.csv`; the name is made of the output's folders.

    Args:
        cfg: The whole config; reads `classifier`, `classify` and `logger`.
        workspace: Holds the stores of crops that `classify.crops` and `classify.overlays` name.

    Returns:
        Balanced accuracy of all judged faces, for sweeps.

    Raises:
        FileNotFoundError: If a store is missing.
        ValueError: If a setting is out of range or settings do not fit together.
    """
    keep_freed_memory()
    options = cfg.classify
    stores = {folder: workspace.input(folder) for folder in (options.crops, options.overlays) if folder}
    faces = FaceCrops(
        CropStore.open(stores[options.crops]),
        options.protocol,
        options.seed,
        overlays=CropStore.open(stores[options.overlays]) if options.overlays else None,
        overlay_classes=options.overlay_classes,
        overlay_limit=options.overlay_limit,
    )
    output = output_folder(cfg)
    predictions = cross_fit(cfg, faces, _paths(output, _key(cfg, list(stores.values())), workspace))
    metrics = summarize(predictions)
    shown = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in metrics.items())
    Console().print(
        f"{cfg.classifier.name}, {options.protocol}: {len(predictions)} faces held out in "
        f"{len(faces.held_out_parts)} parts: {shown}",
        highlight=False,
        soft_wrap=True,
    )
    return metrics["balanced_accuracy"]


def output_folder(cfg: DictConfig) -> PurePosixPath:
    """Return `classify.output`, else `build/classify/<classifier>/<protocol>`; relative to the project's root.

    Raises:
        ValueError: If it does not lie under `build`.
    """
    chosen = cfg.classify.output
    output = PurePosixPath(chosen) if chosen else OUTPUT_ROOT / cfg.classifier.name / cfg.classify.protocol
    if output.parts[:1] != ("build",) or len(output.parts) < 2 or ".." in output.parts:
        raise ValueError(f"classify.output: expected a folder below build/, got {chosen!r}")
    return output


def _paths(output: PurePosixPath, key: str, workspace: Workspace) -> CrossFitPaths:
    below = output.relative_to(OUTPUT_ROOT if output.is_relative_to(OUTPUT_ROOT) else "build")
    name = "-".join(below.parts)
    return CrossFitPaths(
        predictions_path=workspace.output(f"{output}/predictions.parquet"),
        parts_dir=workspace.output(f"build/classifiers/{name}"),
        history_path=workspace.output(f"{HISTORY_DIR}/{name}.csv"),
        resume_dir=workspace.output(f"build/resume/{key}/{name}"),
        lock_dir=workspace.output(f"build/locks/classify-{name}"),
        tracking_dir=workspace.output("build/tracking"),
    )


def _key(cfg: DictConfig, stores: list[Path]) -> str:
    """Return a hash of all that decides the result: settings, crops, code."""
    deciding = {key: value for key, value in cfg.classify.items() if key not in SPEED_SETTINGS}
    settings = OmegaConf.create({"classifier": cfg.classifier, "classify": deciding})
    files = [folder / name for folder in stores for name in (INDEX_FILE, PIXELS_FILE)]
    return run_key(settings, ("classifier", "classify"), (), files, CODE)


if __name__ == "__main__":
    stage_main(run)
