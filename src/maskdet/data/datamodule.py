"""The Lightning data module: the folds but one for training, the held-out one for validation and prediction."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from maskdet.data.augment import Augmentation
from maskdet.data.dataset import EvaluationSet, Example, Framing, LabelledImages, TrainingSet
from maskdet.data.framing import Letterbox, Stretch
from maskdet.data.sampling import EpochSampler, class_weights, image_weights


@dataclass
class Batch:
    """Examples of one step.

    Attributes:
        images: (B, 3, S, S) uint8 RGB.
        examples: B examples, the same images with boxes, names and frames.
    """

    images: torch.Tensor
    examples: list[Example]

    @property
    def file_names(self) -> list[str]:
        """The images that the examples were made from."""
        return [example.file_name for example in self.examples]

    @property
    def boxes_xyxy(self) -> list[torch.Tensor]:
        """B tensors (N_i, 4), on the device of the images."""
        return [example.boxes_xyxy.to(self.images.device) for example in self.examples]

    @property
    def class_indices(self) -> list[torch.Tensor]:
        """B tensors (N_i,), on the device of the images."""
        return [example.class_indices.to(self.images.device) for example in self.examples]

    def to(self, device: torch.device, **options: bool) -> "Batch":
        """Return the batch with its images on a device; Lightning calls this."""
        return Batch(self.images.to(device, **options), self.examples)


def collate(examples: list[Example]) -> Batch:
    """Stack the images; boxes stay a list, so that no number of faces is a limit."""
    return Batch(torch.stack([example.image for example in examples]), examples)


@dataclass
class Tables:
    """What the data module needs of the pipeline's tables.

    Attributes:
        image_dir: Folder of the images.
        annotations: Table `annotations`.
        folds: Table `folds`.
        facts: What they hold, as `maskdet.data.provenance.training_facts` tells it.
    """

    image_dir: Path
    annotations: pd.DataFrame
    folds: pd.DataFrame
    facts: dict[str, str | int] = field(default_factory=dict)

    def held_out(self, fold: int | None) -> list[str]:
        """Return the images of a fold, in the table's order; of None, which holds nothing out, none.

        Raises:
            ValueError: If the table has no such fold.
        """
        if fold is None:
            return []
        chosen = self.folds.query("split_role == 'fold' and fold == @fold")["file_name"].tolist()
        if not chosen:
            known = sorted(self.folds.query("split_role == 'fold'")["fold"].unique().tolist())
            raise ValueError(f"fold: expected one of {known}, got {fold}")
        return chosen

    def training(self, fold: int | None) -> list[str]:
        """Return the images of all other folds, turned copies among them; of None, of all folds."""
        self.held_out(fold)  # an unknown fold is an error
        rows = self.folds.query("split_role != 'test' and fold >= 0")
        return rows.loc[rows["fold"] != (-1 if fold is None else fold), "file_name"].tolist()


class FoldDataModule(pl.LightningDataModule):
    """Batches for training on all folds but one, and for evaluation on that one.

    Args:
        tables: Images, annotations, folds.
        fold: The held-out fold; None trains on every image and leaves none for evaluation.
        framing: How training inputs are made.
        augmentation: Applied to training inputs.
        evaluation_framing: How validation inputs are made.
        batch_size: Examples a training step.
        evaluation_batch_size: Examples a validation step.
        samples_per_epoch: Draws an epoch; None: every image once.
        balance_power: How much more often images and faces of rare classes are drawn, see `class_weights`; 0: evenly.
        num_workers: Loader processes; changes the speed, never the batches.
        in_memory: Keep decoded images in memory.
        seed: Of sampling and augmentation.

    Raises:
        ValueError: If the fold is unknown or an epoch does not fill a batch.
        FileNotFoundError: If an image is absent.
    """

    def __init__(
        self,
        tables: Tables,
        fold: int | None,
        framing: Framing,
        augmentation: Augmentation,
        evaluation_framing: Letterbox | Stretch,
        batch_size: int,
        evaluation_batch_size: int,
        samples_per_epoch: int | None,
        balance_power: float,
        num_workers: int,
        in_memory: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.batch_size, self.evaluation_batch_size = batch_size, evaluation_batch_size
        self.num_workers = num_workers
        self._source = LabelledImages.from_tables(
            tables.image_dir, tables.training(fold), tables.annotations, in_memory
        )
        classes = self._source.class_indices
        self.training_set = TrainingSet(
            self._source, framing, augmentation, class_weights(classes, balance_power), seed
        )
        weights = image_weights(classes, balance_power) if balance_power else None
        self.sampler = EpochSampler(len(self._source), samples_per_epoch, weights, seed)
        if len(self.sampler) < batch_size:
            raise ValueError(
                f"trainer.batch_size: expected at most {len(self.sampler)}, the draws of an epoch, got {batch_size}: "
                "an incomplete batch is left out, so that no step would be made"
            )
        held_out = LabelledImages.from_tables(tables.image_dir, tables.held_out(fold), tables.annotations, in_memory)
        self.held_out_annotations = tables.annotations[tables.annotations["file_name"].isin(held_out.file_names)]
        self.evaluation_set = EvaluationSet(held_out, evaluation_framing)

    def setup(self, stage: str) -> None:
        """Decode images before worker processes start, so that they share one copy."""
        del stage
        self._source.preload()

    def train_dataloader(self) -> DataLoader:
        """Return full batches only: an incomplete last one is left out."""
        return DataLoader(
            self.training_set,
            batch_size=self.batch_size,
            sampler=self.sampler,
            drop_last=True,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(0),  # else the loader would draw from the global one
        )

    def val_dataloader(self) -> DataLoader:
        """Return every held-out image once, in the table's order."""
        return DataLoader(
            self.evaluation_set,
            batch_size=self.evaluation_batch_size,
            num_workers=self.num_workers,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(0),
        )

    def first_examples(self, count: int) -> list[Example]:
        """Return the first training examples of epoch 0, for people to look at."""
        self.sampler.set_epoch(0)
        draws = [draw for draw, _ in zip(self.sampler, range(count), strict=False)]
        return [self.training_set[draw] for draw in draws]


def as_numpy(example: Example) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Return (S, S, 3) uint8, (N, 4) boxes and class indices of an example, for drawing."""
    return example.image.permute(1, 2, 0).numpy(), example.boxes_xyxy.numpy(), example.class_indices.tolist()
