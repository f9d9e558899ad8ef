"""The tables of the committed run, from the DVC remote that comes with the repository: real figures without photos."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import yaml

from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, read_table

ROOT = Path(__file__).parents[1]
REMOTE = ROOT / "dvc-remote/files/md5"


def _outs() -> dict[str, str]:
    lock = subprocess.run(["git", "show", "HEAD:dvc.lock"], cwd=ROOT, capture_output=True, check=True).stdout
    return {out["path"]: out["md5"] for stage in yaml.safe_load(lock)["stages"].values() for out in stage["outs"]}


def _stored(md5: str) -> Path:
    return REMOTE / md5[:2] / md5[2:]


def committed_images_and_faces() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables `images` and `annotations`."""
    listing = json.loads(_stored(_outs()["build/table"]).read_text())
    files = {entry["relpath"]: _stored(entry["md5"]) for entry in listing}
    return read_table(files["images.parquet"], IMAGES), read_table(files["annotations.parquet"], ANNOTATIONS)


def committed_folds_and_predictions() -> tuple[pd.DataFrame, dict[int, pd.DataFrame]]:
    """Return the table `folds` and those of predictions by fold."""
    outs = _outs()
    predictions = {
        int(Path(path).stem): read_table(_stored(md5), PREDICTIONS)
        for path, md5 in outs.items()
        if path.startswith("build/predictions/")
    }
    return read_table(_stored(outs["build/folds.parquet"]), FOLDS), predictions
