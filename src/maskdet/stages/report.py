"""Stage `report`: galleries, the HTML page, the model card and the W&B run of the pooled evaluation."""

import json
from itertools import zip_longest
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from maskdet.evaluation.matching import match_detections
from maskdet.evaluation.pooling import EvaluationTables
from maskdet.reporting.analysis_files import read_analysis
from maskdet.reporting.cards import CardSource, GalleryCard, image_cards
from maskdet.reporting.error_cards import error_cards
from maskdet.reporting.figure_files import figure_pixels
from maskdet.reporting.gallery import open_pictures, select_images, write_gallery
from maskdet.reporting.html import write_page
from maskdet.reporting.model_card import write_model_card
from maskdet.reporting.page_content import Background, build_page, read_data_reports
from maskdet.reporting.page_figures import Results, build_figures
from maskdet.reporting.picture import GalleryPicture, judge_tables
from maskdet.reporting.wandb_content import (
    log_files,
    log_gallery,
    log_pictures,
    log_pr_curves,
    log_predictions_table,
    log_summary,
)
from maskdet.reporting.wandb_runs import open_run
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.held_out_tables import read_held_out

Galleries = dict[str, list[GalleryPicture]]


def run(cfg: DictConfig, workspace: Workspace) -> Path:
    """Write `reports/report.html`, `reports/model_card.md`, `reports/gallery/`; log the same to W&B where asked.

    Args:
        cfg: The whole config; reads `split.train_folds`, `evaluate`, `report`, `logger`, and prints the rest.
        workspace: Holds `build/raw/images/`, the tables, `reports/metrics.json`, `reports/plots/`. May be missing, and
            is left out then: the histories `reports/history/<fold>.csv`, the data reports `reports/data/*.json`,
            `build/train/<fold>/model.json`, and what `analysis_files.read_analysis` reads.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: If a table or a file of the evaluation is missing. Without the photos galleries are left out.
        ValueError: If a table breaks its schema or an image cannot be read.
    """
    held_out = read_held_out(cfg, workspace)
    tables = held_out.pool()
    results = _read_results(cfg, workspace, tables)
    background = _read_background(cfg, workspace)
    fold_of_file = held_out.folds.set_index("file_name")["fold"].to_dict()
    image_dir = workspace.input("build/raw/images")
    names = {}
    if _photos_are_at_hand(tables, image_dir):
        names = select_images(tables.images["file_name"], results.judged, cfg.report.num_images, cfg.report.seed)
    pictures = {key: open_pictures(files, image_dir, results.judged, fold_of_file) for key, files in names.items()}
    write_gallery(pictures, workspace.output("reports/gallery"), cfg.report.max_side_px)
    figures = build_figures(results)
    source = CardSource(tables, results.judged, fold_of_file, image_dir, results.iou_threshold)
    cards = _build_cards(cfg, names, source, results) if names else []
    path = workspace.output("reports/report.html")
    size = write_page(build_page(results, background, figures, cards), path)
    write_model_card(results, background, workspace.output("reports/model_card.md"))
    pixels = {f"plots/{name}": figure_pixels(plot.figure) for name, plot in figures.items()}
    _log_to_wandb(cfg, workspace, results, pictures, pixels)
    Console().print(f"report: {path} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
    return path


def _photos_are_at_hand(tables: EvaluationTables, image_dir: Path) -> bool:
    """Return whether every judged photo is there; where one is not, say that the galleries are left out."""
    absent = [name for name in tables.images["file_name"] if not (image_dir / name).is_file()]
    if absent:
        print(
            f"note: {image_dir}: {len(absent)} of {len(tables.images)} photos absent; page and card without galleries"
        )
    return not absent


def _read_results(cfg: DictConfig, workspace: Workspace, tables: EvaluationTables) -> Results:
    histories = {int(fold): workspace.input(f"reports/history/{fold}.csv") for fold in cfg.split.train_folds}
    iou_threshold = cfg.evaluate.iou_threshold
    return Results(
        metrics=json.loads(workspace.input("reports/metrics.json").read_text(encoding="utf-8")),
        matches=match_detections(tables.annotations, tables.predictions, iou_threshold),
        judged=judge_tables(tables.annotations, tables.predictions, cfg.evaluate.score_threshold, iou_threshold),
        curves=pd.read_csv(workspace.input("reports/plots/pr_curves.csv")),
        confusion=pd.read_csv(workspace.input("reports/plots/confusion.csv")),
        histories={fold: pd.read_csv(path) for fold, path in histories.items() if path.is_file()},
        score_threshold=cfg.evaluate.score_threshold,
        iou_threshold=iou_threshold,
        analysis=read_analysis(workspace.input("reports")),
    )


def _read_background(cfg: DictConfig, workspace: Workspace) -> Background:
    """Collect what was run; the node `hydra` is no setting of the project."""
    config = _plain(cfg)
    models = {str(fold): workspace.input(f"build/train/{fold}/model.json") for fold in cfg.split.train_folds}
    return Background(
        config=config,
        config_yaml=OmegaConf.to_yaml(OmegaConf.create(config)),
        root=workspace.root,
        trainings={
            fold: json.loads(path.read_text(encoding="utf-8")) for fold, path in models.items() if path.is_file()
        },
        data_reports=read_data_reports(workspace.input("reports/data")),
    )


def _build_cards(
    cfg: DictConfig, names: dict[str, list[str]], source: CardSource, results: Results
) -> list[GalleryCard]:
    """Return images and errors in turn, so that a page that must leave cards out loses some of both."""
    confident = results.analysis.table("confident_errors").head(cfg.report.num_errors)
    label_errors = results.analysis.table("label_errors").head(cfg.report.num_errors)
    pairs = zip_longest(image_cards(names, source), error_cards(confident, label_errors, source))
    return [card for pair in pairs for card in pair if card is not None]


def _plain(cfg: DictConfig) -> dict:
    """Return the config as plain containers, interpolations resolved."""
    return {key: value for key, value in OmegaConf.to_container(cfg, resolve=True).items() if key != "hydra"}


def _log_to_wandb(cfg: DictConfig, workspace: Workspace, results: Results, pictures: Galleries, pixels: dict) -> None:
    config = _plain(cfg)
    with open_run(config["logger"], config, "evaluate", "pooled", workspace.output("build/tracking")) as wandb_run:
        log_summary(wandb_run, results.metrics)
        for section, section_pictures in pictures.items():
            log_gallery(wandb_run, f"gallery/{section}", section_pictures)
        log_pictures(wandb_run, pixels)
        log_pr_curves(wandb_run, results.curves)
        log_predictions_table(wandb_run, results.matches)
        of_folds = [f"reports/history/{fold}.csv" for fold in cfg.split.train_folds]
        reports = [workspace.input(name) for name in ("reports/metrics.json", "reports/plots", *of_folds)]
        of_folds = [f"build/predictions/{fold}.parquet" for fold in cfg.split.train_folds]
        tables = [workspace.input(name) for name in ("build/table", "build/folds.parquet", *of_folds)]
        log_files(wandb_run, "tables", "tables", [*tables, *reports])


if __name__ == "__main__":
    stage_main(run)
