"""What classifiers of crops say of boxes in photos, each photo judged by the classifier that held its fold out."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from maskdet.data.crops import cut_crop
from maskdet.data.image import read_image
from maskdet.models.classifiers import load_classifier
from maskdet.models.device import best_device
from maskdet.models.two_phase import BoxClassifier
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES
from maskdet.stages.cost import Cost, CostReport
from maskdet.stages.entry import Workspace


@dataclass(frozen=True)
class JudgedBoxes:
    """What the classifiers said, and what it cost.

    Attributes:
        probabilities: (N, C) float32, in the order of the boxes.
        cost: Of cutting and classifying; reading photos and weights is not in it.
    """

    probabilities: np.ndarray
    cost: Cost

    def report(self, num_images: int) -> CostReport:
        """Return what a report says of the cost.

        Args:
            num_images: Of the photos that were looked at; those without a box count, they cost nothing.
        """
        counts = {"num_images": num_images, "num_boxes_classified": len(self.probabilities)}
        return counts | self.cost.report(num_images, best_device().type)


def judge_boxes(
    boxes: pd.DataFrame, fold_of_file: Mapping[str, int], cfg: DictConfig, workspace: Workspace
) -> JudgedBoxes:
    """Classify boxes photo by photo, as a detector would that gets one photo after the other.

    Args:
        boxes: Columns `file_name` and the box.
        fold_of_file: The fold that each photo was held out in.
        cfg: Reads `crops`, `two_phase.classifier` and `two_phase.batch_size`.
        workspace: Holds `build/raw/images/` and the weights
            `build/classifiers/<classifier>-grouped/<fold>.safetensors`.

    Raises:
        FileNotFoundError: If a photo, or a classifier's weights are missing.
        ValueError: If a photo has no fold, or the classifier knows other classes than `CLASS_NAMES`.
    """
    probabilities = np.zeros((len(boxes), len(CLASS_NAMES)), np.float32)  # (N, C)
    corners, spent = boxes[BOX_COLUMNS].to_numpy(), Cost()  # (N, 4)
    rows_of_file = boxes.groupby("file_name").indices
    files = pd.Series({name: fold_of_file.get(name, -1) for name in rows_of_file}, dtype="int64")
    if (files < 0).any():
        raise ValueError(f"expected photos that a fold holds out, got {files.index[files < 0][0]!r}")
    for fold, names in files.groupby(files).groups.items():
        classifier = _held_out_classifier(int(fold), cfg, workspace)
        for name in tqdm(names, desc=f"classify boxes of fold {fold}", unit="photo", disable=None):
            image, rows = read_image(workspace.input("build/raw/images") / name), rows_of_file[name]
            begin = Cost.now()
            probabilities[rows] = classifier.probabilities(image, corners[rows])
            spent += Cost.now() - begin
    return JudgedBoxes(probabilities, spent)


def _held_out_classifier(fold: int, cfg: DictConfig, workspace: Workspace) -> BoxClassifier:
    folder = workspace.input(f"build/classifiers/{cfg.two_phase.classifier}-grouped")
    classifier = load_classifier(folder / f"{fold}.safetensors").to(best_device())
    if classifier.class_names != CLASS_NAMES:
        raise ValueError(f"{folder}: expected a classifier of {list(CLASS_NAMES)}, got {list(classifier.class_names)}")
    cut = partial(cut_crop, margin=cfg.crops.margin, size=cfg.crops.size)
    return BoxClassifier(classifier, cut, cfg.two_phase.batch_size)
