"""A study: settings of its own, folders of its own, and stages that know nothing of it."""

import shutil
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from maskdet.stages.entry import Study, Workspace, of_study, stage_main

PARAMS = {
    "study": None,
    "fold": 0,
    "seed": 0,
    "data": {"name": "main", "archive": "main.zip"},
    "split": {"num_folds": 5},
    "studies": {
        "mixed": {
            "shared": ["build/raw"],
            "data": {"name": "mixed", "sources": ["a", "b"]},
            "seed": 7,
            "parts": {"by_group": {"split": {"num_folds": 3}}, "by_source": {"split": {"num_folds": 2}, "seed": 9}},
        }
    },
}


def config(study: str | None = None):
    cfg = OmegaConf.create(PARAMS | {"study": study})
    OmegaConf.set_struct(cfg, True)
    return cfg


def test_without_a_study_nothing_changes(tmp_path):
    cfg = config()
    assert of_study(cfg) == (cfg, None)
    workspace = Workspace(tmp_path, tmp_path / "out")
    assert workspace.input("build/raw") == tmp_path / "build/raw"
    assert workspace.output("reports/a.json") == tmp_path / "out/reports/a.json"


def test_a_study_takes_the_place_of_whole_settings():
    """Nothing of the main road's node is left over: an archive beside sources would be neither."""
    cfg = config("mixed")
    settings, study = of_study(cfg)
    assert settings.data == {"name": "mixed", "sources": ["a", "b"]}
    assert (settings.seed, settings.split.num_folds) == (7, 5)
    assert study == Study("mixed", None, ("build/raw",))
    assert cfg == config("mixed")


def test_a_part_comes_after_its_study():
    settings, study = of_study(config("mixed/by_source"))
    assert (settings.seed, settings.split.num_folds, settings.data.name) == (9, 2, "mixed")
    assert study == Study("mixed", "by_source", ("build/raw",))
    assert of_study(config("mixed/by_group"))[0].seed == 7


@pytest.mark.parametrize("study", ["mix", "mixed/", "mixed/by_name", "/by_group"])
def test_an_unknown_study_is_answered_with_the_known_ones(study):
    known = "mixed, mixed/by_group, mixed/by_source"
    with pytest.raises(ValueError, match=rf"study: expected null or one of {known}, got '{study}'"):
        of_study(config(study))


def test_a_setting_that_nothing_reads_is_refused():
    cfg = OmegaConf.merge(config(), {"study": "mixed/by_group"})
    OmegaConf.set_struct(cfg, False)
    cfg.studies.mixed.parts.by_group.splitt = {}
    with pytest.raises(ValueError, match=r"studies\.mixed\.parts\.by_group: expected keys of the config, got 'splitt'"):
        of_study(cfg)


NAMES = st.text("abc", min_size=1, max_size=3)
PATHS = st.builds("/".join, st.tuples(st.sampled_from(["build", "reports"]), NAMES, NAMES))


@given(PATHS, PATHS, st.sampled_from([None, "left", "right"]))
def test_places_of_a_study_never_meet(first, second, part):
    study = Study("mixed", part, ("build/a",))
    assert (study.place(first) == study.place(second)) == (first == second)
    assert study.place(first).startswith((f"{first.split('/')[0]}/mixed/",))
    is_shared = first.startswith("build/a/")
    assert (study.place(first) == Study("mixed", "other", ("build/a",)).place(first)) == is_shared


@pytest.fixture
def as_dvc(tmp_path, monkeypatch):
    """Return a function that runs a stage in this process as DVC would, with words of its command line."""
    OmegaConf.save(OmegaConf.create(PARAMS), tmp_path / "params.yaml")
    monkeypatch.setenv("DVC_STAGE", "train@0")
    monkeypatch.delenv("MASKDET_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> object:
        monkeypatch.setattr(sys, "argv", ["stage", *words])
        return stage_main(lambda cfg, workspace: (cfg, workspace))

    return run


def test_under_dvc_words_come_after_the_study(as_dvc, tmp_path):
    cfg, workspace = as_dvc("split.num_folds=4", "study=mixed/by_group", "fold=2")
    assert (cfg.fold, cfg.split.num_folds, cfg.data.name) == (2, 4, "mixed")
    assert workspace.input("build/raw/images") == tmp_path / "build/mixed/raw/images"
    assert workspace.output("build/train/2") == tmp_path / "build/mixed/by_group/train/2"
    assert workspace.root == tmp_path
    with pytest.raises(SystemExit, match=r"error: study: expected null or one of mixed, .*, got 'other'"):
        as_dvc("study=other")


@pytest.fixture
def as_person(tmp_path, monkeypatch):
    """Return a function that runs a stage in this process from Hydra's command line."""
    (tmp_path / "conf").mkdir()
    OmegaConf.save(OmegaConf.create(PARAMS), tmp_path / "conf/config.yaml")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.delenv("MASKDET_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    seen = []

    def run(*words: str) -> tuple:
        monkeypatch.setattr(sys, "argv", ["stage", "hydra.run.dir=out", "hydra/job_logging=disabled", *words])
        stage_main(lambda cfg, workspace: seen.append((cfg, workspace)))
        shutil.rmtree(tmp_path / "out")
        return seen[-1]

    return run


def test_a_person_runs_a_study_in_a_folder_of_the_run(as_person, tmp_path):
    cfg, workspace = as_person("study=mixed/by_source", "fold=1", "studies.mixed.parts.by_source.split.num_folds=6")
    assert (cfg.fold, cfg.split.num_folds, cfg.seed) == (1, 6, 9)
    assert workspace.input("build/raw") == tmp_path / "build/mixed/raw"
    assert workspace.output("build/train/1") == tmp_path / "out/build/mixed/by_source/train/1"


@pytest.mark.parametrize("word", ["split.num_folds=4", "data.name=x", "seed=3", "+data.extra=1"])
def test_a_word_that_the_study_would_swallow_is_refused(as_person, word):
    with pytest.raises(SystemExit, match=r"error: .*: expected no override of what study=mixed/by_source sets itself"):
        as_person("study=mixed/by_source", word)
