"""Stage `overlays`: draw masks, worn right and wrong, on faces that wear none, to enlarge the rare class."""

import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from maskdet.data.crops import cut_crop, face_index, write_crop_store
from maskdet.data.image import read_image
from maskdet.data.mask_overlay import MaskChoice, draw_mask, random_mask
from maskdet.data.mask_shapes import FaceFrame
from maskdet.models.landmarks import FaceLandmarks, LandmarkModel
from maskdet.schema import ANNOTATIONS, BOX_COLUMNS, CLASS_NAMES, FOLDS, OVERLAYS, read_table
from maskdet.stages.entry import Workspace, stage_main
from maskdet.stages.json_report import write_json

BARE = "without_mask"
"""The class that masks are drawn on: one that is worn cannot be taken off."""

_REASONS = ("too_small", "no_face_found", "another_face", "cut_by_the_photo", "turned_aside")


@dataclass(frozen=True)
class Drawing:
    """One mask to draw on one face.

    Attributes:
        face: The face's row, columns as `schema.CROPS`.
        points: (468, 3) float32, the face's points in pixels of its photo.
        choice: The mask.
        rng: The generator that chose it; it goes on to draw it, once.
    """

    face: object
    points: np.ndarray
    choice: MaskChoice
    rng: np.random.Generator


def run(cfg: DictConfig, workspace: Workspace) -> dict:
    """Write the store `build/overlays/` and `reports/two_phase/overlays.json`; after an error neither is new.

    Each picture follows from the seed, the photo's name, the face and the number of the variant. It keeps the fold and
    the group of its face, so that a masked face and its bare twin are never on two sides of a split.

    Args:
        cfg: The whole config; reads `overlay`, `crops` and `seed`.
        workspace: Holds `build/raw/images/`, `build/table/annotations.parquet` and `build/folds.parquet`.

    Returns:
        The content of the report.

    Raises:
        FileNotFoundError: If a table, a photo or the landmark model is missing.
        ValueError: If a setting is out of range, a photo has no fold or cannot be read, or a face lies outside of it.
    """
    settings = cfg.overlay
    _check_settings(settings)
    annotations = read_table(workspace.input("build/table/annotations.parquet"), ANNOTATIONS)
    index = face_index(annotations, read_table(workspace.input("build/folds.parquet"), FOLDS))
    bare = index[index["class_name"] == BARE]
    image_dir = workspace.input("build/raw/images")
    started = time.perf_counter()
    kept, skipped = _usable_faces(bare, image_dir, settings)
    seconds = time.perf_counter() - started
    drawings = [
        _drawing(face, points, variant, settings, cfg.seed)
        for (face, points), num_variants in zip(
            kept, _variants([face.group for face, _ in kept], settings), strict=True
        )
        for variant in range(num_variants)
    ]
    table = _table(drawings)
    pixels = (
        _pictures(drawings, image_dir, cfg.crops) if drawings else np.empty((0, *[cfg.crops.size] * 2, 3), np.uint8)
    )
    write_crop_store(workspace.output("build/overlays"), pixels, table, OVERLAYS)
    report = _report(settings, table, len(bare), len(kept), skipped)
    write_json(report, workspace.output("reports/two_phase/overlays.json"))
    _print(report, seconds / max(1, len(bare) - skipped["too_small"]))
    return report


def _check_settings(settings: DictConfig) -> None:
    for name in ("min_presence", "min_agreement", "min_inside"):
        if not 0 <= settings[name] <= 1:
            raise ValueError(f"overlay.{name}: expected a share in [0, 1], got {settings[name]}")
    for name in ("variants", "max_per_group"):
        if settings[name] < 1:
            raise ValueError(f"overlay.{name}: expected at least 1, got {settings[name]}")
    if not 0 < settings.max_yaw_degrees <= 90:
        raise ValueError(
            f"overlay.max_yaw_degrees: expected more than 0 and at most 90, got {settings.max_yaw_degrees}"
        )
    random_mask(settings.shapes, settings.worn, np.random.default_rng(0))  # refuses unknown names before any work


