"""Stage `two_phase_report`: the page of the two-phase study, one HTML file."""

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console

from maskdet.data.crops import PIXELS_FILE, CropStore
from maskdet.reporting.study_pictures import PictureSettings, Stores, build_pictures
from maskdet.reporting.two_phase_files import FOLDERS, PHOTOS, read_study
from maskdet.reporting.two_phase_page import StudySettings, build_study_page, write_study_page
from maskdet.stages.entry import Workspace, stage_main

_CROP_STORES = {PHOTOS: "build/crops", FOLDERS: "build/folder_crops"}
_OVERLAYS = "build/overlays"


def run(cfg: DictConfig, workspace: Workspace) -> Path:
    """Write `reports/two_phase/report.html`.

    Args:
        cfg: Reads `two_phase.classifier`, `split.num_folds` and, for the choice of pictures, `report`.
        workspace: Holds what `two_phase_files.read_study` reads under `reports/`. The stores of crops `build/crops`,
            `build/folder_crops` and `build/overlays` may be absent: the page is made without their pictures then, and
            says so.

    Returns:
        The path of the page.

    Raises:
        FileNotFoundError: If a file of the study is missing; the message names the stage that writes it.
        ValueError: If such a file or a store is damaged.
    """
    study = read_study(workspace.input("reports"))
    shown = PictureSettings(cfg.report.num_errors, cfg.report.num_images, cfg.report.seed)
    pictures = build_pictures(
        study.tables["classifier_errors"], study.records["overlays"], _open_stores(workspace), shown
    )
    for note in pictures.absent:
        print(f"note: {note}")
    settings = StudySettings(cfg.two_phase.classifier, cfg.split.num_folds)
    path = workspace.output("reports/two_phase/report.html")
    size = write_study_page(build_study_page(study, pictures, settings), path)
    Console().print(f"two_phase_report: {path} ({size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)
    return path


def _open_stores(workspace: Workspace) -> Stores:
    """Open the stores whose pictures are here: where there are no photos, an index may have come alone."""
    folders = {data: workspace.input(folder) for data, folder in _CROP_STORES.items()}
    overlays = workspace.input(_OVERLAYS)
    return Stores(
        {data: CropStore.open(folder) for data, folder in folders.items() if (folder / PIXELS_FILE).is_file()},
        CropStore.open(overlays) if (overlays / PIXELS_FILE).is_file() else None,
    )


if __name__ == "__main__":
    stage_main(run)
