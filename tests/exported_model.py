"""One exported model for all tests that need one: the stage `export` runs once a session, as it takes its time."""

import atexit
import functools
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from maskdet.data.sample.scenes import draw_scene
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.export.detector_onnx import Differences
from maskdet.models.weights import load_detector, save_weights
from maskdet.schema import CLASS_NAMES
from maskdet.stages import export
from maskdet.stages.entry import Workspace
from training_world import compose_config

SIZE = 128
SCORE_THRESHOLDS = {"with_mask": 0.3, "without_mask": 0.4, "mask_weared_incorrect": 0.25}
DETAILS = {"score_thresholds": SCORE_THRESHOLDS, "metrics": {"map_50": {"value": 0.5, "interval": [0.4, 0.6]}}}


@dataclass(frozen=True)
class Release:
    """A detector in torch, what the stage `export` made of it, and what the stage returned."""

    detector: EfficientDetector
    folder: Path
    differences: Differences

    @property
    def onnx_path(self) -> Path:
        return self.folder / "reference.onnx"


def release_config() -> DictConfig:
    """Return the committed config with a small input."""
    return compose_config("model.pretrained=none", f"predict.framing.size={SIZE}")


def model_settings(cfg: DictConfig) -> dict:
    """Return the constructor's arguments as a training writes them into `model.json`."""
    model = OmegaConf.to_container(cfg.model)
    del model["_target_"]
    return model | {"num_classes": len(CLASS_NAMES), "detect": OmegaConf.to_container(cfg.predict.detect)}


def outspoken_detector(settings: dict) -> EfficientDetector:
    """Return random weights whose scores spread over (0, 1), as those of a trained detector do; fresh ones say 0.01."""
    torch.manual_seed(0)
    detector = EfficientDetector(**settings).eval()
    image = torch.from_numpy(draw_scene(0, 1).image[:SIZE, :SIZE].transpose(2, 0, 1).copy())[None]
    with torch.no_grad():
        logits = torch.cat([level.flatten() for level in detector(image)[0]])
        for name, parameter in detector.network.class_net.predict.named_parameters():
            if name.endswith("weight"):
                parameter.mul_(1.3 / logits.std())
                break
    return detector


@functools.cache
def released() -> Release:
    """Train nothing, write weights as `train` does, and run the stage; the same release at each call."""
    root = Path(tempfile.mkdtemp(prefix="maskdet-release-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    cfg = release_config()
    validation = OmegaConf.to_container(cfg.trainer.validation) | {
        "framing": OmegaConf.to_container(cfg.predict.framing)
    }
    settings = {
        "model": model_settings(cfg),
        "class_names": list(CLASS_NAMES),
        "seed": 0,
        "training": {"trainer": {"validation": validation}},
    }
    weights_dir = root / export.WEIGHTS_DIR
    save_weights(outspoken_detector(settings["model"]).state_dict(), settings, weights_dir)
    (root / export.DETAILS_FILE).write_text(json.dumps(DETAILS))
    differences = export.run(cfg, Workspace(root, root))
    detector = load_detector(weights_dir, OmegaConf.to_container(cfg.predict.detect))
    return Release(detector, root / "build/release", differences)


def scene_images(num: int) -> list[np.ndarray]:
    """Return drawn scenes of unequal sizes, (H, W, 3) uint8."""
    return [draw_scene(0, index).image for index in range(num)]
