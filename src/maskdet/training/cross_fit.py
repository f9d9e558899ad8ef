"""Train a classifier of crops once a part, so that each face is judged by a network that has not seen it.

Parts that are done lie in a folder outside the outputs, and a run that was killed goes on with the next part.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from sklearn.metrics import accuracy_score, f1_score, recall_score

from maskdet.atomic import atomic_file, atomic_folder
from maskdet.models.classifiers import save_classifier
from maskdet.reporting.contact_sheet import contact_sheet, write_contact_sheet
from maskdet.reporting.machine import machine_text
from maskdet.reporting.wandb_content import log_files, log_pictures, log_summary
from maskdet.schema import CLASS_NAMES, CROP_PREDICTIONS, GROUPED, PROBABILITY_COLUMNS, validate, write_table
from maskdet.training.classification import PartResult, augmented_examples, cached_features, fit_part
from maskdet.training.crop_data import FaceCrops
from maskdet.training.part_tracking import open_part_tracker
from maskdet.training.resume import forget, only_one_process

if TYPE_CHECKING:
    import wandb

SHEET_FILE = "augmented.jpg"
_SHEET_CROPS, _SHEET_COLUMNS, _SHEET_CELL_PX = 24, 8, 300

SPEED_SETTINGS = ("accelerator", "num_workers", "evaluation_batch_size", "output")
"""Keys of `classify` that decide nothing of a result."""


@dataclass(frozen=True)
class CrossFitPaths:
    """Where a cross-fit writes.

    Attributes:
        predictions_path: The table of judged faces.
        parts_dir: Gets `augmented.jpg`, a sheet of training crops, and of the protocol `grouped` the weights of each
            part, `<part>.safetensors` with `<part>.json`.
        history_path: A row a part and epoch.
        resume_dir: Parts that are done and cached features, until all have succeeded.
        lock_dir: Held meanwhile, whatever the parameters.
        tracking_dir: Run folders of W&B or TensorBoard.
    """

    predictions_path: Path
    parts_dir: Path
    history_path: Path
    resume_dir: Path
    lock_dir: Path
    tracking_dir: Path


def cross_fit(cfg: DictConfig, faces: FaceCrops, paths: CrossFitPaths) -> pd.DataFrame:
    """Train every part that is not done yet and write what each says of the faces that it held out.

    Args:
        cfg: The composed config; reads `classifier`, `classify`, `logger`.
        faces: Dealt into parts.
        paths: Where to write; outputs appear when every part is done.

    Returns:
        Table `crop_predictions`: every face that a part holds out, in the order of the faces.

    Raises:
        ValueError: If the config does not fit together, or another process does the same.
        FloatingPointError: If a loss stops being finite.
    """
    name = f"{cfg.classifier.name}-{cfg.classify.protocol}"
    done = _DoneParts(paths.resume_dir / "parts")
    with only_one_process(paths.lock_dir), open_part_tracker(cfg, name, paths.tracking_dir) as tracker:
        _show_examples(cfg, faces, paths.resume_dir / SHEET_FILE, tracker.run)
        features = cached_features(cfg, faces, paths.resume_dir / "features.npy")
        for part in faces.held_out_parts:
            if done.has(part):
                print(f"part {part}: taken from {done.folder}", flush=True)
                tracker.replay(part, done.history(part).to_dict("records"))
            else:
                result = fit_part(cfg, faces, part, features, tracker.loggers(part), done.history_path(part))
                done.keep(part, result, _facts(cfg, part, result))
        predictions = _collect(faces, done)
        _publish(cfg, faces, predictions, done, paths)
        log_summary(tracker.run, {"val": summarize(predictions)})
        log_files(tracker.run, name, "model", [paths.predictions_path, paths.parts_dir])
    forget(paths.resume_dir)
    return predictions


def summarize(predictions: pd.DataFrame) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1, in [0, 1]; means run over the classes that occur.

    Args:
        predictions: Columns as `schema.CROP_PREDICTIONS`, at least one row.
    """
    truth = predictions["class_name"].to_numpy(str)  # (N,)
    called = np.array(CLASS_NAMES)[predictions[PROBABILITY_COLUMNS].to_numpy().argmax(1)]  # (N,)
    means = {"labels": sorted(set(truth)), "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(truth, called)),
        "balanced_accuracy": float(recall_score(truth, called, **means)),
        "macro_f1": float(f1_score(truth, called, **means)),
    }


