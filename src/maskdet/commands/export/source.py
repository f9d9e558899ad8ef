"""What is exported: a trained detector with what is known of it, from a training's folder or a release's weights."""

import json
from dataclasses import dataclass, replace
from importlib.metadata import metadata as package_metadata
from pathlib import Path
from typing import Any

import maskdet
from maskdet.inference.metadata import ModelMetadata
from maskdet.inference.runtime import shipped_model_path
from maskdet.inference.runtimes.pytorch import TorchRuntime
from maskdet.models.efficientdet import EfficientDetector
from maskdet.reporting.facts import git_revision

DETAILS_FILE = "details.json"
"""Beside a training's folder: score thresholds and whatever a release says of itself, see `stages.release_details`."""


@dataclass(frozen=True)
class ExportSource:
    """A detector to export.

    Attributes:
        name: What its files are called, without size and precision; models of two folds have two names.
        detector: In eval mode, on the CPU.
        metadata: What the files will say of it, but for their precision.
        fold: The fold that it has not seen; None: it was trained on every image, or nobody knows.
        own_size: Side of the input in pixels that thresholds and metrics on file are of.
    """

    name: str
    detector: EfficientDetector
    metadata: ModelMetadata
    fold: int | None
    own_size: int


def open_source(model: Path | None, image_size: int | None = None) -> ExportSource:
    """Load a detector and gather what is known of it.

    Args:
        model: A folder that `train` wrote, or a release's `.safetensors`; None: the one that the package ships.
        image_size: Side of the input in pixels; None: as the model says.

    Raises:
        FileNotFoundError: If there is no such model, or the package ships none.
        ValueError: If it is of another kind, or the size is no multiple of the detector's stride.
    """
    path = shipped_model_path().with_suffix(".safetensors") if model is None else model
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected a folder of `train` or a .safetensors file, found none")
    if not path.is_dir() and path.suffix.lower() != ".safetensors":
        raise ValueError(f"{path}: expected a folder of `train` or a .safetensors file, got another file")
    runtime = TorchRuntime(path, device="cpu")
    metadata, detector = runtime.metadata, runtime._detector
    size = metadata.size if image_size is None else image_size
    if size < 1 or size % detector.stride:
        raise ValueError(f"--size: expected a multiple of {detector.stride} pixels, got {size}")
    if size != metadata.size:
        print(f"note: the model's own size is {metadata.size} px: thresholds and metrics on file are of that size")
    config = metadata.details.get("config", {})
    known = _gather(config) | dict(metadata.details) | _read_details(path)
    thresholds = known.pop("score_thresholds", metadata.score_thresholds)
    own_size, fold = metadata.size, config.get("fold")
    metadata = replace(metadata, size=size, score_thresholds=thresholds, details=known)
    name = config["model"]["architecture"] + ("" if fold is None else f"-fold{fold}") if path.is_dir() else path.stem
    return ExportSource(name, detector, metadata, fold, own_size)


def precision_details(source: ExportSource, file_format: str, precision: str, **more: Any) -> ModelMetadata:
    """Return the metadata of one file: that of the source, and under `export` how the file was made.

    Thresholds and metrics stay those of the model's own size; where the file has another, `metrics_at_size` says so.
    """
    export = {"format": file_format, "precision": precision, **more}
    if source.own_size != source.metadata.size:
        export["metrics_at_size"] = source.own_size
    return replace(source.metadata, details={**source.metadata.details, "export": export})


def _gather(config: dict) -> dict[str, Any]:
    """Return licence, code and data: what the model's own file may know better."""
    package = package_metadata("maskdet")
    code = {"package": package["Name"], "version": package["Version"]}
    checkout = Path(maskdet.__file__).parents[2]
    revision = git_revision(checkout) if (checkout / ".git").exists() else None
    return {
        "licence": package["License-Expression"] or package["License"],
        "code": code | ({"revision": revision} if revision else {}),
        **({"data": config["data"]} if "data" in config else {}),
    }


def _read_details(path: Path) -> dict[str, Any]:
    """Return what a release has on file beside the folder of its training; nothing for other models."""
    file = path.parent / DETAILS_FILE
    if not path.is_dir() or not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: expected a JSON object, got {error}") from error
