"""Sets with every defect that an audit knows, written by this script: what is wrong with each file is listed beside it.

`write_voc_set` holds the defects of pictures, boxes and XML; `write_yolo_sets` those that only text labels can have;
`write_other_set` the copies in another set. `write_clean_set` has nothing to find.
"""

import io
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from raw_archive import voc_xml

WIDTH, HEIGHT = 160, 120
MASK, NO_MASK = "mask", "no_mask"
FACE, SECOND_FACE = (MASK, 20, 20, 60, 70), (NO_MASK, 90, 30, 130, 80)
ORIENTATION = 0x0112


@dataclass
class DamagedSet:
    """A folder, and what an audit has to find in it: (rule, file), the file as findings name it."""

    folder: Path
    expected: set[tuple[str, str]] = field(default_factory=set)

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def add(self, name: str, content: bytes, xml: bytes | None, *rules: str) -> None:
        """Write an image with its annotation; None: without one. `rules` are those of the image."""
        self.write(f"images/{name}", content)
        if xml is not None:
            self.write(f"annotations/{Path(name).stem}.xml", xml)
        self.expected |= {(rule, f"images/{name}") for rule in rules}


def scene(seed: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return a picture (H, W, 3) of 60 shapes with grain; no two seeds are alike."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for index in range(60):
        x, y, size = (int(rng.integers(0, limit)) for limit in (width, height, 24))
        color = rng.integers(0, 256, 3).tolist()
        if index % 3 == 0:
            cv2.circle(image, (x, y), 4 + size // 2, color, -1)
        elif index % 3 == 1:
            cv2.rectangle(image, (x, y), (x + 6 + size, y + 4 + int(rng.integers(4, 24))), color, -1)
        else:
            cv2.line(image, (x, y), (int(rng.integers(0, width)), int(rng.integers(0, height))), color, 2)
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def encoded(image: np.ndarray, format_name: str = "PNG", **options: object) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format_name, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG file that claims a size and holds nothing: what a decompression bomb looks like from outside."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def oriented_jpeg(image: np.ndarray, orientation: int) -> bytes:
    """Return a JPEG whose EXIF asks for turning."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(image, "JPEG", exif=exif, quality=95)


def _xml(*faces: tuple, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return voc_xml(*(faces or (FACE, SECOND_FACE)), width=width, height=height)


def write_clean_set(folder: Path, num_images: int = 6) -> DamagedSet:
    """Write a VOC set in which there is nothing to find."""
    clean = DamagedSet(folder)
    for seed in range(num_images):
        clean.add(f"clean{seed}.png", encoded(scene(seed)), _xml())
    return clean


def write_voc_set(folder: Path) -> DamagedSet:
    """Write a VOC set with six sound images among those with every defect of pictures, boxes and XML."""
    damaged = write_clean_set(folder)
    _add_boxes(damaged)
    _add_xml(damaged)
    _add_files(damaged)
    _add_odd_pictures(damaged)
    _add_copies(damaged)
    return damaged


def _add_boxes(damaged: DamagedSet) -> None:
    faces = {
        "box-inverted": ((MASK, 60, 20, 20, 70),),
        "box-zero": ((MASK, 20, 20, 20, 70), FACE),
        "box-beyond": ((MASK, 170, 20, 190, 70), FACE),
        "box-outside": ((MASK, 120, 20, 190, 70),),
        "box-edge-off-by-one": ((MASK, 120, 20, WIDTH + 1, 70),),
        "box-repeated": (FACE, SECOND_FACE, (MASK, 20.25, 20, 60, 70)),
        "box-doubled": (FACE, (MASK, 20, 22, 60, 72)),
        "class-conflict": (FACE, (NO_MASK, 20, 21, 60, 71)),
        "box-tiny": ((MASK, 20, 20, 23, 40),),
    }
    for place, (rule, boxes) in enumerate(faces.items()):
        damaged.add(f"{rule}.png", encoded(scene(100 + place)), _xml(*boxes), rule)
    several = _xml((MASK, 190, 20, 120, 70), (NO_MASK, 20, 20, 60, 70))
    damaged.add("several.png", encoded(scene(120)), several, "box-inverted", "box-outside")


def _add_xml(damaged: DamagedSet) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "many">]><annotation><filename>&x;</filename></annotation>'
    labels = {
        "label-unreadable": b"<annotation><object>",
        "entity-in-xml": bomb,
        "label-number": _xml(FACE, (MASK, "nan", 20, 60, 70)),
        "label-columns": _xml(FACE).replace(b"<xmin>20</xmin>", b""),
        "size-differs": _xml(width=999),
        "flag-unknown": _xml().replace(b"<difficult>0<", b"<difficult>Unspecified<"),
    }
    for place, (rule, xml) in enumerate(labels.items()):
        damaged.add(f"{rule}.png", encoded(scene(130 + place)), xml)
        damaged.expected.add((rule, f"annotations/{rule}.xml"))
    for rule in ("label-unreadable", "entity-in-xml"):
        damaged.expected.add(("image-without-labels", f"images/{rule}.png"))
    damaged.add("unlabelled.png", encoded(scene(140)), None, "image-without-labels")
    damaged.add("faceless.png", encoded(scene(141)), voc_xml(width=WIDTH, height=HEIGHT), "image-without-faces")
    damaged.write("annotations/orphan.xml", _xml())
    damaged.expected.add(("labels-without-image", "annotations/orphan.xml"))


def _add_files(damaged: DamagedSet) -> None:
    whole = encoded(scene(150))
    damaged.add("empty.png", b"", _xml(), "image-unreadable")
    damaged.add("prose.png", b"no picture at all", _xml(), "image-unreadable")
    damaged.add("truncated.png", whole[: len(whole) // 2], _xml(), "image-truncated")
    damaged.add("cut.jpg", encoded(scene(151), "JPEG")[:-700], _xml(), "image-truncated")
    spoilt = bytearray(encoded(scene(152)))
    spoilt[len(spoilt) // 2] ^= 0xFF
    damaged.add("spoilt.png", bytes(spoilt), _xml(), "image-truncated")
    damaged.add("huge.png", png_header(9000, 9000), _xml(width=9000, height=9000), "image-huge")
    damaged.add("bomb.png", png_header(60_000, 60_000), _xml(width=60_000, height=60_000), "image-huge")
    damaged.expected.add(("image-unreadable", "images/bomb.png"))  # the reader, whose header check is Pillow's
    damaged.add("animated.png", _animation("PNG", 153, 154), _xml(), "image-animated")
    damaged.add("gif.jpg", _animation("GIF", 162, 163), _xml(), "image-animated", "image-suffix")
    damaged.add("jpeg.png", encoded(scene(155), "JPEG"), _xml(), "image-suffix")
    damaged.add("webp.webp", encoded(scene(156), "WEBP", lossless=True), _xml(), "image-suffix")
    cmyk = io.BytesIO()
    Image.fromarray(scene(157)).convert("CMYK").save(cmyk, "JPEG", quality=95)
    damaged.add("cmyk.jpg", cmyk.getvalue(), _xml(), "image-cmyk")
    deep = cv2.imencode(".png", scene(158)[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    damaged.add("sixteen.png", deep, _xml(), "image-16-bit")
    damaged.add("tagged.jpg", oriented_jpeg(scene(159), 6), _xml(), "image-exif-rotated")
    damaged.add("flipped.jpg", oriented_jpeg(scene(160), 3), _xml(), "image-exif-rotated")
    declared = _xml((MASK, 20, 20, 60, 70), (MASK, 20, 100, 60, 150), width=HEIGHT, height=WIDTH)
    damaged.add("turned.jpg", oriented_jpeg(scene(161), 6), declared, "image-exif-rotated")
    damaged.expected.add(("size-differs", "annotations/turned.xml"))


def _animation(format_name: str, *seeds: int) -> bytes:
    buffer = io.BytesIO()
    first, *others = [Image.fromarray(scene(seed)) for seed in seeds]
    first.save(buffer, format_name, save_all=True, append_images=others, duration=100)
    return buffer.getvalue()


def _add_odd_pictures(damaged: DamagedSet) -> None:
    damaged.add("blurred.png", encoded(cv2.GaussianBlur(scene(170), (0, 0), 3)), _xml(), "image-blurred")
    damaged.add("dark.png", encoded((scene(171) // 5).astype(np.uint8)), _xml(), "image-dark")
    damaged.add("bright.png", encoded((255 - scene(172) // 40).astype(np.uint8)), _xml(), "image-bright")
    flat = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    damaged.add("flat.png", encoded(flat), _xml(), "image-low-information")
    tiny = _xml((MASK, 2, 2, 12, 12), width=24, height=18)
    damaged.add("tiny.png", encoded(scene(173, 24, 18)), tiny, "image-tiny", "image-odd-size")
    damaged.add("large.png", encoded(scene(174, 640, 480)), _xml(width=640, height=480), "image-odd-size")
    long = _xml(width=400, height=100)
    damaged.add("long.png", encoded(scene(175, 400, 100)), long, "image-odd-ratio", "image-odd-size")


def _add_copies(damaged: DamagedSet) -> None:
    exact = encoded(scene(0), compress_level=0)
    damaged.add("copy_exact.png", exact, _xml(), "duplicate-exact")
    jpeg = encoded(scene(1), "JPEG", quality=70)
    damaged.add("copy_encoded.jpg", jpeg, _xml(), "duplicate-near")
    mirrored = encoded(np.ascontiguousarray(scene(2)[:, ::-1]))
    damaged.add("copy_mirrored.png", mirrored, _xml(), "duplicate-mirrored")
    cropped = scene(3)[12:108, 16:144]  # 80 % of the sides
    width, height = cropped.shape[1], cropped.shape[0]
    content = encoded(np.ascontiguousarray(cropped[:, ::-1]), "JPEG", quality=80)
    damaged.add(
        "copy_cropped.jpg", content, _xml(FACE, width=width, height=height), "duplicate-mirrored", "image-odd-size"
    )
    quarter = np.ascontiguousarray(np.rot90(scene(4)))
    damaged.add("copy_turned.png", encoded(quarter), _xml(FACE, width=HEIGHT, height=WIDTH), "duplicate-near")


def write_other_set(folder: Path) -> DamagedSet:
    """Write pictures of which three are copies of sound ones in `write_voc_set`; what is found is found there."""
    other = DamagedSet(folder)
    other.add("a.png", encoded(scene(0)), None)
    other.add("b.jpg", encoded(np.ascontiguousarray(scene(1)[12:108, 16:144]), "JPEG", quality=75), None)
    other.add("c.jpg", encoded(np.ascontiguousarray(scene(2)[12:108, 16:144][:, ::-1]), "JPEG", quality=75), None)
    other.add("d.png", encoded(scene(300)), None)
    kinds = ("exact", "near", "mirrored")
    other.expected = {(f"duplicate-{kind}-across-sets", f"images/clean{seed}.png") for seed, kind in enumerate(kinds)}
    other.expected |= {
        ("duplicate-near-across-sets", f"images/{name}") for name in ("copy_encoded.jpg", "copy_mirrored.png")
    }
    return other


YOLO_FACES = "0 0.25 0.375 0.25 0.4166666666666667\n1 0.6875 0.4583333333333333 0.25 0.4166666666666667\n"


def _add_yolo(damaged: DamagedSet, name: str, seed: int, lines: str | None, rule: str = "") -> None:
    damaged.write(f"obj/{name}.png", encoded(scene(seed)))
    if lines is not None:
        damaged.write(f"obj/{name}.txt", lines.encode())
    if rule:
        damaged.expected.add((rule, f"obj/{name}.txt"))


def write_yolo_sets(folder: Path) -> list[DamagedSet]:
    """Write a Darknet set with the defects of text labels, and small ones with those of class lists."""
    lines, unnamed, differing = (DamagedSet(folder / name) for name in ("lines", "unnamed", "differing"))
    lines.write("obj.names", b"mask\nno_mask\n")
    _add_yolo(lines, "clean", 200, YOLO_FACES)
    _add_yolo(lines, "columns", 201, YOLO_FACES + "0 0.5 0.5 0.1\n", "label-columns")
    _add_yolo(lines, "number", 202, YOLO_FACES + "0 0.5 inf 0.1 0.1\n", "label-number")
    _add_yolo(lines, "class", 203, YOLO_FACES + "7 0.5 0.5 0.1 0.1\n", "class-unknown")
    _add_yolo(lines, "unit", 204, "0 1.05 0.5 0.25 0.25\n", "box-outside-unit")
    lines.expected.add(("box-outside", "obj/unit.png"))
    _add_yolo(lines, "pixels", 205, YOLO_FACES + "0 80 60 20 20\n", "box-outside-unit")
    _add_yolo(lines, "polygon", 206, "0 0.2 0.2 0.4 0.2 0.4 0.5 0.2 0.5\n", "label-reduced")
    _add_yolo(lines, "shared", 207, YOLO_FACES)
    lines.write("obj/shared.jpg", encoded(scene(208), "JPEG", quality=95))
    lines.expected |= {("label-ambiguous", "obj/shared.png"), ("image-without-labels", "obj/shared.png")}
    (folder / "outside.png").write_bytes(encoded(scene(209)))
    (lines.folder / "obj/link.png").symlink_to(folder / "outside.png")
    lines.expected.add(("path-outside", "obj/link.png"))
    _add_yolo(unnamed, "a", 210, "0 0.25 0.375 0.25 0.4\n")
    unnamed.expected.add(("class-list-missing", "."))
    differing.write("obj.names", b"mask\nno_mask\nno_mask\n")
    differing.write("classes.txt", b"no_mask\nmask\n")
    crowd = "".join(f"0 {x:.2f} 0.5 0.05 0.2\n" for x in np.arange(0.1, 0.95, 0.08))
    _add_yolo(differing, "a", 211, crowd + "1 0.5 0.8 0.1 0.1\n")
    differing.expected |= {
        ("class-imbalance", "."),
        ("class-list-differs", "classes.txt"),
        ("class-name-repeated", "obj.names"),
    }
    return [lines, unnamed, differing]
