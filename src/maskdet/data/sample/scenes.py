"""Generate the embedded sample: drawn face-mask scenes in the layout of the Kaggle archive.

    python -m maskdet.data.sample OUT.zip [--seed 0] [--num-images 120]

The sample stands in for the photos wherever there are none: tests, `make demo`, pictures in the README. A scene is a
function of (seed, index) alone, and the archive has the same bytes for the same seed and library versions.

Three images are near-duplicates on purpose, so that grouping has something to find (`NEAR_DUPLICATES`): image 37 is
image 12 mirrored, 74 is 41 after a JPEG round trip, 111 is 58 with 2 % cut off every side and scaled back up.
"""

import argparse
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from maskdet.atomic import atomic_file
from maskdet.boxes import box_area, clip_boxes
from maskdet.data.sample.canvas import Canvas, Pose, face_points
from maskdet.data.sample.people import draw_person, random_look
from maskdet.data.sample.scenery import draw_occluder, draw_scenery

CLASS_SHARES = {"with_mask": 0.55, "without_mask": 0.28, "mask_weared_incorrect": 0.17}
"""Probability of each class for a face."""

IMAGE_SIZES = ((400, 267), (400, 267), (400, 300), (400, 300), (301, 400), (320, 240))
"""Widths and heights in pixels; all equally likely."""

MIN_VISIBLE = 0.4
"""A face of which less is seen (hidden by others or outside the image) is not annotated."""

NEAR_DUPLICATES = {37: (12, "mirror"), 74: (41, "jpeg"), 111: (58, "crop")}
"""Index of a copy: index of its original and what was done to it."""


@dataclass(frozen=True)
class SceneKind:
    """How many people a scene has, in how many rows, and how high their faces are (pixels, back row to front row)."""

    num_faces: tuple[int, int]
    num_rows: tuple[int, int]
    height_px: tuple[float, float]
    num_distractors: tuple[int, int]


SCENE_KINDS = {
    "empty": SceneKind((0, 0), (1, 1), (0, 0), (4, 9)),
    "portrait": SceneKind((1, 1), (1, 1), (72, 122), (0, 3)),
    "few": SceneKind((2, 3), (1, 1), (46, 92), (0, 4)),
    "group": SceneKind((4, 7), (2, 2), (30, 58), (0, 4)),
    "crowd": SceneKind((10, 25), (3, 4), (15, 38), (0, 5)),
}
SCHEDULE = ("few", "group", "portrait", "few", "crowd", "portrait", "few", "group", "empty") + (
    "few", "portrait", "few", "crowd", "portrait", "group", "few", "portrait",
)  # fmt: skip
"""Kinds in turn: every 17 images have the same mix, whatever the seed (which says where the turn starts)."""


@dataclass(frozen=True)
class Scene:
    """A drawn image and its faces.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        boxes: (N, 4) float32, xyxy in whole pixels, clipped to the image; every box has an area.
        class_names: N names, in the order of `boxes`.
    """

    image: np.ndarray
    boxes: np.ndarray
    class_names: list[str]


def draw_scene(seed: int, index: int) -> Scene:
    """Return the scene of an index; the same for the same (seed, index), whatever was drawn before.

    Args:
        seed: Required; 0 or more.
        index: Place in the archive, 0 or more.

    Raises:
        ValueError: If either is negative.
    """
    if seed < 0 or index < 0:
        raise ValueError(f"expected seed and index >= 0, got seed {seed}, index {index}")
    if index in NEAR_DUPLICATES:
        original, change = NEAR_DUPLICATES[index]
        return _CHANGES[change](draw_scene(seed, original))
    rng = np.random.default_rng((seed, index))
    kind = SCENE_KINDS[SCHEDULE[(index + seed) % len(SCHEDULE)]]
    canvas = Canvas(IMAGE_SIZES[rng.integers(len(IMAGE_SIZES))])
    draw_scenery(canvas, rng, rng.integers(*kind.num_distractors, endpoint=True))
    poses = _place_faces(rng, kind, canvas.image_wh)
    class_names = [str(name) for name in rng.choice(list(CLASS_SHARES), len(poses), p=list(CLASS_SHARES.values()))]
    for pen, (pose, class_name) in enumerate(zip(poses, class_names, strict=True), start=1):
        canvas.pen = pen
        look = random_look(rng, class_name)
        draw_person(canvas, pose, look)
        if pose.height > 24 and rng.random() < 0.16:
            draw_occluder(canvas, rng, pose, look.skin)
    return _annotate(canvas, poses, class_names)


