"""Put several data sets into one folder that the rest of the pipeline reads like any other set.

Images go to `images/` as they are, named `<source>__<name>`; labels to `annotations/` as VOC files in this project's
classes; `sources.csv` says where each image came from. Turned copies of images stand beside them as PNG.
"""

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from maskdet.data.class_map import Recoded, recode
from maskdet.data.composite_origins import Origin, write_origins
from maskdet.data.composite_sources import Source, read_source
from maskdet.data.formats.label_files import IMAGE_FOLDER, WrittenImage, class_numbers, write_voc_labels
from maskdet.data.formats.progress import tracked
from maskdet.data.image import read_image
from maskdet.data.labelled_set import LabelledImage, LabelledSet
from maskdet.data.manifest import Verification
from maskdet.schema import CLASS_NAMES

TURNS = (90, 180, 270)
"""Degrees that a copy may be turned by, counter-clockwise: others would cut corners off and loosen boxes."""

_SCRATCH = ".unpacked"  # inside the composite's folder: images move from it without a second copy on the disk


@dataclass(frozen=True)
class Taken:
    """What a source gave.

    Attributes:
        source: The source.
        format: As which its labels were read.
        recoded: Its images in this project's classes, and what was left out for a class.
        unlabelled: Images that nothing labels, which is not the same as images without faces; left out.
        findings: Rule → how many warnings and notes its reader gave.
        verification: How its files compare with its manifest; None: it has none.
        names: File of the source → file name in the composite.
    """

    source: Source
    format: str
    recoded: Recoded
    unlabelled: tuple[str, ...]
    findings: Mapping[str, int]
    verification: Verification | None
    names: Mapping[str, str]


def compose(sources: Sequence[Source], rotated_copies: Sequence[int], folder: Path) -> list[Taken]:
    """Read every source and write the composite.

    After an error the folder may hold a part: call this inside `maskdet.atomic.atomic_folder`.

    Args:
        sources: As `find_sources` returns them.
        rotated_copies: Some of `TURNS`; each gives a copy of every image.
        folder: An empty folder.

    Returns:
        What each source gave, in their order.

    Raises:
        ValueError: If a turn is none of `TURNS` or listed twice, a source is refused, its class map misses a class, or
            two files would get one name.
    """
    _check_turns(rotated_copies)
    (folder / IMAGE_FOLDER).mkdir()
    parts, origins = [], []
    for source in sources:
        scratch = folder / _SCRATCH
        scratch.mkdir()
        labelled, verification = read_source(source, scratch)
        taken = _take(source, labelled, verification)
        written = [
            pair
            for image in tracked(taken.recoded.images, f"compose {source.name}")
            for pair in _write_image(image, taken, labelled.root, rotated_copies, folder)
        ]
        origins += [origin for origin, _ in written]
        images = [WrittenImage(origin.file_name, image) for origin, image in written]
        write_voc_labels(folder, images, class_numbers(CLASS_NAMES), fills_in=True)
        shutil.rmtree(scratch)
        parts.append(taken)
    _refuse_equal_stems(origins)
    write_origins(origins, folder)
    return parts


def _check_turns(rotated_copies: Sequence[int]) -> None:
    if not set(rotated_copies) <= set(TURNS) or len(set(rotated_copies)) < len(rotated_copies):
        raise ValueError(
            f"data.rotated_copies: expected different ones of {', '.join(map(str, TURNS))}, got {list(rotated_copies)}"
        )


def _take(source: Source, labelled: LabelledSet, verification: Verification | None) -> Taken:
    settings = source.settings
    is_labelled = {image.file_name: image.label_file is not None for image in labelled.images}
    known = replace(labelled, images=tuple(image for image in labelled.images if is_labelled[image.file_name]))
    recoded = recode(known, settings.class_map, settings.exclude_images_with_dropped, source.origin)
    return Taken(
        source=source,
        format=labelled.format,
        recoded=recoded,
        unlabelled=tuple(name for name, is_known in is_labelled.items() if not is_known),
        findings=dict(sorted(Counter(finding.rule for finding in labelled.findings).items())),
        verification=verification,
        names=composite_names(source.name, [image.file_name for image in recoded.images]),
    )


