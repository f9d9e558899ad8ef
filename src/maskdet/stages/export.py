"""Stage `export`: a trained model as the files that a release ships.

Reads `build/release/train/` (weights as `train` writes them), `cfg.predict` (framing, limits of the suppression) and,
where it exists, `build/release/details.json`: score thresholds by class, and whatever the model should say of itself
(metrics with intervals, data, licence, …). Writes `build/release/reference.{onnx,safetensors,json}`.
"""

import json
from importlib.metadata import metadata as package_metadata
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from maskdet.atomic import atomic_file
from maskdet.data.framing import Letterbox, Stretch
from maskdet.data.sample.scenes import draw_scene
from maskdet.inference.metadata import FRAMINGS, METADATA_KEY, DetectOptions, ModelMetadata
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.export.detector_onnx import Differences, export_onnx, largest_differences
from maskdet.models.weights import load_detector, load_settings, save_half_weights
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json

WEIGHTS_DIR, DETAILS_FILE, RELEASE = "build/release/train", "build/release/details.json", "build/release/reference"

MAX_DIFFERENCES = Differences(box_px=0.5, score=1e-3)
"""A file that is farther from torch is not released."""

_NUM_PROBES = 3  # drawn scenes, and as many images of noise


def run(cfg: DictConfig, workspace: Workspace) -> Differences:
    """Write the model as ONNX and as half-precision weights, each with its metadata, and the metadata as JSON.

    Args:
        cfg: Reads `predict` and, where `details.json` names no thresholds, `evaluate.score_threshold`.
        workspace: Holds `build/release/`.

    Returns:
        How far the ONNX file is from torch on drawn scenes and noise.

    Raises:
        FileNotFoundError: If the weights are absent.
        ValueError: If settings, details or framing are unfit, or the file is too far from torch; nothing is written.
    """
    weights_dir = workspace.input(WEIGHTS_DIR)
    settings = load_settings(weights_dir)
    detector = load_detector(weights_dir, OmegaConf.to_container(cfg.predict.detect))
    metadata = _metadata(cfg, settings, _read_details(workspace.input(DETAILS_FILE)))
    properties = {METADATA_KEY: metadata.to_json()}
    onnx_path = workspace.output(f"{RELEASE}.onnx")
    with atomic_file(onnx_path) as temporary:
        export_onnx(detector, temporary, metadata.size, properties)
        differences = _compare(detector, temporary, metadata.framing)
    save_half_weights(detector.state_dict(), workspace.output(f"{RELEASE}.safetensors"), properties)
    write_json(metadata.to_record(), workspace.output(f"{RELEASE}.json"))
    print(f"{onnx_path.name}: {onnx_path.stat().st_size / 1e6:.1f} MB, input {metadata.size} px")
    print(f"torch and ONNX differ by at most {differences.box_px:.2g} px and {differences.score:.2g} in score")
    return differences


def _metadata(cfg: DictConfig, settings: dict, details: dict) -> ModelMetadata:
    """Put together what is known of the model; details on file replace what is gathered here."""
    names = tuple(settings["class_names"])
    framing = instantiate(cfg.predict.framing)
    kinds = [kind for kind, framing_class in FRAMINGS.items() if type(framing) is framing_class]
    if not kinds:
        raise ValueError(f"predict.framing: expected one of {sorted(FRAMINGS)}, got {cfg.predict.framing._target_}")
    package = package_metadata("maskdet")
    gathered = {
        "licence": package["License-Expression"] or package["License"],
        "code": {"package": package["Name"], "version": package["Version"]},
        "data": settings.get("data", {"name": cfg.data.name}),
        "config": settings,
    }
    thresholds = details.get("score_thresholds", dict.fromkeys(names, cfg.evaluate.score_threshold))
    free = {key: value for key, value in details.items() if key != "score_thresholds"}
    return ModelMetadata(
        class_names=names,
        framing_kind=kinds[0],
        size=framing.size,
        detect=DetectOptions(**cfg.predict.detect),
        score_thresholds=thresholds,
        details=gathered | free,
    )


def _read_details(path: Path) -> dict:
    """Return the details that a release has on file; empty where there is no file."""
    if not path.is_file():
        print(f"note: no {path.name}: every class gets the threshold evaluate.score_threshold, no metrics are noted")
        return {}
    try:
        details = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error
    if not isinstance(details, dict):
        raise ValueError(f"{path}: expected a JSON object, got {type(details).__name__}")
    return details


def _compare(detector: EfficientDetector, path: Path, framing: Letterbox | Stretch) -> Differences:
    """Return the largest differences on drawn scenes and noise, image by image, or refuse the file."""
    noise = np.random.default_rng(0).integers(0, 256, (_NUM_PROBES, framing.size, framing.size, 3), dtype=np.uint8)
    scenes = [draw_scene(0, index).image for index in range(_NUM_PROBES)]
    found = []
    for image in [*scenes, *noise]:
        pixels = framing.frame((image.shape[1], image.shape[0])).apply(image).transpose(2, 0, 1)  # (3, S, S)
        found.append(largest_differences(detector, path, np.ascontiguousarray(pixels[None])))
    worst = Differences(max(one.box_px for one in found), max(one.score for one in found))
    if worst.box_px > MAX_DIFFERENCES.box_px or worst.score > MAX_DIFFERENCES.score:
        raise ValueError(f"expected an ONNX file within {MAX_DIFFERENCES} of torch, got {worst}")
    return worst


if __name__ == "__main__":
    stage_main(run)
