"""Every file of `conf/` composes, builds what it names, and holds no key that no code reads."""

import ast
import functools
import re

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from maskdet.schema import CLASS_NAMES
from maskdet.stages import train
from maskdet.training.fit import build_module
from training_world import CONF, SHRUNK, compose_config, write_world

CHOICES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/*.yaml"))
GROUPS = sorted({choice.split("/")[0] for choice in CHOICES} - {"experiment", "sweep", "lever", "hydra"})
EXPERIMENTS = [choice.split("/")[1] for choice in CHOICES if choice.startswith("experiment/")]
OPTIMIZATION = {"optimizer", "scheduler", "trainer"}
FREE_KEYS = {"class_map", "classes", "lr_multipliers", "shapes", "shares", "splits", "worn"}
"""Nodes whose keys are data: prefixes of parameter names, classes of others, folders, kinds of masks, parts."""


def choices_of(group: str) -> list[str]:
    return [choice.split("/")[1] for choice in CHOICES if choice.startswith(f"{group}/")]


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice.split("/")[0] in [*GROUPS, "experiment"]])
def test_every_choice_composes(choice):
    group, name = choice.split("/")
    cfg = compose_config(f"{group}={name}")
    assert OmegaConf.missing_keys(cfg) == set()
    assert set(cfg) >= {"seed", "fold", *GROUPS}


def test_an_unknown_key_is_refused():
    with pytest.raises(Exception, match="batch_siz"):
        compose_config("trainer.batch_siz=2")


@pytest.mark.parametrize("choice", [choice for choice in CHOICES if choice.startswith("sweep/")])
def test_every_sweep_composes(choice):
    cfg = compose_config(f"+{choice.replace('/', '=')}")
    swept = OmegaConf.load(CONF / f"{choice}.yaml").hydra.sweeper.params
    for key in swept:
        assert OmegaConf.select(cfg, key) is not None, key


@pytest.mark.parametrize("lever", choices_of("lever"))
def test_every_lever_changes_the_ablation_and_nothing_beyond_training(lever):
    base = compose_config("experiment=ablation")
    cfg = compose_config("experiment=ablation", f"+lever={lever}")
    assert (cfg == base) == (lever == "none")
    assert {key for key in cfg if cfg[key] != base[key]} <= {"augment", "framing", "model", *OPTIMIZATION}


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.relative_to(CONF).as_posix())
def test_no_value_depends_on_the_machine_or_the_hour(path):
    tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    tree.pop("hydra", None)
    text = OmegaConf.to_yaml(OmegaConf.create(tree))
    assert not re.findall(r"\$\{(?:oc\.env|now|hydra):|\?\?\?", text)


@pytest.mark.parametrize("name", choices_of("framing"))
def test_framings_are_built(name):
    framing = instantiate(compose_config(f"framing={name}").framing, _convert_="all")
    assert framing.size % 128 == 0


@pytest.mark.parametrize("name", choices_of("model"))
def test_models_are_built(name):
    cfg = compose_config(f"model={name}")
    options = {"num_classes": len(CLASS_NAMES), "detect": OmegaConf.to_container(cfg.predict.detect)}
    with torch.device("meta"):  # shapes without numbers: the largest has 52 M parameters
        detector = instantiate(cfg.model, pretrained="none", **options, _convert_="all")
    assert detector.config.name == cfg.model.architecture == f"tf_{name}"
    assert detector.config.num_classes == len(CLASS_NAMES)


@pytest.mark.parametrize("optimizer", choices_of("optimizer"))
@pytest.mark.parametrize("scheduler", choices_of("scheduler"))
def test_optimizers_and_schedules_are_built(optimizer, scheduler):
    constructor = compose_config(f"optimizer={optimizer}").optimizer.constructor
    made = instantiate(constructor)([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1}])
    schedule = instantiate(compose_config(f"scheduler={scheduler}").scheduler)(made, total_steps=200)
    assert 0 < schedule.get_last_lr()[0] < 0.1  # in its warm-up


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_framings_of_validation_and_prediction_are_built(experiment):
    cfg = compose_config(f"experiment={experiment}")
    for node in (cfg.trainer.validation.framing, cfg.predict.framing):
        frame = instantiate(node).frame((400, 300))
        assert frame.size == node.size
        assert node.size % 128 == 0


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_parameter_prefixes_of_experiments_exist(experiment):
    cfg = compose_config(f"experiment={experiment}", "model=efficientdet_lite0", "model.pretrained=none")
    names = [name for name, _ in build_module(cfg).detector.network.named_parameters()]
    for prefix in cfg.optimizer.lr_multipliers:
        assert any(name.startswith(prefix) for name in names), prefix


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "reference"])
def test_every_experiment_trains(experiment, tmp_path):
    """The experiment's own choices (losses, augmentation, schedule), in the smallest size."""
    sizes = [override for override in SHRUNK if not override.startswith("framing.long_side_range")]
    cfg = compose_config(f"experiment={experiment}", *sizes, "trainer.max_epochs=1", "trainer.samples_per_epoch=4")
    train.run(cfg, write_world(tmp_path))
    assert (tmp_path / "build/train/0/weights.safetensors").is_file()


def leaf_keys(node: DictConfig | dict, prefix: str = "") -> list[str]:
    """Return dotted keys, but those below a `_target_`: there the constructor refuses what it does not know."""
    keys = []
    for key, value in node.items():
        name = f"{prefix}{key}"
        if not isinstance(value, dict) or key in FREE_KEYS:
            keys.append(name)
        elif "_target_" not in value:
            keys += leaf_keys(value, f"{name}.")
    return keys


READERS = {
    "analyse": ("stages/analyse.py",),
    "classifier": ("training/*.py", "stages/classify.py"),
    "classify": ("training/*.py", "stages/classify.py", "reporting/wandb_runs.py"),
    "crops": ("stages/*crops.py", "stages/overlays.py"),
    "data": ("stages/*.py", "data/archive.py", "data/composite*.py", "data/manifest.py"),
    "evaluate": ("stages/evaluate.py", "stages/report.py"),
    "explore": ("stages/explore.py",),
    "folder_crops": ("stages/folder_crops.py", "data/class_folders.py", "data/copies.py", "data/folds.py"),
    "hypotheses": ("stages/hypotheses.py",),
    "logger": ("training/tracking.py", "reporting/wandb_*.py"),
    "optimizer": ("training/fit.py",),
    "overlay": ("stages/overlays.py",),
    "predict": ("stages/predict.py", "models/efficientdet.py", "inference/metadata.py"),
    "report": ("stages/report.py",),
    "score_faces": ("stages/score_faces.py",),
    "score_sources": ("stages/score_sources.py",),
    "split": ("stages/split.py", "stages/evaluate.py", "data/folds.py", "data/duplicates.py"),
    "studies": ("stages/*.py", "data/*.py", "models/efficientdet.py", "reporting/wandb_*.py", "training/*.py"),
    "trainer": ("training/fit.py", "models/efficientdet.py"),
    "two_phase": ("stages/*.py",),
}
"""The files that read a group which no `_target_` builds; a name elsewhere in the package is no evidence."""


@functools.cache
def names_read(*patterns: str) -> set[str]:
    """Return every attribute and subscript that the code of these files reads."""
    package = CONF.parent / "src/maskdet"
    names = set()
    for path in {path for pattern in patterns for path in package.glob(pattern)}:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
                names.add(node.slice.value)
    return names


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_is_read(group):
    unread = set()
    for name in choices_of(group):
        node = OmegaConf.to_container(compose_config(f"{group}={name}")[group])
        if "_target_" not in node:
            unread |= {key for key in leaf_keys(node) if key.split(".")[-1] not in names_read(*READERS[group])}
    assert not unread


def test_every_top_level_key_is_read():
    assert set(compose_config()) <= names_read("stages/*.py", "training/fit.py", "training/tracking.py") | {"scheduler"}


def test_a_key_that_nothing_reads_would_be_found():
    assert leaf_keys({"a": 1, "shufle": {"b": 2, "c": {"_target_": "x", "d": 1}}}) == ["a", "shufle.b"]
    for group in ("trainer", "data"):  # a word of torch's or pandas' API is no key of ours
        assert not {"shuffle", "shufle", "drop_last", "sort"} & names_read(*READERS[group])