def composite_names(source: str, paths: Iterable[str]) -> dict[str, str]:
    """Name the images of a source in a composite, where all lie in one folder and a label file has the image's stem.

    Args:
        source: Name of the source.
        paths: Posix paths in the source.

    Returns:
        From each path to `<source>__<its name>`; where stems coincide, also in upper and lower case, to the source
        and the whole path, with `__` for its slashes and the suffix's dot. A further file renames others only if it
        shares their stem.

    >>> composite_names("web", ["train/a.jpg", "test/a.jpg", "test/b.png"])
    {'train/a.jpg': 'web__train__a__jpg.jpg', 'test/a.jpg': 'web__test__a__jpg.jpg', 'test/b.png': 'web__b.png'}
    """
    by_stem: dict[str, list[PurePosixPath]] = defaultdict(list)
    for path in map(PurePosixPath, paths):
        by_stem[path.stem.casefold()].append(path)
    names = {}
    for files in by_stem.values():
        for file in files:
            stem = file.stem if len(files) == 1 else "__".join([*file.parent.parts, file.stem, file.suffix[1:]])
            names[str(file)] = f"{source}__{stem}{file.suffix}"
    return names


def _refuse_equal_stems(origins: Sequence[Origin]) -> None:
    """Refuse names that would share a label file, on some systems if not on this one."""
    first: dict[str, Origin] = {}
    for origin in origins:
        other = first.setdefault(Path(origin.file_name).stem.casefold(), origin)
        if other is not origin:
            pair = f"{other.original} as {other.file_name} and {origin.original} as {origin.file_name}"
            raise ValueError(f"data.sources.{origin.source}: expected files that can be told apart, got {pair}")


def _write_image(
    image: LabelledImage, taken: Taken, root: Path, rotated_copies: Sequence[int], folder: Path
) -> list[tuple[Origin, LabelledImage]]:
    """Write an image and its turned copies; return where each came from and what is on it."""
    origin = Origin(taken.names[image.file_name], taken.source.name, image.file_name)
    stored, path = root / image.file_name, folder / IMAGE_FOLDER / origin.file_name
    if stored.is_relative_to(folder):  # unpacked there for this alone
        stored.replace(path)
    else:
        shutil.copyfile(stored, path)
    pixels = read_image(path) if rotated_copies else None  # (H, W, 3)
    return [(origin, image), *(_write_copy(image, pixels, origin, degrees, folder) for degrees in rotated_copies)]


def _write_copy(
    image: LabelledImage, pixels: np.ndarray, origin: Origin, degrees: int, folder: Path
) -> tuple[Origin, LabelledImage]:
    """Write an image turned counter-clockwise, without loss whatever its format: a second JPEG would blur the copy."""
    name = f"{Path(origin.file_name).stem}__rot{degrees}.png"
    turned = np.ascontiguousarray(np.rot90(pixels, degrees // 90))  # (H', W', 3)
    encoded = cv2.imencode(".png", cv2.cvtColor(turned, cv2.COLOR_RGB2BGR))[1]
    (folder / IMAGE_FOLDER / name).write_bytes(encoded.tobytes())
    boxes = (replace(box, box_xyxy=turned_box(box.box_xyxy, image.image_wh, degrees)) for box in image.boxes)
    turned_image = replace(image, image_wh=(turned.shape[1], turned.shape[0]), boxes=tuple(boxes))
    return replace(origin, file_name=name, copy_of=origin.file_name, turn_degrees=degrees), turned_image


def turned_box(
    box_xyxy: tuple[float, float, float, float], image_wh: tuple[int, int], degrees: int
) -> tuple[float, float, float, float]:
    """Return where a box lies after its image was turned counter-clockwise.

    Args:
        box_xyxy: In pixels, maximum exclusive; may reach beyond the image, and then does so by as much afterwards.
        image_wh: Width and height before the turn.
        degrees: 0 or one of `TURNS`.

    >>> turned_box((1, 2, 4, 6), (10, 20), 90)
    (2, 6, 6, 9)
    """
    width, height = image_wh
    for _ in range(degrees // 90):
        x_min, y_min, x_max, y_max = box_xyxy
        box_xyxy = (y_min, width - x_max, y_max, width - x_min)
        width, height = height, width
    return box_xyxy
