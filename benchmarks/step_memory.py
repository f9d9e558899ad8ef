"""Time training steps of the reference detector with memory kept between them and with memory given back each time.

Run `PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/step_memory.py` from the project's root. Processes of both kinds
take turns, so that their ratio holds on a busy machine too.
"""

import subprocess
import sys
import time

import numpy as np
import torch
from hydra import compose, initialize
from tqdm import tqdm

from maskdet.stages.memory import keep_freed_memory
from maskdet.training.fit import build_module

ROUNDS, STEPS = 3, 10
KEPT, GIVEN_BACK = "kept", "given back"


def step_seconds(steps: int) -> list[float]:
    """Return the seconds of each of so many forward and backward passes of a batch of the reference config."""
    with initialize("../conf", version_base=None):
        cfg = compose("config")
    network = build_module(cfg).detector.train()
    side = cfg.framing.size
    images = torch.rand(cfg.trainer.batch_size, 3, side, side).to(memory_format=torch.channels_last)  # (B, 3, S, S)
    seconds = []
    for _ in range(steps + 1):  # the first is dearer either way
        begin = time.perf_counter()
        outputs = [level for levels in network(images) for level in levels]
        sum(level.square().mean() for level in outputs).backward()
        network.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - begin)
    return seconds[1:]


def main() -> None:
    """Print the median of both and their ratio; with an argument, print the steps of one process instead."""
    if len(sys.argv) > 1:
        if sys.argv[1] == KEPT:
            keep_freed_memory()
        print(*step_seconds(STEPS))
        return
    found = {KEPT: [], GIVEN_BACK: []}
    for kind in tqdm([KEPT, GIVEN_BACK] * ROUNDS, disable=None):
        done = subprocess.run([sys.executable, __file__, kind], capture_output=True, text=True, check=True)
        found[kind] += [float(word) for word in done.stdout.split()]
    medians = {kind: float(np.median(seconds)) for kind, seconds in found.items()}
    for kind, median in medians.items():
        print(f"memory {kind:>10}: {median:.3f} s a step (median of {len(found[kind])})")
    print(f"kept is {medians[GIVEN_BACK] / medians[KEPT]:.2f} times as fast")


if __name__ == "__main__":
    main()