def _place_faces(rng: np.random.Generator, kind: SceneKind, image_wh: tuple[int, int]) -> list[Pose]:
    """Return the poses of all people, farthest first, in rows that grow towards the front."""
    width, height = image_wh
    num_faces = int(rng.integers(*kind.num_faces, endpoint=True))
    num_rows = int(rng.integers(*kind.num_rows, endpoint=True))
    smallest, largest = np.sort(rng.uniform(*kind.height_px, 2))
    poses, y = [], rng.uniform(0.16, 0.28) * height
    for row, in_row in enumerate(np.array_split(range(num_faces), num_rows)):
        if len(in_row) == 0:
            continue
        face_px = smallest + (largest - smallest) * (row + 1) / num_rows
        pitch = width / len(in_row)
        face_px = min(face_px, 0.8 * pitch, 0.5 * height)
        y = max(y, 0.72 * face_px)
        slack = max(0.0, pitch - face_px) / 2
        centres = (np.arange(len(in_row)) + 0.5) * pitch + rng.uniform(-slack, slack, len(in_row))
        if rng.random() < 0.18:  # somebody walks out of the picture
            centres += rng.choice([-1, 1]) * (pitch / 2 - rng.uniform(-0.05, 0.25) * face_px)
        centres = centres.clip(0.08 * face_px, width - 0.08 * face_px)  # at least half a face stays inside
        poses += [_turned_pose(rng, x, y, face_px) for x in centres]
        y += face_px * rng.uniform(1.15, 1.6)
    return sorted(poses, key=lambda pose: pose.y)


def _turned_pose(rng: np.random.Generator, x: float, y: float, face_px: float) -> Pose:
    return Pose(
        x=float(x),
        y=float(y + face_px * rng.uniform(-0.12, 0.12)),
        height=float(face_px * rng.uniform(0.86, 1.12)),
        tilt=float(np.clip(rng.normal(0, 0.12), -0.4, 0.4)),
        yaw=float(rng.uniform(-0.85, 0.85)),
    )


def _annotate(canvas: Canvas, poses: list[Pose], class_names: list[str]) -> Scene:
    """Return the scene with the faces of which enough is seen; person k drew with pen k + 1."""
    boxes, kept_names = [], []
    for pen, (pose, class_name) in enumerate(zip(poses, class_names, strict=True), start=1):
        points = face_points(pose)  # (M, 2)
        if canvas.visible_fraction(points, pen) >= MIN_VISIBLE:
            boxes.append([*np.floor(points.min(axis=0)), *np.ceil(points.max(axis=0))])
            kept_names.append(class_name)
    return Scene(canvas.image(), clip_boxes(np.float32(boxes), canvas.image_wh).astype(np.float32), kept_names)


def _mirror(scene: Scene) -> Scene:
    width = scene.image.shape[1]
    boxes = scene.boxes.copy()  # (N, 4)
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return Scene(np.ascontiguousarray(scene.image[:, ::-1]), boxes, scene.class_names)


