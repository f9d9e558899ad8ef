"""Stage `explore`: the questions of a first look at a data set, before anyone trains."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig
from PIL import Image
from rich.console import Console

from maskdet.atomic import atomic_file, atomic_folder
from maskdet.data.image_traits import ImageLook, look_at_images
from maskdet.evaluation.exploration import boxes, classes, pictures
from maskdet.evaluation.exploration.feature_map import feature_map, project
from maskdet.evaluation.exploration.topic import Topic
from maskdet.models.image_features import image_features
from maskdet.reporting import explore_page
from maskdet.reporting.explore_figures import FEATURE_MAP, ExploredFigure, build_figures, index_markdown
from maskdet.reporting.explore_map import THUMBNAIL_PX, build_atlas, map_points, thumbnail_map
from maskdet.reporting.explore_page import ExplorePage
from maskdet.reporting.explore_samples import Sample, choose_samples, cut_samples, sample_sheet
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.explore_inputs import Inputs, read_inputs
from maskdet.stages.rounded_files import write_rounded_csv, write_rounded_json

Topics = dict[str, Topic | None]

_JPEG_QUALITY = 88
_PRINTED = ("classes", "crowding", "box_sides", FEATURE_MAP)  # figures whose captions are the summary


@dataclass(frozen=True)
class Looks:
    """What was seen of the photos; empty without them.

    Attributes:
        traits: Columns `file_name, brightness, sharpness`, a row an image.
        features: (N, F) float32.
        thumbnails: Row of the images → (h, w, 3) uint8, RGB.
        samples: Class → its samples.
    """

    traits: pd.DataFrame | None = None
    features: np.ndarray | None = None
    thumbnails: Mapping[int, np.ndarray] = field(default_factory=dict)
    samples: Mapping[str, list[Sample]] = field(default_factory=dict)


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write `reports/explore/`: what may be committed, and beside it what shows photos.

    Without photos in them: `numbers.json`, `README.md` (every figure with its caption), `figures/<name>.png` and
    `figures/<name>.csv`, the rows behind it. With photos: `explore.html`, and in `photos/` a sheet of samples a class
    and the map as thumbnails.

    Args:
        cfg: Reads `explore`.
        workspace: Holds `build/table/`. May be missing, and what needs it is left out then, aloud: the photos
            `build/raw/images/`, `build/folds.parquet`, `build/quality.parquet`.

    Returns:
        What is in `numbers.json`: name of a figure → its numbers; a figure without data is absent, but for
        `classes`, which holds the totals.

    Raises:
        FileNotFoundError: If a table of `build/table/` is missing.
        ValueError: If there is no image, a table breaks its schema or is not of these images and faces, a photo
            cannot be read, or a setting lies outside its range.
    """
    inputs = read_inputs(workspace)
    for note in inputs.notes:
        print(f"note: {note}")
    looks = _look(cfg.explore, inputs)
    topics = _tabular_topics(inputs, looks.traits) | {FEATURE_MAP: _map_topic(cfg.explore, inputs, looks.features)}
    figures = build_figures(topics)
    numbers = {name: dict(topics[name].numbers) for name in figures} | {"classes": dict(topics["classes"].numbers)}
    folder = workspace.output("reports/explore")
    write_rounded_json(numbers, folder / "numbers.json")
    _write_figures(figures, inputs, folder)
    _write_photos(topics, looks, folder / "photos")
    size = explore_page.write_explore_page(_page(inputs, topics, figures, looks), folder / "explore.html")
    _print_summary(inputs, figures, folder / "explore.html", size)
    return numbers


def _look(settings: DictConfig, inputs: Inputs) -> Looks:
    """Read every photo once, one at a time, and the photos of samples once more."""
    if inputs.image_dir is None:
        return Looks()
    names = list(inputs.images["file_name"])
    paths = [inputs.image_dir / name for name in names]
    traits: list[tuple[float, float]] = []
    thumbnails: dict[int, np.ndarray] = {}

    def squares(looks: Iterator[ImageLook]) -> Iterator[np.ndarray]:
        for row, look in enumerate(looks):
            traits.append((look.brightness, look.sharpness))
            if look.thumbnail is not None:
                thumbnails[row] = look.thumbnail
            yield look.square

    looks = look_at_images(paths, settings.features.size, THUMBNAIL_PX, settings.max_thumbnails)
    features = image_features(squares(looks), settings.features.backbone, settings.features.batch_size)
    table = pd.DataFrame(traits, columns=["brightness", "sharpness"]).assign(file_name=names)
    return Looks(table, features, thumbnails, _cut_samples(settings, inputs))


