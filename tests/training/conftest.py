"""One training of the real config, shrunk, that many tests look at."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from maskdet.stages import predict, train
from maskdet.stages.entry import Workspace
from training_world import shrunk_config, write_world

EPOCHS = 3


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Sums in one order, and the machine stays free for others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Trained:
    """A finished fold.

    Attributes:
        cfg: What it was trained with.
        root: Inputs and outputs.
        returned: What the stage `train` gave back.
    """

    cfg: DictConfig
    root: Path
    returned: float


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return fold 0 of the shrunk config after `train` and `predict`, tracked by W&B offline."""
    root = tmp_path_factory.mktemp("trained")
    workspace = write_world(root)
    cfg = shrunk_config(f"trainer.max_epochs={EPOCHS}", "logger=wandb", "logger.mode=offline")
    returned = train.run(cfg, workspace)
    predict.run(cfg, workspace)
    return Trained(cfg, root, returned)


@pytest.fixture
def fit(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains one epoch with overrides in a fresh world, and returns its root."""

    def run(*overrides: str) -> Path:
        root = tmp_path / "world"
        workspace = Workspace(root, root) if root.exists() else write_world(root)
        train.run(shrunk_config("trainer.max_epochs=1", *overrides), workspace)
        return root

    return run
