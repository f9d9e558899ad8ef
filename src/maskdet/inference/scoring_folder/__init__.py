"""A folder that scores photos by itself: a model, a script of three dependencies, and what to do with them."""

from pathlib import Path
from string import Template

from maskdet.atomic import atomic_folder
from maskdet.inference.metadata import ModelMetadata
from maskdet.inference.runtimes.onnx import OnnxRuntime

MODEL_FILE = "model.onnx"
_COPIED, _FILLED = ("score.py", "requirements.txt"), "README.txt"


def write_scoring_folder(model: Path, folder: Path) -> None:
    """Write a model with the script that runs it.

    Args:
        model: An `.onnx` file of ours, without suppression inside.
        folder: Takes the place of one that is there, as a whole.

    Raises:
        FileNotFoundError: If there is no such model.
        ValueError: If it is none of ours, or the folder holds something else than an earlier scoring folder.
    """
    metadata = OnnxRuntime(model).metadata
    check_scoring_folder(folder)
    templates = Path(__file__).parent
    with atomic_folder(folder) as temporary:
        (temporary / MODEL_FILE).write_bytes(model.read_bytes())
        for name in _COPIED:
            (temporary / name).write_bytes((templates / name).read_bytes())
        text = Template((templates / _FILLED).read_text(encoding="utf-8")).substitute(_facts(metadata))
        (temporary / _FILLED).write_text(text, encoding="utf-8")


def check_scoring_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than an earlier scoring folder.

    Raises:
        ValueError: If it does.
    """
    known = {MODEL_FILE, _FILLED, *_COPIED}
    if folder.exists() and (not folder.is_dir() or {path.name for path in folder.iterdir()} - known):
        raise ValueError(f"{folder}: expected a new folder or an earlier scoring folder, got another one")


def _facts(metadata: ModelMetadata) -> dict[str, str]:
    """Return what the README says of the model."""
    details = metadata.details
    value = details.get("metrics", {}).get("map_50", {}).get("value")
    return {
        "thresholds": ", ".join(f"{name} {metadata.score_thresholds[name]:.2f}" for name in metadata.class_names),
        "framing": metadata.framing_kind,
        "size": str(metadata.size),
        "precision": details.get("export", {}).get("precision", "fp32"),
        "map_50": "not on file" if value is None else f"{value:.3f}",
        "licence": str(details.get("licence", "not on file")),
    }
