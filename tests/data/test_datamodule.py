"""The data module: folds never meet, and the number of loader processes changes no batch."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from maskdet.data.datamodule import FoldDataModule, Tables, as_numpy
from maskdet.data.framing import Letterbox, RandomCrop
from training_world import CONF, FACES, annotations_table, draw_images, file_name, folds_table

FOLD_0, FOLD_1 = [file_name(i) for i in (0, 2, 4, 6)], [file_name(i) for i in (1, 3, 5, 7)]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "images"
    draw_images(folder)
    return Tables(folder, annotations_table(), folds_table())


def data_module(tables: Tables, **changes: object) -> FoldDataModule:
    options = {
        "fold": 0,
        "framing": RandomCrop(128, (100, 200), 0.8),
        "augmentation": instantiate(OmegaConf.load(CONF / "augment/strong.yaml"), _convert_="all"),
        "evaluation_framing": Letterbox(128),
        "batch_size": 2,
        "evaluation_batch_size": 3,
        "samples_per_epoch": 6,
        "balance_power": 0.5,
        "num_workers": 0,
        "in_memory": True,
        "seed": 0,
    }
    return FoldDataModule(tables, **(options | changes))


def test_held_out_and_training_share_no_image_and_cover_all(tables):
    assert tables.held_out(0) == FOLD_0
    assert tables.training(0) == FOLD_1
    assert tables.held_out(1) == FOLD_1
    assert tables.training(1) == FOLD_0


def test_test_images_are_in_neither(tables):
    folds = tables.folds.copy()
    folds.loc[folds["file_name"] == file_name(1), ["split_role", "fold"]] = ["test", -1]
    cut = Tables(tables.image_dir, tables.annotations, folds)
    assert cut.held_out(0) == FOLD_0
    assert cut.training(0) == FOLD_1[1:]


def test_an_unknown_fold_is_answered_with_the_known_ones(tables):
    with pytest.raises(ValueError, match=r"fold: expected one of \[0, 1\], got 5"):
        tables.held_out(5)
    with pytest.raises(ValueError, match=r"fold: expected one of \[0, 1\], got -1"):
        data_module(tables, fold=-1)


class Recorder(pl.LightningModule):
    """Sees the batches as Lightning hands them out, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple] = []

    def training_step(self, batch, batch_index: int) -> torch.Tensor:
        boxes = [box.tolist() for box in batch.boxes_xyxy]
        classes = [indices.tolist() for indices in batch.class_indices]
        self.seen.append((self.current_epoch, batch.file_names, batch.images.numpy().tobytes(), boxes, classes))
        return self.weight.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def batches_of(tables: Tables, num_workers: int, root) -> list[tuple]:
    recorder = Recorder()
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=root,
    )
    trainer.fit(recorder, train_dataloaders=None, datamodule=data_module(tables, num_workers=num_workers))
    return recorder.seen


def test_worker_counts_change_no_batch(tables, tmp_path):
    alone = batches_of(tables, 0, tmp_path)
    assert [batch[0] for batch in alone] == [0, 0, 0, 1, 1, 1]
    assert len({batch[2] for batch in alone}) == 6
    assert batches_of(tables, 2, tmp_path) == alone


def test_lightning_sees_the_draws_of_each_epoch(tables, tmp_path):
    data = data_module(tables)
    expected = []
    for epoch in (0, 1):
        data.sampler.set_epoch(epoch)
        expected += [data.training_set[draw].file_name for draw in data.sampler]
    assert [name for batch in batches_of(tables, 0, tmp_path) for name in batch[1]] == expected


def test_validation_is_every_held_out_image_in_order(tables):
    batches = list(data_module(tables).val_dataloader())
    assert [len(batch.examples) for batch in batches] == [3, 1]
    assert [name for batch in batches for name in batch.file_names] == FOLD_0
    held_out = data_module(tables).held_out_annotations
    assert len(held_out) == sum(face[0] % 2 == 0 for face in FACES)


def test_the_first_examples_are_those_of_the_first_epoch(tables):
    data = data_module(tables)
    data.sampler.set_epoch(7)
    examples = data.first_examples(4)
    batches = [batch for batch, _ in zip(data.train_dataloader(), range(2), strict=False)]
    assert [example.file_name for example in examples] == [name for batch in batches for name in batch.file_names]
    image, boxes, classes = as_numpy(examples[0])
    assert (image.shape, image.dtype, boxes.shape) == ((128, 128, 3), np.uint8, (len(classes), 4))


def test_a_batch_moves_as_one(tables):
    batch = next(iter(data_module(tables).val_dataloader()))
    moved = batch.to(torch.device("meta"))
    assert {tensor.device.type for tensor in [moved.images, *moved.boxes_xyxy, *moved.class_indices]} == {"meta"}
    assert moved.file_names == batch.file_names


def test_fewer_images_than_a_batch_are_refused(tables):
    with pytest.raises(ValueError, match=r"trainer.batch_size: expected at most 3"):
        data_module(tables, batch_size=4, samples_per_epoch=3)
