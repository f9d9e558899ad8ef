"""A made-up two-phase study: what the stages that need photos leave behind, for the stages that read tables alone."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf

from maskdet.data.crops import face_index, write_crop_store
from maskdet.schema import (
    ANNOTATIONS,
    BOX_COLUMNS,
    CLASS_NAMES,
    CROP_PREDICTIONS,
    FACES,
    FOLDS,
    IMAGES,
    OVERLAYS,
    PREDICTIONS,
    PROBABILITY_COLUMNS,
    QUALITY,
    write_table,
)
from maskdet.stages import hypotheses, score_classifiers, score_faces, score_models
from maskdet.stages.entry import Workspace
from table_rows import face_rows

CONF = Path(__file__).parents[1] / "conf"
IMAGE_WH = (400, 300)
NUM_FOLDS = 2
CLASSIFIERS = {"sequential_cnn_grey": 1.6, "sequential_cnn": 2.2, "mobilenet_v2_finetuned": 3.4}
"""Name → skill: how far the true class stands out."""
FOLDER_CLASSIFIER = OVERLAID_CLASSIFIER = "mobilenet_v2_finetuned"
PROTOCOLS = {"grouped": 0.0, "by_face_80_20": 0.8, "by_face_70_30": 0.8}
"""Name → skill that leakage adds."""
FACE_DETECTORS = {"opencv_dnn": 0.45, "mtcnn": 0.7, "centerface": 0.9}
"""Name → share of the faces that it finds."""


@dataclass(frozen=True)
class Truth:
    """Photos and faces.

    Attributes:
        images: Columns as `schema.IMAGES`.
        annotations: Columns as `schema.ANNOTATIONS`.
        folds: Columns as `schema.FOLDS`.
    """

    images: pd.DataFrame
    annotations: pd.DataFrame
    folds: pd.DataFrame

    @property
    def faces(self) -> pd.DataFrame:
        """Return the index of the crops."""
        return face_index(self.annotations, self.folds)


def draw_truth(num_images: int = 60, seed: int = 0) -> Truth:
    """Return photos in pairs of look-alikes, none to four faces each, on a grid so that no two touch."""
    rng = np.random.default_rng([seed, 0])
    names = [f"photo_{i:03d}.png" for i in range(num_images)]
    rows = []
    for place, name in enumerate(names):
        for slot in range(place % 5):
            left, top = 10 + 95 * slot, rng.integers(5, 100)
            width = int(rng.integers(14, 90))
            class_name = CLASS_NAMES[rng.choice(3, p=(0.6, 0.28, 0.12))]
            rows.append((name, class_name, left, top, left + width, top + width * 1.2))
    annotations = face_rows(rows)
    counts = annotations["file_name"].value_counts().reindex(names, fill_value=0)
    columns = {"file_name": names, "source": "drawn", "width": IMAGE_WH[0], "height": IMAGE_WH[1]}
    images = pd.DataFrame(columns).assign(num_faces=counts.to_numpy(), sha256=[f"{i:064x}" for i in range(num_images)])
    groups = np.arange(num_images) // 2
    folds = pd.DataFrame({"file_name": names, "group": groups, "split_role": "fold", "fold": groups % NUM_FOLDS})
    return Truth(images, annotations, folds)


def write_tables(truth: Truth, root: Path) -> None:
    """Write the tables of the main road, a quality table too."""
    quality = truth.annotations[["file_name", *BOX_COLUMNS]].assign(
        sharpness=1.0, brightness=np.random.default_rng(5).uniform(40, 220, len(truth.annotations))
    )
    write_table(truth.images, root / "build/table/images.parquet", IMAGES)
    write_table(truth.annotations, root / "build/table/annotations.parquet", ANNOTATIONS)
    write_table(truth.folds, root / "build/folds.parquet", FOLDS)
    write_table(quality, root / "build/quality.parquet", QUALITY)


def write_classifiers(truth: Truth, root: Path) -> None:
    """Write predictions and histories of every classifier and protocol; the 70/30 split judges a third of the faces."""
    overlaid = classified(truth.faces, CLASSIFIERS[OVERLAID_CLASSIFIER] - 1, [1, 9])
    folder = root / "build/classify_overlaid" / OVERLAID_CLASSIFIER / "grouped"
    write_table(overlaid, folder / "predictions.parquet", CROP_PREDICTIONS)
    _write_history(3.0, root, f"classify_overlaid-{OVERLAID_CLASSIFIER}-grouped")
    for number, (classifier, skill) in enumerate(CLASSIFIERS.items()):
        for protocol, gain in PROTOCOLS.items():
            faces = classified(truth.faces, skill + gain, [1, number, protocol != "grouped"])
            faces = faces[faces.index % 3 == 0] if protocol == "by_face_70_30" else faces
            write_table(
                faces, root / "build/classify" / classifier / protocol / "predictions.parquet", CROP_PREDICTIONS
            )
            _write_history(skill + gain, root, f"{classifier}-{protocol}")


def write_folder_classifier(root: Path, size: int = 24) -> None:
    """Write a store of crops of two classes, and what one classifier says of them under two protocols."""
    faces = draw_truth(40, seed=1).faces
    faces = faces[faces["class_name"] != CLASS_NAMES[2]].reset_index(drop=True)
    faces["file_name"] = faces["class_name"] + "/" + faces["file_name"]
    faces["face"] = faces.groupby("file_name").cumcount()
    write_crop_store(root / "build/folder_crops", drawn_crops(faces, size), faces)
    for protocol in ("grouped", "by_face_80_20"):
        judged = classified(faces, 3.0 + PROTOCOLS[protocol], [2, protocol != "grouped"])
        both = judged[PROBABILITY_COLUMNS[:2]].to_numpy()  # (N, 2)
        judged[PROBABILITY_COLUMNS] = np.hstack([both / both.sum(axis=1, keepdims=True), np.zeros((len(both), 1))])
        folder = root / "build/classify_folders" / FOLDER_CLASSIFIER / protocol
        write_table(judged, folder / "predictions.parquet", CROP_PREDICTIONS)
        _write_history(3.0, root, f"classify_folders-{FOLDER_CLASSIFIER}-{protocol}")


def _write_history(skill: float, root: Path, name: str) -> None:
    path = root / "reports/two_phase/history" / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn_history(skill).to_csv(path, index=False)


def classified(faces: pd.DataFrame, skill: float, seed: list[int]) -> pd.DataFrame:
    """Return `crop_predictions` of a classifier whose errors look-alikes share in part."""
    rng = np.random.default_rng(seed)
    hardness = np.random.default_rng([9, 9]).normal(0, 1, faces["group"].max() + 1)[faces["group"]]  # (N,)
    truth = pd.Index(CLASS_NAMES).get_indexer(faces["class_name"])  # (N,)
    logits = rng.normal(0, 1.2, (len(faces), 3))
    logits[np.arange(len(faces)), truth] += skill - 0.7 * hardness - (truth == 2) * 1.2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)  # (N, 3)
    table = faces[["file_name", "face", "class_name", "fold"]].assign(
        **dict(zip(PROBABILITY_COLUMNS, probabilities.T, strict=True))
    )
    return table[list(CROP_PREDICTIONS.columns)]


def drawn_history(skill: float, num_epochs: int = 6) -> pd.DataFrame:
    """Return a training history of two parts in which the losses fall."""
    rng, rows = np.random.default_rng(7), []
    for part in range(NUM_FOLDS):
        for epoch in range(num_epochs):
            fallen = 1 - np.exp(-(epoch + 1) / 2)
            loss, accuracy = 1.1 - 0.25 * skill * fallen + rng.normal(0, 0.01), 0.6 + 0.1 * skill * fallen / 1.4
            rows.append((part, epoch, loss - 0.05, min(accuracy + 0.02, 1), loss, min(accuracy, 1)))
    columns = ["part", "epoch", "train/loss", "train/accuracy", "val/loss", "val/accuracy"]
    return pd.DataFrame(rows, columns=columns).assign(step=lambda table: 10 * (table["epoch"] + 1))


def write_detections(truth: Truth, root: Path) -> None:
    """Write found faces, two-phase and re-scored detections, the detector's own, and what each cost."""
    predictions = detected(truth, 0.92, 2.6, seed=0)
    for fold, rows in predictions.groupby("fold"):
        write_table(rows, root / f"build/predictions/{fold}.parquet", PREDICTIONS)
        write_record({"views": 1, **_cost(290.0)}, root, f"predict/{fold}")
    for number, (name, share) in enumerate(FACE_DETECTORS.items(), start=1):
        rows = detected(truth, share, 2.2, seed=number)
        write_table(rows, root / f"build/two_phase/{name}.parquet", PREDICTIONS)
        faces = rows.sort_values("score").drop_duplicates(["file_name", "x_min", "y_min"], keep="last")
        write_table(faces, root / f"build/faces/{name}.parquet", FACES)
        write_record(_classify_cost(len(truth.images)), root, f"two_phase/two_phase/{name}")
        found = {**_cost(40.0 * number), "num_images_without_face": number}
        write_record(found, root, f"two_phase/find_faces/{name}")
    rescored = predictions.assign(score=predictions["score"] ** 0.5)
    write_table(rescored, root / "build/two_phase/rescored.parquet", PREDICTIONS)
    write_record(_classify_cost(len(truth.images)), root, "two_phase/rescore")


