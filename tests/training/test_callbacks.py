"""The averaged weights by hand on a module of one number, and the history table."""

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from maskdet.training.callbacks import EmaWeights, EpochSeed, History

SECOND_DECAY = 1 - 2**-0.75  # timm's warm-up: 1 - (1 + step) ** -0.75, the first step has none


class OneNumber(pl.LightningModule):
    """Its weight falls by 1 a step from 0: -1, -2, -3, …; validation reads it."""

    def __init__(self) -> None:
        super().__init__()
        self.detector = nn.BatchNorm1d(1)
        nn.init.zeros_(self.detector.weight)
        self.validated_with: list[float] = []
        self.random: list[float] = []

    def training_step(self, batch, index: int) -> torch.Tensor:
        self.random.append(float(torch.rand(())))
        self.detector.num_batches_tracked += 1
        loss = self.detector.weight.sum()
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, index: int) -> None:
        self.validated_with.append(float(self.detector.weight.detach()))
        self.log("val/map", self.detector.weight.detach().sum())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.detector.weight], lr=1.0)


def fit(module: OneNumber, callbacks: list, root, epochs: int = 1, every: int = 1) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        callbacks=callbacks,
        check_val_every_n_epoch=every,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=root,
    )
    loader = torch.utils.data.DataLoader([torch.zeros(1)] * 2, batch_size=1)
    trainer.fit(module, loader, loader)
    return trainer


def test_two_steps_by_hand(tmp_path):
    module, ema = OneNumber(), EmaWeights(0.9)
    fit(module, [ema], tmp_path)
    average = SECOND_DECAY * -1 + (1 - SECOND_DECAY) * -2
    assert float(ema.ema.module.weight) == pytest.approx(average, abs=1e-6)
    assert module.validated_with == pytest.approx([average, average], abs=1e-6)
    assert float(module.detector.weight) == -2  # the weights themselves are back after the validation
    assert int(ema.ema.module.num_batches_tracked) == 2  # an integer is copied


def test_the_decay_is_a_ceiling(tmp_path):
    ema = EmaWeights(0.25)
    fit(OneNumber(), [ema], tmp_path)
    assert float(ema.ema.module.weight) == pytest.approx(0.25 * -1 + 0.75 * -2)


def test_a_restored_average_goes_on(tmp_path):
    first = EmaWeights(0.9)
    fit(OneNumber(), [first], tmp_path)
    second = EmaWeights(0.9)
    second.load_state_dict(first.state_dict())
    module = OneNumber()
    trainer = pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)
    second.setup(trainer, module, "fit")
    assert float(second.ema.module.weight) == 0
    second.on_fit_start(trainer, module)
    assert float(second.ema.module.weight) == float(first.ema.module.weight)


def test_the_history_has_a_row_an_epoch_and_no_stale_validation(tmp_path):
    lines = []
    history = History(tmp_path / "reports/history.csv", echo=lines.append)
    fit(OneNumber(), [history], tmp_path, epochs=3, every=2)
    table = pd.read_csv(tmp_path / "reports/history.csv")
    assert list(table) == ["epoch", "step", "seconds", "train/loss", "val/map"]
    assert history.seconds == pytest.approx(table["seconds"].sum(), rel=1e-4)
    assert table["step"].tolist() == [2, 4, 6]
    assert table["train/loss"].tolist() == [-0.5, -2.5, -4.5]  # means of (0, -1), (-2, -3), (-4, -5)
    assert table["val/map"].fillna(0).tolist() == [0, -4, 0]
    assert lines == [
        "epoch 1/3, step 2: train/loss -0.5000",
        "epoch 2/3, step 4: train/loss -2.5000, val/map -4.0000",
        "epoch 3/3, step 6: train/loss -4.5000",
    ]


def test_the_rows_survive_a_checkpoint(tmp_path):
    first, second = History(tmp_path / "a.csv"), History(tmp_path / "b.csv")
    first.rows = [{"epoch": 0, "step": 2, "seconds": 1.5, "train/loss": 1.0}]
    second.load_state_dict(first.state_dict())
    first.rows[0]["step"] = 99
    second.write()
    assert (tmp_path / "b.csv").read_text() == "epoch,step,seconds,train/loss\n0,2,1.5,1\n"
    assert second.seconds == 1.5


def test_random_numbers_depend_on_seed_and_epoch(tmp_path):
    def drawn(seed: int) -> list[float]:
        module = OneNumber()
        fit(module, [EpochSeed(seed)], tmp_path, epochs=2)
        return module.random

    torch.manual_seed(1)
    first = drawn(0)
    assert len(set(first)) == 4
    assert drawn(0) == first
    assert set(drawn(1)).isdisjoint(first)
