"""Files of the repository that must agree with each other."""

import functools
import importlib
import re
import subprocess
from pathlib import Path

import grimp
import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from end_to_end.project_copy import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PIPELINES = {
    f"{path.parent.name}:{name}": stage
    for path in sorted(ROOT.glob("pipelines/*/dvc.yaml"))
    for name, stage in yaml.safe_load(path.read_text())["stages"].items()
}
EVERY_STAGE = STAGES | PIPELINES
WITHOUT_EFFECT = {
    "train": ("maskdet.reporting", "maskdet.evaluation", "maskdet.training.tracking"),
    "predict": ("maskdet.reporting",),
    "classify": ("maskdet.reporting", "maskdet.training.part_tracking"),
}
"""What a stage imports to show its work, not to do it: an edit there must not run it again."""


@functools.cache
def imports_without(packages: tuple[str, ...]) -> grimp.ImportGraph:
    """Return who imports whom, as if these packages did not exist; the same graph at each call."""
    graph = grimp.build_graph("maskdet", cache_dir=None)
    # `maskdet.Predictor` is imported by whoever asks for it, not by who asks for the package's version.
    graph.remove_import(importer="maskdet", imported="maskdet.inference.predictor")
    for name in [module for module in graph.modules if module.startswith(packages)]:
        graph.remove_module(name)
    return graph


def test_params_yaml_in_git_is_what_conf_composes(tmp_path: Path) -> None:
    in_git = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=ROOT, capture_output=True, check=True).stdout
    compose_and_dump(str(tmp_path / "params.yaml"), str(ROOT / "conf"), None, "config", None, [])
    assert (tmp_path / "params.yaml").read_bytes() == in_git, "run `make params` and commit params.yaml"


@pytest.mark.parametrize("stage", sorted(EVERY_STAGE))
def test_a_stage_depends_on_all_code_that_it_runs(stage: str) -> None:
    module = EVERY_STAGE[stage]["cmd"].split()[2]
    imports = imports_without(WITHOUT_EFFECT.get(module.rsplit(".", 1)[-1], ()))
    needed = {_file(name) for name in {module, *imports.find_upstream_modules(module)}}
    deps = [ROOT / dep for dep in EVERY_STAGE[stage]["deps"] if dep.startswith("src/")]
    uncovered = {path for path in needed if not any(path == dep or dep in path.parents for dep in deps)}
    assert not {path for path in uncovered if path.name != "__init__.py"}
    idle = {dep for dep in deps if dep.suffix == ".py" and dep not in needed}
    assert not idle, f"{stage} depends on code that it never imports"


@pytest.mark.parametrize("stage", ["train", "two_phase:classify"])
def test_what_a_restart_compares_is_the_code_that_decides_the_result(stage: str) -> None:
    """Of the code that a training depends on, all that is no mere bookkeeping is in the key of its resume folder."""
    bookkeeping = {"atomic.py", "data/provenance.py", "training/resume.py"}
    code = set(importlib.import_module(EVERY_STAGE[stage]["cmd"].split()[2]).CODE)
    deps = {dep.removeprefix("src/maskdet/") for dep in EVERY_STAGE[stage]["deps"] if dep.startswith("src/")}
    assert code == {dep for dep in deps - bookkeeping if not dep.startswith("stages/")}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_is_the_module_of_its_name(stage: str) -> None:
    assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"maskdet.stages.{stage}"]
    assert (ROOT / "src/maskdet/stages" / f"{stage}.py").is_file()


@pytest.mark.parametrize("stage", sorted(PIPELINES))
def test_another_pipeline_runs_from_the_root(stage: str) -> None:
    assert PIPELINES[stage]["wdir"] == "../.."


def test_pictures_of_photos_are_neither_committed_nor_pushed() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not [
        name for name in tracked if name.startswith("reports/gallery") or name.endswith(("report.html", ".jpg"))
    ]
    outs = [out for stage in EVERY_STAGE.values() for out in stage["outs"] if isinstance(out, dict)]
    unpushed = {path for out in outs for path, options in out.items() if options.get("push") is False}
    assert {"build/raw", "build/train/${item.fold}", "reports/gallery", "reports/report.html"} <= unpushed
    assert {"build/crops", "build/overlays", "build/folder_crops/pixels.npy"} <= unpushed
    assert {"reports/two_phase/report.html", "reports/audit/audit.html"} <= unpushed
    assert {"reports/explore/explore.html", "reports/explore/photos"} <= unpushed


def _file(module: str) -> Path:
    path = ROOT / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


README = (ROOT / "README.md").read_text()


def test_the_readme_names_targets_stages_folders_and_experiments_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)`", README)) <= targets
    stages = re.findall(r"^\| `([a-z]+)(?:@k)?` \| ", README, flags=re.MULTILINE)
    assert [stage for stage in stages if stage in STAGES] == list(STAGES)
    layout = README.split("## In this repository")[1].split("##")[0]
    for place in re.findall(r"^\| `([^`]+)`", layout, flags=re.MULTILINE):
        assert (ROOT / place).exists(), place
    listed = re.findall(r"^\| `([a-z0-9_]+)` \| [a-z]", README.split("Shipped experiments")[1], flags=re.MULTILINE)
    experiments = sorted(path.stem for path in (ROOT / "conf/experiment").glob("*.yaml"))
    assert sorted(listed[: len(experiments)]) == experiments


def test_the_readme_is_finished() -> None:
    assert not re.findall(r"\b[A-Z]+_[A-Z]+\b", README.replace("MASKDET_ARCHIVES", ""))