def detected(truth: Truth, share: float, skill: float, seed: int) -> pd.DataFrame:
    """Return a detection a found face and class, boxes a little off, and a false alarm in every third photo."""
    rng = np.random.default_rng([seed, 3])
    faces = truth.faces
    named = classified(faces, skill, [seed, 4])
    found = rng.uniform(size=len(faces)) < share
    sizes = faces[["x_max"]].to_numpy(np.float64) - faces[["x_min"]].to_numpy()  # (N, 1)
    boxes = faces[BOX_COLUMNS].to_numpy(np.float64) + rng.normal(0, 0.04, (len(faces), 4)) * sizes
    tables = []
    for place, column in enumerate(PROBABILITY_COLUMNS):
        rows = faces[["file_name", "fold"]].assign(
            class_name=CLASS_NAMES[place], score=rng.uniform(0.5, 1, len(faces)) * named[column]
        )
        tables.append(rows.assign(**dict(zip(BOX_COLUMNS, boxes.clip(0).T, strict=True)))[found])
    alarms = truth.folds[["file_name", "fold"]].iloc[::3].assign(class_name=CLASS_NAMES[0], score=0.4)
    tables.append(alarms.assign(x_min=300.0, y_min=220.0, x_max=340.0, y_max=270.0))
    table = pd.concat(tables, ignore_index=True)
    return table[(table["fold"] >= 0) & (table["score"] > 0.02)][list(PREDICTIONS.columns)]


