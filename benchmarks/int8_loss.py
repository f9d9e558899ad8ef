"""Measure what INT8 costs in accuracy: every fold's model in full precision and in INT8 on the photos it has not seen.

Run `PYTHONPATH=src python benchmarks/int8_loss.py --folds 0 1 2 3 4` from the project's root after `dvc repro`; needs
the extra `export` and the photos, and some minutes a fold. Without `--folds` nothing is measured: `make bench` is no
place to wait for so long. Each fold's INT8 file is calibrated on the other folds. The detections of all folds are
pooled as `evaluate` does; the difference has a 95 % interval of the paired bootstrap over groups of look-alike photos.
Result: `reports/benchmarks/int8_loss.json`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from maskdet.commands.export.evaluation import METRICS, GroundTruth, predict_fold
from maskdet.commands.export.files import FP32, INT8, OPENVINO, FileWriter
from maskdet.commands.export.inputs import calibration_images
from maskdet.commands.export.source import open_source
from maskdet.evaluation.paired import paired_bootstrap
from maskdet.inference.runtime import open_runtime
from maskdet.stages.json_report import write_json

_SCORE_THRESHOLD = 0.3  # of precision and recall, which are not told


def predictions_of_fold(truth: GroundTruth, fold: int, image_size: int | None) -> dict[str, pd.DataFrame]:
    """Return the detections of one fold's model on its held-out photos, by precision."""
    source = open_source(Path("build/train") / str(fold), image_size)
    if source.fold != fold:
        raise ValueError(f"build/train/{fold}: expected the model of fold {fold}, got that of fold {source.fold}")
    calibration = calibration_images(source.metadata.framing, fold)
    with TemporaryDirectory() as folder:
        writer = FileWriter(source, Path(folder), calibration)
        files = {precision: writer.write_file(OPENVINO, precision) for precision in (FP32, INT8)}
        return {name: predict_fold(open_runtime(file.path), truth, fold) for name, file in files.items()}


def main() -> None:
    """Export, predict, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, nargs="*", help="whose models are in build/train")
    parser.add_argument("--size", type=int, help="side of the input in pixels; default: the model's own")
    parser.add_argument("--output", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    folds = options.folds
    if not folds:
        trained = sorted(path.parent.name for path in Path("build/train").glob("[0-9]*/model.json"))
        print(f"nothing measured: name folds, e.g. --folds {' '.join(trained) or 'after `make reproduce`'}")
        return
    truth = GroundTruth.read(Path())
    found = {fold: predictions_of_fold(truth, fold, options.size) for fold in folds}
    full, integers = (truth.pool({fold: tables[name] for fold, tables in found.items()}) for name in (FP32, INT8))
    groups = truth.folds.set_index("file_name")["group"].to_dict()
    table = paired_bootstrap(full, integers, groups, _SCORE_THRESHOLD).set_index("metric")
    rows = {
        name: {key: float(table.loc[name, key]) for key in ("a", "b", "difference", "low", "high")} for name in METRICS
    }
    for name, row in rows.items():
        print(
            f"{name}: {row['a']:.4f} in full precision, {row['b']:.4f} in INT8, difference {row['difference']:+.4f} "
            f"({row['low']:+.4f} to {row['high']:+.4f}), {len(full.images)} photos of folds {folds}"
        )
    write_json({"folds": folds, "num_images": len(full.images), "metrics": rows}, options.output / "int8_loss.json")


if __name__ == "__main__":
    main()