class _DoneParts:
    """Parts that are trained; the probabilities are written last and say that a part is done.

    Args:
        folder: Outside the outputs, which DVC deletes before it starts a stage.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, part: int) -> bool:
        return self._probabilities_path(part).is_file()

    def keep(self, part: int, result: PartResult, facts: dict) -> None:
        save_classifier(result.classifier, self.weights_path(part), facts)
        with atomic_file(self._probabilities_path(part)) as temporary, temporary.open("wb") as file:
            np.save(file, result.probabilities)

    def history(self, part: int) -> pd.DataFrame:
        return pd.read_csv(self.history_path(part))

    def probabilities(self, part: int) -> np.ndarray:
        return np.load(self._probabilities_path(part))

    def history_path(self, part: int) -> Path:
        return self.folder / f"{part}.csv"

    def weights_path(self, part: int) -> Path:
        return self.folder / f"{part}.safetensors"

    def _probabilities_path(self, part: int) -> Path:
        return self.folder / f"{part}.npy"


def _facts(cfg: DictConfig, part: int, result: PartResult) -> dict:
    """Return what belongs beside a part's weights: plain values only."""
    settings = {key: value for key, value in cfg.classify.items() if key not in SPEED_SETTINGS}
    return {
        "classifier": OmegaConf.to_container(cfg.classifier, resolve=True),
        "classify": OmegaConf.to_container(OmegaConf.create(settings), resolve=True),
        "part": part,
        "hardware": machine_text(),
        "seconds": round(sum(row["seconds"] for row in result.history), 1),
    }


def _show_examples(cfg: DictConfig, faces: FaceCrops, path: Path, run: "wandb.Run | None") -> None:
    """Write a sheet of training crops as the network gets them, before the first epoch."""
    crops, names = augmented_examples(cfg, faces, _SHEET_CROPS)
    factor = max(1, _SHEET_CELL_PX // crops[0].shape[0])
    crops = [crop.repeat(factor, axis=0).repeat(factor, axis=1) for crop in crops]  # the sheet does not enlarge
    side = crops[0].shape[0]
    boxes = [np.array([[0, 0, side, side]], np.float32)] * len(crops)
    labels = [[name] for name in names]
    write_contact_sheet(crops, boxes, labels, path, _SHEET_COLUMNS)
    if run is not None:
        log_pictures(run, {"train/augmented": contact_sheet(crops, boxes, labels, _SHEET_COLUMNS)})


def _collect(faces: FaceCrops, done: _DoneParts) -> pd.DataFrame:
    """Return the table of judged faces; a class that the classifier does not know has probability 0."""
    probabilities = np.zeros((len(faces.index), len(CLASS_NAMES)), np.float32)  # (N, C)
    columns = [CLASS_NAMES.index(name) for name in faces.class_names]
    for part in faces.held_out_parts:
        rows = np.flatnonzero(faces.parts == part)
        probabilities[np.ix_(rows, columns)] = done.probabilities(part)
    table = faces.index[["file_name", "face", "class_name"]].assign(fold=faces.parts)
    table[PROBABILITY_COLUMNS] = probabilities.clip(0, 1)  # a sum of two floats may pass 1 by rounding
    return validate(table[table["fold"] >= 0], CROP_PREDICTIONS, "crop predictions")


def _publish(
    cfg: DictConfig, faces: FaceCrops, predictions: pd.DataFrame, done: _DoneParts, paths: CrossFitPaths
) -> None:
    """Write the outputs, now that every part has succeeded."""
    parts = faces.held_out_parts
    with atomic_folder(paths.parts_dir) as folder:
        shutil.copy(paths.resume_dir / SHEET_FILE, folder / SHEET_FILE)
        for part in parts if cfg.classify.protocol == GROUPED else []:
            for path in (done.weights_path(part), done.weights_path(part).with_suffix(".json")):
                shutil.copy(path, folder / path.name)
    write_table(predictions, paths.predictions_path, CROP_PREDICTIONS)
    history = pd.concat([done.history(part).assign(part=part) for part in parts], ignore_index=True)
    leading = ["part", "epoch", "step", "seconds"]
    with atomic_file(paths.history_path) as temporary:
        history[leading + [name for name in history if name not in leading]].to_csv(temporary, index=False)
