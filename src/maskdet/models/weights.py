"""Weights with the config that they belong to: two files that load without the code that trained them."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from maskdet.atomic import atomic_file
from maskdet.models.efficientdet import EfficientDetector

WEIGHTS_FILE, CONFIG_FILE = "weights.safetensors", "model.json"


def save_weights(state: dict[str, torch.Tensor], settings: dict, folder: Path) -> None:
    """Write a detector's tensors and settings.

    Args:
        state: `EfficientDetector.state_dict()`.
        settings: Plain values; `settings["model"]` holds the constructor's arguments.
        folder: Written to: `weights.safetensors`, `model.json`.
    """
    with atomic_file(folder / WEIGHTS_FILE) as temporary:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}, temporary)
    with atomic_file(folder / CONFIG_FILE) as temporary:
        temporary.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def save_half_weights(state: dict[str, torch.Tensor], path: Path, properties: dict[str, str]) -> None:
    """Write a detector's tensors in half precision, to fine-tune from: half the size, two to three digits fewer.

    Integer tensors stay as they are. Loading them into a detector turns halves back into its own type.

    Args:
        state: `EfficientDetector.state_dict()`.
        path: The `.safetensors` file.
        properties: Written into the file's metadata.

    Raises:
        ValueError: If a value is too large for half precision, 65,504, or not finite; nothing is written then.
    """
    halves = {}
    for name, tensor in state.items():
        half = tensor.detach().cpu().contiguous()
        half = half.half() if half.is_floating_point() else half
        if half.is_floating_point() and not half.isfinite().all():
            raise ValueError(f"{name}: expected finite values up to 65504, got one up to {tensor.abs().max()}")
        halves[name] = half
    with atomic_file(path) as temporary:
        save_file(halves, temporary, metadata=properties)


def load_settings(folder: Path) -> dict:
    """Return what `save_weights` wrote beside the tensors.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If the settings are no JSON.
    """
    path = folder / CONFIG_FILE
    if not path.is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise FileNotFoundError(f"{folder}: expected {WEIGHTS_FILE} and {CONFIG_FILE}; train this fold first")
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: expected JSON, got {error}") from error


def load_detector(folder: Path, detect: dict) -> EfficientDetector:
    """Return the trained detector in eval mode, on the CPU.

    Args:
        folder: As written by `save_weights`.
        detect: Thresholds and limits to detect with; they may differ from those of the training.

    Raises:
        FileNotFoundError: If a file is absent.
        ValueError: If the tensors cannot be read or do not fit the settings.
    """
    settings = load_settings(folder)["model"] | {"pretrained": "none", "detect": detect}
    detector = EfficientDetector(**settings)
    try:
        detector.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (RuntimeError, OSError, SafetensorError) as error:
        raise ValueError(
            f"{folder / WEIGHTS_FILE}: expected weights for {settings['architecture']}, got {error}"
        ) from error
    return detector.eval().to(memory_format=torch.channels_last)
