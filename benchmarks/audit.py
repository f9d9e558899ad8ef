"""Time and memory of an audit of 10,000 drawn photos, with 20 copies planted among them.

Run `PYTHONPATH=src python benchmarks/audit.py [NUMBER]` from the project's root. The photos are drawn into a temporary
folder first, which takes some minutes and 0.6 GB and is not counted.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from maskdet.data.audit.options import AuditOptions
from maskdet.data.audit.whole_set import audit_set
from maskdet.data.formats import read_labelled_set

NUM_PHOTOS, NUM_PLANTED = 10_000, 20
WIDTH, HEIGHT = 400, 300
_NUM_SHAPES = 80
_LABELS = "0 0.25 0.4 0.2 0.3\n1 0.7 0.5 0.2 0.3\n"


def drawn_photo(seed: int) -> np.ndarray:
    """Return (300, 400, 3) uint8 with as many key points as a photo has; no two seeds are alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(_NUM_SHAPES):
        corners = rng.integers(0, (WIDTH, HEIGHT), (1, 2)) + rng.integers(-40, 41, (int(rng.integers(3, 7)), 2))
        cv2.fillPoly(image, [corners.astype(np.int32)], rng.integers(0, 256, 3).tolist())
    grain = rng.integers(-8, 9, (HEIGHT, WIDTH, 1), np.int16)
    return (image + grain).clip(0, 255).astype(np.uint8)


def planted_copy(seed: int) -> np.ndarray:
    """Return a part of a photo with 80 % of its sides, of odd seeds mirrored."""
    rng = np.random.default_rng(seed)
    top, left = int(rng.integers(0, HEIGHT // 5)), int(rng.integers(0, WIDTH // 5))
    part = drawn_photo(seed)[top : top + HEIGHT * 4 // 5, left : left + WIDTH * 4 // 5]
    return part[:, ::-1] if seed % 2 else part


def write_set(folder: Path, num_photos: int) -> None:
    """Write photos with YOLO labels, and the copies among them."""
    folder.mkdir()
    (folder / "obj.names").write_text("mask\nno_mask\n")
    photos = [(f"photo_{seed:06d}", seed, drawn_photo) for seed in range(num_photos)]
    photos += [(f"planted_{seed:06d}", seed, planted_copy) for seed in range(NUM_PLANTED)]
    for name, seed, draw in photos:
        cv2.imwrite(str(folder / f"{name}.jpg"), np.ascontiguousarray(draw(seed)), [cv2.IMWRITE_JPEG_QUALITY, 85])
        (folder / f"{name}.txt").write_text(_LABELS)


def main() -> None:
    """Print seconds, CPU seconds, memory, and how many of the planted copies were found."""
    num_photos = int(sys.argv[1]) if len(sys.argv) > 1 else NUM_PHOTOS
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "photos")
        write_set(folder, num_photos)
        before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        begin, begin_cpu = time.perf_counter(), time.process_time()
        labelled = read_labelled_set(folder)
        read_seconds = time.perf_counter() - begin
        findings = audit_set(labelled, AuditOptions())
    seconds, cpu_seconds = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    copies = {(finding.file, finding.twin.file_name) for finding in findings if finding.rule.startswith("duplicate-")}
    planted = {(f"planted_{seed:06d}.jpg", f"photo_{seed:06d}.jpg") for seed in range(min(NUM_PLANTED, num_photos))}
    print(
        f"{len(labelled.images)} images of {WIDTH} x {HEIGHT}: {seconds:.0f} s ({read_seconds:.1f} s reading), "
        f"{cpu_seconds:.0f} CPU seconds, {1000 * cpu_seconds / len(labelled.images):.0f} ms an image"
    )
    print(f"memory    {peak_mb:.0f} MB at most, {before_mb:.0f} MB before")
    print(f"planted   {len(copies & planted)} of {len(planted)} found; {len(copies - planted)} pairs beside them")


if __name__ == "__main__":
    main()