def _variants(groups: Sequence[int], settings: DictConfig) -> list[int]:
    """Return how many masks each face gets, given its group: fewer where many faces are of one group, one at least."""
    num_faces = Counter(groups)
    return [max(1, min(settings.variants, settings.max_per_group // num_faces[group])) for group in groups]


def _usable_faces(
    bare: pd.DataFrame, image_dir: Path, settings: DictConfig
) -> tuple[list[tuple[object, np.ndarray]], Counter]:
    """Return the faces that a mask can be drawn on, each with its points, and how many others there are, by reason."""
    longer_px = np.maximum(bare["x_max"] - bare["x_min"], bare["y_max"] - bare["y_min"])
    large = bare[longer_px >= settings.min_face_px]
    kept, skipped = [], Counter(dict.fromkeys(_REASONS, 0), too_small=len(bare) - len(large))
    model = LandmarkModel() if len(large) else None
    for face, image in _with_photos(large.itertuples(index=False), image_dir):
        found = model.find(image, _box(face))
        reason = _reason_against(found, (image.shape[1], image.shape[0]), settings)
        if reason:
            skipped[reason] += 1
        else:
            kept.append((face, found.points))
    return kept, skipped


def _reason_against(found: FaceLandmarks, image_wh: tuple[int, int], settings: DictConfig) -> str | None:
    """Return why no mask is drawn on a face, one of `_REASONS`; None where one is."""
    if found.presence < settings.min_presence:
        return "no_face_found"
    if found.agreement < settings.min_agreement:
        return "another_face"
    if found.share_inside(image_wh) < settings.min_inside:
        return "cut_by_the_photo"
    if abs(FaceFrame.from_points(found.points).yaw_degrees) > settings.max_yaw_degrees:
        return "turned_aside"
    return None


def _with_photos(faces: Iterable[object], image_dir: Path) -> Iterator[tuple[object, np.ndarray]]:
    """Yield rows with the pixels of their photos; one that follows itself is read once."""
    read_name, image = None, None
    for face in faces:
        if face.file_name != read_name:
            read_name, image = face.file_name, read_image(image_dir / face.file_name)
        yield face, image


def _box(face: object) -> np.ndarray:
    return np.array([getattr(face, name) for name in BOX_COLUMNS], np.float64)  # (4,) xyxy


def _drawing(face: object, points: np.ndarray, variant: int, settings: DictConfig, seed: int) -> Drawing:
    """Choose a mask; the generator depends on nothing but the arguments' names and numbers."""
    rng = np.random.default_rng([seed, zlib.crc32(face.file_name.encode()), face.face, variant])
    return Drawing(face, points, random_mask(settings.shapes, settings.worn, rng), rng)


def _table(drawings: list[Drawing]) -> pd.DataFrame:
    """Return the store's index, a row a drawing, columns as `schema.OVERLAYS`."""
    rows = [
        drawing.face._asdict()
        | {
            "class_name": drawing.choice.class_name,
            "mask_shape": drawing.choice.shape,
            "mask_colour": drawing.choice.fabric.name,
            "worn": drawing.choice.worn,
        }
        for drawing in drawings
    ]
    return pd.DataFrame(rows, columns=list(OVERLAYS.columns)).astype(
        {name: column.dtype.type for name, column in OVERLAYS.columns.items()} if not rows else {}
    )


def _pictures(drawings: list[Drawing], image_dir: Path, crops: DictConfig) -> Iterator[np.ndarray]:
    """Yield the crop of each drawing, (S, S, 3) uint8, cut as the stage `crops` cuts the bare face."""
    photos = _with_photos((drawing.face for drawing in drawings), image_dir)
    for drawing, (face, image) in zip(drawings, photos, strict=True):
        masked = draw_mask(image, drawing.points, drawing.choice, drawing.rng)
        try:
            yield cut_crop(masked, _box(face), crops.margin, crops.size)
        except ValueError as error:
            raise ValueError(f"{face.file_name}, face {face.face}: {error}") from error


def _report(settings: DictConfig, table: pd.DataFrame, num_bare: int, num_kept: int, skipped: Counter) -> dict:
    def counts(column: str) -> dict[str, int]:
        return {str(name): int(count) for name, count in table[column].value_counts().sort_index().items()}

    faces = table.drop_duplicates(["file_name", "face"])
    return {
        "settings": OmegaConf.to_container(settings, resolve=True),
        "num_bare_faces": num_bare,
        "num_faces_masked": num_kept,
        "num_skipped": {reason: int(skipped[reason]) for reason in _REASONS},
        "num_groups_of_photos": int(faces["group"].nunique()),
        "largest_group_share": round(float(table["group"].value_counts(normalize=True).max()), 4)
        if len(table)
        else None,
        "faces_masked_per_fold": {str(k): int(n) for k, n in faces["fold"].value_counts().sort_index().items()},
        "num_overlays": len(table),
        "per_class": {name: int((table["class_name"] == name).sum()) for name in CLASS_NAMES if name != BARE},
        "per_shape": counts("mask_shape"),
        "per_colour": counts("mask_colour"),
        "per_way_worn": counts("worn"),
    }


def _print(report: dict, seconds_a_face: float) -> None:
    classes = ", ".join(f"{count} {name}" for name, count in report["per_class"].items())
    skipped = ", ".join(
        f"{count} {reason.replace('_', ' ')}" for reason, count in report["num_skipped"].items() if count
    )
    Console().print(
        f"overlays: {report['num_overlays']} on {report['num_faces_masked']} of {report['num_bare_faces']} bare faces: "
        f"{classes}; skipped: {skipped or 'none'}; landmarks {seconds_a_face * 1000:.0f} ms a face",
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    stage_main(run)