def _classify_cost(num_images: int) -> dict:
    counts = {"num_images": num_images, "num_boxes_classified": 4 * num_images}
    return {"classifier": "mobilenet_v2_finetuned", **counts, **_cost(21.4)}


def _cost(milliseconds: float) -> dict:
    return {"ms_per_image": milliseconds, "cpu_ms_per_image": 1.5 * milliseconds, "device": "cpu", "threads": 2}


def write_record(record: Mapping, root: Path, name: str) -> None:
    """Write `reports/<name>.json`."""
    path = root / "reports" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def write_stores(truth: Truth, root: Path, size: int = 24) -> None:
    """Write drawn crops of all faces, and of those without a mask overlays of three shapes and two ways to wear one."""
    faces = truth.faces
    write_crop_store(root / "build/crops", drawn_crops(faces, size), faces)
    bare = faces[faces["class_name"] == CLASS_NAMES[1]].head(12).reset_index(drop=True)
    ways = [("over_nose", CLASS_NAMES[0]), ("below_nose", CLASS_NAMES[2])]
    rows = [
        face._asdict() | {"class_name": class_name, "mask_shape": shape, "mask_colour": "blue", "worn": worn}
        for face in bare.itertuples(index=False)
        for shape in ("surgical", "cloth")
        for worn, class_name in ways
    ]
    index = pd.DataFrame(rows)
    write_crop_store(root / "build/overlays", drawn_crops(index, size), index, OVERLAYS)
    skipped = {"too_small": 7, "no_face_found": 0, "turned_aside": 2}
    counts = {"num_overlays": len(index), "num_faces_masked": len(bare), "num_bare_faces": len(bare) + 9}
    write_record(counts | {"num_skipped": skipped}, root, "two_phase/overlays")


def drawn_crops(faces: pd.DataFrame, size: int) -> np.ndarray:
    """Return a picture a face, (N, S, S, 3) uint8: an oval whose colour says the class."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    oval = ((x / 0.3) ** 2 + (y / 0.42) ** 2 < 1)[..., None]  # (S, S, 1)
    colours = np.array([(60, 120, 200), (220, 170, 140), (200, 120, 170)], np.uint8)
    chosen = colours[pd.Index(CLASS_NAMES).get_indexer(faces["class_name"])]  # (N, 3)
    shades = np.random.default_rng(2).integers(60, 200, (len(faces), 1, 1, 1), dtype=np.uint8)
    return np.where(oval, chosen[:, None, None], shades).astype(np.uint8)


def study_config(train_folds: Sequence[int] = tuple(range(NUM_FOLDS))) -> DictConfig:
    """Return the groups that the study's last stages read, as committed, with few draws."""
    groups = ("evaluate", "report", "two_phase", "score_faces", "hypotheses")
    cfg = OmegaConf.create({name: OmegaConf.load(CONF / name / "default.yaml") for name in groups})
    cfg.split = {"train_folds": list(train_folds), "num_folds": 5}
    cfg.face_detectors = {name: OmegaConf.load(CONF / f"face_detector/{name}.yaml") for name in FACE_DETECTORS}
    cfg.two_phase.update({"classifiers": list(CLASSIFIERS), "face_detectors": list(FACE_DETECTORS)})
    cfg.two_phase.update({"protocols": list(PROTOCOLS), "folder_classifiers": [FOLDER_CLASSIFIER]})
    cfg.two_phase.overlaid_classifiers = [OVERLAID_CLASSIFIER]
    cfg.evaluate.bootstrap.num_replicates = cfg.score_faces.bootstrap.num_replicates = 40
    cfg.hypotheses.update({"num_replicates": 200, "num_permutations": 199})
    return cfg


def run_study(root: Path) -> Workspace:
    """Write a made-up study below a folder and run the stages that read its tables, but for the page."""
    truth, workspace = draw_truth(), Workspace(root, root)
    for write in (write_tables, write_classifiers, write_detections, write_stores):
        write(truth, root)
    write_folder_classifier(root)
    for stage in (score_classifiers, score_models, score_faces, hypotheses):
        stage.run(study_config(), workspace)
    return workspace
