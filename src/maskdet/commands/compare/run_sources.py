"""Find a run's tables: in a folder, in the present workspace, or in a git revision or DVC experiment."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from scmrepo.exceptions import SCMError
from yaml import YAMLError

from maskdet.evaluation.fusion import fuse_predictions
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.schema import ANNOTATIONS, FOLDS, IMAGES, PREDICTIONS, read_table

WORKSPACE_NAMES = ("workspace", ".")
_TABLES = {
    "build/table/images.parquet": IMAGES,
    "build/table/annotations.parquet": ANNOTATIONS,
    "build/folds.parquet": FOLDS,
}


@dataclass(frozen=True)
class Run:
    """What one run found, pooled over its folds.

    Attributes:
        name: As the person wrote it.
        tables: What `pool_folds` returns; `images` has every column of `schema.IMAGES`.
        group_of_file: Group of look-alikes of every image of the set.
        train_folds: The folds that were evaluated.
        score_threshold: Display threshold of the run's own settings; None where they are unknown.
        iou_threshold: The same of the IoU.
        notes: What a reader must know of it; may be empty.
    """

    name: str
    tables: EvaluationTables
    group_of_file: dict[str, int]
    train_folds: tuple[int, ...]
    score_threshold: float | None
    iou_threshold: float | None
    notes: tuple[str, ...] = ()


def read_runs(expression: str, root: Path) -> Run:
    """Return one run, or the ensemble of several whose names are joined by `+`.

    Args:
        expression: A name of `read_run`, or `a+b+…`: the detections of the runs' common images, fused by weighted boxes
            fusion. A folder with a plus sign in its name is a folder.
        root: The project's root.

    Raises:
        FileNotFoundError: See `read_run`.
        ValueError: See `read_run` and `common_images`.
    """
    names = expression.split("+")
    if len(names) == 1 or (root / expression).is_dir():
        return read_run(expression, root)
    runs, notes = common_images([read_run(name, root) for name in names])
    started = time.perf_counter()
    fused = fuse_predictions([run.tables.predictions for run in runs], runs[0].tables.images)
    seconds = time.perf_counter() - started
    num_images = len(runs[0].tables.images)
    notes.append(
        f"{expression}: {len(runs)} runs fused in {seconds:.1f} s ({1000 * seconds / num_images:.0f} ms an image), "
        "which comes on top of detecting with each of them"
    )
    own_notes = tuple(note for run in runs for note in run.notes)
    return replace(
        runs[0], name=expression, tables=replace(runs[0].tables, predictions=fused), notes=(*own_notes, *notes)
    )


def read_run(name: str, root: Path) -> Run:
    """Return the run of a name; a folder of this name goes before a revision.

    Args:
        name: `workspace` or `.` for the present working tree; a folder, relative to `root`, that holds
            `build/predictions/` (another clone, a Hydra run folder); a git branch, tag or commit; the name of a DVC
            experiment. Of a revision, tables are taken from DVC's cache, else from its remote.
        root: The project's root.

    Raises:
        FileNotFoundError: If a table is neither there nor in cache and remote; the message names it.
        ValueError: If the name is none of these, or if a table breaks its schema.
    """
    if name in WORKSPACE_NAMES:
        return _read_folder(name, root, root)
    if (root / name).is_dir():
        return _read_folder(name, root / name, root)
    with TemporaryDirectory(prefix="maskdet-run-") as folder:
        _copy_revision(name, root, Path(folder))
        return _read_folder(name, Path(folder), Path(folder))


def _read_folder(name: str, folder: Path, root: Path) -> Run:
    """Read a run folder; tables of the data that it does not hold are those of the project."""
    settings = _settings(folder)
    folds_of_run = _train_folds(settings, folder)
    owners = {path: folder if (folder / path).is_file() else root for path in _TABLES}
    images, annotations, folds = (read_table(owners[path] / path, schema) for path, schema in _TABLES.items())
    predictions = {k: read_table(folder / f"build/predictions/{k}.parquet", PREDICTIONS) for k in folds_of_run}
    is_borrowed = folder != root and root in owners.values()
    notes = [f"{name}: images, true boxes and folds are those of the present workspace"] if is_borrowed else []
    return Run(
        name,
        pool_folds(images, annotations, folds, predictions, folds_of_run),
        folds.set_index("file_name")["group"].to_dict(),
        tuple(folds_of_run),
        OmegaConf.select(settings, "evaluate.score_threshold"),
        OmegaConf.select(settings, "evaluate.iou_threshold"),
        (*notes, *_costs(name, folder, folds_of_run)),
    )


def _costs(name: str, folder: Path, folds: Sequence[int]) -> list[str]:
    """Say what detecting cost an image, where the stage `predict` has left it."""
    files = [folder / f"reports/predict/{fold}.json" for fold in folds]
    costs = []
    for path in files:
        with suppress(OSError, ValueError):  # a figure beside the result: where it cannot be read there is no note
            costs.append(json.loads(path.read_text()))
    if not all(isinstance(cost, dict) and set(cost) >= {"ms_per_image", "views", "device"} for cost in costs):
        return [f"{name}: reports/predict/ does not say what an image cost"]
    if not costs:
        return []
    milliseconds = sum(cost["ms_per_image"] for cost in costs) / len(costs)
    how = sorted({f"{cost['views']} view(s), {cost['device']}, {cost.get('threads', '?')} thread(s)" for cost in costs})
    return [f"{name}: {milliseconds:.0f} ms an image ({'; '.join(how)})"]


def _settings(folder: Path) -> DictConfig:
    """Return the run's config: DVC's file, else Hydra's, else an empty one."""
    for relative in ("params.yaml", ".hydra/config.yaml"):
        path = folder / relative
        if path.is_file():
            try:
                return OmegaConf.create(OmegaConf.load(path))
            except (YAMLError, OSError, OmegaConfBaseException, UnicodeDecodeError) as error:
                raise ValueError(f"{path}: expected YAML settings, got {str(error).splitlines()[0]}") from error
    return OmegaConf.create()


