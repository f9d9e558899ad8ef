"""Time whole videos, end to end: 720p, every frame inferred, drawn and encoded.

    PYTHONPATH=src python benchmarks/video.py MODEL... [--runtime NAME] [--seconds 20] [--rounds 3] [--workers 2]
        [--threads 1] [--every 1] [--track] [--blur-faces] [--output FILE.md]

The clip is drawn: people of the embedded sample, faces of 15 to 250 pixels, before a camera that pans and has noise.
Models take turns, so that a busy minute hits all alike. A row says frames/s (median and worst of the rounds), what one
frame costs in CPU time by step, and how the memory of the process went from the first to the last tenth of the longest
run. Limit the cores by `taskset -c 0,1`. Needs the extra `dev`.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil

from maskdet.atomic import atomic_file
from maskdet.data.sample.scenes import draw_scene
from maskdet.inference.predictor import Predictor
from maskdet.inference.runtime import shipped_model_path
from maskdet.inference.video.faces import faces_of
from maskdet.inference.video.marks import draw_faces
from maskdet.inference.video.opening import open_frames
from maskdet.inference.video.run import VideoOptions, predict_video
from maskdet.inference.video.writer import VideoWriter
from maskdet.reporting.machine import machine_text

WIDTH, HEIGHT, FRAME_RATE = 1280, 720, 25
_TILES = (1.2, 2.4, 0.8, 1.7)  # how much a scene of the sample is enlarged
_NOISE_SD, _PAN_PX = 6.0, 3


@dataclass
class Timing:
    """What was measured of a model.

    Attributes:
        predictor: The model.
        name: Of its row.
        rates: Frames/s of each round.
        memory_mib: Resident memory after each frame of the last round.
        cpu_ms: CPU time a frame, by step.
    """

    predictor: Predictor
    name: str
    rates: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    cpu_ms: dict[str, float] = field(default_factory=dict)


def panorama() -> np.ndarray:
    """Return a strip of drawn scenes of unequal sizes, (HEIGHT, W, 3) uint8 RGB, twice as wide as the clip or more."""
    columns, index = [], 0
    while sum(column.shape[1] for column in columns) < 2.5 * WIDTH:
        column = np.empty((0, 640, 3), np.uint8)
        while column.shape[0] < HEIGHT:
            scene, scale = draw_scene(0, index).image, _TILES[index % len(_TILES)]
            tile = cv2.resize(scene, None, fx=scale, fy=scale)[:HEIGHT, :640]
            column = np.vstack([column, cv2.copyMakeBorder(tile, 0, 0, 0, 640 - tile.shape[1], cv2.BORDER_REFLECT)])
            index += 1
        columns.append(column[:HEIGHT])
    return np.hstack(columns)


def clip_frames(num_frames: int) -> Iterator[np.ndarray]:
    """Yield the frames of the clip, (HEIGHT, WIDTH, 3) uint8 RGB: the camera goes to and fro along the strip."""
    strip, rng = panorama(), np.random.default_rng(0)
    grain = rng.normal(0, _NOISE_SD, (HEIGHT + 64, WIDTH + 64, 1)).astype(np.int16)
    span = strip.shape[1] - WIDTH
    for index in range(num_frames):
        left = abs((_PAN_PX * index + span) % (2 * span) - span)
        y, x = rng.integers(0, 64, 2)
        noisy = strip[:, left : left + WIDTH] + grain[y : y + HEIGHT, x : x + WIDTH]
        yield np.clip(noisy, 0, 255).astype(np.uint8)


def write_clip(path: Path, seconds: float) -> None:
    """Write the clip as H.264."""
    with VideoWriter(path, path.name, (WIDTH, HEIGHT), FRAME_RATE) as writer:
        for index, image in enumerate(clip_frames(round(seconds * FRAME_RATE))):
            writer.write(index / FRAME_RATE, image)


def cpu_ms(action: Callable[[], object], num_frames: int) -> float:
    """Return the CPU milliseconds of all threads of an action, by frame."""
    began = time.process_time()
    action()
    return (time.process_time() - began) * 1000 / num_frames


def measure_steps(timing: Timing, clip: Path, folder: Path, num_frames: int = 24) -> None:
    """Run each step by itself over a few frames."""
    source = open_frames(clip)
    frames = [frame for frame, _ in zip(source, range(num_frames), strict=False)]
    source.close()
    predictor = timing.predictor
    predictor.detect(frames[0].image)  # warmed up
    found = []
    timing.cpu_ms["decode"] = cpu_ms(lambda: [None for _ in zip(open_frames(clip), frames, strict=False)], len(frames))
    timing.cpu_ms["detect"] = cpu_ms(lambda: found.extend(predictor.detect(f.image) for f in frames), len(frames))
    faces = [faces_of(of_frame) for of_frame in found]
    images = [frame.image.copy() for frame in frames]
    pairs = list(zip(images, faces, strict=True))
    timing.cpu_ms["draw"] = cpu_ms(lambda: [draw_faces(*pair, predictor.class_names) for pair in pairs], len(frames))

    def encode() -> None:
        with VideoWriter(folder / "steps.mp4", "steps", (WIDTH, HEIGHT), FRAME_RATE) as writer:
            for index, image in enumerate(images):
                writer.write(index / FRAME_RATE, image)

    timing.cpu_ms["encode"] = cpu_ms(encode, len(frames))


def measure_round(timing: Timing, clip: Path, folder: Path, options: VideoOptions) -> None:
    """Predict the clip once."""
    process, memory = psutil.Process(), []
    summary = predict_video(
        timing.predictor, clip, folder, options, lambda *_: memory.append(process.memory_info().rss / 2**20)
    )
    timing.rates.append(summary.frames_per_second)
    timing.memory_mib = memory


def row(timing: Timing) -> list[str]:
    """Return the cells of a model's row."""
    tenth = max(1, len(timing.memory_mib) // 10)
    first, last = (statistics.median(part) for part in (timing.memory_mib[:tenth], timing.memory_mib[-tenth:]))
    metric = timing.predictor.metadata.details.get("metrics", {}).get("map_50", {})
    map_50 = metric.get("value") if isinstance(metric, dict) else metric
    return [
        timing.name,
        timing.predictor.runtime_name,
        "?" if map_50 is None else f"{map_50:.3f}",
        f"{statistics.median(timing.rates):.1f}",
        f"{min(timing.rates):.1f}",
        *(f"{timing.cpu_ms[step]:.1f}" for step in ("decode", "detect", "draw", "encode")),
        f"{first:.0f} → {last:.0f}",
    ]


def table(timings: list[Timing]) -> str:
    """Return all rows as a Markdown table."""
    header = ["model", "runtime", "mAP50", "frames/s", "worst", "decode ms", "detect ms", "draw ms", "encode ms", "MiB"]
    rows = [header, ["---"] * len(header), *(row(timing) for timing in timings)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def main() -> None:
    """Measure the models of the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="default: the shipped one")
    parser.add_argument("--runtime")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of each run of the model")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--track", action="store_true")
    parser.add_argument("--blur-faces", action="store_true")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    options = VideoOptions(
        num_workers=given.workers, every=given.every, has_tracking=given.track, has_blur=given.blur_faces
    )
    try:
        models = given.models or [str(shipped_model_path())]
    except FileNotFoundError as error:
        print(f"nothing to time: {error}")
        return
    timings = [
        Timing(Predictor(model, runtime=given.runtime, num_threads=given.threads), Path(model).name) for model in models
    ]
    with tempfile.TemporaryDirectory() as temporary:
        clip, folder = Path(temporary) / "clip.mp4", Path(temporary) / "out"
        write_clip(clip, given.seconds)
        for timing in timings:
            measure_steps(timing, clip, Path(temporary))
        for _ in range(given.rounds):
            for timing in timings:
                measure_round(timing, clip, folder, options)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    settings = f"{given.workers} workers of {given.threads} threads, one frame in {given.every} inferred"
    text = (
        f"{machine_text()} (load {load:.1f}); {WIDTH} x {HEIGHT}, {given.seconds:g} s, {settings}\n\n{table(timings)}\n"
    )
    print(text)
    if given.output is not None:
        with atomic_file(given.output) as temporary_file:
            temporary_file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
