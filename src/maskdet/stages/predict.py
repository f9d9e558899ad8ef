"""Stage `predict`: out-of-fold detections of one fold's images, by the model that has not seen them."""

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader
from tqdm import tqdm

from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.models.weights import load_detector
from maskdet.schema import PREDICTIONS, write_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.fold_tables import read_tables
from maskdet.training.prediction import best_device, predict_batches


def run(cfg: DictConfig, workspace: Workspace) -> None:
    """Write the table `predictions` of fold `cfg.fold`."""
    tables, options = read_tables(workspace, cfg.data.name), cfg.predict
    names = tables.held_out(cfg.fold)
    images = LabelledImages.from_tables(tables.image_dir, names, tables.annotations)
    loader = DataLoader(
        EvaluationSet(images, instantiate(options.framing)),
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        collate_fn=collate,
    )
    weights_dir = workspace.input(f"build/train/{cfg.fold}")
    detector = load_detector(weights_dir, OmegaConf.to_container(options.detect)).to(best_device())
    table = predict_batches(
        detector, tqdm(loader, desc=f"predict fold {cfg.fold}", unit="batch", disable=None), cfg.fold
    )
    write_table(table, workspace.output(f"build/predictions/{cfg.fold}.parquet"), PREDICTIONS)
    print(f"fold {cfg.fold}: {len(table)} detections in {len(names)} images")


if __name__ == "__main__":
    stage_main(run)