def _train_folds(settings: DictConfig, folder: Path) -> list[int]:
    """Return the folds of `params.yaml`; a Hydra run folder, or one without settings, counts what it holds."""
    listed = OmegaConf.select(settings, "split.train_folds")
    if listed is not None and (folder / "params.yaml").is_file():
        if not OmegaConf.is_list(listed) or not all(isinstance(fold, int) for fold in listed):
            raise ValueError(f"{folder / 'params.yaml'}: expected split.train_folds as a list of folds, got {listed!r}")
        return list(listed)
    found = sorted(int(path.stem) for path in (folder / "build/predictions").glob("*.parquet") if path.stem.isdigit())
    if not found:
        raise FileNotFoundError(f"{folder}: expected build/predictions/<fold>.parquet, found none")
    return found


def _copy_revision(name: str, root: Path, folder: Path) -> None:
    """Copy settings and tables of a revision into a folder."""
    try:
        files = DVCFileSystem(str(root), rev=name)
        _copy(files, "params.yaml", folder)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"run {name!r}: expected params.yaml in this revision, found none") from error
    except (DvcException, SCMError) as error:
        raise ValueError(
            f"expected a folder, a git revision or a DVC experiment of this project, got {name!r} ({error})"
        ) from error
    train_folds = OmegaConf.load(folder / "params.yaml").split.train_folds
    for path in (*_TABLES, *(f"build/predictions/{fold}.parquet" for fold in train_folds)):
        try:
            _copy(files, path, folder)
        except (OSError, DvcException) as error:
            raise FileNotFoundError(
                f"run {name!r}: expected {path} in DVC's cache or remote, found it in neither ({error})"
            ) from error
    _copy_costs(files, train_folds, folder)


def _copy_costs(files: DVCFileSystem, folds: Sequence[int], folder: Path) -> None:
    """Copy what detecting cost; runs of old have no such file."""
    for fold in folds:
        with suppress(FileNotFoundError):
            _copy(files, f"reports/predict/{fold}.json", folder)


def _copy(files: DVCFileSystem, path: str, folder: Path) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.open(path) as source:
        target.write_bytes(source.read())


def common_images(runs: list[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs on the images that all of them evaluated, and what was left out, in words.

    Args:
        runs: One or more; the first is the baseline, whose size bounds and groups hold for all.

    Raises:
        ValueError: If they share no image, or one name stands for different pixels.
    """
    shared = set.intersection(*(set(run.tables.images["file_name"]) for run in runs))
    if not shared:
        raise ValueError(f"expected runs that evaluated common images, got none of {[run.name for run in runs]}")
    pixels = pd.concat([run.tables.images.loc[run.tables.images["file_name"].isin(shared)] for run in runs])
    num_contents = pixels.groupby("file_name")["sha256"].nunique()
    if num_contents.max() > 1:
        raise ValueError(f"expected the same pixels in all runs, got different ones in {num_contents.idxmax()!r}")
    notes = []
    for run in runs:
        num_left_out = len(run.tables.images) - len(shared)
        if num_left_out:
            notes.append(
                f"{run.name}: {num_left_out} of its {len(run.tables.images)} images are not in every run: left out"
            )
        if any(run.group_of_file.get(file) != runs[0].group_of_file.get(file) for file in shared):
            notes.append(f"{run.name}: groups its images otherwise than {runs[0].name}, whose groups are resampled")
    return [_restricted(run, shared, runs[0]) for run in runs], notes


def _restricted(run: Run, files: set[str], baseline: Run) -> Run:
    tables = (
        table[table["file_name"].isin(files)].reset_index(drop=True)
        for table in (run.tables.images, run.tables.annotations, run.tables.predictions)
    )
    restricted = EvaluationTables(*tables, baseline.tables.size_bounds_px)
    return replace(run, tables=restricted, group_of_file=baseline.group_of_file)
