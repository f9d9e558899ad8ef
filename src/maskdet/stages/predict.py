"""Stage `predict`: out-of-fold detections of one fold's images, by the model that has not seen them."""

import pandas as pd
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader
from tqdm import tqdm

from maskdet.data.datamodule import collate
from maskdet.data.dataset import EvaluationSet, LabelledImages
from maskdet.data.framing import Letterbox, Stretch
from maskdet.data.provenance import check_trained_on
from maskdet.evaluation.fusion import fuse_predictions
from maskdet.models.device import best_device
from maskdet.models.efficientdet import EfficientDetector
from maskdet.models.weights import load_detector, load_settings
from maskdet.schema import IMAGES, PREDICTIONS, read_table, write_table
from maskdet.stages.cost import Cost
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.fold_tables import read_tables
from maskdet.stages.json_report import write_json
from maskdet.stages.memory import keep_freed_memory
from maskdet.training.prediction import predict_batches


def run(cfg: DictConfig, workspace: Workspace) -> None:
    """Write the table `predictions` of fold `cfg.fold`, of one view an image or of several, and what an image cost."""
    keep_freed_memory()
    tables, options = read_tables(workspace, cfg.data.name), cfg.predict
    names = tables.held_out(cfg.fold)
    images = LabelledImages.from_tables(tables.image_dir, names, tables.annotations)
    place = f"build/train/{cfg.fold}"
    own = workspace.output(place)  # of a Hydra run folder that trained: `hydra.run.dir=` names it
    weights_dir = own if own.is_dir() else workspace.input(place)
    check_trained_on(load_settings(weights_dir).get("data"), tables.facts, weights_dir)
    detector = load_detector(weights_dir, OmegaConf.to_container(options.detect)).to(best_device())
    begin = Cost.now()
    found = [
        _predict_view(cfg, detector, EvaluationSet(images, framing), mirrored) for framing, mirrored in _views(options)
    ]
    if len(found) > 1:
        rule = options.test_time_augmentation
        sizes = read_table(workspace.input("build/table/images.parquet"), IMAGES)
        table = fuse_predictions(found, sizes, rule.fusion_iou_threshold, min_score=rule.fusion_min_score)
    else:
        table = found[0]
    cost = {"views": len(found), **(Cost.now() - begin).report(len(names), detector.mean.device.type)}
    write_table(table, workspace.output(f"build/predictions/{cfg.fold}.parquet"), PREDICTIONS)
    write_json(cost, workspace.output(f"reports/predict/{cfg.fold}.json"))
    print(f"fold {cfg.fold}: {len(table)} detections in {len(names)} images, {cost['ms_per_image']:.0f} ms an image")


def _views(options: DictConfig) -> list[tuple[Letterbox | Stretch, bool]]:
    """Return (framing, mirrored) of each view: the framing itself, its kind at other sizes, all of them mirrored."""
    more = options.test_time_augmentation
    framings = [instantiate(options.framing), *(instantiate(options.framing, size=size) for size in more.sizes)]
    return [(framing, mirrored) for mirrored in ([False, True] if more.mirrored else [False]) for framing in framings]


def _predict_view(cfg: DictConfig, detector: EfficientDetector, images: EvaluationSet, mirrored: bool) -> pd.DataFrame:
    loader = DataLoader(
        images, batch_size=cfg.predict.batch_size, num_workers=cfg.predict.num_workers, collate_fn=collate
    )
    bar = tqdm(loader, desc=f"predict fold {cfg.fold}", unit="batch", disable=None)
    return predict_batches(detector, bar, cfg.fold, mirrored)


if __name__ == "__main__":
    stage_main(run)
