"""One exported two-phase model for all tests that need one: CenterFace with a small, random classifier."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from maskdet.inference.two_phase_metadata import TWO_PHASE_KEY, TwoPhaseMetadata
from maskdet.models.classifiers import CropClassifier
from maskdet.models.export.classifier_onnx import export_classifiers
from maskdet.schema import CLASS_NAMES
from training_world import CONF

CROP_SIZE = 24


@functools.cache
def crop_classifier() -> CropClassifier:
    """Return random weights whose probabilities differ from crop to crop."""
    torch.manual_seed(0)
    classifier = CropClassifier("sequential_cnn", 16, hidden=8).eval()
    with torch.no_grad():
        classifier.head[-1].weight.mul_(20)
    return classifier


@functools.cache
def two_phase_metadata() -> TwoPhaseMetadata:
    """Return the committed face detector, small crops, low thresholds."""
    with initialize_config_dir(str(CONF / "face_detector"), version_base="1.3"):
        options = OmegaConf.to_container(compose("centerface"))
    del options["_target_"]
    return TwoPhaseMetadata(
        class_names=CLASS_NAMES,
        crop_margin=0.25,
        crop_size=CROP_SIZE,
        face_detector={"kind": "centerface", "options": options | {"long_side_px": 320}},
        min_face_score=0.3,
        class_weight=0.5,
        score_thresholds={"with_mask": 0.2, "without_mask": 0.3, "mask_weared_incorrect": 0.25},
        details={"licence": "Apache-2.0"},
    )


@functools.cache
def two_phase_path() -> Path:
    """Return the file; the same at each call."""
    folder = Path(tempfile.mkdtemp(prefix="maskdet-two-phase-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    properties = {TWO_PHASE_KEY: two_phase_metadata().to_json()}
    export_classifiers([crop_classifier()], folder / "two_phase.onnx", CROP_SIZE, properties)
    return folder / "two_phase.onnx"
