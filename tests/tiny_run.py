"""A cross-validation of six images and two folds, small enough to count by hand, with the committed settings."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, FOLDS, IMAGES, PREDICTIONS, QUALITY, write_table
from maskdet.stages.entry import Workspace

CONF = Path(__file__).parents[1] / "conf"
FILES = [f"image_{i}.png" for i in range(6)]
FOLD_OF_FILE = {name: i % 2 for i, name in enumerate(FILES)}


def face(file_name: str, class_name: str, x: int) -> dict:
    box = dict(zip(BOX_COLUMNS, (x, 0, x + 20, 20), strict=True))
    return {"file_name": file_name, "class_name": class_name, **box}


FACES = [face(name, CLASS_NAMES[i % 2], 10 * i) for i, name in enumerate(FILES[:5])]  # no third class, one empty image


def config(train_folds: list[int]) -> DictConfig:
    """Return what the stages that read tables read of the committed config, with few replicates."""
    files = {"evaluate": "evaluate/default", "analyse": "analyse/default", "predict": "predict/default"}
    files["model"] = "model/efficientdet_lite0"
    cfg = OmegaConf.create({group: OmegaConf.load(CONF / f"{name}.yaml") for group, name in files.items()})
    cfg.split = {"train_folds": train_folds}
    cfg.evaluate.bootstrap.num_replicates = 20
    return cfg


def detections(fold: int) -> pd.DataFrame:
    """Return every face of the fold, found; in fold 1 a false alarm stands at the top."""
    rows = [{**row, "fold": fold, "score": 0.9 - 0.1 * i} for i, row in enumerate(FACES)]
    rows += [{**face(FILES[5], "with_mask", 50), "fold": fold, "score": 0.95}]
    rows = [row for row in rows if FOLD_OF_FILE[row["file_name"]] == fold]
    return pd.DataFrame(rows, columns=list(PREDICTIONS.columns))


def write_predictions(workspace: Workspace, fold: int, table: pd.DataFrame) -> None:
    """Write a table without checks, as a foreign program might."""
    path = workspace.input(f"build/predictions/{fold}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def write_tiny_run(root: Path) -> Workspace:
    """Write every table of the run; faces are the sharper and brighter the later they are listed."""
    size = {"source": "test", "width": 200, "height": 100, "sha256": "0" * 64}
    images = pd.DataFrame({"file_name": FILES, "num_faces": [1, 1, 1, 1, 1, 0], **size})
    write_table(images, root / "build/table/images.parquet", IMAGES)
    annotations = pd.DataFrame(FACES).assign(is_difficult=False)
    write_table(annotations, root / "build/table/annotations.parquet", ANNOTATIONS)
    quality = annotations.assign(sharpness=[0.1 * i for i in range(5)], brightness=[50.0 * i for i in range(5)])
    write_table(quality, root / "build/quality.parquet", QUALITY)
    folds = pd.DataFrame({"file_name": FILES, "group": range(6), "split_role": "fold", "fold": FOLD_OF_FILE.values()})
    write_table(folds, root / "build/folds.parquet", FOLDS)
    for fold in (0, 1):
        write_table(detections(fold), root / f"build/predictions/{fold}.parquet", PREDICTIONS)
    return Workspace(root, root)


def report_bytes(workspace: Workspace) -> dict[str, bytes]:
    """Return the content of every file under `reports/` by its path there, sorted."""
    folder = workspace.output("reports")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