def _through_jpeg(scene: Scene) -> Scene:
    encoded = cv2.imencode(".jpg", scene.image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return Scene(cv2.imdecode(encoded, cv2.IMREAD_COLOR), scene.boxes, scene.class_names)


def _crop_border(scene: Scene) -> Scene:
    """Cut 2 % off every side and scale back; boxes that lose their area go."""
    height, width = scene.image.shape[:2]
    left, top = round(0.02 * width), round(0.02 * height)
    inner = scene.image[top : height - top, left : width - left]  # (H - 2 top, W - 2 left, 3)
    scale = np.array([width / inner.shape[1], height / inner.shape[0]] * 2)  # (4,)
    moved = np.rint((scene.boxes - [left, top, left, top]) * scale)  # (N, 4)
    boxes = clip_boxes(moved, (width, height)).astype(np.float32)
    kept = box_area(boxes) > 0  # (N,)
    image = cv2.resize(inner, (width, height), interpolation=cv2.INTER_LINEAR)
    return Scene(image, boxes[kept], [name for name, keep in zip(scene.class_names, kept, strict=True) if keep])


_CHANGES = {"mirror": _mirror, "jpeg": _through_jpeg, "crop": _crop_border}


def scene_xml(scene: Scene, file_name: str) -> bytes:
    """Return a scene's annotation as the Kaggle set writes it: Pascal VOC elements, numbers as they stand."""
    height, width = scene.image.shape[:2]
    root = ElementTree.Element("annotation")
    _add_texts(root, folder="images", filename=file_name)
    _add_texts(ElementTree.SubElement(root, "size"), width=width, height=height, depth=3)
    _add_texts(root, segmented=0)
    for class_name, box in zip(scene.class_names, scene.boxes.astype(int).tolist(), strict=True):
        face = ElementTree.SubElement(root, "object")
        _add_texts(face, name=class_name, pose="Unspecified", truncated=0, occluded=0, difficult=0)
        x_min, y_min, x_max, y_max = box
        _add_texts(ElementTree.SubElement(face, "bndbox"), xmin=x_min, ymin=y_min, xmax=x_max, ymax=y_max)
    ElementTree.indent(root, "    ")
    return ElementTree.tostring(root)


def _add_texts(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def scene_png(scene: Scene) -> bytes:
    """Return the image as an 8-bit RGB PNG, as small as zlib makes it."""
    buffer = io.BytesIO()
    Image.fromarray(scene.image).save(buffer, format="png", optimize=True, compress_level=9)
    return buffer.getvalue()


def write_sample(path: Path, num_images: int = 120, seed: int = 0, show_progress: bool = False) -> list[Scene]:
    """Write the archive: `images/maskdet_sample_000.png`, `annotations/maskdet_sample_000.xml` and so on.

    Args:
        path: The zip file to write; appears only when it is whole.
        num_images: 1 to 1000.
        seed: Every picture follows from it.
        show_progress: Whether to draw a progress bar on the terminal.

    Returns:
        The scenes, in the order of the archive.

    Raises:
        ValueError: If `num_images` is out of range or `seed` is negative.
    """
    if not 1 <= num_images <= 1000:
        raise ValueError(f"expected num_images in 1..1000, got {num_images}")
    scenes, annotations = [], {}
    indices = track(range(num_images), "drawing scenes", disable=not show_progress)
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for index in indices:
            name = f"maskdet_sample_{index:03d}"
            scenes.append(draw_scene(seed, index))
            _add_member(archive, f"images/{name}.png", scene_png(scenes[-1]), zipfile.ZIP_STORED)
            annotations[f"annotations/{name}.xml"] = scene_xml(scenes[-1], f"{name}.png")
        for member, xml in annotations.items():
            _add_member(archive, member, xml, zipfile.ZIP_DEFLATED)
    return scenes


def _add_member(archive: zipfile.ZipFile, name: str, content: bytes, compression: int) -> None:
    """Add a file whose time stamp, rights and system do not depend on when and where it was made."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    archive.writestr(info, content, compress_type=compression, compresslevel=9)


def main(arguments: list[str] | None = None) -> None:
    """Write the archive that the command line names and say what is in it."""
    parser = argparse.ArgumentParser(prog="python -m maskdet.data.sample", description="Draw the embedded sample.")
    parser.add_argument("path", type=Path, metavar="OUT.zip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-images", type=int, default=120)
    options = parser.parse_args(arguments)
    try:
        scenes = write_sample(options.path, options.num_images, options.seed, show_progress=True)
    except (ValueError, OSError) as error:
        parser.exit(1, f"error: {error}\n")
    names = [name for scene in scenes for name in scene.class_names]
    counts = ", ".join(f"{names.count(name)} {name}" for name in CLASS_SHARES)
    print(f"{options.path}: {len(scenes)} images, {len(names)} faces ({counts}), {options.path.stat().st_size:,} bytes")
