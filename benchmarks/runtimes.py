"""Time the exports of a detector against plain torch, and against effdet's own prediction bench.

Run `PYTHONPATH=src python benchmarks/runtimes.py [MODEL]` from the project's root; needs the extra `export`. The model
is a folder of `train` or a `.safetensors`; without one the model that the package ships is taken. What it says goes to
`reports/benchmarks/runtimes.{json,md}`. `maskdet benchmark` does the same without effdet's bench and without INT8.
"""

import argparse
import copy
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from effdet import DetBenchPredict
from effdet.config import set_config_readonly, set_config_writeable

from maskdet.commands.benchmark.command import file_contenders, source_contenders, time_and_write
from maskdet.commands.benchmark.contenders import PLAIN_TORCH, Contender
from maskdet.commands.export.files import INT8, OPENVINO, FileWriter
from maskdet.commands.export.inputs import calibration_images
from maskdet.commands.export.source import ExportSource, open_source
from maskdet.reporting.machine import num_usable_cores

RUNTIMES = ["onnx", "openvino", "torch"]


def effdet_contender(source: ExportSource) -> Contender:
    """Return effdet's `DetBenchPredict` as its users run it: normalized floats in, at most 100 detections out.

    It has no score threshold: its suppression sees the 5,000 best candidates of every image. Our baseline `plain torch`
    leaves that work out, which makes it the harder one to beat.

    Args:
        source: A detector; its network is shared, not modified.
    """
    size, detector = source.metadata.size, source.detector
    network = copy.copy(detector.network)
    network.config = copy.deepcopy(network.config)
    set_config_writeable(network.config)
    network.config.image_size = [size, size]  # the anchors are made for it
    set_config_readonly(network.config)
    bench, framing = DetBenchPredict(network).eval(), source.metadata.framing

    @torch.no_grad()
    def detect(images: Sequence[np.ndarray]) -> float:
        frames = [framing.frame((image.shape[1], image.shape[0])) for image in images]
        framed = np.stack([frame.apply(image) for frame, image in zip(frames, images, strict=True)])  # (N, S, S, 3)
        pixels = (torch.from_numpy(framed).permute(0, 3, 1, 2).float() - detector.mean) / detector.std
        begin = time.perf_counter()
        found = bench(pixels.contiguous())
        network_seconds = time.perf_counter() - begin  # with its decoding and suppression
        for frame, rows in zip(frames, found.numpy(), strict=True):
            frame.to_image(rows[:, :4])
        return network_seconds

    return Contender("effdet DetBenchPredict", size, 1, detect)


def main() -> None:
    """Export, time, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--size", type=int, help="side of the input in pixels; default: the model's own")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--threads", type=int, default=num_usable_cores())
    parser.add_argument("--output", type=Path, default=Path("reports/benchmarks"))
    options = parser.parse_args()
    try:
        source = open_source(options.model, options.size)
    except FileNotFoundError as error:
        print(f"nothing to time: {error}")
        return
    torch.set_num_threads(options.threads)
    with TemporaryDirectory() as folder:
        calibration = calibration_images(source.metadata.framing, source.fold)
        int8 = FileWriter(source, Path(folder), calibration).write_file(OPENVINO, INT8)
        contenders = source_contenders(source, Path(folder), RUNTIMES, [1], options.threads)
        contenders += file_contenders(int8.path, ["openvino"], [1], options.threads, {PLAIN_TORCH: source.metadata})
        contenders.append(effdet_contender(source))
        time_and_write(contenders, options.threads, options.seconds, [], options.output)


if __name__ == "__main__":
    main()