def _cut_samples(settings: DictConfig, inputs: Inputs) -> dict[str, list[Sample]]:
    groups = {} if inputs.folds is None else inputs.folds.set_index("file_name")["group"].to_dict()
    chosen = choose_samples(inputs.annotations, groups, settings.num_samples, settings.seed)
    return {name: list(cut_samples(rows, inputs.annotations, inputs.image_dir)) for name, rows in chosen.items()}


def _tabular_topics(inputs: Inputs, traits: pd.DataFrame | None) -> Topics:
    images, annotations, quality = inputs.images, inputs.annotations, inputs.quality
    topics: Topics = {
        "classes": classes.class_distribution(images, annotations),
        "crowding": classes.crowding(images, annotations),
        "co_occurrence": classes.co_occurrence(images, annotations),
        "box_sides": boxes.box_sides(annotations),
        "coco_sizes": boxes.coco_sizes(annotations),
        "relative_sizes": boxes.relative_sizes(images, annotations),
        "aspect_ratios": boxes.aspect_ratios(annotations),
        "positions": boxes.positions(images, annotations),
        "face_sharpness": pictures.face_sharpness(annotations, quality),
        "image_sizes": pictures.image_sizes(images),
    }
    if traits is not None:
        topics["brightness"] = pictures.brightness(traits, annotations, quality)
        topics["image_sharpness"] = pictures.image_sharpness(traits)
    return topics


def _map_topic(settings: DictConfig, inputs: Inputs, features: np.ndarray | None) -> Topic | None:
    if features is None:
        return None
    mixes = classes.class_mixes(inputs.images, inputs.annotations)
    shown = inputs.images[["file_name", "source"]].assign(class_mix=mixes.to_numpy())
    if inputs.folds is not None:
        groups = inputs.folds.set_index("file_name")["group"]
        shown = shown.assign(group=shown["file_name"].map(groups))
    return feature_map(shown, project(features, settings.perplexity, settings.seed), features)


def _write_figures(figures: Mapping[str, ExploredFigure], inputs: Inputs, folder: Path) -> None:
    """Write what may be committed: no photo is in it."""
    with atomic_folder(folder / "figures") as temporary:
        explore_page.write_figures(figures, temporary)
        for name, figure in figures.items():
            write_rounded_csv(figure.table, temporary / f"{name}.csv")
    with atomic_file(folder / "README.md") as temporary:
        subtitle = explore_page.subtitle(inputs.images)
        temporary.write_text(index_markdown(explore_page.TITLE, subtitle, inputs.notes, figures), encoding="utf-8")


def _write_photos(topics: Topics, looks: Looks, folder: Path) -> None:
    """Write sample sheets and the map of thumbnails; an empty folder without photos."""
    pictures = {f"samples_{name}": sample_sheet(samples) for name, samples in looks.samples.items() if samples}
    if looks.thumbnails:
        pictures["map"] = thumbnail_map(topics[FEATURE_MAP].table, looks.thumbnails)
    with atomic_folder(folder) as temporary:
        for name, picture in pictures.items():
            Image.fromarray(picture).save(temporary / f"{name}.jpg", quality=_JPEG_QUALITY)


def _page(inputs: Inputs, topics: Topics, figures: Mapping[str, ExploredFigure], looks: Looks) -> ExplorePage:
    map_block = None
    if FEATURE_MAP in figures:
        rows = sorted(looks.thumbnails)
        atlas = build_atlas([looks.thumbnails[row] for row in rows], explore_page.MAX_ATLAS_BYTES)
        points = map_points(topics[FEATURE_MAP].table, inputs.images, inputs.annotations, atlas, rows)
        map_block = explore_page.map_block(figures[FEATURE_MAP], points, atlas.uri if atlas else "")
    return ExplorePage(
        title=explore_page.TITLE,
        subtitle=explore_page.subtitle(inputs.images),
        tiles=explore_page.headline_tiles(topics),
        notes=inputs.notes,
        sections=explore_page.page_sections(figures),
        map=map_block,
        samples=explore_page.sample_groups(looks.samples),
    )


def _print_summary(inputs: Inputs, figures: Mapping[str, ExploredFigure], path: Path, size: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"explore: {explore_page.subtitle(inputs.images)}")
    for name in _PRINTED:
        if name in figures:
            console.print(figures[name].caption, markup=False)
    console.print(f"explore: {len(figures)} figures; {path} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    stage_main(run)
