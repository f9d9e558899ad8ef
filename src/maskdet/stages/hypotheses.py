"""Stage `hypotheses`: test H1 to H7 and say of each what follows from the figures."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial

import numpy as np
import pandas as pd
import pandera.pandas as pa
from omegaconf import DictConfig
from rich.console import Console

from maskdet.evaluation.holm import holm
from maskdet.evaluation.hypotheses.by_group import Resampling
from maskdet.evaluation.hypotheses.chance import judge_against_chance
from maskdet.evaluation.hypotheses.chosen import ChosenOn
from maskdet.evaluation.hypotheses.class_shares import judge_class_shares
from maskdet.evaluation.hypotheses.colour import judge_colour
from maskdet.evaluation.hypotheses.face_finders import FaceFinder, judge_face_finders
from maskdet.evaluation.hypotheses.named_faces import (
    NamedFaces,
    from_crop_predictions,
    from_detections,
    groups_of_files,
)
from maskdet.evaluation.hypotheses.one_stage import judge_one_stage
from maskdet.evaluation.hypotheses.target_accuracy import JudgedClassifier, judge_target_accuracy
from maskdet.evaluation.hypotheses.traits import face_traits
from maskdet.evaluation.hypotheses.trends import judge_trends
from maskdet.evaluation.hypotheses.verdict import Verdict
from maskdet.evaluation.pooling import EvaluationTables, pool_folds
from maskdet.reporting.hypotheses_text import write_hypotheses
from maskdet.schema import (
    ANNOTATIONS,
    CROP_PREDICTIONS,
    FACES,
    FOLDS,
    GROUPED,
    IMAGES,
    PREDICTIONS,
    read_table,
)
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.face_quality import read_quality
from maskdet.stages.held_out_tables import HeldOutTables
from maskdet.stages.json_report import write_json

_DETECTOR = "detector"
_DETECTOR_NAME = "the one-stage detector"


def run(cfg: DictConfig, workspace: Workspace) -> dict[str, Verdict]:
    """Write `reports/hypotheses.json` and `reports/hypotheses.md`.

    Every input is read and checked before the first test: a test takes seconds to minutes.

    Args:
        cfg: Reads `hypotheses`, `evaluate` (the detector's operating point), `split.train_folds`,
            `two_phase.classifiers` and `two_phase.chosen_on_folds` (H5), `two_phase.face_detectors` (H7) and
            `face_detectors.<name>.score_threshold` (H2).
        workspace: Holds `build/table/` and `build/folds.parquet`; for H2 `build/faces/<name>.parquet`; for H3 and H7
            `build/predictions/<fold>.parquet`; for H4 `build/quality.parquet`; for H5 and H6
            `build/classify/<classifier>/<protocol>/predictions.parquet`; for H7 `build/two_phase/<name>.parquet`.

    Returns:
        H1 … H7, as many as `hypotheses.tested` lists → the verdict.

    Raises:
        FileNotFoundError: If a table is missing; the message names the stage that makes it.
        ValueError: If a table breaks its schema or is one of other faces, or a setting is none.
    """
    settings = cfg.hypotheses
    resampling = Resampling(settings.num_replicates, settings.num_permutations, settings.seed, settings.alpha)
    tables = _Tables(cfg, workspace)
    judges = {name: _HYPOTHESES[name](tables, resampling) for name in _tested(settings.tested)}
    console, verdicts = Console(), {}
    for name, judge in judges.items():
        verdicts[name] = judge()
        text = f"{name} {verdicts[name].conclusion}: {verdicts[name].sentence}"
        console.print(text, highlight=False, markup=False)
    verdicts = _with_holm(verdicts)
    records = {name: verdict.record() for name, verdict in verdicts.items()}
    write_json(records, workspace.output("reports/hypotheses.json"))
    write_hypotheses(records, workspace.output("reports/hypotheses.md"))
    return verdicts


def _tested(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in _HYPOTHESES]
    if not names or unknown or len(set(names)) < len(names):
        raise ValueError(f"hypotheses.tested: expected different names among {list(_HYPOTHESES)}, got {list(names)}")
    return sorted(names)


def _with_holm(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Return the verdicts with p-values corrected for their number; the conclusions stay those of each by itself."""
    each = [verdict.by_group for verdict in verdicts.values()]
    corrected = holm(*np.transpose([(evidence.p_value, evidence.least_p_value) for evidence in each]))
    return {
        name: verdict.with_holm(*parts)
        for (name, verdict), parts in zip(verdicts.items(), np.transpose(corrected).tolist(), strict=True)
    }


@contextmanager
def _naming_stage(stage: str) -> Iterator[None]:
    """Let the error of a missing table say which stage makes it."""
    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; run the stage {stage} first") from error


class _Tables:
    """The tables of the workspace, each read when a hypothesis asks for it."""

    def __init__(self, cfg: DictConfig, workspace: Workspace) -> None:
        self.cfg = cfg
        self._workspace = workspace

    def read(self, path: str, schema: pa.DataFrameSchema, stage: str) -> pd.DataFrame:
        """Return a table; where it is missing the message says which stage makes it."""
        with _naming_stage(stage):
            return read_table(self._workspace.input(path), schema)

    @cached_property
    def images(self) -> pd.DataFrame:
        return self.read("build/table/images.parquet", IMAGES, "table")

    @cached_property
    def annotations(self) -> pd.DataFrame:
        return self.read("build/table/annotations.parquet", ANNOTATIONS, "table")

    @cached_property
    def folds(self) -> pd.DataFrame:
        return self.read("build/folds.parquet", FOLDS, "split")

    @cached_property
    def group_of_file(self) -> dict[str, int]:
        return self.folds.set_index("file_name")["group"].to_dict()

    def chosen_on(self, folds: Sequence[int]) -> ChosenOn | None:
        """Return the images of the folds on which something was chosen; None where there are none."""
        return ChosenOn.of(list(folds), self.folds.set_index("file_name")["fold"].to_dict())

    @property
    def num_images_with_faces(self) -> int:
        return self.annotations["file_name"].nunique()

    @cached_property
    def quality(self) -> pd.DataFrame:
        """Return the quality of each face, rows as in the annotations."""
        with _naming_stage("quality"):
            return read_quality(self._workspace.input("build/quality.parquet"), self.annotations)

    @cached_property
    def one_stage(self) -> EvaluationTables:
        """Return the pooled tables of the one-stage detector's folds."""
        train_folds = tuple(int(fold) for fold in self.cfg.split.train_folds)
        predictions = {
            k: self.read(f"build/predictions/{k}.parquet", PREDICTIONS, f"predict of fold {k}") for k in train_folds
        }
        return HeldOutTables(self.images, self.annotations, self.folds, predictions, train_folds).pool()

    def two_phase(self, name: str) -> EvaluationTables:
        """Return the tables of a two-phase detector on the images of the one-stage detector."""
        path = f"build/two_phase/{name}.parquet"
        found = self.read(path, PREDICTIONS, f"two_phase face_detector={name}")
        train_folds = [int(fold) for fold in self.cfg.split.train_folds]
        parts = {k: found[found["fold"] == k] for k in train_folds}
        try:
            return pool_folds(self.images, self.annotations, self.folds, parts, train_folds)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def classified(self, name: str, protocol: str) -> NamedFaces:
        """Return the answers of a classifier; its faces are those of the annotations, or some of them."""
        path = f"build/classify/{name}/{protocol}/predictions.parquet"
        stage = f"classify classifier={name} classify.protocol={protocol}"
        table = self.read(path, CROP_PREDICTIONS, stage)
        key = ["file_name", "face", "class_name"]
        known = self.annotations.assign(face=self.annotations.groupby("file_name").cumcount())[key]
        strange = table[key].merge(known, how="left", indicator=True).query("_merge == 'left_only'")
        if len(strange):
            first = strange.iloc[0]
            raise ValueError(
                f"{path}: expected faces of build/table/annotations.parquet with their classes, got face "
                f"{first['face']} of {first['file_name']!r} as {first['class_name']!r}; run the stage {stage} again"
            )
        return from_crop_predictions(table, self.group_of_file)


def _class_shares(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    groups = groups_of_files(tables.annotations["file_name"], tables.group_of_file)
    class_names = tables.annotations["class_name"]
    return partial(judge_class_shares, class_names, groups, resampling, tables.num_images_with_faces)


def _face_finders(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    settings = tables.cfg.hypotheses
    if len(settings.face_finders) != 2:
        raise ValueError(f"hypotheses.face_finders: expected two face detectors, got {list(settings.face_finders)}")
    finders = []
    for name in settings.face_finders:
        if name not in tables.cfg.face_detectors:
            known = sorted(tables.cfg.face_detectors)
            raise ValueError(f"hypotheses.face_finders: expected names among {known}, got {name!r}")
        found = tables.read(f"build/faces/{name}.parquet", FACES, f"find_faces face_detector={name}")
        finders.append(FaceFinder(name, found, tables.cfg.face_detectors[name].score_threshold))
    return partial(
        judge_face_finders,
        tables.annotations,
        *finders,
        tables.group_of_file,
        resampling,
        settings.face_iou_threshold,
        tables.chosen_on(settings.face_finders_chosen_on_folds),
    )


def _chance(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    model, settings = tables.cfg.hypotheses.mask_model, tables.cfg.evaluate
    if model != _DETECTOR:
        return partial(judge_against_chance, tables.classified(model, GROUPED), model, resampling)
    pooled = tables.one_stage
    named = from_detections(
        pooled.annotations, pooled.predictions, tables.group_of_file, settings.score_threshold, settings.iou_threshold
    )
    return partial(judge_against_chance, named, _DETECTOR_NAME, resampling)


def _trends(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    traits = face_traits(tables.images, tables.annotations, tables.quality)
    groups = groups_of_files(tables.annotations["file_name"], tables.group_of_file)
    class_names = tables.annotations["class_name"]
    return partial(judge_trends, class_names, traits, groups, resampling, tables.num_images_with_faces)


def _target_accuracy(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    settings = tables.cfg.hypotheses
    classifiers = [
        JudgedClassifier(name, tables.classified(name, GROUPED), tables.classified(name, settings.by_face_protocol))
        for name in tables.cfg.two_phase.classifiers
    ]
    chosen_on = tables.chosen_on(tables.cfg.two_phase.chosen_on_folds)
    return partial(judge_target_accuracy, classifiers, settings.target_accuracy, resampling, chosen_on)


def _colour(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    names = tuple(tables.cfg.hypotheses.grey_and_colour)
    if len(names) != 2:
        raise ValueError(f"hypotheses.grey_and_colour: expected two classifiers, got {list(names)}")
    return partial(judge_colour, *(tables.classified(name, GROUPED) for name in names), resampling, names)


def _one_stage(tables: _Tables, resampling: Resampling) -> Callable[[], Verdict]:
    rivals = {name: tables.two_phase(name) for name in tables.cfg.two_phase.face_detectors}
    return partial(judge_one_stage, tables.one_stage, rivals, tables.group_of_file, resampling)


_HYPOTHESES: dict[str, Callable[[_Tables, Resampling], Callable[[], Verdict]]] = {
    "H1": _class_shares,
    "H2": _face_finders,
    "H3": _chance,
    "H4": _trends,
    "H5": _target_accuracy,
    "H6": _colour,
    "H7": _one_stage,
}
"""Name → what reads a hypothesis' tables and returns its test, ready to run."""


if __name__ == "__main__":
    stage_main(run)
