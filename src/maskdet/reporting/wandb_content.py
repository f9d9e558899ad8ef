"""Fill a W&B run with what also lies on disk: metrics, pictures with boxes, tables, checkpoints.

Every function takes the run that `wandb_runs.open_run` yields, and does nothing where that is None.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from maskdet.evaluation.summary import flatten_metrics
from maskdet.reporting.picture import GalleryPicture
from maskdet.schema import BOX_COLUMNS, CLASS_NAMES

if TYPE_CHECKING:
    import wandb

TABLE_MIN_SCORE = 0.05
"""Detections below are not in the W&B table of predictions; they are in the artifact."""

TABLE_MAX_ROWS = 10_000
"""W&B cuts a logged table there, in any order; ours keeps the highest scores and says how many are left out."""


def log_summary(run: "wandb.Run | None", metrics: Mapping) -> None:
    """Set the run's summary to metrics under their keys with slashes; an undefined one (None) is left out.

    Args:
        run: None does nothing.
        metrics: Nested as in `metrics.json`, e.g. `{"val": {"ap_50": {"with_mask": 0.9}}}`.
    """
    if run is not None:
        run.summary.update({key: value for key, value in flatten_metrics(metrics).items() if value is not None})


def log_gallery(run: "wandb.Run | None", key: str, pictures: Sequence[GalleryPicture]) -> None:
    """Log images with two groups of boxes, `predictions` and `ground_truth`, that W&B can switch on and off.

    Args:
        run: None does nothing, and so does an empty list of pictures.
        key: E.g. `gallery/worst`.
        pictures: Boxes in pixels of the images, which are logged in their own size on a black ground as large as the
            largest: W&B shows a list of unequal sizes wrongly.
    """
    if run is None or not pictures:
        return
    import wandb

    height, width = np.max([picture.image.shape[:2] for picture in pictures], axis=0)
    images = [
        wandb.Image(
            _on_ground(picture.image, height, width),
            boxes=_boxes_of(picture),
            caption=f"{picture.file_name}. {picture.captions[1]}",
        )
        for picture in pictures
    ]
    run.log({key: images})


def log_pictures(run: "wandb.Run | None", pictures: Mapping[str, np.ndarray]) -> None:
    """Log plots or sheets that are drawn already.

    Args:
        run: None does nothing.
        pictures: Key → (H, W, 3) uint8, RGB.
    """
    if run is None or not pictures:
        return
    import wandb

    run.log({key: wandb.Image(pixels) for key, pixels in pictures.items()})


def log_predictions_table(run: "wandb.Run | None", predictions: pd.DataFrame) -> int:
    """Log detections as the W&B table `predictions`: those with a score of at least 0.05, the best 10,000.

    The summary's `predictions_left_out` says how many rows that leaves out.

    Args:
        run: None does nothing.
        predictions: Columns as `schema.PREDICTIONS`; further columns are logged too.

    Returns:
        The number of rows left out; 0 without a run.
    """
    if run is None:
        return 0
    import wandb

    kept = predictions[predictions["score"] >= TABLE_MIN_SCORE]
    kept = kept.sort_values("score", ascending=False, kind="stable").head(TABLE_MAX_ROWS)
    left_out = len(predictions) - len(kept)
    run.log({"predictions": wandb.Table(columns=list(kept.columns), data=kept.to_numpy(object).tolist())})
    run.summary["predictions_left_out"] = left_out
    return left_out


def log_pr_curves(run: "wandb.Run | None", curves: pd.DataFrame) -> None:
    """Log precision over recall as the interactive chart `pr_curves`, a line a class.

    Args:
        run: None does nothing.
        curves: Columns `class_name, recall, precision`.
    """
    if run is None or curves.empty:
        return
    import wandb

    columns = ["class_name", "recall", "precision"]
    table = wandb.Table(columns=columns, data=curves[columns].to_numpy(object).tolist())
    title = "Precision over recall, IoU 0.5"
    run.log({"pr_curves": wandb.plot.line(table, "recall", "precision", stroke="class_name", title=title)})


def log_files(run: "wandb.Run | None", name: str, kind: str, paths: Sequence[Path]) -> None:
    """Log files as one artifact; those that do not exist are left out.

    Offline the artifact is kept beside the run and uploaded by `wandb sync`. Its use by another run (`use_artifact`)
    can be recorded online only.

    Args:
        run: None does nothing.
        name: Of the artifact; W&B adds a version.
        kind: `tables` or `model`.
        paths: Files, or folders that are taken whole; they are copied.
    """
    if run is None:
        return
    import wandb

    artifact = wandb.Artifact(name, type=kind)
    for path in (Path(path) for path in paths):
        if path.is_dir():
            artifact.add_dir(str(path), name=path.name)
        elif path.is_file():
            artifact.add_file(str(path), name=path.name)
    run.log_artifact(artifact)


def log_checkpoint(run: "wandb.Run | None", path: Path, name: str) -> None:
    """Log weights as an artifact of type `model`; nothing without a run or without the file."""
    if Path(path).exists():
        log_files(run, name, "model", [path])


def _on_ground(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return a picture in the top left corner of a black one of (height, width), so that boxes keep their numbers."""
    missing = (height - image.shape[0], width - image.shape[1])
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)))


def _boxes_of(picture: GalleryPicture) -> dict:
    """Return boxes as `wandb.Image` wants them: plain numbers, pixels, class indices."""
    class_labels = dict(enumerate(CLASS_NAMES))
    tables = {"predictions": picture.judged.detections, "ground_truth": picture.judged.faces}
    return {
        group: {"box_data": [_box_data(row) for row in table.to_dict("records")], "class_labels": class_labels}
        for group, table in tables.items()
    }


def _box_data(row: dict) -> dict:
    x_min, y_min, x_max, y_max = (float(row[column]) for column in BOX_COLUMNS)
    score = {"score": float(row["score"])} if "score" in row else {}
    return {
        "position": {"minX": x_min, "minY": y_min, "maxX": x_max, "maxY": y_max},
        "domain": "pixel",
        "class_id": CLASS_NAMES.index(row["class_name"]),
        "box_caption": " ".join([row["class_name"], *(f"{value:.2f}" for value in score.values())]),
        **({"scores": score} if score else {}),
    }
