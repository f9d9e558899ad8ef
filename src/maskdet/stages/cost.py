"""What an image costs a stage: time by the clock, and of the CPU."""

import os
import time
from dataclasses import dataclass

import torch

TIMES = ("ms_per_image", "cpu_ms_per_image")
COST_KEYS = (*TIMES, "device", "threads")
"""What `Cost.report` returns."""

CostReport = dict[str, float | int | str]


@dataclass(frozen=True)
class Cost:
    """Time spent; sums and differences are costs too.

    Attributes:
        seconds: By the clock: what a person waits, with this machine's cores and whatever else runs on it.
        cpu_seconds: Of all threads, and of worker processes that have ended: compares runs with different threads on
            a busy machine; of work on a GPU it says nothing.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.seconds - other.seconds, self.cpu_seconds - other.cpu_seconds)

    @classmethod
    def now(cls) -> "Cost":
        """Return what was spent until now; the difference of two such is a cost."""
        workers = os.times()
        return cls(time.perf_counter(), time.process_time() + workers.children_user + workers.children_system)

    def report(self, num_images: int, device: str) -> CostReport:
        """Return milliseconds for each of `num_images`, and on what they were spent.

        Args:
            num_images: Those without a face count too.
            device: `cpu`, or the kind of accelerator.

        Returns:
            A value for each of `COST_KEYS`.
        """
        per_image = 1000 / max(num_images, 1)
        times = (round(self.seconds * per_image, 1), round(self.cpu_seconds * per_image, 1))
        return dict(zip(COST_KEYS, (*times, device, torch.get_num_threads()), strict=True))
