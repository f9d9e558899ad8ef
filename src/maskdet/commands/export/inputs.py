"""Images that exports are calibrated, compared and timed on, framed as the network takes them, one at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskdet.data.framing import Letterbox, Stretch
from maskdet.data.image import read_image
from maskdet.data.sample.scenes import draw_scene
from maskdet.inference.sources import find_sources
from maskdet.schema import FOLDS, read_table

MAX_CALIBRATION_IMAGES = 100
"""Ranges of activations settle on fewer; each costs a second or so."""

_SCENE_SEED = 0
_NUM_SCENES = 6  # two thirds of a round of `data.sample.scenes.SCHEDULE`: portraits, groups, a crowd


@dataclass(frozen=True)
class Pictures(Sequence):
    """Pictures as they are, decoded when asked for: nobody holds thousands of them in memory.

    Attributes:
        sources: Files of images, or indices of drawn scenes.
    """

    sources: tuple[Path | int, ...]

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, place: int) -> np.ndarray:
        """Return one picture, (H, W, 3) uint8, RGB."""
        return load_image(self.sources[place])


@dataclass(frozen=True)
class FramedImages(Pictures):
    """Pictures as network inputs.

    Attributes:
        sources: Files of images, or indices of drawn scenes.
        framing: How an image becomes an input.
        description: What they are, for people.
    """

    framing: Letterbox | Stretch
    description: str

    def __getitem__(self, place: int) -> np.ndarray:
        """Return one input, (1, 3, S, S) uint8, RGB."""
        image = super().__getitem__(place)
        pixels = self.framing.frame((image.shape[1], image.shape[0])).apply(image)  # (S, S, 3)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


def load_image(source: Path | int) -> np.ndarray:
    """Return the (H, W, 3) uint8 pixels of a file, or of the drawn scene of this index."""
    return draw_scene(_SCENE_SEED, source).image if isinstance(source, int) else read_image(source)


def check_sources(paths: Sequence[Path] = ()) -> tuple[Path | int, ...]:
    """Return what exports are compared and timed on: indices of drawn scenes, and the images of files and folders.

    Raises:
        FileNotFoundError: If a path does not exist, or is a folder without images.
        ValueError: If a path is a video.
    """
    return (*range(_NUM_SCENES), *(_files_of(paths, "--image") if paths else ()))


def check_images(framing: Letterbox | Stretch, paths: Sequence[Path] = ()) -> FramedImages:
    """Return the images of `check_sources` as network inputs."""
    sources = check_sources(paths)
    return FramedImages(sources, framing, f"{_NUM_SCENES} drawn scenes, {len(sources) - _NUM_SCENES} images")


def calibration_images(
    framing: Letterbox | Stretch, fold: int | None, folder: Path | None = None, root: Path = Path()
) -> FramedImages:
    """Return what the ranges of activations are measured on; of the project never an image that the model is scored on.

    Args:
        framing: Of the model.
        fold: The fold that the model has not seen; its images are left out. None: every image of a fold may be used.
        folder: Images to take instead of the project's, as they are: whoever names it sees to it that the model is
            scored on none of them.
        root: Of the project, with `build/raw/images/` and `build/folds.parquet`. Where it has none, scenes are drawn.

    Returns:
        At most `MAX_CALIBRATION_IMAGES`, spread over the sorted names.

    Raises:
        FileNotFoundError: If the folder does not exist or has no images.
        ValueError: If it is a video, or the project has no image of another fold.
    """
    image_dir, folds_path = root / "build/raw/images", root / "build/folds.parquet"
    if folder is not None:
        files, origin = _files_of([folder], "--calibration"), f"the folder {folder.name}"
    elif image_dir.is_dir() and folds_path.is_file():
        folds = read_table(folds_path, FOLDS)
        names = folds.loc[(folds["split_role"] == "fold") & (folds["fold"] != fold), "file_name"]
        files = tuple(image_dir / name for name in sorted(names))
        origin = "the folds of training" if fold is None else f"all folds but {fold}"
        if not files:
            raise ValueError(f"{folds_path}: expected images of {origin} to calibrate on, got none: name a folder")
    else:
        print("NOTE: no photos at hand (build/raw, or --calibration DIR): calibrated on drawn scenes, which photos are")
        print("NOTE: unlike; expect a larger loss than that of a file calibrated on photos, and measure it")
        return FramedImages(tuple(range(MAX_CALIBRATION_IMAGES)), framing, f"{MAX_CALIBRATION_IMAGES} drawn scenes")
    chosen = np.unique(np.linspace(0, len(files) - 1, MAX_CALIBRATION_IMAGES).round().astype(int))
    return FramedImages(tuple(files[place] for place in chosen), framing, f"{len(chosen)} images of {origin}")


def _files_of(paths: Sequence[Path], option: str) -> tuple[Path, ...]:
    sources = find_sources(list(paths))
    if sources.videos:
        raise ValueError(f"{option}: expected pictures or folders of them, got the video {sources.videos[0]}")
    return tuple(image.path for image in sources.images)
